"""Texts in scikit-learn, and a table's columns: a ColumnTransformer from plain data, and the weights in its order.

Numbers go through a SimpleImputer with indicators, categories through a OneHotEncoder that ignores values it
does not know. Where the model has a feature for rare and unseen values, its weight is in the intercept, and
each known value has its own weight less that one: the same scores. What stands for a missing category in
    files (nothing, ``?``, ``NA``)
and in frames (None, NaN) are columns of their own with one weight.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from straightedge.data.tables.encoding import Column, TableEncoding
from straightedge.data.tables.text_format import MISSING
from straightedge.errors import InputError, import_extra
from straightedge.model import LinearModel


def first_features(encoding: TableEncoding) -> list[tuple[Column, int]]:
    """Return the columns in use with the place of their first feature."""
    used = encoding.used
    starts = np.concatenate([[0], np.cumsum([column.width for column in used])]).astype(int)
    return list(zip(used, starts.tolist(), strict=False))


def markers(column: Column) -> list[str]:
    """Return texts that stand for a missing value of a category, where training had missing ones."""
    return [text for text in MISSING if text not in column.categories] if None in column.categories else []


def category_weights(
    column: Column, start: int, weight: np.ndarray
) -> tuple[list[str | None], np.ndarray, np.ndarray]:
    """Return the values of a category with their weights, and the weights of every other value.

    Args:
        column: The column.
        start: Place of its first feature.
        weight: (D, C).

    Returns:
        K values, a missing one as None and as `markers`; (K, C) their weights; (C,) of all others.
    """
    values = [*column.categories, *markers(column)]
    places = [column.categories.index(value if value in column.categories else None) for value in values]
    width = len(column.categories)
    otherwise = weight[start + width] if column.other else np.zeros(weight.shape[1])
    return values, weight[start + np.array(places, dtype=int)], otherwise


def table_features(
    encoding: TableEncoding, weight: np.ndarray, bias: np.ndarray
) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return a fitted ColumnTransformer, and weights (D', C) and bias (C,) on its output, from those on features.

    Raises:
        MissingExtraError: pandas is not installed, which a ColumnTransformer by names needs.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import OneHotEncoder

    columns = first_features(encoding)
    numbers = [(column, start) for column, start in columns if column.kind == "number"]
    categories = [(column, start) for column, start in columns if column.kind == "category"]
    steps: list[Any] = []
    rows = [weight[start] for _, start in numbers]
    rows += [weight[start + 1] for column, start in numbers if column.indicator]
    if numbers:
        names = [column.name for column, _ in numbers]
        steps.append(("numbers", SimpleImputer(add_indicator=True), names))
    for column, start in categories:
        values, own, otherwise = category_weights(column, start, weight)
        known, places = _with_nan(values)
        rows += list(own[places] - otherwise)
        bias = bias + otherwise
        encoder = OneHotEncoder(categories=[known], handle_unknown="ignore", sparse_output=False)
        steps.append((f"category {column.name}", encoder, [column.name]))
    transformer = ColumnTransformer(steps, verbose_feature_names_out=False)
    transformer.fit(_sample([column for column, _ in columns]))
    return transformer, np.array(rows), bias


def _with_nan(values: Sequence[str | None]) -> tuple[np.ndarray, list[int]]:
    """Return values for an encoder of objects, a missing one last, as None and as NaN; and their places."""
    texts = [place for place, value in enumerate(values) if value is not None]
    missing = [place for place, value in enumerate(values) if value is None]
    known = [values[place] for place in texts] + [None for _ in missing] + [float("nan") for _ in missing]
    return np.array(known, dtype=object), texts + missing + missing


def _sample(columns: Sequence[Column]) -> Any:
    """Return three rows whose means, missing values and categories are those that the encoding knows."""
    pd = import_extra("pandas", "pandas", "frames", "writing a pipeline that takes columns by name")

    def cells(column: Column) -> Any:
        if column.kind == "number":
            return np.array([column.mean, column.mean, np.nan if column.indicator else column.mean])
        known = next((value for value in column.categories if value is not None), "")
        return np.array([known] * 3, dtype=object)

    return pd.DataFrame({column.name: cells(column) for column in columns})


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
