"""One pass over the scores keeps what every metric needs of a sample: five numbers instead of C."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from straightedge.calibration import block_starts, checked, log_softmax
from straightedge.errors import InputError


@dataclass(frozen=True)
class Outcomes:
    """What happened to each of N samples.

    Attributes:
        y: (N,) int64 labels.
        predicted: (N,) int64, the class of the largest score; the first of equal ones.
        rank: (N,) int64, how many classes stand before the right one; 0 is a right prediction.
        loss: (N,) float64, −log probability of the right class, in nats.
        confidence: (N,) float64, probability of the predicted class.
        n_classes: C.
    """

    y: np.ndarray
    predicted: np.ndarray
    rank: np.ndarray
    loss: np.ndarray
    confidence: np.ndarray
    n_classes: int

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.y)

    @property
    def correct(self) -> np.ndarray:
        """(N,) bool, whether the prediction is right."""
        return np.asarray(self.rank == 0)


def outcomes(scores: Any, y: Any, temperature: float = 1.0) -> Outcomes:
    """Reduce scores to what happened to each sample.

    Args:
        scores: (N, C) scores, NumPy or torch.
        y: (N,) labels in 0…C−1.
        temperature: T of the probabilities softmax(scores / T).

    Raises:
        InputError: ``scores-shape``, ``scores-length``, ``scores-not-finite``, ``labels-out-of-range``.
    """
    array, labels = checked(scores, y)
    starts = block_starts(array)
    ranges = [(start, slice(start, start + starts.step)) for start in starts]
    blocks = [_of_block(array[rows], labels[rows], temperature, start) for start, rows in ranges]
    predicted, rank, loss, confidence = (np.concatenate(column) for column in zip(*blocks, strict=True))
    return Outcomes(labels, predicted, rank, loss, confidence, array.shape[1])


def _of_block(scores: np.ndarray, y: np.ndarray, temperature: float, start: int) -> tuple[np.ndarray, ...]:
    if not np.isfinite(scores).all():
        row, column = np.argwhere(~np.isfinite(scores))[0]
        raise InputError(
            "scores-not-finite", "a score is NaN or infinite", f"row {start + row}, class {column}"
        )
    rows = np.arange(len(y))
    mine = scores[rows, y][:, None]
    # equal scores are ordered by class index, as argmax does: top-1 accuracy is accuracy
    before = (scores == mine) & (np.arange(scores.shape[1]) < y[:, None])
    rank = ((scores > mine) | before).sum(axis=1)
    log_likely = log_softmax(scores, temperature)
    predicted = scores.argmax(axis=1)
    return predicted, rank, -log_likely[rows, y], np.exp(log_likely[rows, predicted])
