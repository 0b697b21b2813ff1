"""Dual coordinate ascent as the first stage: cheap epochs, for as long as their rate says that they will arrive.

An epoch visits rows and solves each one's part of the dual exactly; see `row_updates`. Each tells its part of P − D
at its visit. Rows with next to nothing of the gap asked for are left out until the next full epoch, and the sum of
all rows' last parts tells when a look at the bounds is worth it. Near the optimum, and where reg is small, epochs
become many: the stage ends where the work that is left would be more than what Newton steps are reckoned to take.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from straightedge.solvers.hinge.gathered.margins import Array, Indices, SharedMargins, row_sums
from straightedge.solvers.hinge.gathered.newton import step_cost
from straightedge.solvers.hinge.gathered.problem import Bounds, HingeProblem
from straightedge.solvers.hinge.gathered.spaces import FeatureSpace, KernelSpace, Point

SEED = 1
FULL_EPOCHS = 2  # at the beginning
SHARE = 0.1  # of a row's even share of the gap asked for: rows with less are left out of short epochs
SHORT_VISITS = 3.0  # times the rows, between two full epochs
MOST_TIMES = 16  # that rows are visited in a short epoch, which has no more visits than there are rows
PLAIN_EPOCHS = 3  # before steps are relaxed
RELAX = 1.5  # times the exact step
EARLY = 1.0  # of the gap asked for: where no more is expected, a look is worth it
EARLIER = 0.9  # of what turned out to be too large
WORTH = 0.1  # of the gap: what P must fall by for another multiple of W
EARLIEST = 0.02  # times the gap asked for: where looks have failed so often, epochs do not help
SELDOM = 32  # epochs after which the bounds are looked at in any case
FEWEST_SEEN = 5  # full epochs before the rate is judged
MOST_EPOCHS = 400  # of the stage: a limit of 1,000 passes leaves Newton steps their part
FIRST_SHARE = 0.15
"""Of a finish by Newton steps, spent on epochs before their rate is judged: the gap falls late."""
JUDGED_SHARE = 0.5  # of the work so far, over which the rate is taken
NEWTON_STEPS = 30  # of the augmented Lagrangian alone
FEWEST_STEPS = 10  # Newton steps that a finish is reckoned at where little is left,
STEPS_A_FALL = 3.0  # and for each time that the gap has to fall to 1/e
FOLLOWING = 2.0, 1.5, 0.3
"""`FEWEST_STEPS`, `STEPS_A_FALL` and `FIRST_SHARE` where b began at another reg's answer: digits took 0.84."""
VISIT_COST = 100.0  # operations in the time of a row's own problem, for each of its margins
ENTRY_COST = 1500.0  # the same of what NumPy does in a Newton step, for each margin: 0.15 µs
FACTOR_SPEED = 3.0  # operations of a factorisation in the time of one of these loops
LOADING_COST = 1e9
"""Operations of Newton steps beyond which the compiled loops are loaded: a second, once a process."""
BIAS_COLUMN = 1.0  # a free bias is a column of this times the mean norm of a row, penalised, in this stage
LEAST_NORM = 1e-200  # of a row, squared: one of zeros has a problem of its own, too


@dataclass
class Ascent:
    """The state of the stage on one problem.

    Attributes:
        problem: The problem; a free bias is penalised a little here.
        bounds: Best so far; kept in step where no bias is free.
        tol: Relative gap asked for.
        b: (n, m) the dual variables, as `sparse.row_problems` has them; see `duals`.
        W: (M, d) W(b) but for roundings, a penalised bias last; or (M, n) the scores of W(b).
        gaps: (n,) of each row's last visit, without its weight.
        epochs: Those that were run.
        work: Operations so far.
        dual: D of b in this stage's own problem, but for roundings.
        total: The sum of the rows' gaps, with their weights.
        early: Times the gap asked for: where no more is expected, the bounds are looked at.
        since_full: Visits since the last full epoch; infinite where the next one is to be full.
        seen: (work, total) after each full epoch.
        gap: Relative gap of this stage's own problem at the last look.
        follows: Whether b began at another reg's answer, whose free entries are nearly the next one's.
    """

    problem: HingeProblem
    bounds: Bounds
    tol: float
    b: Array
    W: Array
    gaps: Array
    epochs: int = 0
    work: float = 0.0
    dual: float = 0.0
    total: float = 0.0
    early: float = EARLY
    since_full: float = math.inf
    gap: float = math.inf
    seen: list[tuple[float, float]] = field(default_factory=list)
    follows: bool = False

    @classmethod
    def begin(
        cls, problem: HingeProblem, bounds: Bounds, tol: float, b: Array, point: Point | None = None
    ) -> Ascent:
        """Start at dual variables b (n, m), which are changed in place; ``point`` is W(b) where it is at hand."""
        stage = cls(problem, bounds, tol, b, b, np.full(len(b), math.inf))
        if point is None:
            nothing = Point(bounds.coordinates, np.zeros((len(b), len(bounds.bias))))
            point = problem.from_dual(b) if b.any() else nothing
        stage._renew(point)
        if stage._shared:
            b[stage._right] = np.maximum(1.0 - b.sum(axis=1), 0.0)
        return stage

    @property
    def _shared(self) -> bool:
        """Whether the entry of the right class, otherwise 0, is what the others leave of a unit."""
        return isinstance(self.problem.margins, SharedMargins)

    @property
    def _right(self) -> tuple[Indices, Indices]:
        """The places (n,) of the right classes in b."""
        return np.arange(len(self.b)), self.problem.margins.y

    @property
    def duals(self) -> Array:
        """(n, m) the dual variables, a copy."""
        b = self.b.copy()
        if self._shared:
            b[self._right] = 0.0
        return b

    @cached_property
    def constant(self) -> float:
        """The entry of the column that stands for a free bias, or 0."""
        if not self.problem.is_free:
            return 0.0
        return BIAS_COLUMN * math.sqrt(float(self.problem.weights @ self.problem.space.norms))

    @property
    def bias(self) -> Array:
        """(M,) the bias that belongs to b; 0 where none is free."""
        if not self.constant:
            return np.zeros(self.problem.margins.n_columns)
        return -(self.constant**2) / self.problem.curvature * self.problem.column_sums(self.duals)

    @cached_property
    def _rows(self) -> tuple[Array, Indices, Array, Array]:
        """What the loops read: rows or their inner products, labels, w/(2 reg), squared norms."""
        problem, constant = self.problem, self.constant
        space, caps = problem.space, problem.weights / problem.curvature
        if isinstance(space, KernelSpace):
            rows = space.K + constant**2 if constant else space.K
        else:
            rows = np.hstack([space.X, np.full((len(caps), 1), constant)]) if constant else space.X
        norms = np.maximum(space.norms + constant**2, LEAST_NORM)
        return np.ascontiguousarray(rows), problem.margins.y, caps, norms

    def _renew(self, point: Point) -> None:
        """Compute W from ``point`` = W(b), without the roundings of visits."""
        if not isinstance(self.problem.space, FeatureSpace):
            self.W = np.ascontiguousarray((point.scores + self.bias).T)
        elif self.constant:
            self.W = np.hstack([point.coordinates, self.bias[:, None] / self.constant])
        else:
            self.W = np.array(point.coordinates, order="C")

    def advance(self) -> float:
        """Run an epoch, and take the bounds where that is worth it; return the passes over all features it took."""
        order = self._order()
        moves = self._visit(order)
        problem = self.problem
        n, d, M = len(problem.weights), problem.space.dimension, problem.margins.n_columns
        visited = 2.0 * len(order) * d * M if isinstance(problem.space, FeatureSpace) else 0.0
        done = visited + 2.0 * moves * d
        self.work += done + VISIT_COST * len(order) * M
        return self._look_if_worth_it() + done / (4.0 * n * d * M)

    def _order(self) -> Indices:
        """Return the rows of this epoch in the order of their visits, which its number says."""
        generator = np.random.Generator(np.random.PCG64([SEED, self.epochs]))
        if self.epochs >= FULL_EPOCHS and self.since_full < SHORT_VISITS * len(self.b):
            open_rows = np.flatnonzero(self.gaps > SHARE * self.tol * abs(self.dual))
            if len(open_rows):
                times = min(len(self.b) // len(open_rows), MOST_TIMES)
                self.since_full += times * len(open_rows)
                return np.concatenate([generator.permutation(open_rows) for _ in range(times)])
        self.since_full = 0.0
        return generator.permutation(len(self.b))

    def _visit(self, order: Indices) -> int:
        """Run an epoch; return how many rows of W were moved."""
        from straightedge.solvers.hinge.gathered.row_updates import IN_FEATURES, IN_PRODUCTS

        loops = IN_FEATURES if isinstance(self.problem.space, FeatureSpace) else IN_PRODUCTS
        relax = RELAX if self.epochs >= PLAIN_EPOCHS else 1.0
        loop = loops[self.problem.margins.geometry]
        moves = loop(order, *self._rows, self.W, self.b, self.gaps, relax)
        self.epochs += 1
        if not self.since_full:  # in a short epoch D hardly moves
            self.dual = self._dual()
        return int(moves)

    def _dual(self) -> float:
        """Return D of this stage's own problem, but for roundings of W."""
        problem, W, b = self.problem, self.W, self.b
        sums = row_sums(b) - b[self._right] if self._shared else row_sums(b)
        total = float(problem.weights @ sums)
        if isinstance(problem.space, FeatureSpace):
            return total - problem.curvature / 2 * float(np.vdot(W, W))
        return total + float(problem.weights @ (problem.margins.adjoint(self.duals) * W.T).sum(axis=1)) / 2

    def _look_if_worth_it(self) -> float:
        """Look at the bounds where rows' gaps say so; return the passes it took.

        Gaps of rows that were left out are old ones: where a look has found the gap too large, all rows are next.
        """
        total = float(self.problem.weights @ np.minimum(self.gaps, 1e300))
        expected = total * min(1.0, total / max(self.total, 1e-300))
        self.total = total
        if not self.since_full:
            self.seen.append((self.work, total))
        asked = self.tol * abs(self.dual)
        promising = expected <= self.early * asked
        if not promising and self.epochs % SELDOM:
            return 0.0
        self._look()
        if promising:
            self.early = EARLIER * expected / max(asked, 1e-300)
            self.since_full = math.inf
        return 1.0

    def _look(self) -> None:
        """Offer the bounds of b and W(b), which is computed anew."""
        problem, bounds, bias, b = self.problem, self.bounds, self.bias, self.duals
        point = problem.from_dual(b)
        primal, dual = problem.primal(point, bias), problem.dual(b, point)
        bounds.offer_primal(primal, point, bias)
        bounds.offer_dual(dual, b)
        if bounds.gap > self.tol:
            s, value = problem.stretched(point, bias, WORTH * (primal - dual))
            bounds.offer_primal(value, point.times(s), s * bias)
        self._renew(point)
        self.gap = bounds.gap
        if problem.is_free:  # with the bias penalised: what epochs bring to 0
            penalty = problem.curvature / 2 * float(bias @ bias) / self.constant**2
            dual = float(problem.weights @ row_sums(b)) - problem.penalty(point) - penalty
            self.gap = (primal + penalty - dual) / max(primal + penalty, 1e-300)

    @property
    def is_done(self) -> bool:
        """Whether to go on with Newton steps: the gap is reached, or will not be in time.

        What is left may take less work the more has been spent: rates that promise an end for ever are wrong.
        """
        if self.gap <= self.tol or self.early < EARLIEST or self.epochs >= MOST_EPOCHS:
            return True
        if self.since_full or len(self.seen) < FEWEST_SEEN:
            return False
        total, asked = max(self.seen[-1][1], 1e-300), max(self.tol * abs(self.dual), 1e-300)
        ahead = math.log(max(total / asked, 1.0))
        fewest, a_fall, share = FOLLOWING if self.follows else (FEWEST_STEPS, STEPS_A_FALL, FIRST_SHARE)
        finish = (fewest + a_fall * ahead) * near_step_cost(self.problem, self.duals)
        if self.work < share * finish:
            return False
        work, before = next(one for one in self.seen if one[0] >= JUDGED_SHARE * self.work)
        fall = math.log(max(before, 1e-300) / total)
        return fall <= 0 or ahead * (self.work - work) * (1 + self.work / finish) > finish * fall


def near_step_cost(problem: HingeProblem, b: Array) -> float:
    """Return the work of a Newton step near the answer b (n, m): W has as many entries as directions are free."""
    rows, _ = problem.margins.directions(b)
    most = problem.margins.n_columns * problem.space.dimension
    return step_cost(problem, min(len(rows), most)) / FACTOR_SPEED + ENTRY_COST * b.size


def worthwhile(problem: HingeProblem) -> bool:
    """Tell whether to begin with epochs: not where Newton steps are too few operations to load loops for."""
    most = len(problem.weights) * max(1, problem.margins.n_margins - 1)
    return NEWTON_STEPS * step_cost(problem, most) > LOADING_COST
