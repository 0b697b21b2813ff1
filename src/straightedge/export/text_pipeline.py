"""scikit-learn's vectorisers with a model's terms and weights, as if they had been fitted."""

from typing import Any

import numpy as np

from straightedge.errors import InputError
from straightedge.model import LinearModel


def text_features(model: LinearModel) -> Any:
    """Return the vectoriser of a model that takes texts, made from plain data: terms and idf.

    Returns:
        A TfidfVectorizer, a union of two for words and characters, or a HashingVectorizer.
    """
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.pipeline import FeatureUnion

    extractor = model.extractor
    if not hasattr(extractor, "blocks"):
        runs = (extractor.low, extractor.high)
        return HashingVectorizer(n_features=extractor.n_features, ngram_range=runs, dtype=np.float32)
    parts = [_tfidf(block, extractor.sublinear) for block in extractor.blocks]
    return parts[0] if len(parts) == 1 else FeatureUnion([("words", parts[0]), ("characters", parts[1])])


def _tfidf(block: Any, sublinear: bool) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    terms = block.terms
    vocabulary = {name: place for place, name in enumerate(block.names)}
    found = TfidfVectorizer(
        analyzer=terms.kind, ngram_range=(terms.low, terms.high), vocabulary=vocabulary, sublinear_tf=sublinear
    )
    found.idf_ = block.idf
    return found


def refuse_texts(model: LinearModel, to: str) -> None:
    """Refuse a format that cannot cut texts into words as the model does."""
    if model.takes_texts:
        what = f"the model takes texts, and {to} has no operator that cuts them into words as it does"
        mend = "--to sklearn writes the vectoriser and the classifier as one pipeline"
        raise InputError("export-texts", what, mend=mend)
