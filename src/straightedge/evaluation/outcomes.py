"""One pass over the scores keeps what every metric needs of a sample: five numbers instead of C."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from straightedge.calibration import block_starts, checked, decided, log_softmax
from straightedge.errors import InputError
from straightedge.row_weights import checked_sample_weight, is_whole, sample_size

MOST_COPIES = 20_000_000
"""Samples that whole weights may stand for and still be counted one by one, which takes 41 bytes each."""
COMPACT_FROM = 1_000_000
"""Samples from which a loss is kept in four bytes, 7 digits of it: millions of rows are judged in little memory."""
LARGEST_COMPACT = 1e30
"""A loss beyond this is kept in eight bytes: the largest float32 is 3e38."""


def float_type(n: int) -> type[np.float32] | type[np.float64]:
    """Return the type that numbers of n samples are kept in."""
    return np.float32 if n >= COMPACT_FROM else np.float64


def copies_or_weights(weights: np.ndarray, *columns: np.ndarray) -> tuple[list[np.ndarray], np.ndarray | None]:
    """Return the columns of the samples that count: copies where weights are whole, else their weights, too."""
    kept = weights > 0
    weights = weights[kept]
    if is_whole(weights) and weights.sum() <= MOST_COPIES:
        copies = weights.astype(np.int64)
        return [column[kept].repeat(copies, axis=0) for column in columns], None
    return [column[kept] for column in columns], weights


@dataclass(frozen=True)
class Outcomes:
    """What happened to each of N samples.

    Attributes:
        y: (N,) int64 labels.
        predicted: (N,) whole numbers of few bytes, the class of the largest score; the first of equal ones.
        rank: (N,) likewise, how many classes stand before the right one; 0 is a right prediction.
        loss: (N,) −log probability of the right class, in nats; float64, of `COMPACT_FROM` samples on float32.
        confidence: (N,) probability of the predicted class, of the same type.
        n_classes: C.
        weights: (N,) float64 > 0, how often each counts; None counts each once.
    """

    y: np.ndarray
    predicted: np.ndarray
    rank: np.ndarray
    loss: np.ndarray
    confidence: np.ndarray
    n_classes: int
    weights: np.ndarray | None = None

    @property
    def n(self) -> float:
        """Number of samples; of weighted ones, the number that an interval may count on (`sample_size`)."""
        return len(self.y) if self.weights is None else sample_size(self.weights)

    def share(self, found: np.ndarray) -> float:
        """Return the share of samples, by weight, for which ``found`` (N,) bool is true."""
        return float(np.average(found, weights=self.weights))

    def counted(self, weights: np.ndarray) -> Outcomes:
        """Return the outcomes of samples that count by weights (N,): copies of each where weights are whole."""
        names = [f.name for f in fields(self) if f.name not in {"n_classes", "weights"}]
        columns, own = copies_or_weights(weights, *(getattr(self, name) for name in names))
        changed: dict[str, Any] = dict(zip(names, columns, strict=True))
        return replace(self, **changed, weights=own)

    @property
    def correct(self) -> np.ndarray:
        """(N,) bool, whether the prediction is right."""
        return np.asarray(self.rank == 0)


def outcomes(
    scores: Any, y: Any, temperature: float = 1.0, weights: Any = None, threshold: float | None = None
) -> Outcomes:
    """Reduce scores to what happened to each sample.

    Args:
        scores: (N, C) scores, NumPy or torch.
        y: (N,) labels in 0…C−1.
        temperature: T of the probabilities softmax(scores / T).
        weights: (N,) ≥ 0, how often each sample counts; None counts each once.
        threshold: See `decided`; the rank of a class is then 0 where it is named.

    Raises:
        InputError: ``scores-shape``, ``scores-length``, ``scores-not-finite``, ``labels-out-of-range``,
            ``sample-weight-invalid``.
    """
    array, labels = checked(scores, y)
    whole, real = np.min_scalar_type(array.shape[1]), float_type(len(array))
    columns = [np.empty(len(array), kind) for kind in (whole, whole, real, real)]
    for start in (starts := block_starts(array)):
        rows = slice(start, start + starts.step)
        found = _of_block(array[rows], labels[rows], temperature, start, threshold)
        if found[2].max() > LARGEST_COMPACT:
            columns[2] = columns[2].astype(np.float64, copy=False)
        for column, values in zip(columns, found, strict=True):
            column[rows] = values
    predicted, rank, loss, confidence = columns
    happened = Outcomes(labels, predicted, rank, loss, confidence, array.shape[1])
    if weights is None:
        return happened
    return happened.counted(checked_sample_weight(weights, len(labels)).numpy())


def _of_block(
    scores: np.ndarray, y: np.ndarray, temperature: float, start: int, threshold: float | None
) -> tuple[np.ndarray, ...]:
    if not np.isfinite(scores).all():
        row, column = np.argwhere(~np.isfinite(scores))[0]
        raise InputError("scores-not-finite", "a score is NaN or infinite", f"row {start + row}, class {column}")
    rows = np.arange(len(y))
    mine = scores[rows, y][:, None]
    # equal scores are ordered by class index, as argmax does: top-1 accuracy is accuracy
    before = (scores == mine) & (np.arange(scores.shape[1]) < y[:, None])
    rank = ((scores > mine) | before).sum(axis=1)
    log_likely = log_softmax(scores, temperature)
    predicted = decided(scores, threshold)
    if threshold is not None:
        rank = (predicted != y).astype(np.int64)
    return predicted, rank, -log_likely[rows, y], np.exp(log_likely[rows, predicted])
