"""Dual coordinate ascent for losses of margins between several classes, rows by what they have to the gap.

A row's part of P − D is known at its visit for little. Rows that had less than their share of the gap asked for are
left out until the next full epoch. The sum of all rows' last parts tells when a look at the bounds is worth it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from straightedge.solvers.sparse.bounds import Array, Ascent
from straightedge.solvers.sparse.problem import SparseProblem
from straightedge.solvers.state import OF_ROWS, given_to, taken_from

FULL_EPOCHS = 2  # at the beginning
SHORT_EPOCHS = 4  # between two full ones
PLAIN_EPOCHS = (
    3  # before steps are relaxed: on 20 newsgroups relaxed ones take two thirds of the epochs at 1e-5
)
RELAX = 1.5  # times the exact step
EARLY = 1.1  # of the gap asked for: the sum of rows' gaps from which a look is worth it
EARLIER = 0.9  # of the sum that turned out to be too large
SELDOM = 32  # epochs after which P is looked at in any case


@dataclass
class MarginState:
    """What a checkpoint keeps of a `MarginAscent`; see there."""

    W: Array
    best_weight: Array
    best_primal: float
    bound: float
    dual: float
    visits: float
    least: float
    idle: int
    epochs: int
    seed: int
    early: float
    b: Array = field(metadata=OF_ROWS)
    gaps: Array = field(metadata=OF_ROWS)


class MarginAscent(Ascent):
    """One configuration on its way; see the module.

    Args:
        problem: See `Ascent`; and the next three.
        tol: Relative gap asked for.
        b: (N, C) float64.
        W: (D + 1, C), or None.
        seed: Of the orders in which rows are visited.

    Attributes:
        gaps: (N,) float64 of each row's last visit, without its weight.
        epochs: Those that were run.
        early: Times the gap asked for: rows' gaps that add up to this are followed by a look.
    """

    def __init__(
        self, problem: SparseProblem, tol: float, b: np.ndarray, W: np.ndarray | None, seed: int
    ) -> None:
        super().__init__(problem, tol, b, W)
        self.seed, self.epochs, self.early = seed, 0, EARLY
        self.gaps = np.where(problem.caps > 0, math.inf, 0.0)

    def advance(self) -> float:
        """See `Ascent.advance`; one epoch."""
        order = self._order()
        relax = RELAX if self.epochs >= PLAIN_EPOCHS else 1.0
        self.problem.run_epoch(order, self.W, self.b, self.gaps, relax)
        self.epochs, self.visits = self.epochs + 1, self.visits + len(order)
        self.dual = self._dual()
        cost, asked = len(order) / len(self.b), self.tol * abs(self.dual)
        total = float(self.problem.weights @ np.minimum(self.gaps, 1e300))
        if total > self.early * asked and self.epochs % SELDOM:
            return cost
        cost += self.look()
        if total <= self.early * asked:
            self.early = EARLIER * total / max(asked, 1e-300)
        return cost

    def _order(self) -> np.ndarray:
        """Return the rows of this epoch in the order of their visits, which epoch and seed say."""
        generator = np.random.Generator(np.random.PCG64([self.seed, self.epochs]))
        place = self.epochs - FULL_EPOCHS
        if place >= 0 and place % (SHORT_EPOCHS + 1) != SHORT_EPOCHS:
            open_rows = np.flatnonzero(self.gaps > self.tol * abs(self.dual))
            if len(open_rows):
                return generator.permutation(open_rows)
        return generator.permutation(len(self.b))

    def state(self) -> MarginState:
        """See `Ascent.state`."""
        return taken_from(MarginState, self)

    @classmethod
    def restored(cls, problem: SparseProblem, tol: float, state: MarginState) -> MarginAscent:
        """Return the fit whose `state` this is."""
        fit = cls(problem, tol, state.b, state.W, state.seed)
        given_to(fit, state)
        return fit
