"""Few rows, features and classes: a primal–dual interior-point method on plain arrays, before other steps.

With ξ ≥ 0 and u = ξ − z ≥ 0, the optimum is where 2 reg W = −Σ w_i b_i Jᵀx̂_i and b u = (1 − Σ b) ξ = 0, Σ over the
margins that share a ξ. Steps go for products τ instead, which fall to 0 (Mehrotra's predictor and corrector): about
ten for three digits, whatever the data, each with one Hessian of all margins. A free bias is part of W here, with
no curvature of its own: a step of length 1 takes the sums of b that it asks for to 0.

References:
    Mehrotra, "On the implementation of a primal-dual interior point method", SIAM J. Optim. 2, 1992. Ferris and
    Munson, "Interior-point methods for massive support vector machines", SIAM J. Optim. 13, 2002.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from straightedge.newton.bounds import scaled_bound
from straightedge.solvers.hinge.gathered.descent import STEP_PASSES, Descent
from straightedge.solvers.hinge.gathered.lagrangian import AugmentedLagrangian
from straightedge.solvers.hinge.gathered.margins import Array, PairMargins, SharedMargins, SignedMargins
from straightedge.solvers.hinge.gathered.newton import scaled_solver
from straightedge.solvers.hinge.gathered.problem import Bounds, HingeProblem
from straightedge.solvers.hinge.gathered.spaces import FeatureSpace, Point

MOST_WORK = 4_000_000  # operations of half a Hessian, half a millisecond; of more margins most are at a bound
MOST_STEPS = 40
FALL = 0.9  # of the mean product: a step that leaves more gains nothing
PATIENCE = 3  # such steps: rounding has the last word
LEAST_LACK = 1e-17  # of b to its bound: less is rounding
INWARD = 0.995  # of the way to the nearest bound


@dataclass
class Step:
    """Changes of W, of what it takes from the margins, of b, of ξ and of u."""

    w: Array
    scores: Array
    b: Array
    slack: Array
    u: Array


class Interior:
    """The method on one problem.

    Its k margins that share a ξ stand in a row of arrays (g, k), and 1 − z is a product of W (M d,), a free bias
    last in each column, with each one's own vector (M d,).

    Args:
        problem: The problem; see `suits`.
        bounds: Best so far; kept in step.
    """

    def __init__(self, problem: HingeProblem, bounds: Bounds) -> None:
        self.problem, self.bounds = problem, bounds
        self.used, vectors = _margins(problem)
        count = vectors.shape[1] if isinstance(problem.margins, SharedMargins) else 1
        self.rows: Array = vectors.reshape(-1, vectors.shape[-1])
        each = (len(self.rows) // count, count)
        self.weights = np.repeat(problem.weights, each[0] // len(problem.weights))
        self.w, self.scores = np.zeros(self.rows.shape[1]), np.zeros(each)
        self.ridge = np.full(self.rows.shape[1], problem.curvature)
        if self.problem.is_free:
            self.ridge[self.shape[1] - 1 :: self.shape[1]] = 0.0
        self.b, self.u, self.slack = (np.full(each, 1 / (count + 1)), np.ones(each), np.full((each[0], 1), 2.0))

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of W: columns, and the length of each."""
        columns = self.problem.margins.n_columns
        return columns, self.rows.shape[1] // columns

    def run(self, tol: float) -> int:
        """Take steps to a relative gap, or until they gain nothing; return how many they were."""
        idle, product = 0, math.inf
        for count in range(1, MOST_STEPS + 1):
            if not self._step():
                return count
            self._look(tol)
            idle = 0 if self.product < FALL * product else idle + 1
            product = self.product
            if self.bounds.gap <= tol or idle == PATIENCE:
                return count
        return MOST_STEPS

    def _step(self) -> bool:
        """Take a step; return whether there was one."""
        self.lack = np.maximum(1.0 - _sums(self.b), LEAST_LACK)  # what b lacks of its bound (g, 1)
        self.p = self.b / self.u
        self.bottom = self.lack + self.slack * _sums(self.p)
        H = self._hessian()
        if not np.isfinite(H.trace()):
            return False
        solve = scaled_solver(H)
        low, high, lack = self.b * self.u, self.lack * self.slack, self.lack
        count = low.size + high.size
        self.product = target = (float(low.sum()) + float(high.sum())) / count
        first = self._solved(solve, -low, -high)
        t = self._length(first)
        ahead = float(np.vdot(self.b + t * first.b, self.u + t * first.u))
        fall = _sums(first.b)
        ahead += float(np.vdot(lack - t * fall, self.slack + t * first.slack))
        goal = target * min(1.0, ahead / count / target) ** 3
        step = self._solved(solve, goal - low - first.b * first.u, goal - high + fall * first.slack)
        t = min(1.0, INWARD * self._length(step))
        if not t > 0:
            return False
        self.w, self.scores = self.w + t * step.w, self.scores + t * step.scores
        self.b, self.slack, self.u = self.b + t * step.b, self.slack + t * step.slack, self.u + t * step.u
        return True

    def _hessian(self) -> Array:
        """Return 2 reg + Σ w Θ over the vectors, Θ what db is of a change of margins, in each row of them."""
        p, weights, shared = self.p, self.weights[:, None], self.slack / self.bottom
        own = p if p.shape[1] > 1 else p * (1.0 - shared * p)
        bent = self.rows * np.sqrt(weights * own).reshape(-1, 1)
        H: Array = bent.T @ bent
        if p.shape[1] > 1:
            sums = np.einsum("gk,gkd->gd", p, self.rows.reshape(*p.shape, -1)) * np.sqrt(weights * shared)
            H -= sums.T @ sums
        H.flat[:: len(H) + 1] += self.ridge
        M, width = self.shape
        if self.problem.is_free and M > 1:  # a number added to all classes changes nothing: no step has any
            bias = H[width - 1 :: width, width - 1 :: width]
            bias += bias.trace() / M**2
        return H

    def _solved(self, solve: Callable[[Array], Array], low: Array, high: Array) -> Step:
        """Return the step on which the products b u and (1 − Σ b) ξ change by ``low`` and ``high``."""
        fixed = self._change(low, high, 0.0)[0]
        pull = (self.weights[:, None] * (self.b + fixed)).ravel() @ self.rows
        w = solve(pull - self.ridge * self.w)
        scores = (self.rows @ w).reshape(self.b.shape)
        b, slack = self._change(low, high, scores)
        return Step(w, scores, b, slack, slack + scores)

    def _change(self, low: Array, high: Array, scores: Array | float) -> tuple[Array, Array]:
        """Return db and dξ where 1 − z changes by ``scores``."""
        part = (low - self.b * scores) / self.u
        slack = (high + self.slack * _sums(part)) / self.bottom
        return part - self.p * slack, slack

    def _length(self, step: Step) -> float:
        """Return the length at which a step meets the first bound, at most 2."""
        fall = _sums(step.b) / self.lack
        ratios = (-step.b / self.b, fall, -step.u / self.u, -step.slack / self.slack)
        return 1.0 / max(0.5, *(float(ratio.max()) for ratio in ratios))

    def _look(self, tol: float) -> None:
        """Offer the bounds of W, of b and of the W that goes with b.

        What a free bias takes from the bound of b is asked for where without it the gap would be small enough.
        """
        problem, bounds, half = self.problem, self.bounds, self.problem.curvature / 2
        weighted = (self.weights[:, None] * self.b).ravel()
        held = self.ridge > 0
        V = np.where(held, weighted @ self.rows / problem.curvature, self.w)
        for w, scores in ((self.w, self.scores), (V, (self.rows @ V).reshape(self.b.shape))):
            columns = w.reshape(self.shape)
            point, bias = (columns[:, :-1], columns[:, -1]) if self.problem.is_free else (columns, bounds.bias)
            loss = float(self.weights @ np.maximum(1.0 - _least(scores), 0.0))
            value = loss + half * float(np.vdot(point, point))
            bounds.offer_primal(value, Point(point, scores), bias)
        own = V[held]
        dual = scaled_bound(float(weighted.sum()), half * float(own @ own))[1]
        if dual > bounds.dual and (not self.problem.is_free or bounds.primal - dual <= tol * bounds.primal):
            b = np.zeros(self.used.shape)
            b[self.used] = self.b.ravel()
            bounds.offer_dual(problem.dual(b, problem.from_dual(b)) if self.problem.is_free else dual, b)


def _margins(problem: HingeProblem) -> tuple[Array, Array]:
    """Return which of b (n, m) are used (n, m), and for each of these (n, ·) the vector (M d,) of 1 − z."""
    space, margins = problem.space, problem.margins
    assert isinstance(space, FeatureSpace)
    X = space.X if not problem.is_free else np.hstack([space.X, np.ones((len(space.X), 1))])
    n, d = X.shape
    if isinstance(margins, SignedMargins):
        return np.ones((n, 1), dtype=bool), (X * margins.t)[:, None]
    C = margins.n_columns
    used = np.arange(C) != margins.y[:, None]
    vectors = np.zeros((n, C - 1, C, d))
    wrong = used.nonzero()[1].reshape(n, C - 1)
    vectors[np.arange(n)[:, None], np.arange(C - 1), wrong] = -X[:, None]
    vectors[np.arange(n), :, margins.y] = X[:, None]
    return used, vectors.reshape(n, C - 1, C * d)


def _sums(b: Array) -> Array:
    """Return the sums (g, 1) of rows (g, k), as a product: NumPy's sums of short rows take five times as long."""
    return b if b.shape[1] == 1 else b @ np.ones((b.shape[1], 1))


def _least(scores: Array) -> Array:
    """Return the least (g,) of each row (g, k)."""
    least: Array = scores[:, 0] if scores.shape[1] == 1 else scores.min(axis=1)
    return least


def suits(problem: HingeProblem) -> bool:
    """Tell whether the Hessian of all margins costs next to nothing."""
    margins, space = problem.margins, problem.space
    if not isinstance(space, FeatureSpace):
        return False
    pairs = len(space.X) * (margins.n_columns - 1 if isinstance(margins, PairMargins) else 1)
    unknowns = margins.n_columns * (space.dimension + (problem.is_free))
    return bool(pairs * unknowns * unknowns <= MOST_WORK)


def advance_inside(descent: Descent) -> float:
    """Bring a descent to its gap by this method where it suits and no epoch has begun; return its passes."""
    begun: bool = descent.ascended or not isinstance(descent.stage, AugmentedLagrangian)
    if begun or descent.is_done or descent.is_cheap or not suits(descent.problem):
        return 0.0
    with np.errstate(all="ignore"):  # a step that is no number ends it
        steps = Interior(descent.problem, descent.bounds).run(descent.tol)
    return STEP_PASSES * steps
