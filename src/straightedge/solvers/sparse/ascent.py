"""Dual coordinate ascent for one configuration over sparse rows: epochs, bounds, and when to look at them.

The dual value is known after each epoch for little: W is kept in step with b, and
D = Σ w_i (−ℓ*(a_i)) − reg ‖W‖². The primal value costs the scores of all rows. It is looked at once an epoch no
longer raises D by much more than the gap that is asked for, and then about when the last two looks, taken to fall
as they did, let the gap be expected.

Full epochs alternate with short ones, of the rows that moved most at their last visit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from straightedge.solvers.sparse.bounds import Array, Ascent
from straightedge.solvers.sparse.problem import SparseProblem
from straightedge.solvers.state import OF_ROWS, given_to, taken_from

FULL_EPOCHS = 2  # at the beginning
SHORT_EPOCHS = 4  # between two full ones
STILL_MOVING = 1.0  # of the mean movement: rows that moved less are left out of short epochs
WORTH_A_LOOK = 10.0  # times the gap asked for: an epoch that raises D by more is followed by another at once
HURRY = 0.7  # of the epochs that the gap is expected to need: looks that come late cost more than early ones
FIRST_OF_SELDOM = 8  # epochs after which P is looked at in any case, then at twice as many, and so on
LONGEST_WAIT = 16  # epochs between two looks


@dataclass
class Looks:
    """When P has been looked at, and when it is next: a look takes half a pass.

    Attributes:
        next: Epoch of the next look.
        last: Epoch of the last one.
        gap: Relative gap that it found.
    """

    next: int = 1
    last: int = 0
    gap: float = math.inf

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
    visits: float
    least: float
    idle: int
    epochs: int
    looks: Looks
    random: NDArray[np.int64]
    b: Array = field(metadata=OF_ROWS)
    moved: Array = field(metadata=OF_ROWS)


class SparseAscent(Ascent):
    """One configuration on its way, by epochs over all rows or over those that moved most.

    Args:
        problem: See `Ascent`; and the next three.
        tol: Relative gap asked for.
        b: (N, C) float64.
        W: (D + 1, C), or None.
        seed: Of the orders in which rows are visited.
    """

    def __init__(
        self, problem: SparseProblem, tol: float, b: np.ndarray, W: np.ndarray | None, seed: int
    ) -> None:
        super().__init__(problem, tol, b, W)
        self.generator = np.random.Generator(np.random.PCG64(seed))
        self.moved = np.where(problem.caps > 0, 1.0, 0.0)
        self.epochs, self.looks = 0, Looks()

    def advance(self) -> float:
        """See `Ascent.advance`; one epoch."""
        order = self._order()
        self.problem.run_epoch(order, self.W, self.b, self.moved)
        self.epochs, self.visits = self.epochs + 1, self.visits + len(order)
        cost = len(order) / len(self.b)
        former, self.dual = self.dual, self._dual()
        rises = self.dual - former > WORTH_A_LOOK * self.tol * abs(self.dual)
        seldom = self.epochs >= FIRST_OF_SELDOM and not self.epochs & (self.epochs - 1)
        if seldom or not (rises or self.epochs < self.looks.next):
            cost += self.look()
            self.looks.plan(self.present_gap, self.tol, self.epochs)
        return cost

    def _order(self) -> np.ndarray:
        """Return the rows of this epoch in the order of their visits."""
        place = self.epochs - FULL_EPOCHS
        if place < 0 or place % (SHORT_EPOCHS + 1) == SHORT_EPOCHS:
            return self.generator.permutation(len(self.b))
        moving = np.flatnonzero(self.moved > STILL_MOVING * self.moved.mean())
        return self.generator.permutation(moving)

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
