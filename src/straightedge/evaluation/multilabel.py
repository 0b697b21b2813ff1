"""Judging answers of several labels a sample: each label by itself, all of them together, and their order.

References:
    Tsoumakas, Katakis and Vlahavas, "Mining Multi-label Data", 2010, for the measures; values are scikit-learn's.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from straightedge.errors import InputError
from straightedge.evaluation.intervals import interval_around, share_interval
from straightedge.evaluation.measures import measures
from straightedge.evaluation.metrics import cell_counts, mean_entry, per_class
from straightedge.evaluation.outcomes import copies_or_weights
from straightedge.row_weights import sample_size

MULTILABEL_NAMES = {
    "micro_f1": "F1 of all labels together",
    "macro_f1": "mean F1 of the labels",
    "hamming_loss": "share of labels that are wrong",
    "ranking_average_precision": "ranking average precision",
}
"""Measures by what people call them."""


def evaluate_multilabel(
    scores: np.ndarray,
    Y: np.ndarray,
    names: Sequence[str],
    *,
    probabilities: bool = True,
    weights: np.ndarray | None = None,
) -> dict[str, Any]:
    """Judge the scores of one split.

    Args:
        scores: (N, C) score of each label; 0 or more names it.
        Y: (N, C) bool, the labels of each sample.
        names: C names.
        probabilities: Whether scores are log-odds.
        weights: (N,) ≥ 0, how often each sample counts, or None; whole numbers are numbers of copies.

    Returns:
        What JSON can hold: ``n``, ``accuracy``, the share of samples whose labels are all right, with its
        ``interval``; ``micro_f1``, ``macro_f1``, ``hamming_loss`` and ``ranking_average_precision`` as ``{"value",
        "interval"}``; ``log_loss``, the sum over the labels in nats; and ``per_class``: ``class``, ``n``,
        ``precision``, ``recall``, ``f1``, ``auc``.
    """
    scores, Y = np.asarray(scores, dtype=np.float64), np.asarray(Y, dtype=bool)
    if scores.shape != Y.shape or scores.ndim != 2 or not len(scores):
        raise InputError("scores-shape", f"scores of shape {scores.shape}, labels of shape {Y.shape}")
    if not np.isfinite(scores).all():
        raise InputError("scores-not-finite", "a score is NaN or infinite")
    if weights is not None:
        (scores, Y), weights = copies_or_weights(weights, scores, Y)
    named = scores >= 0
    right = float(np.average((named == Y).all(axis=1), weights=weights))
    n = len(Y) if weights is None else sample_size(weights)
    losses = np.logaddexp(0, np.where(Y, -scores, scores)).sum(axis=1) if probabilities else None
    return {
        "n": n,
        "accuracy": right,
        "interval": list(share_interval(right * n, n)),
        "micro_f1": _micro(named, Y, weights),
        "macro_f1": _macro(named, Y, weights),
        "hamming_loss": mean_entry((named != Y).mean(axis=1), weights),
        "ranking_average_precision": _ranking(scores, Y, weights),
        "log_loss": None if losses is None else mean_entry(losses, weights),
        "per_class": [_label(scores[:, k], Y[:, k], named[:, k], name, weights) for k, name in enumerate(names)],
    }


def _shares(
    named: np.ndarray, Y: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return twice what is right, and what is told or true, of each sample and label; and sums of the latter."""
    right, sizes = 2.0 * (named & Y), named.astype(float) + Y
    if weights is not None:
        right, sizes = right * weights[:, None], sizes * weights[:, None]
    return right, sizes, sizes.sum(axis=0)


def _micro(named: np.ndarray, Y: np.ndarray, weights: np.ndarray | None) -> dict[str, Any]:
    right, sizes, _ = _shares(named, Y, weights)
    return _ratio(right.sum(axis=1), sizes.sum(axis=1))


def _ratio(above: np.ndarray, below: np.ndarray) -> dict[str, Any]:
    """Return Σ above/Σ below of (N,) samples with its interval; 0 where nothing is told or true."""
    total, n = float(below.sum()), len(below)
    value = float(above.sum()) / total if total else 0.0
    influence = n * (above - value * below) / total if total else np.zeros(n)
    return _entry(value, influence)


def _macro(named: np.ndarray, Y: np.ndarray, weights: np.ndarray | None) -> dict[str, Any]:
    right, sizes, totals = _shares(named, Y, weights)
    filled = np.where(totals > 0, totals, 1.0)
    each = right.sum(axis=0) / filled
    influence = (len(Y) * (right - each * sizes) / filled).mean(axis=1)
    return _entry(float(each.mean()), influence)


def _entry(value: float, influence: np.ndarray) -> dict[str, Any]:
    variance = float((influence**2).mean()) / len(influence)
    return {"value": value, "interval": list(interval_around(value, variance, np.array([len(influence)])))}


def _ranking(scores: np.ndarray, Y: np.ndarray, weights: np.ndarray | None) -> dict[str, Any]:
    """Return how pure the labels above each true one are, on average; samples of none or all labels count 1."""
    from scipy.stats import rankdata

    rank = rankdata(-scores, "max", axis=1)
    among = rankdata(np.where(Y, -scores, np.inf), "max", axis=1)
    counts = Y.sum(axis=1)
    purity = np.where(Y, among / rank, 0).sum(axis=1) / np.maximum(counts, 1)
    values = np.where((counts == 0) | (counts == Y.shape[1]), 1.0, purity)
    lost = mean_entry(1 - values, weights)
    ends = lost["interval"]
    return {"value": 1 - lost["value"], "interval": [1 - end for end in reversed(ends)] if ends else None}


def _label(
    scores: np.ndarray, y: np.ndarray, named: np.ndarray, name: str, weights: np.ndarray | None
) -> dict[str, Any]:
    table = cell_counts(y.astype(np.int64), named.astype(np.int64), 2, weights)
    pair = np.stack([np.zeros_like(scores), scores], axis=1)
    auc = measures(pair, y.astype(np.int64), names=["auc"], weights=weights)["auc"]
    return per_class(table, ["", name])[1] | {"auc": auc}
