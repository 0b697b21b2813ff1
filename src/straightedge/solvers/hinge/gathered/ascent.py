"""Dual coordinate ascent as the first stage: cheap epochs, for as long as their rate says that they will arrive.

An epoch visits each row once and solves its part of the dual exactly; see `row_updates`. Near the optimum, and
where reg is small, epochs become many. After each round of them the gap is known, and with it its rate: the
stage ends where the work that is left would be more than what Newton steps are reckoned to take.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from straightedge.solvers.hinge.gathered.margins import Array, PairMargins, SignedMargins
from straightedge.solvers.hinge.gathered.newton import step_cost
from straightedge.solvers.hinge.gathered.problem import Bounds, HingeProblem
from straightedge.solvers.hinge.gathered.spaces import FeatureSpace, KernelSpace, Point

SEED = 1
LONGEST_ROUND = (
    8  # epochs between two looks at the gap; the first round is one epoch, and each is twice the last
)
FEWEST_ROUNDS = 5  # before the rate is judged
FIRST_SHARE = (
    0.15  # of a finish by Newton steps, spent on epochs before their rate is judged: the gap falls late
)
JUDGED_ROUNDS = 3  # over which the rate is taken
NEWTON_STEPS = 30  # that a finish by the augmented Lagrangian is reckoned at
LOOP_COST = 6.0  # operations of a factorisation that take as long as one of these loops
LOADING_COST = (
    1e9  # operations of Newton steps beyond which the compiled loops are loaded: a second, once a process
)
BIAS_COLUMN = 1.0  # a free bias is a column of this times the mean norm of a row, penalised, in this stage


@dataclass
class Ascent:
    """The state of the stage on one problem.

    Attributes:
        problem: The problem; a free bias is penalised a little here.
        bounds: Best so far; kept in step where no bias is free.
        b: (n, m) the dual variables.
        random: (1,) uint64 state of the generator.
        epochs: Of the next round.
        work: Operations so far.
        seen: (work, gap) after each round.
    """

    problem: HingeProblem
    bounds: Bounds
    b: Array
    random: NDArray[np.uint64] = field(default_factory=lambda: np.array([SEED], dtype=np.uint64))
    epochs: int = 1
    work: float = 0.0
    seen: list[tuple[float, float]] = field(default_factory=list)

    @property
    def constant(self) -> float:
        """The entry of the column that stands for a free bias, or 0."""
        if self.problem.repair is None:
            return 0.0
        return BIAS_COLUMN * math.sqrt(float(self.problem.weights @ self.problem.space.norms))

    @property
    def bias(self) -> Array:
        """(M,) the bias that belongs to b."""
        return -(self.constant**2) / self.problem.curvature * self.problem.column_sums(self.b)

    def advance(self) -> float:
        """Run a round and take its bounds; return the part of a pass over all features that it took."""
        visits, moves = self._round()
        problem = self.problem
        n, d, M = len(problem.weights), problem.space.dimension, problem.margins.n_columns
        visited = 2.0 * visits * d * M if isinstance(problem.space, FeatureSpace) else 0.0
        done = visited + 2.0 * moves * d + 2.0 * n * d * M
        self.work += done
        self.epochs = min(2 * self.epochs, LONGEST_ROUND)
        self.seen.append((self.work, self._look()))
        return done / (4.0 * n * d * M)

    def _look(self) -> float:
        """Offer the bounds of b and W(b); return the relative gap of this stage's own problem."""
        problem, bounds, b = self.problem, self.bounds, self.b.copy()
        point = problem.from_dual(b)
        primal, dual = problem.primal(point, self.bias), problem.dual(b, point)
        bounds.offer_primal(primal, point, self.bias)
        bounds.offer_dual(dual, b)
        s, value = problem.stretched(point, self.bias)
        bounds.offer_primal(value, point.times(s), s * self.bias)
        if problem.repair is None:
            return bounds.gap
        return self._own_gap(primal, point)

    def _own_gap(self, primal: float, point: Point) -> float:
        """Return the relative gap with the bias penalised: what epochs bring to 0."""
        problem, bias = self.problem, self.bias
        penalty = problem.curvature / 2 * float(bias @ bias) / self.constant**2
        total = float(problem.weights @ self.b.sum(axis=1))
        dual = total - problem.penalty(point) - penalty
        return (primal + penalty - dual) / max(primal + penalty, 1e-300)

    def is_done(self, tol: float) -> bool:
        """Tell whether to go on with Newton steps: the gap is reached, or will not be in time."""
        gap = self.seen[-1][1]
        if gap <= tol:
            return True
        finish = NEWTON_STEPS * self._step_cost() / LOOP_COST
        if len(self.seen) < FEWEST_ROUNDS or self.work < FIRST_SHARE * finish:
            return False
        work, before = self.seen[-1 - JUDGED_ROUNDS]
        rate = math.log(max(before, 1e-300) / gap) / max(self.work - work, 1.0)
        if rate <= 0:
            return True
        return math.log(gap / tol) / rate > finish

    def _step_cost(self) -> float:
        rows, _ = self.problem.margins.directions(self.b)
        return step_cost(self.problem, len(rows))

    def _round(self) -> tuple[int, int]:
        from straightedge.solvers.hinge.gathered.row_updates import ascend_features, ascend_kernel

        problem, constant = self.problem, self.constant
        margins, n = problem.margins, len(problem.weights)
        labels = margins.y if isinstance(margins, PairMargins) else np.zeros(n, dtype=np.int64)
        t = margins.t[:, 0] if isinstance(margins, SignedMargins) else np.zeros(n)
        shared = (problem.weights, problem.curvature, margins.kind, labels, np.ascontiguousarray(t))
        point = problem.from_dual(self.b)
        if isinstance(problem.space, KernelSpace):
            S = np.ascontiguousarray((point.scores + self.bias).T)
            K = problem.space.K + constant**2 if constant else problem.space.K
            return tuple(ascend_kernel(K, *shared, S, self.b, self.epochs, self.random))
        assert isinstance(problem.space, FeatureSpace)
        X, W = problem.space.X, np.ascontiguousarray(point.coordinates)
        if constant:
            X = np.hstack([X, np.full((n, 1), constant)])
            W = np.hstack([W, self.bias[:, None] / constant])
        norms = problem.space.norms + constant**2
        return tuple(ascend_features(X, norms, *shared, W, self.b, self.epochs, self.random))


def worthwhile(problem: HingeProblem) -> bool:
    """Tell whether to begin with epochs: not where Newton steps are too few operations to load loops for."""
    most = len(problem.weights) * max(1, problem.margins.n_margins - 1)
    return NEWTON_STEPS * step_cost(problem, most) > LOADING_COST
