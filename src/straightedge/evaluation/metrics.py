"""The numbers themselves, each a pure function of what happened to the samples."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from straightedge.calibration import SUMMED_ROWS
from straightedge.evaluation.intervals import mean_interval
from straightedge.evaluation.outcomes import Outcomes, outcomes
from straightedge.row_weights import is_whole

ESTIMATE = "the samples that chose"
"""What the accuracy of a fit is of that has no test samples and chose reg: an estimate used for choosing."""
SEALED_TENTH = "a sealed tenth"
"""What it is of where a tenth of the samples was kept from the choice."""
METRIC_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "log_loss": "log loss",
    "auc": "AUC",
    "average_precision": "average precision",
    "f1": "F1",
    "mcc": "Matthews correlation",
    "brier": "Brier score",
}
"""Measures by what people call them."""


def accuracy(scores: Any, y: Any, weights: Any = None) -> float:
    """Return the share of samples, by weight, whose largest score is at their label."""
    happened = outcomes(scores, y, weights=weights)
    return happened.share(happened.correct)


def top_k_accuracy(scores: Any, y: Any, k: int = 5, weights: Any = None) -> float:
    """Return the share of samples, by weight, whose label is among their k largest scores."""
    happened = outcomes(scores, y, weights=weights)
    return happened.share(happened.rank < k)


def balanced_accuracy(scores: Any, y: Any, weights: Any = None) -> float:
    """Return the mean over the classes that occur of the share of their samples, by weight, that is right."""
    return mean_recall(outcomes(scores, y, weights=weights))


def log_loss(scores: Any, y: Any, temperature: float = 1.0, weights: Any = None) -> float:
    """Return the mean −log probability, by weight, of the right class under softmax(scores / T), in nats."""
    happened = outcomes(scores, y, temperature, weights)
    return mean(happened.loss, happened.weights)


def confusion(scores: Any, y: Any, weights: Any = None) -> np.ndarray:
    """Return (C, C) counts, int64 or sums of weights: row = label, column = prediction."""
    return confusion_of(outcomes(scores, y, weights=weights))


def mean(values: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return the mean of (N,) values up to 1e300, by weight, without overflow in the sum."""
    total = len(values) if weights is None else weights.sum()
    found = 0.0
    for start in range(0, len(values), SUMMED_ROWS):
        rows = slice(start, start + SUMMED_ROWS)
        shares = 1 / total if weights is None else weights[rows] / total
        found += float((values[rows].astype(np.float64) * shares).sum())
    return found


def mean_entry(values: np.ndarray, weights: np.ndarray | None, seed: int = 0) -> dict[str, Any]:
    """Return the mean of (N,) losses, by weight, with its interval (see `mean_interval`), as JSON holds them."""
    around = mean_interval(values, seed, weights=weights)
    return {"value": mean(values, weights), "interval": list(around) if around else None}


def confusion_of(happened: Outcomes) -> np.ndarray:
    """Return (C, C) counts, int64 or sums of weights: row = label, column = prediction."""
    return cell_counts(happened.y, happened.predicted, happened.n_classes, happened.weights)


def cell_counts(y: np.ndarray, predicted: np.ndarray, size: int, weights: np.ndarray | None) -> np.ndarray:
    """Return (size, size) counts, int64 or sums of weights, of (N,) labels and predictions."""
    found = np.zeros(size**2, np.int64 if weights is None else np.float64)
    for start in range(0, len(y), SUMMED_ROWS):
        rows = slice(start, start + SUMMED_ROWS)
        own = None if weights is None else weights[rows]
        found += np.bincount(y[rows] * size + predicted[rows], own, size**2)
    return found.reshape(size, size)


def class_counts(happened: Outcomes) -> tuple[np.ndarray, np.ndarray]:
    """Return how many samples each class has, and how many of them are right: (C,), (C,).

    Numerics:
        Of weighted samples, the size of a class is its `sample_size`, of which the share by weight is right.
    """
    y, size, weights = happened.y, happened.n_classes, happened.weights
    if weights is None:
        table = confusion_of(happened)
        return table.sum(axis=1), np.diag(table)
    whole = is_whole(weights)
    sums = np.maximum(np.bincount(y, weights, size), 1e-300)
    sizes = np.bincount(y, weights, size) if whole else sums**2 / np.bincount(y, weights**2, size).clip(1e-300)
    return sizes, sizes * np.bincount(y, weights * happened.correct, size) / sums


def mean_recall(happened: Outcomes) -> float:
    """Return the mean recall over the classes that have samples."""
    totals, right = class_counts(happened)
    return float((right[totals > 0] / totals[totals > 0]).mean())


def per_class(table: np.ndarray, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return n, precision, recall and F1 of every class.

    Args:
        table: (C, C) confusion counts or sums of weights, row = label.
        classes: Their names.

    Returns:
        One dictionary a class. A share of nothing (no sample, no prediction) is None, never NaN.
    """
    right, told, actual = np.diag(table), table.sum(axis=0), table.sum(axis=1)
    return [
        {
            "class": name,
            "n": actual[i].item(),
            "precision": _share(right[i], told[i]),
            "recall": _share(right[i], actual[i]),
            # 2 / (1/precision + 1/recall), which is 0 and not undefined where one of them is
            "f1": _share(2 * right[i], told[i] + actual[i]),
        }
        for i, name in enumerate(classes)
    ]


def _share(part: Any, whole: Any) -> float | None:
    return float(part) / float(whole) if whole else None
