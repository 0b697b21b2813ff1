"use strict";
/* Texts as scikit-learn's TfidfVectorizer reads them: words are runs of two or more letters, digits or underscores; runs
   of characters lie inside words, with a blank at either edge; each block of terms has length 1. Blanks are Python's. */
const readerOfTexts = ({ blocks, sublinear }, floats) => {
  const blanks = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/u;
  const runs = (parts, n, glue) => Array.from(
    { length: Math.max(0, parts.length - n + 1) }, (_, start) => parts.slice(start, start + n).join(glue));
  const lengths = (low, high) => Array.from({ length: Math.max(0, high - low + 1) }, (_, step) => low + step);
  const termsOf = {
    word: (text, low, high) => {
      const words = text.match(/[\p{L}\p{N}_]{2,}/gu) || [];
      return lengths(low, high).flatMap((n) => runs(words, n, " "));
    },
    /* A word that is shorter than a run counts once, whole. */
    char_wb: (text, low, high) => text.split(blanks).filter(Boolean).flatMap((word) => {
      const signs = [" ", ...word, " "];
      return lengths(low, Math.min(high, Math.max(low, signs.length)))
        .flatMap((n) => (n < signs.length ? runs(signs, n, "") : [signs.join("")]));
    }),
  };
  const names = blocks.flatMap((block) => block.terms.map((term) => (block.unit === "word" ? term : `'${term}'`)));
  let first = 0;
  const parts = blocks.map((block) => {
    const part = { ...block, first, idf: floats(block.idf), places: new Map(block.terms.map((term, k) => [term, k])) };
    first += block.terms.length;
    return part;
  });
  const addBlock = (row, text, { unit, low, high, places, idf, first: start }) => {
    const counts = new Map();
    for (const term of termsOf[unit](text, low, high)) {
      const place = places.get(term);
      if (place !== undefined) counts.set(place, (counts.get(place) || 0) + 1);
    }
    counts.forEach((n, place) => counts.set(place, (sublinear ? 1 + Math.log(n) : n) * idf[place]));
    const length = Math.sqrt([...counts.values()].reduce((sum, value) => sum + value * value, 0));
    counts.forEach((value, place) => row.set(start + place, Math.fround(value / length)));
  };
  const read = (text) => {
    const row = new Map();
    parts.forEach((part) => addBlock(row, text.toLowerCase(), part));
    return row;
  };
  return { read, names };
};
