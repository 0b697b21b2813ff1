"""Dual coordinate ascent over sparse rows, which are visited by what they have to the gap.

A row's part of P − D is known at its visit for little. Rows that had less than their share of the gap asked for are
left out until the next full epoch; those that had nothing, out of most full ones, too. The sum of all rows' last
parts tells when a look at the bounds is worth it.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from straightedge.solvers.sparse.bounds import Array, Ascent, BoundsState
from straightedge.solvers.sparse.held_bias import recentre
from straightedge.solvers.sparse.problem import inner
from straightedge.solvers.state import OF_ROWS

STEEP = 0.5  # of the gap: where an epoch leaves less, points of before it are far off; 0.4 does as well
FULL_EPOCHS = 2  # at the beginning
SHORT_VISITS = 1.5  # times the rows, between two full epochs: 1 to 2 do as well, 3 takes half again at 1e-3
SETTLED = 10  # epochs before rows that had nothing are left out of full ones, too
MOST_PARTIAL = 3  # of these before one of all rows; 1 takes a twentieth more at reg 1e-5, 7 as much
PLAIN_EPOCHS = 3  # before steps are relaxed
RELAX = 1.2  # times the exact step: 1.1 to 1.5 do as well while the bias is held
STRONG_RELAX = 1.6
"""The same of hinges with kinks, to a coarse gap, where rows disturb one another much. Rows nearly apart (768
features, 100 classes, reg 1e-4) then have 0.4 of the gap after 130 epochs; 1.8 is too much for rows that overlap.
"""
COARSE = 5e-4  # relative gaps from which on; at finer ones such steps stray
RELAXED_COUPLING = 10.0  # mean q from which on
STRETCHED_COUPLING = 1.0  # the same, for W at its best length to be judged: 0.4 gains nothing, 1.5 a sixth
EARLY = 1.0  # of the gap asked for: where no more is expected, a look is worth it
SURE = 0.6  # of the gap asked for: the same after an epoch that has left out rows, until such a look has failed
NEAR = 8.0  # times the gap asked for, by the rows' gaps: where points begin to be averaged; 4 and 30 do as well
AVERAGED = 0.6  # of what rows' gaps let expect: the gap at an average of points; 0.5 does as well
LEAST_EARLIER = 0.5  # of `early`, after a look that came too soon: the rate may have promised far too much
SELDOM = 32  # epochs after which P is looked at in any case


@dataclass
class Average:
    """An average of the last epochs' points, each of which counts half as much as the next.

    At the kinks of a hinge P is too large by an amount in proportion to how far scores stray from them, epoch after
    epoch to either side; D only by its square. On 20 newsgroups at reg 1e-5, P − D is a quarter smaller there
    than at the last point (Shamir and Zhang, "Stochastic Gradient Descent for Non-smooth Optimization", ICML 2013).

    Attributes:
        W: (D + 1, C) the average; None before the first point.
        count: Points in it.
    """

    W: Array | None = None
    count: int = 0

    def take(self, W: np.ndarray, left: float) -> None:
        """Take in the W (D + 1, C) of another epoch, copied, and the share of the gap that the epoch has left."""
        if self.W is None or left < STEEP or self.W.dtype != W.dtype:
            self.W, self.count = W.copy(), 1
            return
        self.W += W
        self.W *= 0.5
        self.count += 1


@dataclass
class AscentState(BoundsState):
    """What a checkpoint keeps of a `SparseAscent`; see there."""

    epochs: int
    seed: int
    early: float
    sure: float
    total: float
    since_full: float
    partial: int
    average: Average
    gaps: Array = field(metadata=OF_ROWS)


class SparseAscent(Ascent):
    """One configuration on its way; see the module.

    Attributes:
        gaps: (N,) float64 of each row's last visit, without its weight.
        epochs: Those that were run.
        early: Times the gap asked for: where no more is expected after a full epoch, P is looked at.
        sure: The same after an epoch that has left out rows.
        total: The sum of rows' gaps, with their weights.
        since_full: Visits since the last full epoch; infinite where the next one is to be full.
        partial: Full epochs since all rows were visited.
        average: Of the last points, once the gap is near; of losses with kinks alone.
        relax: How many times as far as the exact step rows go after the first epochs.
    """

    State = AscentState

    def begin(self) -> None:
        """See `Ascent.begin`."""
        self.epochs, self.early, self.sure, self.total = 0, EARLY, SURE, 0.0
        self.since_full, self.partial, self.average = math.inf, 0, Average()
        self.gaps = np.where(self.problem.caps > 0, math.inf, 0.0)
        strong = self.problem.coupling >= RELAXED_COUPLING and self.problem.loss.piecewise_linear
        self.relax = STRONG_RELAX if strong and self.tol >= COARSE else RELAX

    def advance(self) -> float:
        """See `Ascent.advance`; one epoch."""
        recentre(self.W[-1], self.centre, self.problem.stiffness, free=self.problem.free_bias)
        order = self._order()
        relax = self.relax if self.epochs >= PLAIN_EPOCHS else 1.0
        self.problem.run_epoch(order, self.W, self.b, self.gaps, relax)
        self.epochs, self.visits = self.epochs + 1, self.visits + len(order)
        if self.since_full == 0.0:  # in a short epoch D hardly moves: a look computes it
            self.dual = self._dual()
        cost = len(order) / len(self.b)
        return cost + self._look_if_worth_it()

    def _look_if_worth_it(self) -> float:
        """Look at the bounds where rows' gaps say so; return the passes it took.

        Gaps of rows that were left out are old ones: all rows are next before they are trusted, and where a look
        has found the gap too large.
        """
        asked = self.tol * abs(self.dual)
        former, self.total = self.total, inner(self.problem.weights, np.minimum(self.gaps, 1e300))
        left = self.total / max(former, 1e-300)
        averaged = self._take_into_average(left, asked)
        # what is left about, if the gap falls on as the sum of rows' gaps, told at their visits, has
        expected = (AVERAGED if averaged else 1.0) * self.total * min(1.0, left)
        promising, short = expected <= self.early * asked, self.since_full > 0.0
        if promising and short:
            self.since_full = math.inf
        if self.epochs % SELDOM and (not promising or (short and expected > self.sure * asked)):
            return 0.0
        self.dual = self._dual()
        cost = self.look()
        if promising:
            self.since_full, self.partial = math.inf, MOST_PARTIAL
        if promising and short:
            self.sure = 0.0
        elif promising:
            found = max(self.best_primal - self.dual, asked)
            self.early = max(LEAST_EARLIER * self.early, expected / max(found, 1e-300))
        return cost

    def _take_into_average(self, left: float, asked: float) -> bool:
        """Take W into the average where rows' gaps are near the one asked for; tell whether it is of several."""
        if self.problem.form.entropy or self.total > NEAR * asked:
            self.average = Average()
        else:
            self.average.take(self.W, left)
        return self.average.count > 1

    @property
    def stretches(self) -> bool:
        """See `Ascent.stretches`; where rows disturb one another much."""
        return self.problem.coupling >= STRETCHED_COUPLING and self.problem.loss.piecewise_linear

    def judged(self) -> np.ndarray:
        """See `Ascent.judged`: the average, where there is one."""
        return self.W if self.average.W is None else self.average.W

    def _order(self) -> np.ndarray:
        """Return the rows of this epoch in the order of their visits, which epoch and seed say.

        A row whose gap was exactly 0 has its dual variables at a bound, and as a rule keeps them there.
        """
        generator = np.random.Generator(np.random.PCG64([self.seed, self.epochs]))
        if self.epochs >= FULL_EPOCHS and self.since_full < SHORT_VISITS * len(self.b):
            open_rows = np.flatnonzero(self.gaps > self.tol * abs(self.dual))
            if len(open_rows):
                self.since_full += len(open_rows)
                return generator.permutation(open_rows)
        self.since_full = 0.0
        if self.epochs < SETTLED or self.partial >= MOST_PARTIAL:
            self.partial = 0
            return generator.permutation(len(self.b))
        self.partial += 1
        return generator.permutation(np.flatnonzero(self.gaps))
