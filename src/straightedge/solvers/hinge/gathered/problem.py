"""One hinge problem on plain float64 arrays, and the two bounds of a point and its dual variables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from straightedge.newton.bounds import scaled_bound
from straightedge.solvers.hinge.gathered.margins import Array, Margins, row_sums
from straightedge.solvers.hinge.gathered.spaces import Point, Space

Repair = Callable[[Array], tuple[float, Array, float]]
"""From column sums Σ w a (M,) to (θ, rows (n, M), conjugate): (1 − θ) A + θ rows has column sums of 0."""
LONGEST_STRETCH = 1e6
STRETCH_STEPS = 30  # of a bisection, first to the bracket: to 1e-6 of it
STRETCH_ROWS = 20_000  # of more than twice as many, every so-many-th says where the bisection goes


@dataclass(frozen=True)
class HingeProblem:
    """min Σ_i w_i ℓ(z_i) + reg ‖W‖², z the margins of the scores X̂Wᵀ + bias.

    Attributes:
        margins: The hinge.
        space: The rows, all of positive weight.
        weights: (n,) w > 0; they sum to 1.
        curvature: 2 reg, the penalty's Hessian, > 0.
        repair: For a free bias: see `Repair`. None where no bias is free.
    """

    margins: Margins
    space: Space
    weights: Array
    curvature: float
    repair: Repair | None = None

    @property
    def is_free(self) -> bool:
        """Whether there is a free bias."""
        return self.repair is not None

    @property
    def self_response(self) -> float:
        """The mean over rows of w_i ‖x̂_i‖²/(2 reg): what a unit of a row's b does to its own margin."""
        return float((self.weights**2 * self.space.norms).sum()) / self.curvature

    def from_dual(self, b: Array) -> Point:
        """Return W(b) = −Σ w_i (Jᵀb_i) x̂_iᵀ/(2 reg), the W that goes with dual variables b (n, m)."""
        return self.space.combined(self._weighted(b) / -self.curvature)

    def _weighted(self, b: Array) -> Array:
        return self.margins.adjoint(b) * self.weights[:, None]

    def column_sums(self, b: Array) -> Array:
        """Return Σ_i w_i Jᵀb_i (M,): 0 at the optimum of a free bias."""
        sums: Array = self._weighted(b).sum(axis=0)
        return sums

    def penalty(self, point: Point) -> float:
        """Return reg ‖W‖²."""
        return self.curvature / 2 * self.space.inner(point, point)

    def primal(self, point: Point, bias: Array) -> float:
        """Return P at a point and a free bias (M,)."""
        return self.primal_of(self.margins.margins(point.scores + bias), point)

    def primal_of(self, z: Array, point: Point) -> float:
        """Return P at a point whose margins z (n, m) are known."""
        return float(self.weights @ self.margins.value(z)) + self.penalty(point)

    def stretched(self, point: Point, bias: Array, worth: float) -> tuple[float, float]:
        """Return (s, P) of a multiple sW and s·bias whose P is at most ``worth`` above that of the best multiple.

        On the way to a separating W of small reg most of P is the loss of a W that is too short. The slope rises
        with s, so it is bisected; P is at most slope · (width of the bracket) and slope²/(2 · curvature) too large,
        of many rows but for what a sample of them says of the slope.
        """
        change = self.margins.change(point.scores + bias)
        square, every = self.space.inner(point, point), slice(None, None, max(1, len(change) // STRETCH_ROWS))
        some, few = self._part(every), change[every]
        bend = max(self.curvature * square, 1e-300)
        low, high, slope = 0.0, 1.0, some._slope(few, square, 1.0)
        for _ in range(STRETCH_STEPS):
            if slope * slope <= 2 * bend * worth or 0 <= slope * (high - low) <= worth:
                break
            if slope < 0 and high < LONGEST_STRETCH:
                low, high = high, 4 * high
                slope = some._slope(few, square, high)
                continue
            middle = 0.5 * (low + high)
            own = some._slope(few, square, middle)
            low, high, slope = (middle, high, slope) if own < 0 else (low, middle, own)
        return high, self._along(change, square, high)

    def _part(self, every: slice) -> HingeProblem:
        """Return the problem of every so-many-th row, as far as slopes ask for it."""
        weights = self.weights[every]
        return replace(self, margins=self.margins.part(every), weights=weights / weights.sum())

    def _slope(self, change: Array, square: float, s: float) -> float:
        b = self.margins.subgradient(self.margins.started(s * change))
        return float(self.weights @ row_sums(b * change)) + self.curvature * s * square

    def _along(self, change: Array, square: float, s: float) -> float:
        values = self.margins.value(self.margins.started(s * change))
        return float(self.weights @ values) + self.curvature / 2 * s * s * square

    def dual(self, b: Array, point: Point) -> float:
        """Return a lower bound on min P from dual variables b and their ``point`` = W(b): that of `feasible`."""
        return self.mixture(b, point)[2]

    def feasible(self, b: Array) -> Array:
        """Return the dual variables of the bound that `dual` gives: mixed with a reference, and scaled."""
        share, scale, _ = self.mixture(b, self.from_dual(b))
        if share:
            assert self.repair is not None
            rows = self.repair(self.column_sums(b))[1]
            b = (1 - share) * b + share * self.margins.from_adjoint(rows)
        return scale * b

    def mixture(self, b: Array, point: Point) -> tuple[float, float, float]:
        """Return the share θ of the reference, the scale t and the bound of t((1 − θ) b + θ reference).

        tb, t in [0, 1], is a dual point too, and the best t has a closed form.
        """
        if not self.is_free:
            return 0.0, *scaled_bound(float(self.weights @ row_sums(b)), self.penalty(point))
        share, A, total = self.balanced(b)
        point = self.space.combined(A * self.weights[:, None] / -self.curvature)
        return share, *scaled_bound(total, self.penalty(point))

    def balanced(self, b: Array) -> tuple[float, Array, float]:
        """Return the share θ of the reference, A = Jᵀ of (1 − θ) b + θ reference (n, M), and its Σ w b."""
        share, A, total = 0.0, self.margins.adjoint(b), float(self.weights @ row_sums(b))
        if self.repair is not None:
            share, rows, conjugate = self.repair(self.weights @ A)
            A, total = (1 - share) * A + share * rows, (1 - share) * total + share * conjugate
        return share, A, total


@dataclass
class Bounds:
    """The best bounds so far, and what they belong to.

    Attributes:
        primal: P of ``coordinates`` and ``bias``.
        dual: The lower bound of ``b``.
        coordinates: (M, ·) of the best point.
        bias: (M,) its free bias, 0 where there is none.
        b: (n, m) the best dual variables.
    """

    primal: float
    dual: float
    coordinates: Array
    bias: Array
    b: Array

    @property
    def gap(self) -> float:
        """Relative gap."""
        return (self.primal - self.dual) / max(self.primal, 1e-300)

    def offer_primal(self, value: float, point: Point, bias: Array) -> None:
        """Keep a point if it is better."""
        if value < self.primal:
            self.primal, self.coordinates, self.bias = value, point.coordinates, bias

    def offer_dual(self, value: float, b: Array) -> None:
        """Keep dual variables if they are better."""
        if value > self.dual:
            self.dual, self.b = value, b

    @classmethod
    def at_zero(cls, problem: HingeProblem) -> Bounds:
        """Return the bounds at W = 0 and b = 0."""
        columns = problem.margins.n_columns
        zero = np.zeros((columns, problem.space.dimension))
        b = np.zeros((len(problem.weights), problem.margins.n_margins))
        z = problem.margins.margins(np.zeros((len(b), columns)))
        return cls(float(problem.weights @ problem.margins.value(z)), 0.0, zero, np.zeros(columns), b)
