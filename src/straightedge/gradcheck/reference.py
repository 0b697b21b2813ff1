"""The losses that a function under test is held against, on a block of scores, in NumPy."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from straightedge.losses import LOSSES

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

NOTES = {"softmax": "the softmax loss of the notes", "svm": "the SVM loss of the notes"}


def title(name: str) -> str:
    """Return how a loss is called in a sentence."""
    return NOTES[name] if name in NOTES else f"the loss of {LOSSES[name].title}"


def svm_value(S: Floats, y: Labels) -> float:
    """Return the mean over samples of Σ_{j≠y} max(0, s_j − s_y + 1); S (N, C), y (N,)."""
    return float(np.maximum(margins(S, y), 0).sum() / len(y))


def svm_score_gradient(S: Floats, y: Labels) -> Floats:
    """Return A (N, C): the mask of open margins, minus their count on the right class."""
    return balanced((margins(S, y) > 0).astype(np.float64), y)


def softmax_value(S: Floats, y: Labels) -> float:
    """Return the mean over samples of log Σ_j exp(s_j) − s_y, in nats; S (N, C), y (N,)."""
    shifted = S - S.max(axis=1, keepdims=True)
    return float((np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(y)), y]).mean())


def probabilities(S: Floats) -> Floats:
    """Return P (N, C): exp(s) over its sum in each row."""
    exponentials = np.exp(S - S.max(axis=1, keepdims=True))
    P: Floats = exponentials / exponentials.sum(axis=1, keepdims=True)
    return P


def softmax_score_gradient(S: Floats, y: Labels) -> Floats:
    """Return A (N, C) = P − Y."""
    return probabilities(S) - one_hot(S, y)


def one_hot(S: Floats, y: Labels) -> Floats:
    """Return Y (N, C): 1 on the right class."""
    Y = np.zeros_like(S)
    Y[np.arange(len(y)), y] = 1
    return Y


def margins(S: Floats, y: Labels, delta: float = 1.0) -> Floats:
    """Return s_j − s_y + Δ, and 0 for the right class; (N, C)."""
    sample = np.arange(len(y))
    Z = S - S[sample, y][:, None] + delta
    Z[sample, y] = 0
    return Z


def balanced(A: Floats, y: Labels) -> Floats:
    """Return A with minus the sum of the row's other entries on the right class."""
    changed = A.copy()
    changed[np.arange(len(y)), y] = 0
    changed[np.arange(len(y)), y] = -changed.sum(axis=1)
    return changed


VALUES: dict[str, Callable[[Floats, Labels], float]] = {"svm": svm_value, "softmax": softmax_value}
SCORE_GRADIENTS: dict[str, Callable[[Floats, Labels], Floats]] = {
    "svm": svm_score_gradient,
    "softmax": softmax_score_gradient,
}
KNOWN = (*VALUES, *(name for name in LOSSES if name not in VALUES))


def known_value_and_gradient(name: str, S: Floats, y: Labels) -> tuple[float, Floats]:
    """Return mean and score gradient of a loss in `KNOWN` at scores S (N, C) of samples with labels y (N,)."""
    if name in VALUES:
        return VALUES[name](S, y), SCORE_GRADIENTS[name](S, y)
    block = torch.from_numpy(S.copy()).unsqueeze(1)  # (N, 1, C): one configuration; it holds A afterwards
    values = LOSSES[name].value_and_gradient(block, torch.from_numpy(y))
    return float(values.mean()), block.squeeze(1).numpy()
