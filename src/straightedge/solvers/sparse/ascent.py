"""Dual coordinate ascent for one configuration over sparse rows: epochs, bounds, and when to look at them.

The dual value is known after each epoch for little: W is kept in step with b, and
D = Σ w_i (−ℓ*(a_i)) − reg ‖W‖². The primal value costs the scores of all rows. It is looked at once an epoch no
longer raises D by much more than the gap that is asked for, and then about when the last two looks, taken to fall
as they did, let the gap be expected.

W may be float32 on the way: most of an epoch goes into reading it. P is that of this W, with sums in float64. A
bound is taken from W computed from b anew, in float64.

Full epochs alternate with short ones, of the rows that moved most at their last visit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from straightedge.solvers.sparse.problem import SparseProblem
from straightedge.solvers.state import OF_ROWS, given_to, taken_from

FULL_EPOCHS = 2  # at the beginning
SHORT_EPOCHS = 4  # between two full ones
STILL_MOVING = 1.0  # of the mean movement: rows that moved less are left out of short epochs
WORTH_A_LOOK = 10.0  # times the gap asked for: an epoch that raises D by more is followed by another at once
HURRY = 0.7  # of the epochs that the gap is expected to need: looks that come late cost more than early ones
FIRST_OF_SELDOM = 8  # epochs after which P is looked at in any case, then at twice as many, and so on
LONGEST_WAIT = 16  # epochs between two looks
ROUNDING = 4 * 2.0**-53  # relative error of ‖W‖², for each visit since W was computed from b in float64
DRIFT = 0.01  # of the gap asked for: what such errors may take before W is computed anew
STRAYED = 0.2  # of the gap asked for: errors of D that call for float64
FLOAT32_PATIENCE = 20  # looks without a better gap before W becomes float64
PATIENCE = 1000  # looks without a better gap before the fit is called exhausted
Array = NDArray[np.float64]


@dataclass
class Looks:
    """When P has been looked at, and when it is next: a look takes half a pass.

    Attributes:
        next: Epoch of the next look.
        last: Epoch of the last one.
        gap: Relative gap that it found.
        least: The least gap so far.
        idle: Looks since then.
    """

    next: int = 1
    last: int = 0
    gap: float = math.inf
    least: float = math.inf
    idle: int = 0

    def found(self, gap: float) -> None:
        """Count a look that has found a gap."""
        self.idle = 0 if gap < 0.999 * self.least else self.idle + 1
        self.least = min(gap, self.least)

    def plan(self, gap: float, tol: float, epoch: int) -> None:
        """Set when to look again: the logarithm of the gap is taken to fall as it did since the last look."""
        fall = math.log(max(self.gap, 1e-300) / max(gap, 1e-300)) if self.gap < math.inf else 0.0
        wait = 1.0
        if fall > 0 and gap > tol:
            needed = math.log(gap / tol) * (epoch - self.last) / fall
            wait = min(max(1.0, HURRY * needed), LONGEST_WAIT)
        self.last, self.gap, self.next = epoch, gap, epoch + int(wait)


@dataclass
class AscentState:
    """What a checkpoint keeps of a `SparseAscent`; see there."""

    W: Array
    best_weight: Array
    best_primal: float
    bound: float
    dual: float
    epochs: int
    visits: int
    looks: Looks
    random: NDArray[np.int64]
    b: Array = field(metadata=OF_ROWS)
    moved: Array = field(metadata=OF_ROWS)


class SparseAscent:
    """One configuration on its way.

    Args:
        problem: What is solved.
        tol: Relative gap asked for.
        b: (N, C) float64 dual variables to start from; changed in place.
        W: (D + 1, C) float64 that belongs to b, or None to have it computed.
        seed: Of the orders in which rows are visited.

    Attributes:
        W: (D + 1, C) of the problem's float type, in step with b.
        b: (N, C) float64.
        best_weight: The W of the best primal value.
        best_primal: That value; infinite before the first look.
        bound: The best lower bound.
        exhausted: Whether looks have stopped finding a better gap.
    """

    def __init__(
        self, problem: SparseProblem, tol: float, b: np.ndarray, W: np.ndarray | None, seed: int
    ) -> None:
        self.problem, self.tol, self.b = problem, tol, b
        if W is not None and W.dtype != problem.dtype:
            W = None  # what float32 has rounded away is missing in float64
        self.W = (problem.minimiser(b) if W is None else W).astype(problem.dtype)
        self.generator = np.random.Generator(np.random.PCG64(seed))
        self.moved = np.where(problem.caps > 0, 1.0, 0.0)
        self.best_weight, self.best_primal, self.bound = self.W, math.inf, 0.0
        self.dual = self._dual()
        self.epochs, self.looks = 0, Looks()
        self.visits = 0 if W is None and self.W.dtype == np.float64 else len(b)

    @property
    def exhausted(self) -> bool:
        """See the class."""
        return self.looks.idle >= PATIENCE

    @property
    def gap(self) -> float:
        """Relative gap of the best bounds."""
        if math.isinf(self.best_primal):
            return math.inf
        return (self.best_primal - self.bound) / max(self.best_primal, 1e-300)

    def advance(self) -> float:
        """Run an epoch, and look at the bounds where that is worth it; return the passes it took."""
        order = self._order()
        self.problem.run_epoch(order, self.W, self.b, self.moved)
        self.epochs, self.visits = self.epochs + 1, self.visits + len(order)
        cost = len(order) / len(self.b)
        former, self.dual = self.dual, self._dual()
        rises = self.dual - former > WORTH_A_LOOK * self.tol * abs(self.dual)
        seldom = self.epochs >= FIRST_OF_SELDOM and not self.epochs & (self.epochs - 1)
        if seldom or not (rises or self.epochs < self.looks.next):
            cost += self._look()
        return cost

    def _look(self) -> float:
        """Take the bounds at W and b; return the passes it took."""
        cost = 0.5
        primal = self.problem.primal(self.W)
        if primal < self.best_primal:
            self.best_primal, self.best_weight = primal, self.W.copy()
        present = (self.best_primal - self.dual) / max(self.best_primal, 1e-300)
        self.looks.plan(present, self.tol, self.epochs)
        if present <= self.tol:
            cost += self.prove()
        self.looks.found(present)
        if self.looks.idle >= FLOAT32_PATIENCE and self.W.dtype != np.float64:
            cost += self._renew(np.dtype(np.float64))
        return cost

    def finish(self) -> None:
        """Take both bounds where the fit ends without the gap."""
        self._look()
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
        self.bound = max(self.bound, self.dual - self._rounding())
        return cost

    def _order(self) -> np.ndarray:
        """Return the rows of this epoch in the order of their visits."""
        place = self.epochs - FULL_EPOCHS
        if place < 0 or place % (SHORT_EPOCHS + 1) == SHORT_EPOCHS:
            return self.generator.permutation(len(self.b))
        moving = np.flatnonzero(self.moved > STILL_MOVING * self.moved.mean())
        return self.generator.permutation(moving)

    def _dual(self) -> float:
        return self.problem.conjugate(self.b) - self.problem.penalty(self.W)

    def _rounding(self) -> float:
        """Return what roundings of W since it was computed from b may have done to D."""
        if self.W.dtype != np.float64 and self.visits:
            return math.inf
        return ROUNDING * self.visits * self.problem.penalty(self.W)

    def _renew(self, dtype: np.dtype[Any]) -> float:
        """Compute W from b anew, to be kept in this float type; return the passes it took."""
        W = self.problem.minimiser(self.b)
        self.dual = self.problem.conjugate(self.b) - self.problem.penalty(W)
        self.W, self.visits = W.astype(dtype), 0
        return 0.5

    # ---------------------------------------------------------------- checkpoints

    @property
    def random(self) -> np.ndarray:
        """(10,) int64: the generator's state in words of 32 bits, and the half word that it still holds."""
        found = self.generator.bit_generator.state
        words = [
            found["state"][name] >> shift & 0xFFFFFFFF
            for name in ("state", "inc")
            for shift in (96, 64, 32, 0)
        ]
        return np.array([*words, found["has_uint32"], found["uinteger"]], dtype=np.int64)

    @random.setter
    def random(self, words: np.ndarray) -> None:
        found: dict[str, Any] = dict(self.generator.bit_generator.state)
        for place, name in enumerate(("state", "inc")):
            own = words[4 * place :][:4].tolist()
            found["state"][name] = sum(w << (96 - 32 * k) for k, w in enumerate(own))
        found["has_uint32"], found["uinteger"] = words[8:].tolist()
        self.generator.bit_generator.state = found

    def state(self) -> AscentState:
        """Return the state from which `restored` makes the same fit."""
        return taken_from(AscentState, self)

    @classmethod
    def restored(cls, problem: SparseProblem, tol: float, state: AscentState) -> SparseAscent:
        """Return the fit whose `state` this is."""
        fit = cls(problem, tol, state.b, state.W, 0)
        given_to(fit, state)
        return fit


def first_point(problem: SparseProblem) -> tuple[np.ndarray, np.ndarray | None]:
    """Return dual variables (N, C) to begin with, and their W (None: to be computed).

    b stands for t · (1/C − e_y) where the loss has an entropy: at t = 1 scores are 0, which is right where reg is
    large; t falls with the mean curvature of the rows. For the others a = 0, and W = 0.
    """
    (width, C), y, form = problem.shape, problem.y, problem.form
    b = np.zeros((len(y), C))
    if form.simplex and not form.entropy:
        b[np.arange(len(y)), y] = 1.0
    if not form.entropy:
        return b, np.zeros((width, C), problem.dtype)
    t = min(1.0, 1.0 / problem.coupling)
    b[:] = 1.0 / C
    return form.shrunk(b, y, t), None


def continued(
    problem: SparseProblem, b: np.ndarray, W: np.ndarray, curvature: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return where to begin from an answer at another reg: the multiple of its a(b) with the best bound.

    Args:
        problem: With its own curvature.
        b: (N, C) the other's dual variables.
        W: (D + 1, C) that belongs to them at the other's reg.
        curvature: The other's, twice its reg.
    """
    moved = W * (curvature / problem.curvature)
    t = min(1.0, problem.conjugate(b) / max(2 * problem.penalty(moved), 1e-300))
    return problem.form.shrunk(b, problem.y, t), t * moved
