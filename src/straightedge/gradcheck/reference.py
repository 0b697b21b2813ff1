"""The two losses of the notes on a block of scores, in NumPy: what a function under test is held against."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def svm_value(S: Floats, y: Labels) -> float:
    """Return the mean over samples of Σ_{j≠y} max(0, s_j − s_y + 1); S (N, C), y (N,)."""
    return float(np.maximum(margins(S, y), 0).sum() / len(y))


def svm_score_gradient(S: Floats, y: Labels) -> Floats:
    """Return A (N, C): the mask of open margins, minus their count on the right class."""
    A = (margins(S, y) > 0).astype(np.float64)
    A[np.arange(len(y)), y] = -A.sum(axis=1)
    return A


def softmax_value(S: Floats, y: Labels) -> float:
    """Return the mean over samples of log Σ_j exp(s_j) − s_y, in nats; S (N, C), y (N,)."""
    shifted = S - S.max(axis=1, keepdims=True)
    return float((np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(y)), y]).mean())


def softmax_score_gradient(S: Floats, y: Labels) -> Floats:
    """Return A (N, C) = P − Y."""
    exponentials = np.exp(S - S.max(axis=1, keepdims=True))
    A: Floats = exponentials / exponentials.sum(axis=1, keepdims=True)
    A[np.arange(len(y)), y] -= 1
    return A


def margins(S: Floats, y: Labels) -> Floats:
    """Return s_j − s_y + 1, and 0 for the right class; (N, C)."""
    sample = np.arange(len(y))
    Z = S - S[sample, y][:, None] + 1
    Z[sample, y] = 0
    return Z


VALUES: dict[str, Callable[[Floats, Labels], float]] = {"svm": svm_value, "softmax": softmax_value}
SCORE_GRADIENTS: dict[str, Callable[[Floats, Labels], Floats]] = {
    "svm": svm_score_gradient,
    "softmax": softmax_score_gradient,
}
