"""ROC curves, each class against all others; of two classes precision and recall, too."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from straightedge.calibration import block_starts, log_softmax

Curve = tuple[np.ndarray, np.ndarray, float]  # false positive rates, true positive rates, the area under the curve

MOST_POINTS = 200  # points of a curve that a page shows: a line of 300 pixels has no use for more
MOST_EXACT = 1_000_000  # samples up to which a curve has a point for each of them before it is thinned
CUTS = 20_000  # thresholds that the curves of more samples have a point for


@dataclass(frozen=True)
class Judged:
    """What a curve is made of, kept by reference.

    Attributes:
        scores: (N, C).
        y: (N,) labels.
        weights: (N,) or None.
        probabilistic: Whether a class is ranked by its probability; else by its score.
    """

    scores: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None
    probabilistic: bool

    def curves(self) -> list[Curve | None]:
        """Return a curve for each class, None where all samples are of it, or none."""
        ranked = log_softmax(self.scores) if self.probabilistic else self.scores
        return [self._curve(ranked[:, k], self.y == k) for k in range(ranked.shape[1])]

    def _curve(self, ranked: np.ndarray, is_class: np.ndarray) -> Curve | None:
        from sklearn.metrics import auc, roc_curve

        if is_class.all() or not is_class.any():
            return None
        false, true, _ = roc_curve(is_class, ranked, sample_weight=self.weights)
        return false, true, float(auc(false, true))


def two_class_curves(
    scores: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None, threshold: float | None = None
) -> dict[str, Any] | None:
    """Return the curves of the second class against the first, as JSON can hold them.

    Args:
        scores: (N, 2).
        y: (N,) labels, 0 or 1.
        weights: (N,) ≥ 0, or None.
        threshold: See `decided`; None is 0.

    Returns:
        ``roc`` and ``precision_recall``, lists of two numbers a point (false and true positive rate; recall and
        precision), `MOST_POINTS` at most, and ``at``, these four numbers where the classes are parted. None
        where all samples are of one class.
    """
    if y.min() == y.max():
        return None
    some = scores if len(y) <= MOST_EXACT else scores[:: max(1, len(y) // CUTS)]
    cuts = np.unique(np.append(_ranked(some), [threshold or 0.0, np.inf]))
    negative, positive = _at_cuts_or_above(cuts, scores, y, weights)
    false, true = negative / negative[-1], positive / positive[-1]
    told = negative + positive
    precision = np.divide(positive, told, out=np.ones_like(told), where=told > 0)
    place = len(cuts) - 1 - int(np.searchsorted(cuts, threshold or 0.0))
    return {
        "roc": _thinned(false, true),
        "precision_recall": _thinned(true[::-1], precision[::-1]),
        "at": [float(values[place]) for values in (false, true, true, precision)],
    }


def _ranked(scores: np.ndarray) -> np.ndarray:
    """Return how far the second class is above the first, (N,) float64."""
    return np.asarray(scores[:, 1] - scores[:, 0], dtype=np.float64)


def _at_cuts_or_above(
    cuts: np.ndarray, scores: np.ndarray, y: np.ndarray, weights: np.ndarray | None
) -> np.ndarray:
    """Return the weight of both classes' samples at each cut or above it, (2, cuts), the highest cut first."""
    counts = np.zeros((2, len(cuts) + 1))
    for start in (starts := block_starts(scores)):
        rows = slice(start, start + starts.step)
        place = np.searchsorted(cuts, _ranked(scores[rows]), side="right")
        own = None if weights is None else weights[rows]
        counts += np.bincount(place + len(counts[0]) * y[rows], own, counts.size).reshape(counts.shape)
    return np.cumsum(counts[:, ::-1], axis=1)


def _thinned(x: np.ndarray, y: np.ndarray) -> list[list[float]]:
    """Return points of a curve as pairs, the first and the last among them, evenly spread along its length."""
    along = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    wanted = np.linspace(0, along[-1], MOST_POINTS)
    places = np.unique(np.searchsorted(along, wanted).clip(0, len(x) - 1))
    places = np.union1d(places, [0, len(x) - 1])
    return [[float(x[k]), float(y[k])] for k in places]
