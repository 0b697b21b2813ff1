"""Measures beyond accuracy, with 95 % intervals: AUC, average precision, F1, Matthews' correlation, Brier score.

Values are scikit-learn's. Of two classes the second one is the positive one; of more, AUC, average precision
and F1 are means over the classes, each against all others. Standard errors come from the influence of each
sample: the derivative of the measure by the sample's weight, which sorts and sums give for all samples at once.

References:
    Hampel, "The Influence Curve and Its Role in Robust Estimation", JASA 1974; DeLong, DeLong and Clarke-Pearson,
    "Comparing the Areas under Two or More Correlated ROC Curves", Biometrics 1988, for the AUC.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from straightedge.calibration import as_scores, block_starts, decided, log_softmax
from straightedge.evaluation.intervals import interval_around
from straightedge.evaluation.metrics import cell_counts, mean_entry
from straightedge.evaluation.outcomes import MOST_COPIES, float_type
from straightedge.row_weights import is_whole, sample_size

MEASURES = ("auc", "average_precision", "f1", "mcc", "brier")
MOST_SORTED = 4_000_000  # scores up to which measures are taken that sort each class's: a second of work and 0.3 GB

Influence = tuple[float, np.ndarray]  # a value, and the influence (N,) of each sample on it


@dataclass(frozen=True)
class Answers:
    """Samples that count, their scores and their labels.

    Attributes:
        scores: (N, C).
        y: (N,) int64 labels.
        predicted: (N,) int64 classes.
        weights: (N,) float64 > 0.
        temperature: T of the probabilities.
        probabilities: Whether scores mean any.
    """

    scores: np.ndarray
    y: np.ndarray
    predicted: np.ndarray
    weights: np.ndarray
    temperature: float
    probabilities: bool

    @property
    def alike(self) -> bool:
        """Whether each sample counts once."""
        return self.weights.strides == (0,) or bool((self.weights == 1).all())

    @property
    def n(self) -> float:
        """Number of samples; of weighted ones, the number that an interval may count on."""
        return len(self.y) if self.alike else sample_size(self.weights)

    @property
    def own(self) -> np.ndarray | None:
        """(N,) weights, or None where each sample counts once."""
        return None if self.alike else self.weights

    @property
    def n_classes(self) -> int:
        """C."""
        return int(self.scores.shape[1])

    def ranked(self, label: int) -> np.ndarray:
        """Return what ranks samples (N,) by how much they are of a class: its probability, or its score."""
        if self.n_classes == 2:
            return np.asarray(self.scores[:, label] / 2 - self.scores[:, 1 - label] / 2, dtype=np.float64)
        if not self.probabilities:
            return self.scores[:, label].astype(np.float64)
        return np.asarray(log_softmax(self.scores, self.temperature)[:, label])

    def positive(self) -> Sequence[int]:
        """Return the classes that a mean goes over: those that some samples are of and others are not."""
        counts = np.bincount(self.y, minlength=self.n_classes)
        there = np.flatnonzero((counts > 0) & (counts < len(self.y)))
        return [1] if self.n_classes == 2 and len(there) else there.tolist()


def measures(
    scores: Any,
    y: np.ndarray,
    *,
    names: Sequence[str] = MEASURES,
    temperature: float | None = None,
    probabilities: bool = True,
    threshold: float | None = None,
    weights: np.ndarray | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Return measures with their intervals, as JSON can hold them.

    Args:
        scores: (N, C).
        y: (N,) labels.
        names: Which of `MEASURES`.
        temperature: T of softmax(scores / T), or None.
        probabilities: Whether scores mean any; the Brier score is None where they do not.
        threshold: Difference of two classes' scores from which the second one is named; None is 0.
        weights: (N,) ≥ 0, how often each sample counts, or None.
        seed: Of the bootstrap of the Brier score.

    Returns:
        Name -> ``{"value", "interval"}``, or None where the samples do not tell it, such as an AUC of one class.
    """
    array, labels = as_scores(scores), np.asarray(y).astype(np.int64, copy=False)
    counts = ones(len(labels)) if weights is None else np.asarray(weights, dtype=np.float64)
    kept = slice(None) if weights is None or (counts > 0).all() else counts > 0
    predicted = np.empty(len(array), np.min_scalar_type(array.shape[1]))
    for start in (starts := block_starts(array)):
        rows = slice(start, start + starts.step)
        predicted[rows] = decided(array[rows], threshold)
    found = Answers(array[kept], labels[kept], predicted[kept], counts[kept], temperature or 1.0, probabilities)
    if not found.alike and is_whole(found.weights) and found.weights.sum() <= MOST_COPIES:
        found = _repeated(found)
    return {name: _entry(found, name, seed) for name in names}


def ones(n: int) -> np.ndarray:
    """Return (n,) ones that take the memory of one."""
    return np.broadcast_to(np.ones(1), n)


def _repeated(found: Answers) -> Answers:
    """Return samples of whole weights as often as they count: every interval is that of the repeated samples."""
    index = np.arange(len(found.y)).repeat(found.weights.astype(np.int64))
    columns = {name: getattr(found, name)[index] for name in ("scores", "y", "predicted")}
    return replace(found, **columns, weights=ones(len(index)))


def taken_unasked(scores: Any) -> Sequence[str]:
    """Return the measures that are taken of scores (N, C) though nobody asked: those that cost little."""
    array = as_scores(scores)
    return MEASURES if array.size <= MOST_SORTED else ("f1", "mcc", "brier")


def _entry(found: Answers, name: str, seed: int) -> dict[str, Any] | None:
    if name == "brier":
        return _brier(found, seed) if found.probabilities else None
    n = found.n
    if name in OF_CELLS:  # in place of an array of all samples
        cells = cell_shares(found)
        value, influence = OF_CELLS[name](cells)
        variance = float((cells * influence**2).sum()) / n
    else:
        value, influence = mean_over_classes(found, OF_RANKS[name])
        if np.isnan(value):
            return None
        variance = float(np.average(influence**2, weights=found.weights)) / n
    low, high = (-1.0, 1.0) if name == "mcc" else (0.0, 1.0)
    share = (value - low) / (high - low)
    sizes = cell_shares(found).sum(axis=1) * n
    around = interval_around(share, variance / (high - low) ** 2, sizes)
    return {"value": value, "interval": [low + (high - low) * end for end in around]}


def _brier(found: Answers, seed: int) -> dict[str, Any]:
    """Return the mean squared error of the probabilities; half of it for two classes, as is usual."""
    values = np.empty(len(found.y), float_type(len(found.y)))
    for start in (starts := block_starts(found.scores)):
        rows = slice(start, start + starts.step)
        error = np.exp(log_softmax(found.scores[rows], found.temperature))
        error[np.arange(len(error)), found.y[rows]] -= 1
        values[rows] = (error**2).sum(axis=1)
    values /= 2 if found.n_classes == 2 else 1
    return mean_entry(values, found.own, seed)


def mean_over_classes(found: Answers, one: Callable[[np.ndarray, np.ndarray, np.ndarray], Influence]) -> Influence:
    """Return a measure of all classes from one of a class against all others."""
    classes = found.positive()
    if not classes:
        return float("nan"), np.zeros(len(found.y))
    parts = [one(found.ranked(label), found.y == label, found.weights) for label in classes]
    return float(np.mean([value for value, _ in parts])), np.mean([each for _, each in parts], axis=0)


def _groups(
    ranked: np.ndarray, is_class: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the place (N,) of each sample among the distinct values, and the shares there of class and others."""
    _, place = np.unique(ranked, return_inverse=True)
    total = weights.sum()
    of_class = np.bincount(place, weights * is_class) / total
    return place, of_class, np.bincount(place, weights * ~is_class) / total


def auc_of(ranked: np.ndarray, is_class: np.ndarray, weights: np.ndarray) -> Influence:
    """Return the area under the ROC curve: how often a sample of the class stands above another, ties half."""
    place, own, others = _groups(ranked, is_class, weights)
    share = own.sum()
    below = (np.cumsum(others) - others / 2) / (1 - share)
    above = (share - np.cumsum(own) + own / 2) / share
    value = float((own * below).sum() / share)
    influence = np.where(is_class, (below[place] - value) / share, (above[place] - value) / (1 - share))
    return value, influence


def average_precision_of(ranked: np.ndarray, is_class: np.ndarray, weights: np.ndarray) -> Influence:
    """Return Σ (R_k − R_{k−1}) P_k over falling thresholds: the mean precision at the samples of the class."""
    place, own, others = _groups(ranked, is_class, weights)
    share = own.sum()
    told = np.cumsum((own + others)[::-1])[::-1]
    precision = np.cumsum(own[::-1])[::-1] / told
    value = float((own * precision).sum() / share)
    # a sample moves the precision at every value up to its own: by (is_class − precision)/told
    gain = np.cumsum(own / told) / share
    loss = np.cumsum(own * precision / told) / share
    influence = is_class * ((precision[place] - value) / share + gain[place]) - loss[place]
    return value, influence


def cell_shares(found: Answers) -> np.ndarray:
    """Return the share of weight (C, C) in each cell: row = label, column = answer."""
    counts = cell_counts(found.y, found.predicted, found.n_classes, found.own)
    return np.asarray(counts / counts.sum())


def f1_of(cells: np.ndarray) -> Influence:
    """Return 2 right/(told + actual) of the second of two classes, or the mean over the classes that occur.

    Args:
        cells: (C, C) shares, row = label.

    Returns:
        The value, and the influence (C, C) of a sample of each cell.
    """
    sums, right = cells.sum(axis=0) + cells.sum(axis=1), np.diag(cells)
    classes = np.array([1]) if len(cells) == 2 else np.flatnonzero(sums)
    each = np.divide(2 * right, sums, out=np.zeros_like(sums), where=sums > 0)
    rates = np.zeros_like(sums)
    rates[classes] = np.divide(1, sums[classes], out=np.zeros(len(classes)), where=sums[classes] > 0)
    influence = 2 * np.diag(rates) - (each * rates)[:, None] - (each * rates)[None, :]
    return float(each[classes].mean()), influence / len(classes)


def mcc_of(cells: np.ndarray) -> Influence:
    """Return Matthews' correlation: the covariance of labels and answers over the root of their variances.

    Args:
        cells: (C, C) shares, row = label.

    Returns:
        The value, and the influence (C, C) of a sample of each cell.
    """
    told, actual, right = cells.sum(axis=0), cells.sum(axis=1), float(np.trace(cells))
    cross = float(told @ actual)
    spread = 1 - float(told @ told), 1 - float(actual @ actual)
    if min(spread) <= 0:  # one class alone, or one answer: 0, as scikit-learn has it
        return 0.0, np.zeros_like(cells)
    size = np.sqrt(spread[0] * spread[1])
    value = (right - cross) / size
    moved = np.eye(len(cells)) - right - (actual[None, :] - cross) - (told[:, None] - cross)
    of_told = -2 * (told[None, :] - (1 - spread[0]))
    of_actual = -2 * (actual[:, None] - (1 - spread[1]))
    return value, moved / size - value / 2 * (of_told / spread[0] + of_actual / spread[1])


OF_CELLS: dict[str, Callable[[np.ndarray], Influence]] = {"f1": f1_of, "mcc": mcc_of}
"""Measures that the confusion matrix tells; samples of a cell have one influence."""
OF_RANKS = {"auc": auc_of, "average_precision": average_precision_of}  # measures of a class against all others
