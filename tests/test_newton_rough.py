"""Newton's steps far from the goal look at their points in float32; what is proven is float64's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from straightedge.newton.curvature import SoftmaxSecondOrder
from straightedge.newton.direct import minimise
from straightedge.newton.engine import Engine
from straightedge.newton.work import Size


def _rough_steps(X: np.ndarray, y: np.ndarray, reg: float, monkeypatch: pytest.MonkeyPatch) -> tuple[int, float]:
    """Return how many points were looked at in float32, and by how much P and its bound are beyond the truth."""
    seen: list[bool] = []
    honest = Engine._is_rough.fget

    def counted(engine: Engine) -> bool:
        seen.append(honest(engine))
        return seen[-1]

    monkeypatch.setattr(Engine, "_is_rough", property(counted))
    N, D = X.shape
    C = int(y.max()) + 1
    table = np.hstack([X, np.ones((N, 1))])
    answer = minimise(table, y, Size(N, D + 1, C, C - 1), reg, SoftmaxSecondOrder(), 1e-4, math.inf)
    assert answer.gap <= 1e-4
    S = table @ answer.W.T
    S -= S.max(axis=1, keepdims=True)
    P = np.exp(S)
    losses = np.log(P.sum(axis=1)) - S[np.arange(N), y]
    P /= P.sum(axis=1, keepdims=True)
    P[np.arange(N), y] -= 1
    value = losses.mean() + reg * (answer.W**2).sum()
    gradient = P.T @ table / N + 2 * reg * answer.W
    dual = value - (gradient**2).sum() / (4 * reg)
    return sum(seen), max(abs(answer.objective - value), abs(answer.dual - dual)) / value


def _problem(scale: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1200, 150))
    y = (X[:, :6] * 3 + rng.gumbel(size=(1200, 6))).argmax(axis=1)
    return X * scale, y


def test_far_steps_are_rough_and_the_proof_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    steps, wrong = _rough_steps(*_problem(1.0), 1e-4, monkeypatch)
    assert steps >= 2
    assert wrong < 1e-12


def test_rows_whose_rounding_counts_are_never_rough(monkeypatch: pytest.MonkeyPatch) -> None:
    steps, wrong = _rough_steps(*_problem(3e3), 1e-4, monkeypatch)
    assert steps == 0
    assert wrong < 1e-9
