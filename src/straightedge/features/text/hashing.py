"""`hashing`: words counted in columns that their hash gives, for streams of texts without a vocabulary."""

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from straightedge.features.base import Unlearned, bad_setting
from straightedge.features.text.terms import WORDS
from straightedge.features.text.tfidf import check_texts, runs_of

N_FEATURES = 2**18  # columns: of a hundred thousand words, one in five shares its column with another
MOST_FEATURES = 2**26


class Hashing(Unlearned):
    """Words of a text by scikit-learn's HashingVectorizer: signed counts, rows of length 1; nothing is learned.

    Args:
        n_features: Number of columns.
        ngrams: Words of a term, ``LOW-HIGH``.
    """

    name: ClassVar[str] = "hashing"

    def __init__(self, n_features: int = N_FEATURES, ngrams: str | int = "1-1") -> None:
        if not isinstance(n_features, int) or not 2 <= n_features <= MOST_FEATURES:
            raise bad_setting("n_features", n_features, f"a number from 2 to {MOST_FEATURES}")
        self.n_features = n_features
        self.low, self.high = runs_of(ngrams)

    def prepare(self, images: Any, seed: int = 0) -> None:
        """Refuse what are no texts."""
        check_texts(images)

    def transform(self, texts: Iterable[str]) -> Any:
        """Return (n, n_features) CSR float32 of texts."""
        from sklearn.feature_extraction.text import HashingVectorizer

        vectorizer = HashingVectorizer(
            analyzer=WORDS, n_features=self.n_features, ngram_range=(self.low, self.high)
        )
        found = vectorizer.transform(texts).astype(np.float32)
        found.sort_indices()
        return found

    def config(self) -> dict[str, Any]:
        """Return name, version and settings."""
        return {
            "name": self.name,
            "version": self.version,
            "n_features": self.n_features,
            "ngrams": f"{self.low}-{self.high}",
        }
