"""Who is near enough to the optimum: everybody's W is judged alone, in float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

GAP = 1e-4
HINGE_GAP = 1e-3


def gap_for(loss: str) -> float:
    """Return the relative gap that W is held to."""
    return GAP if loss == "softmax" else HINGE_GAP


@dataclass
class Judge:
    """Knows the best lower bound of one problem at one reg.

    Attributes:
        table: (N, D + 1) rows with the constant, dense or sparse.
        y: (N,) labels.
        reg: Strength of the penalty.
        loss: Name of the loss.
        free: Whether the constant's weights are not penalised.
        lower: The best lower bound so far.
    """

    table: Any
    y: np.ndarray
    reg: float
    loss: str = "softmax"
    free: bool = False
    lower: float = -np.inf

    def gap(self, W: np.ndarray) -> float:
        """Return by how much of itself P(W) is above the best bound, W (D + 1, C)."""
        value, gradient = self._value_and_gradient(W.astype(np.float64))
        if gradient is not None:
            self.lower = max(self.lower, value - (gradient**2).sum() / (4 * self.reg))
        return float((value - self.lower) / value)

    def _value_and_gradient(self, W: np.ndarray) -> tuple[float, np.ndarray | None]:
        N, total, V = len(self.y), 0.0, np.zeros(W.shape)
        proves = self.loss == "softmax" and not self.free
        for start in range(0, N, 20_000):
            rows, y = self.table[start : start + 20_000].astype(np.float64), self.y[start : start + 20_000]
            S = rows @ W
            values, A = _loss_of(self.loss, S, y)
            total += float(values.sum())
            if proves and A is not None:
                V += rows.T @ A
        own = W[:-1] if self.free else W
        gradient = V / N + 2 * self.reg * W if proves else None
        return total / N + self.reg * float((own**2).sum()), gradient


def _loss_of(loss: str, S: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the losses of some rows from the formula, and softmax's gradient in the scores."""
    own = (np.arange(len(y)), y)
    if loss == "softmax":
        S = S - S.max(axis=1, keepdims=True)
        P = np.exp(S)
        sums = P.sum(axis=1)
        values = np.log(sums) - S[own]
        P /= sums[:, None]
        P[own] -= 1
        return values, P
    margins = np.maximum(0, 1 + S - S[own][:, None])
    margins[own] = 0
    if loss == "crammer_singer":
        return margins.max(axis=1), None
    return (margins**2 if loss == "squared_hinge" else margins).sum(axis=1), None
