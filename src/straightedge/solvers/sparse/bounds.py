"""The bounds of one configuration over sparse rows on its way: P of W, D of b, and how roundings are kept out of D.

W may be float32 on the way: most of an epoch goes into reading it. P is that of this W, with sums in float64. A
bound is taken from W computed from b anew, in float64, where roundings may count.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from straightedge.solvers.sparse.held_bias import held_bias, own_bias
from straightedge.solvers.sparse.problem import SparseProblem, inner
from straightedge.solvers.state import OF_ROWS, given_to, taken_from

ROUNDING = 4 * 2.0**-53  # relative error of ‖W‖², for each visit since W was computed from b in float64
DRIFT = 0.01  # of the gap asked for: what such errors may take before W is computed anew
STRAYED = 0.2  # of the gap asked for: errors of D that call for float64
FLOAT32_PATIENCE = 20  # looks without a better gap before W becomes float64
PATIENCE = 1000  # looks without a better gap before the fit is called exhausted
Array = NDArray[np.float64]


@dataclass
class BoundsState:
    """What a checkpoint keeps of every `Ascent`; see there."""

    W: Array
    centre: Array
    best_weight: Array
    best_primal: float
    bound: float
    dual: float
    visits: float
    least: float
    idle: int
    b: Array = field(metadata=OF_ROWS)


class Ascent(ABC):
    """One configuration on its way.

    Args:
        problem: What is solved.
        tol: Relative gap asked for.
        b: (N, C) float64 dual variables to start from; changed in place.
        W: (D + 1, C) that belongs to b, or None to have it computed.
        seed: Of the orders in which rows are visited.

    Attributes:
        State: The dataclass that `state` returns, a `BoundsState`.
        most_passes: Passes that may be used, for those that take several in one step.
        W: (D + 1, C) of the problem's float type, in step with b; its bias is held, see `held_bias`.
        centre: (C,) float64 where it is held.
        b: (N, C) float64.
        best_weight: The W of the best primal value.
        best_primal: That value; infinite before the first look.
        bound: The best lower bound.
        dual: D of b when it was last computed, but for roundings of W and of its sum of squares; it only rises.
        visits: Rows visited since W was computed from b.
        least: The least gap that looks have found, by the present D.
        idle: Looks since then.
    """

    State: ClassVar[type[BoundsState]]
    most_passes: float = math.inf

    def __init__(self, problem: SparseProblem, tol: float, b: np.ndarray, W: np.ndarray | None, seed: int) -> None:
        self.problem, self.tol, self.b, self.seed = problem, tol, b, seed
        if W is not None and W.dtype != problem.dtype:
            W = None  # what float32 has rounded away is missing in float64
        self.W = (problem.minimiser(b) if W is None else W).astype(problem.dtype, copy=False)
        self.centre = self.W[-1].astype(np.float64)
        if problem.free_bias:
            own, self.centre = self.centre, problem.first_bias.copy()
            self.W = np.concatenate([self.W[:-1], self._held(own)[None]], dtype=self.W.dtype)
        self.best_weight, self.best_primal, self.bound = self.W, math.inf, 0.0
        self.dual = self._dual()
        self.least, self.idle = math.inf, 0
        self.visits = 0.0 if W is None and self.W.dtype == np.float64 else float(len(b))
        self.begin()

    @abstractmethod
    def begin(self) -> None:
        """Set what this way of ascent keeps besides."""

    @abstractmethod
    def advance(self) -> float:
        """Run some epochs, and look at the bounds where that is worth it; return the passes it took."""

    def judged(self) -> np.ndarray:
        """Return the W (D + 1, C) whose P is the upper bound."""
        return self.W

    def state(self) -> Any:
        """Return the state from which `restored` makes the same fit."""
        return taken_from(self.State, self)

    @classmethod
    def restored(cls, problem: SparseProblem, tol: float, state: BoundsState) -> Self:
        """Return the fit whose `state` this is."""
        fit = cls(problem, tol, state.b, state.W, 0)
        given_to(fit, state)
        return fit

    @property
    def stretches(self) -> bool:
        """Whether looks take a better multiple of W where its P is not near enough."""
        return False

    @property
    def exhausted(self) -> bool:
        """Whether looks have stopped finding a better gap."""
        return self.idle >= PATIENCE

    @property
    def gap(self) -> float:
        """Relative gap of the best bounds."""
        if math.isinf(self.best_primal):
            return math.inf
        return (self.best_primal - self.bound) / max(self.best_primal, 1e-300)

    @property
    def present_gap(self) -> float:
        """Relative gap of the best primal value and the present D."""
        return (self.best_primal - self.dual) / max(self.best_primal, 1e-300)

    def look(self) -> float:
        """Take the bounds at `judged` and b; return the passes it took."""
        cost = 0.5
        W = self.judged()
        primal = self.problem.primal(W)
        if self.stretches and primal - self.dual > self.tol * primal:
            W, cost = W * W.dtype.type(self.problem.stretch(W)), cost + 0.5
            primal = self.problem.primal(W)
        if primal < self.best_primal:
            self.best_primal, self.best_weight = primal, W.copy()
        if self.present_gap <= self.tol:
            cost += self.prove()
        present = self.present_gap
        self.idle = 0 if present < 0.999 * self.least else self.idle + 1
        self.least = min(present, self.least)
        if self.idle >= FLOAT32_PATIENCE and self.W.dtype != np.float64:
            cost += self._renew(np.dtype(np.float64))
        return cost

    def finish(self) -> None:
        """Take both bounds where the fit ends without the gap."""
        self.dual = self._dual()
        self.look()
        self.prove()

    def prove(self) -> float:
        """Take the bound of b, from W computed anew where roundings may count; return the passes it took.

        Where W in float32 had strayed so far that the gap would notice, it is float64 from here on.
        """
        cost, estimate = 0.0, self.dual
        if self._rounding() > DRIFT * self.tol * abs(self.dual):
            cost += self._renew(self.W.dtype)
        if abs(self.dual - estimate) > STRAYED * self.tol * abs(self.dual):
            cost += self._renew(np.dtype(np.float64))
        if self.problem.free_bias:
            self.dual = self.problem.proven_dual(self.b)
            self.bound = max(self.bound, self.dual)
            return cost + 0.5
        self.bound = max(self.bound, self.dual - self._rounding())
        return cost

    def _dual(self) -> float:
        """Return D of b; of a free bias, where b is not in balance, about that of the nearest that is."""
        return self.problem.conjugate(self.b) - self._own_penalty(1.0)

    def _own_penalty(self, share: float) -> float:
        """Return reg ‖W‖² of the W that belongs to b, the bias's part times ``share``; see `_pull_cost`."""
        own = self._own_bias()
        if self.problem.free_bias:
            return self.problem.penalty(self.W) + self._pull_cost(self.W[-1], own)
        return self.problem.penalty(self.W[:-1]) + share * self.problem.penalty(own)

    def _pull_cost(self, bias: np.ndarray, pull: np.ndarray) -> float:
        """Return 2 reg ⟨β, pull⟩, about what D pays for taking the pull on a free bias away; else 0."""
        if not self.problem.free_bias:
            return 0.0
        return self.problem.curvature * inner(bias.astype(np.float64), pull)

    def _own_bias(self) -> Array:
        return own_bias(self.W[-1], self.centre, self.problem.stiffness, free=self.problem.free_bias)

    def _held(self, own: np.ndarray) -> np.ndarray:
        return held_bias(own, self.centre, self.problem.stiffness, free=self.problem.free_bias)

    def _rounding(self) -> float:
        """Return what roundings of W since it was computed from b may have done to D."""
        if self.W.dtype != np.float64 and self.visits:
            return math.inf
        return ROUNDING * self.visits * self._own_penalty(self.problem.stiffness)

    def _renew(self, dtype: np.dtype[Any]) -> float:
        """Compute W from b anew, to be kept in this float type; return the passes it took."""
        W = self.problem.minimiser(self.b)
        own, held = W[-1].copy(), self._held(W[-1])
        self.dual = self.problem.conjugate(self.b) - self.problem.penalty(W)
        self.dual -= self._pull_cost(held, own)
        self.W, self.visits = W.astype(dtype, copy=False), 0.0
        self.W[-1] = held
        return 0.5

    def own_weight(self) -> np.ndarray:
        """Return the W (D + 1, C) that b belongs to, its bias not held."""
        W = self.W.copy()
        W[-1] = self._own_bias()
        return W
