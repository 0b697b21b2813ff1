"""Small random problems, slow oracles in float64 and outside solvers: what the tests of the core compare with.

A new loss needs a line in `LOOPS` (its value, one row of scores at a time) and `CONJUGATES` (−ℓ* of a score
gradient); everything else about it is tested by its being registered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from scipy.optimize import minimize as scipy_minimize

from straightedge.fitting import FitSettings, build_objective, solve
from straightedge.losses import LOSSES
from straightedge.rows import Rows
from straightedge.solvers import choose_solver
from straightedge.solvers.lbfgs import WhitenedLBFGS


def softmax_loop(scores, label):
    largest = max(scores)
    return largest - scores[label] + math.log(sum(math.exp(score - largest) for score in scores))


def margins_loop(scores, label):
    return [score - scores[label] + 1 for j, score in enumerate(scores) if j != label]


LOOPS = {
    "softmax": softmax_loop,
    "svm": lambda scores, label: sum(max(0.0, m) for m in margins_loop(scores, label)),
    "crammer_singer": lambda scores, label: max(0.0, *margins_loop(scores, label)),
    "one_vs_rest": lambda scores, label: sum(
        max(0.0, 1 - s if j == label else 1 + s) for j, s in enumerate(scores)
    ),
    "squared_hinge": lambda scores, label: sum(max(0.0, m) ** 2 for m in margins_loop(scores, label)),
    "one_vs_rest_logistic": lambda scores, label: sum(
        float(np.logaddexp(0.0, -s if j == label else s)) for j, s in enumerate(scores)
    ),
    "one_vs_rest_squared_hinge": lambda scores, label: sum(
        max(0.0, 1 - s if j == label else 1 + s) ** 2 for j, s in enumerate(scores)
    ),
}


def entropy(a, label):
    p = a.copy()
    p[label] += 1
    assert p.min() > -1e-12 and abs(p.sum() - 1) < 1e-9, "not in the domain of the conjugate"
    return -sum(q * math.log(q) for q in p if q > 0)


def _flow(a, label):
    b = np.delete(a, label)
    assert b.min() >= -1e-12 and abs(a.sum()) < 1e-9, "not in the domain of the conjugate"
    return b


def _at_most_one(value, limit=1 + 1e-9):
    assert value <= limit, "not in the domain of the conjugate"
    return value


def _signed(a, label, limit=1 + 1e-9):
    b = a.copy()
    b[label] *= -1
    assert b.min() >= -1e-12 and b.max() <= limit, "not in the domain of the conjugate"
    return b


def _entropies(a, label):
    p = _signed(a, label)  # 1 − p for the right class: the entropy of two is the same
    return -sum(q * math.log(q) for pair in zip(p, 1 - p, strict=True) for q in pair if q > 0)


CONJUGATES = {  # −ℓ*(a), by hand; asserts that a is in its domain
    "softmax": entropy,
    "svm": lambda a, label: sum(_at_most_one(b) for b in _flow(a, label)),
    "crammer_singer": lambda a, label: _at_most_one(_flow(a, label).sum()),
    "one_vs_rest": lambda a, label: float(_signed(a, label).sum()),
    "one_vs_rest_logistic": _entropies,
    "one_vs_rest_squared_hinge": lambda a, label: float(
        np.sum(_signed(a, label, np.inf) - _signed(a, label, np.inf) ** 2 / 4)
    ),
    "squared_hinge": lambda a, label: float(np.sum(_flow(a, label) - _flow(a, label) ** 2 / 4)),
}


@dataclass
class Problem:
    """A problem with all that an oracle needs; X (N, D) is as the user gives it, float64 copies are `rows`."""

    loss: str
    X: np.ndarray
    y: np.ndarray
    n_classes: int
    reg: float
    bias: str = "penalized"
    weights: np.ndarray | None = None
    rows: np.ndarray = field(init=False)
    shares: np.ndarray = field(init=False)

    def __post_init__(self):
        self.rows = np.hstack([self.X.astype(np.float64), np.ones((len(self.X), 1))])
        weights = np.ones(len(self.y)) if self.weights is None else self.weights
        self.shares = weights / weights.sum()

    def objective(self, **settings):
        weights = None if self.weights is None else torch.as_tensor(self.weights)
        settings = FitSettings(loss=self.loss, bias=self.bias, workers=1, **settings)
        return build_objective(
            Rows(self.X), torch.as_tensor(self.y), self.n_classes, [self.reg], settings, weights=weights
        )

    def solve(self, tol=1e-10, **settings):
        settings = {"max_passes": 20000, **settings}
        asked = FitSettings(loss=self.loss, bias=self.bias, workers=1, tol=tol, **settings)
        return solve(self.objective(tol=tol), asked)

    def norm(self, W):
        return float(np.square(W if self.bias == "penalized" else W[:, :-1]).sum())

    def value(self, W):
        """P(W) for W (C, D + 1), by loops in float64."""
        loss = LOOPS[self.loss]
        values = [
            loss(list(map(float, row @ W.T)), int(label)) for row, label in zip(self.rows, self.y, strict=True)
        ]
        return float(np.dot(self.shares, values)) + self.reg * self.norm(W)

    def scipy_optimum(self):
        """Return P at scipy's L-BFGS-B answer, for smooth losses: an upper bound of min P."""
        loss, shares, y = LOSSES[self.loss], torch.as_tensor(self.shares), torch.as_tensor(self.y)

        def function(flat):
            W = flat.reshape(self.n_classes, -1)
            S = torch.as_tensor(self.rows @ W.T)[:, None, :].clone()
            value = float(shares @ loss.value_and_gradient(S, y)[:, 0])
            penalised = W.copy()
            if self.bias == "free":
                penalised[:, -1] = 0
            gradient = (shares[:, None] * S[:, 0]).T.numpy() @ self.rows + 2 * self.reg * penalised
            return value + self.reg * self.norm(W), gradient.ravel()

        start = np.zeros(self.n_classes * self.rows.shape[1])
        options = {"maxiter": 300, "maxfun": 600, "ftol": 1e-16, "gtol": 1e-9}
        found = scipy_minimize(function, start, jac=True, method="L-BFGS-B", options=options)
        return self.value(found.x.reshape(self.n_classes, -1))


DTYPES = ("float64", "float32", "float16", "uint8")


def random_problem(seed, loss=None, *, n_rows=None, dtype=None, bias=None, weighted=None):
    rng = np.random.default_rng(seed)
    names = list(LOSSES)
    loss = loss or names[seed % len(names)]
    n_classes, D = int(rng.integers(2, 6)), int(rng.integers(1, 9))
    N = n_rows or int(rng.integers(2 * n_classes, 30))
    y = np.concatenate([np.arange(n_classes), rng.integers(n_classes, size=N - n_classes)])
    X = rng.normal(size=(N, D)) * 10 ** rng.uniform(-1, 1) + rng.normal(size=(n_classes, D))[y]
    dtype = dtype or DTYPES[seed % 4]
    if dtype == "uint8":
        X = np.clip(20 * X + 100, 0, 255)
    weighted = seed % 3 == 0 if weighted is None else weighted
    weights = rng.exponential(size=N) * (rng.random(N) < 0.9) + (np.arange(N) < n_classes) if weighted else None
    bias = bias or ("penalized", "free")[seed // 4 % 2]
    reg = 10.0 ** rng.uniform(-2.5, 0.5) * (100 if dtype == "uint8" else 1)
    return Problem(loss, X.astype(dtype), y, n_classes, reg, bias, weights)


def needs_solver(loss):
    """Skip where no registered solver fits the loss: `auto` would be L-BFGS on kinks."""
    problem = random_problem(0, loss, dtype="float64")
    solver = choose_solver("auto", problem.objective())
    if not LOSSES[loss].smooth and isinstance(solver, WhitenedLBFGS):
        pytest.skip(f"no solver for {loss} is registered")
