"""The augmented Lagrangian with semismooth Newton steps: few steps, whatever the data and however small reg.

The hinge max_b ⟨b, z⟩ less (μ/2)‖b − c‖² is smooth, with gradient b = project(c + z/μ) at margins z. A step is
a Newton step on Σ w (smoothed hinge) + reg ‖W‖², as long as its line search says. Its gradient is 2 reg (W − W(b)).
Where W is near enough to W(b), the centre c moves to b and μ shrinks: the proximal point method on the dual, which
reaches the optimum of the hinge itself.

References:
    Li, Sun and Toh, "A highly efficient semismooth Newton augmented Lagrangian method for solving Lasso problems",
    SIAM J. Optim. 28, 2018. Yan and Li, "An efficient augmented Lagrangian method for support vector machine",
    Optim. Methods Softw. 35, 2020.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from straightedge.solvers.hinge.gathered.margins import Array
from straightedge.solvers.hinge.gathered.newton import newton_step
from straightedge.solvers.hinge.gathered.problem import Bounds, HingeProblem
from straightedge.solvers.hinge.gathered.spaces import Point

COLD_SMOOTHING = 0.3
"""First μ, of what a unit of b does to a row's own margin; 0.1 stalls on columns of unlike size."""
WARM_SMOOTHING = 0.02  # the same after dual ascent or from a neighbour's answer; 0.002 to 0.02 are as good
FOLLOWING_SMOOTHING = 0.01  # the same after dual ascent from a neighbour's answer, at the W of that
NEXT_SMOOTHING = 0.1  # the same on a path at most
REOPENED = 30.0  # times the last μ of the answer before, on a path; 10 is too few for columns of unlike size
SHRINK = 5.0  # of μ when the centre moves
SWIFT_SHRINK = 10.0  # the same after at most `FEW_STEPS` Newton steps
FEW_STEPS = 3
MOST_STEPS = 60  # Newton steps between two moves of the centre
NEAR = 0.02  # of the gap: a distance reg ‖W − W(b)‖² below which the centre moves
LEAST_SMOOTHING = 1e-13  # of the first μ: below, the systems are rounding
PATIENCE = 12  # moves of the centre without a better gap before the method has stopped
PROGRESS = 0.98  # of the gap: less is no progress
SEARCH_STEPS = 40
FARTHEST = 8.0  # times the last length, while no end of the bracket is known
FLAT = 0.05  # of the first slope: where the line search ends
SHORTEST_JUMP = 1e-3  # length of a jump below which a Newton step is taken instead
LENGTHENED = 0.01  # of the tolerance: how much longer a W is tried; P rises by twice that at most
NEARLY = 100.0  # times the tolerance: the gap below which a longer W is tried


@dataclass
class AugmentedLagrangian:
    """The state of the method on one problem.

    Attributes:
        problem: The problem.
        bounds: Best so far; kept in step.
        point: W.
        bias: (M,) the free bias, 0 where there is none.
        centre: (n, m) c.
        mu: μ.
        steps: Newton steps since the centre moved.
        idle: Moves of the centre since the gap last fell.
        gap_before: The gap that the next one is compared with.
        floor: The least μ.
        n_steps: Newton steps in all.
    """

    problem: HingeProblem
    bounds: Bounds
    point: Point
    bias: Array
    centre: Array
    mu: float
    steps: int = 0
    idle: int = 0
    gap_before: float = np.inf
    floor: float = 0.0
    n_steps: int = field(default=0)

    @classmethod
    def from_dual(
        cls,
        problem: HingeProblem,
        bounds: Bounds,
        b: Array,
        bias: Array,
        smoothing: float,
        point: Point | None = None,
    ) -> AugmentedLagrangian:
        """Start at dual variables b, a bias and a point, by default W(b).

        ``smoothing`` times the self response is the first μ.
        """
        mu = max(smoothing * problem.self_response, 1e-12)
        floor = LEAST_SMOOTHING * max(mu, COLD_SMOOTHING * problem.self_response)
        return cls(problem, bounds, point or problem.from_dual(b), bias, b, mu, floor=floor)

    @property
    def exhausted(self) -> bool:
        """Whether moves of the centre have stopped helping."""
        return self.idle >= PATIENCE

    def advance(self, tol: float) -> None:
        """Take the bounds at the present point; then a Newton step, or a move of the centre."""
        b, residual, sums = self._look()
        if tol < self.bounds.gap < NEARLY * tol:
            self._lengthen(1.0 + LENGTHENED * tol)
        if self.bounds.gap <= tol:
            return
        if self._is_near(residual, sums):
            self._move_centre(b)
            return
        length = 0.0
        if self.steps == 0 and self.centre.any():  # the centre's free entries are nearly those of the next answer
            step, shift = self._jump()
            length = self._search(step, shift)
        if length < SHORTEST_JUMP:
            step, shift = newton_step(self.problem, b, self.mu, residual, sums)
            length = self._search(step, shift)
        self.point, self.bias = self.point.plus(step, length), self.bias + length * shift
        self.steps, self.n_steps = self.steps + 1, self.n_steps + 1

    def _jump(self) -> tuple[Point, Array]:
        """Return the step that solves the smoothed problem if the entries of b that are free are the centre's.

        A smaller μ, or another reg, takes most of the free entries beyond their bounds for the moment, and Newton
        steps would find them again some at a time.
        """
        problem = self.problem
        z = problem.margins.margins(self.point.scores + self.bias)
        b = self.centre + problem.margins.moved(self.centre, z) / self.mu
        residual = self.point.plus(problem.from_dual(b), -1.0)
        return newton_step(problem, self.centre, self.mu, residual, problem.column_sums(b))

    def _look(self) -> tuple[Array, Point, Array]:
        """Offer the bounds of W, of W(b) and of b; return b, R = W − W(b) and b's column sums."""
        problem, bounds = self.problem, self.bounds
        z = problem.margins.margins(self.point.scores + self.bias)
        b = problem.margins.project(self.centre + z / self.mu)
        other = problem.from_dual(b)
        bounds.offer_primal(problem.primal_of(z, self.point), self.point, self.bias)
        bounds.offer_primal(problem.primal(other, self.bias), other, self.bias)
        bounds.offer_dual(problem.dual(b, other), b)
        return b, self.point.plus(other, -1.0), problem.column_sums(b)

    def _lengthen(self, factor: float) -> None:
        """Offer a W that is a little longer.

        Numerics:
            Where rows are separated and reg is tiny, P is 1e-9 of a margin and its last digits are the roundings of
            margins that should be 0. A W longer by more than these has none of them.
        """
        point, bias = self.point.times(factor), factor * self.bias
        self.bounds.offer_primal(self.problem.primal(point, bias), point, bias)

    def _is_near(self, residual: Point, sums: Array) -> bool:
        """Tell whether the smoothed problem is solved well enough for the centre to move."""
        if self.steps == 0:
            return False
        if self.steps >= MOST_STEPS:
            return True
        allowed = NEAR * max(self.bounds.primal - self.bounds.dual, 0.0)
        distance = self.problem.penalty(residual)
        if self.problem.is_free:
            distance += float(np.abs(sums).sum()) * self.bounds.primal
        return distance <= allowed

    def _move_centre(self, b: Array) -> None:
        gap = self.bounds.gap
        self.idle = 0 if gap < PROGRESS * self.gap_before else self.idle + 1
        self.gap_before = min(gap, self.gap_before)
        self.centre = b
        self.mu = max(self.mu / (SHRINK if self.steps > FEW_STEPS else SWIFT_SHRINK), self.floor)
        self.point = self.problem.space.at(self.point.coordinates)  # without the roundings of the steps
        self.steps = 0

    def _search(self, step: Point, shift: Array) -> float:
        """Return the length at which the slope along the step is 0: it is rising and piecewise linear.

        It is 0 for a step along which nothing falls.
        """
        problem = self.problem
        start = self.centre + problem.margins.margins(self.point.scores + self.bias) / self.mu
        change = problem.margins.change(step.scores + shift)
        ramp = problem.curvature * problem.space.inner(self.point, step)
        bend = problem.curvature * problem.space.inner(step, step)
        weighted = problem.weights[:, None] * change
        low, high, length, first = 0.0, np.inf, 0.0, None
        for _ in range(SEARCH_STEPS):
            b = problem.margins.project(start + (length / self.mu) * change)
            slope = float(np.vdot(weighted, b)) + ramp + length * bend
            first = abs(slope) if first is None else first
            if abs(slope) <= FLAT * first and length > 0:
                break
            low, high = (low, length) if slope > 0 else (length, high)
            if high == 0.0:
                return 0.0
            curvature = float(problem.weights @ problem.margins.moved_square(b, change)) / self.mu + bend
            length = _inside(length - slope / max(curvature, 1e-300), low, high)
        return length


def _inside(trial: float, low: float, high: float) -> float:
    """Return a trial that is strictly between the ends of its bracket, or a point that is."""
    if high == np.inf:
        return max(min(trial, FARTHEST * max(low, 1.0)), 2.0 * low)
    return trial if low < trial < high else 0.5 * (low + high)
