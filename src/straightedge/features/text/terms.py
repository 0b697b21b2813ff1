"""Terms of texts: what is counted, the counts, and which terms some of the texts teach.

Semantics are those of scikit-learn's TfidfVectorizer, whose CountVectorizer does the counting. The counts of all
terms are made once; what any part of the texts teaches is then a choice of columns, as if it were counted alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from straightedge.errors import InputError

WORDS, CHARS = "word", "char_wb"  # what terms are: runs of words, or runs of characters inside words
CHAR_RUNS = (2, 5)  # lengths of runs of characters, the usual ones for short and misspelt texts


@dataclass(frozen=True)
class Terms:
    """What is counted.

    Attributes:
        kind: `WORDS` or `CHARS`.
        low: Fewest words or characters of a term.
        high: Most of them.
    """

    kind: str = WORDS
    low: int = 1
    high: int = 1

    def vectorizer(self, vocabulary: Sequence[str] | None = None) -> Any:
        """Return scikit-learn's counter: of all terms, or of those of a vocabulary."""
        from sklearn.feature_extraction.text import CountVectorizer

        own = None if vocabulary is None else {term: place for place, term in enumerate(vocabulary)}
        return CountVectorizer(
            analyzer=self.kind, ngram_range=(self.low, self.high), vocabulary=own, dtype=np.int32
        )

    def count(self, texts: Iterable[str]) -> Counts:
        """Count all terms of texts.

        Raises:
            InputError: ``texts-no-terms`` where no text has any.
        """
        vectorizer = self.vectorizer()
        try:
            counts = vectorizer.fit_transform(texts)
        except ValueError as error:
            if "vocabulary" not in str(error):
                raise
            what = "no text has a word of two letters or more"
            raise InputError("texts-no-terms", what, mend="use --features tfidf:chars") from None
        counts.sort_indices()
        return Counts(self, counts, tuple(vectorizer.get_feature_names_out().tolist()))


@dataclass(frozen=True)
class Counts:
    """How often each term stands in each text.

    Attributes:
        terms: What is counted.
        counts: (N, T) CSR int32.
        names: T terms, sorted.
    """

    terms: Terms
    counts: Any
    names: tuple[str, ...]

    def of(self, texts: Iterable[str]) -> Any:
        """Return the counts (n, T) of the same terms in other texts."""
        found = self.terms.vectorizer(self.names).transform(texts)
        found.sort_indices()
        return found

    def learned(self, rows: np.ndarray | None, min_df: float, max_features: int | None) -> Learned:
        """Return the terms that some of the texts teach, and their weights.

        Args:
            rows: (n,) positions of the texts; None means all.
            min_df: Texts that a term must stand in to count, or a share of them.
            max_features: As many terms at most, the most frequent ones.

        Raises:
            InputError: ``texts-no-terms`` where no term stands in so many texts.
        """
        counts = self.counts if rows is None else self.counts[rows]
        texts_with = np.bincount(counts.indices, minlength=len(self.names))
        fewest = min_df if isinstance(min_df, int) else min_df * counts.shape[0]
        kept = np.flatnonzero(texts_with >= max(fewest, 1))
        if max_features is not None and len(kept) > max_features:
            total = np.bincount(counts.indices, counts.data, minlength=len(self.names))
            kept = np.sort(kept[(-total[kept]).argsort()[:max_features]])
        if not len(kept):
            what = f"no term stands in {fewest:g} of {counts.shape[0]} texts"
            raise InputError("texts-no-terms", what, mend="give a smaller --min-df")
        idf = np.log((1 + counts.shape[0]) / (1 + texts_with[kept])) + 1
        return Learned(self.terms, tuple(self.names[place] for place in kept), idf, kept)


@dataclass(frozen=True)
class Learned:
    """Terms with their weights: a block of features.

    Attributes:
        terms: What is counted.
        names: D terms, sorted.
        idf: (D,) float64, ln((1 + n)/(1 + texts with the term)) + 1.
        kept: (D,) their columns among all terms that were counted; None for those of a saved model.
    """

    terms: Terms
    names: tuple[str, ...]
    idf: np.ndarray
    kept: np.ndarray | None = None

    def features(self, counts: Any, sublinear: bool) -> Any:
        """Return counts (N, D) of these terms as features: CSR float32, weighted, every row of length 1."""
        found = counts.astype(np.float64)
        values = 1 + np.log(found.data) if sublinear else found.data
        found.data = values * self.idf[found.indices]
        of_entry = np.repeat(np.arange(found.shape[0]), np.diff(found.indptr))
        lengths = np.sqrt(np.bincount(of_entry, found.data**2, minlength=found.shape[0]))
        found.data = (found.data / lengths[of_entry]).astype(np.float32)
        return found

    def count(self, texts: Iterable[str]) -> Any:
        """Return the counts (n, D) of these terms in texts."""
        found = self.terms.vectorizer(self.names).transform(texts)
        found.sort_indices()
        return found
