"""The numbers themselves, each a pure function of what happened to the samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from straightedge.evaluation.outcomes import Outcomes, outcomes


def accuracy(scores: Any, y: Any) -> float:
    """Return the share of samples whose largest score is at their label."""
    return float(outcomes(scores, y).correct.mean())


def top_k_accuracy(scores: Any, y: Any, k: int = 5) -> float:
    """Return the share of samples whose label is among their k largest scores."""
    return float((outcomes(scores, y).rank < k).mean())


def balanced_accuracy(scores: Any, y: Any) -> float:
    """Return the mean over the classes that occur of the share of their samples that is right."""
    return mean_recall(outcomes(scores, y))


def log_loss(scores: Any, y: Any, temperature: float = 1.0) -> float:
    """Return the mean −log probability of the right class under softmax(scores / T), in nats."""
    return mean(outcomes(scores, y, temperature).loss)


def confusion(scores: Any, y: Any) -> np.ndarray:
    """Return (C, C) int64 counts: row = label, column = prediction."""
    return confusion_of(outcomes(scores, y))


def mean(values: np.ndarray) -> float:
    """Return the mean of (N,) values up to 1e300 without overflow in the sum."""
    return float((values / len(values)).sum())


def confusion_of(happened: Outcomes) -> np.ndarray:
    """Return (C, C) int64 counts: row = label, column = prediction."""
    cells = happened.y * happened.n_classes + happened.predicted
    counts = np.bincount(cells, minlength=happened.n_classes**2)
    return counts.reshape(happened.n_classes, happened.n_classes)


def class_counts(happened: Outcomes) -> tuple[np.ndarray, np.ndarray]:
    """Return how many samples each class has, and how many of them are right: (C,), (C,)."""
    size = happened.n_classes
    return np.bincount(happened.y, minlength=size), np.bincount(happened.y[happened.correct], minlength=size)


def mean_recall(happened: Outcomes) -> float:
    """Return the mean recall over the classes that have samples."""
    totals, right = class_counts(happened)
    return float((right[totals > 0] / totals[totals > 0]).mean())


def per_class(table: np.ndarray, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return n, precision, recall and F1 of every class.

    Args:
        table: (C, C) confusion counts, row = label.
        classes: Their names.

    Returns:
        One dictionary a class. A share of nothing (no sample, no prediction) is None, never NaN.
    """
    right, told, actual = np.diag(table), table.sum(axis=0), table.sum(axis=1)
    return [
        {
            "class": name,
            "n": int(actual[i]),
            "precision": _share(right[i], told[i]),
            "recall": _share(right[i], actual[i]),
            # 2 / (1/precision + 1/recall), which is 0 and not undefined where one of them is
            "f1": _share(2 * right[i], told[i] + actual[i]),
        }
        for i, name in enumerate(classes)
    ]


def _share(part: Any, whole: Any) -> float | None:
    return float(part) / float(whole) if whole else None
