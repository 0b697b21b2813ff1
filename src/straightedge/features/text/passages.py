"""The passage of a text in which the words that decided stand, each word with its share of the decision."""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from straightedge.features.text.terms import CHARS, Terms

PASSAGE = 400  # characters of a passage: a few lines, what is read before the next text is looked at
LOOKED_AT = 100_000  # characters of a text that are looked at, a third of a novel: the words of 40 MB take a minute
MARKED, FAINT = 12, 0.2
"""Words of a passage that are marked at most, and the part of the largest share below which none is: where every
second word is marked, nobody sees which decided."""
WORD, RUN, _BLANK = re.compile(r"\b\w\w+\b"), re.compile(r"\S+"), re.compile(r"\s")
"""What scikit-learn counts as a word, and what it takes runs of characters from."""

Shares = dict[tuple[int, int], float]
Piece = tuple[str, float]


@dataclass(frozen=True)
class Passage:
    """A part of a text.

    Attributes:
        pieces: Texts that joined are the passage, each with its share of the decision; 0 where none is marked.
        cut: Whether the text goes on before it and after it.
    """

    pieces: tuple[Piece, ...]
    cut: tuple[bool, bool]


def passages(texts: Sequence[str], extractor: Any, directions: Sequence[np.ndarray]) -> list[Passage]:
    """Return the passage of each text in which most of a decision was made.

    Args:
        texts: The texts.
        extractor: A fitted `TfIdf`.
        directions: For each text (D,), what a unit of each term adds to the decision: the difference of two columns
            of W.

    Returns:
        At most `PASSAGE` characters of each. What a term adds is shared equally among the places where it stands,
        and there among its words; so the shares of all words of a text sum to what its terms add. The first
        `LOOKED_AT` characters of a long text are taken as a text of their own.
    """
    rows = extractor.transform([text[:LOOKED_AT] for text in texts])
    found = []
    for k, (text, direction) in enumerate(zip(texts, directions, strict=True)):
        own = slice(int(rows.indptr[k]), int(rows.indptr[k + 1]))
        columns = rows.indices[own]
        found.append(_passage(text, extractor, columns, rows.data[own] * direction[columns]))
    return found


def _passage(text: str, extractor: Any, columns: np.ndarray, added: np.ndarray) -> Passage:
    beginning = text[:LOOKED_AT]
    shares = word_shares(beginning, extractor, columns, added)
    start, stop = _densest(beginning, shares)
    inside = {place: share for place, share in shares.items() if start <= place[0] and place[1] <= stop}
    return Passage(tuple(_pieces(beginning, start, stop, inside)), (start > 0, stop < len(text)))


def word_shares(text: str, extractor: Any, columns: np.ndarray, added: np.ndarray) -> Shares:
    """Return the places (start, stop) of words with their shares of what the terms of a text add.

    Args:
        text: The text.
        extractor: A fitted `TfIdf`.
        columns: (n,) columns of its terms, rising.
        added: (n,) what each of them adds.
    """
    shares: Shares = {}
    first = 0
    for block in extractor.blocks:
        low, high = np.searchsorted(columns, [first, first + len(block.names)])
        names = [block.names[column - first] for column in columns[low:high].tolist()]
        for place, share in _shared_out(text, block.terms, dict(zip(names, added[low:high].tolist(), strict=True))):
            shares[place] = shares.get(place, 0.0) + share
        first += len(block.names)
    chars = any(block.terms.kind == CHARS for block in extractor.blocks)
    return _by_runs(text, shares) if chars else shares


def _by_runs(text: str, shares: Shares) -> Shares:
    """Return the shares of words as those of the runs between blanks that they stand in."""
    runs = [run.span() for run in RUN.finditer(text)]
    begins = [begin for begin, _ in runs]
    found: Shares = {}
    for place, share in shares.items():
        run = runs[bisect_right(begins, place[0]) - 1]
        found[run] = found.get(run, 0.0) + share
    return found


def _shared_out(text: str, terms: Terms, added: Mapping[str, float]) -> Iterator[tuple[tuple[int, int], float]]:
    """Yield places (start, stop) of words with a share of what each term adds."""
    found = [(term, places) for term, places in _standing(text, terms) if term in added]
    times = Counter(term for term, _ in found)
    for term, places in found:
        for place in places:
            yield place, added[term] / times[term] / len(places)


def _standing(text: str, terms: Terms) -> Iterator[tuple[str, Sequence[tuple[int, int]]]]:
    """Yield each term that stands in a text with the places of its words, as often as it stands there."""
    if terms.kind == CHARS:
        split = terms.vectorizer().build_analyzer()
        for word in RUN.finditer(text):
            yield from ((term, [word.span()]) for term in split(word.group()))
        return
    words = list(WORD.finditer(text.lower()))
    origin = _origin(text)
    places = [(origin[word.start()], origin[word.end() - 1] + 1) for word in words]
    for n in range(terms.low, terms.high + 1):
        for k in range(len(words) - n + 1):
            yield " ".join(word.group() for word in words[k : k + n]), places[k : k + n]


def _origin(text: str) -> Sequence[int]:
    """Return where each character of the text in small letters comes from: some letters become two."""
    lengths = [len(sign.lower()) for sign in text]
    return [place for place, length in enumerate(lengths) for _ in range(length)]


def _densest(text: str, shares: Shares) -> tuple[int, int]:
    """Return where the passage begins and ends: the words with the largest sum of shares of either sign."""
    if len(text) <= PASSAGE:
        return 0, len(text)
    places = sorted(shares)
    sums = np.concatenate([[0.0], np.cumsum([abs(shares[place]) for place in places])])
    begins, ends = (np.array([place[side] for place in places], np.int64) for side in (0, 1))
    behind = np.searchsorted(ends, begins + PASSAGE, side="right")  # of the words that start there
    if not places or (best := int(np.argmax(sums[behind] - sums[:-1]))) >= behind[best]:
        return _widened(text, 0, 0)
    return _widened(text, int(begins[best]), int(ends[behind[best] - 1]))


def _widened(text: str, start: int, stop: int) -> tuple[int, int]:
    """Fill a passage up to its length on both sides, and cut it between words."""
    low = max(0, min(start - (PASSAGE - stop + start) // 2, len(text) - PASSAGE))
    high = low + PASSAGE
    if low > 0 and not text[low - 1].isspace():
        blank = _BLANK.search(text, low, start)
        low = start if blank is None else blank.end()
    while stop < high < len(text) and not text[high].isspace():
        high -= 1
    return low, high


def _pieces(text: str, start: int, stop: int, shares: Shares) -> Iterator[Piece]:
    """Yield the parts of a passage, marked words and what lies between them."""
    first = sorted(shares.items(), key=lambda item: -abs(item[1]))[:MARKED]
    least = FAINT * abs(first[0][1]) if first else 0.0
    at = start
    for (begin, end), share in sorted(first):
        if begin < at or abs(share) < least or share == 0:
            continue
        if at < begin:
            yield text[at:begin], 0.0
        yield text[begin:end], share
        at = end
    if at < stop:
        yield text[at:stop], 0.0
