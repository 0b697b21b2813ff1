"""scikit-learn: a fitted LogisticRegression or LinearSVC with the model's weights, saved by skops."""

from typing import Any

import numpy as np

from straightedge.errors import MachineError, import_extra
from straightedge.export.cells import encoding_of, is_cells, scores_of_cells, terms_of_cells
from straightedge.export.check import agree, calibrated, size_of
from straightedge.export.table_pipeline import table_features, text_features
from straightedge.losses import LOSSES
from straightedge.model import LinearModel
from straightedge.model.records import class_values

TRUSTED = ["numpy.dtype", "sklearn.compose._column_transformer._RemainderColsList"]
"""What a pipeline of a table holds beside the types that skops trusts: an imputer keeps the type of its numbers,
and scikit-learn before 1.9 a list of columns that are left over."""


def sklearn_estimator(model: LinearModel, *, raw: bool = True) -> Any:
    """Return a scikit-learn classifier that has the model's weights, as if it had been fitted.

    Args:
        model: The model.
        raw: Of a model of a table, whether the estimator takes its columns as they are written, by name.

    Returns:
        A LogisticRegression where scores mean probabilities, else what the loss says, for rows (N, D). With two
        classes scikit-learn keeps one column, the second class's score minus the first's. The temperature is in the
        weights, so probabilities are the model's. Classes are whole numbers where all names are, else text. A
        threshold makes it a FixedThresholdClassifier around that. For a model of texts, a pipeline of its
        vectoriser and such a classifier.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    weight, bias = calibrated(model)
    first: Any = text_features(model) if model.takes_texts else None
    if raw and model.is_of_table:
        first, weight, bias = table_features(encoding_of(model), weight, bias)
    weight = weight.T
    if len(model.classes) == 2:
        weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
    kinds = {"LogisticRegression": LogisticRegression, "LinearSVC": LinearSVC}
    name = LOSSES[model.loss].sklearn_class if model.loss in LOSSES else "LinearSVC"
    if model.has_probabilities:
        name = "LogisticRegression"  # the one that has predict_proba
    estimator = kinds[name]()
    estimator.classes_ = class_values(model.classes)
    estimator.coef_, estimator.intercept_ = np.ascontiguousarray(weight), np.ascontiguousarray(bias)
    estimator.n_features_in_ = weight.shape[1]
    estimator.n_iter_ = 0 if name == "LinearSVC" else np.zeros(1, dtype=np.int32)
    if model.threshold is not None:
        estimator = _parted(model, estimator)
    return estimator if first is None else make_pipeline(first, estimator)


def _parted(model: LinearModel, estimator: Any) -> Any:
    """Return an estimator of two classes that names the second one from the model's threshold on."""
    from sklearn.frozen import FrozenEstimator
    from sklearn.model_selection import FixedThresholdClassifier

    parted = FixedThresholdClassifier(
        FrozenEstimator(estimator),
        threshold=(model.threshold or 0.0) / (model.temperature or 1.0),
        response_method="decision_function",
        pos_label=estimator.classes_[1],
    )
    rows = np.zeros((2, estimator.n_features_in_))
    return parted.fit(rows, estimator.classes_)  # the frozen estimator stays as it is


def sklearn_bytes(model: LinearModel, rows: Any) -> bytes:
    """Return the estimator as a skops file (no pickle), checked on rows.

    Args:
        model: The model.
        rows: Rows that the loaded estimator must give the model's scores and classes on; raw cells of a table as an
            Arrow table, for an estimator that takes such.

    Raises:
        MissingExtraError: skops is not installed.
        MachineError: ``export-differs``.
    """
    skops = import_extra("skops.io", "skops", "export", "writing scikit-learn estimators")
    data: bytes = skops.dumps(sklearn_estimator(model, raw=is_cells(rows)))
    trusted = TRUSTED if is_cells(rows) else []  # nothing else beyond skops' own list
    estimator = skops.loads(data, trusted=trusted)
    flat, scores = _given(model, rows)
    scale = terms_of_cells(model, rows) / (model.temperature or 1.0) if is_cells(rows) else 1.0
    _check_scores(model, estimator, flat, scores, scale)
    settled = _settled(scores, model.threshold)  # where two classes tie within rounding, either is right
    answers, expected = estimator.predict(flat), class_values(model.classes)[model.labels_of(scores)]
    if answers.dtype.kind != expected.dtype.kind or (answers != expected)[settled].any():
        raise MachineError("export-differs", "the scikit-learn estimator gives other classes than the model")
    return data


def _given(model: LinearModel, rows: Any) -> tuple[Any, np.ndarray]:
    """Return rows as the estimator takes them, and the model's scores of them."""
    if is_cells(rows):
        return rows.to_pandas(), scores_of_cells(model, rows)
    flat = rows if model.takes_texts else np.asarray(rows).reshape(len(rows), -1)
    return flat, model.scores(rows)


def _check_scores(model: LinearModel, estimator: Any, flat: np.ndarray, scores: np.ndarray, scale: float) -> None:
    """Compare scores at the model's temperature and, where there are any, probabilities (`scale`: see `agree`)."""
    expected = scores.astype(np.float64) / (model.temperature or 1.0)
    if len(model.classes) == 2:
        expected = expected[:, 1] - expected[:, 0]
    agree(estimator.decision_function(flat), expected, "scikit-learn estimator", flat, scale)
    if model.has_probabilities:
        what = "scikit-learn estimator's probabilities"
        agree(estimator.predict_proba(flat), model.probabilities(scores), what, flat, max(scale, size_of(expected)))


def _settled(scores: np.ndarray, threshold: float | None = None) -> np.ndarray:
    """Whether the answer to each row stands out from the next by more than rounding."""
    if threshold is not None:
        scores = np.stack([scores[:, 0] + threshold, scores[:, 1]], axis=1)
    top = np.sort(scores, axis=1)[:, -2:]
    return np.asarray(top[:, -1] - top[:, 0] > 1e-4 * np.maximum(1, np.abs(top[:, -1])))
