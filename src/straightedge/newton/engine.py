"""Newton's method for one configuration: a step from a point to a better one, by the direction that is cheaper."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from straightedge.newton.conjugate import (
    Preconditioner,
    block_preconditioner,
    cg_direction,
    diagonal_preconditioner,
    gram_preconditioner,
)
from straightedge.newton.exact import exact_direction
from straightedge.newton.linesearch import search
from straightedge.newton.problem import Point, SmoothProblem
from straightedge.newton.work import CHEAP, Size

PATIENCE_OF_PIECES = 0.2  # the same where curvature changes at kinks: there slow steps gain next to nothing
FORCING = 0.1  # CG leaves this share of the gradient: each step then gains two digits of the gap
FORCING_FAR = 0.2  # the same where the gap is over FAR of P
FAR = 1e-2
FAR_ENOUGH = 5e-2  # relative gap above which points are looked at in float32: the steps that follow mend it
LEAST_ROUGH = 2_000_000  # operations of an evaluation, of which float32 takes half of the time
ROUNDING = 1e-14  # of squares: that of a product in float32, with some room
LOST = 1e-4  # of P, that it may cost a bound
SHARE_OF_GOAL = 0.3  # of the gap asked for, that CG may leave
MOST_PRODUCTS = 300  # of conjugate gradients in one step; what they leave is the next step's
PATIENCE = 2  # an exact solution takes about ten Hessians: conjugate gradients that are slow lose little
STILL = 1e-14  # relative decrease of P below which a step has gained nothing
LONGEST_WAIT = 3  # steps that gain nothing before float64 has no more to give
BATCH = 8_000_000  # operations, less than a millisecond: less is not worth a turn of the loop
SHARP = 1e-20  # relative gap beyond which a cheap problem takes no more steps: W is right to ten digits
SHARP_OF_FREE = 1e-14  # the same of a free bias, whose gradient's rounding costs a bound more
SHARPEST = 6  # steps that a cheap problem may take beyond the gap asked for; each doubles the digits


@dataclass
class Engine:
    """The state of one configuration.

    Attributes:
        problem: What is minimised.
        size: Its size.
        tol: Relative gap asked for.
        point: Where it is: the best point so far.
        waited: Steps in a row that gained nothing.
        spent: Work on products since the preconditioner was made.
        all_spent: Work on products so far.
        double: Whether products are float64's, since float32's no longer lead to a smaller gradient.
        preconditioner: Of conjugate gradients; None before the first step.
        batch: Work that a step does at least, unless it reaches its end.
        used: Passes over the rows so far.
        most: Passes it may use; a batch ends there.
        whole: What takes a point in the span of the rows to the rows as they are; None where it is there.
        sharpens: Whether cheap steps go beyond the gap asked for.
    """

    problem: SmoothProblem
    size: Size
    tol: float
    point: Point
    waited: int = 0
    spent: float = 0.0
    all_spent: float = 0.0
    double: bool = False
    preconditioner: Preconditioner | None = None
    batch: float = BATCH
    used: float = 0.0
    most: float = math.inf
    whole: Callable[[Point], Point] | None = None
    sharpens: bool = True
    _seen: tuple[Point, Point] | None = field(default=None, repr=False)

    @property
    def proven(self) -> Point:
        """The present point on the rows as they are: value, gradient and bound rest on nothing else."""
        if self.whole is None:
            return self.point
        if self._seen is None or self._seen[0] is not self.point:
            self._seen = (self.point, self.whole(self.point))
        return self._seen[1]

    @property
    def exhausted(self) -> bool:
        """Whether float64 has no more to give."""
        return self.waited >= LONGEST_WAIT

    @property
    def is_exact(self) -> bool:
        """Whether the whole Hessian is cheaper than conjugate gradients, or they have cost PATIENCE Hessians."""
        patience = PATIENCE if self.size.curved else PATIENCE_OF_PIECES
        return self.size.has_exact and (
            self.size.exact <= self.size.conjugate or self.all_spent > patience * self.size.exact
        )

    def step(self) -> float:
        """Go on, by a step or by several where they are small; return the passes over the rows they took.

        Several make what the loop does between steps, a fifth of a millisecond, small beside the work. Cheap ones
        go beyond the gap asked for.
        """
        before, work = self.used, self._work
        self._step()
        while work < self.batch and not self._is_done and self._is_above(self.tol):
            self._step()
            work += self._work
        if self.sharpens and self.is_exact and self.size.exact <= CHEAP:
            self._sharpen()
        if self.point.is_carried:  # what is proven rests on W alone
            self.point = self.problem.at(self.point.W)
        if self.proven.gap > self.tol * self.proven.value >= self.point.gap:
            self.tol /= 10  # rounding of the rotation: the rows as they are ask for more
        return self.used - before

    @property
    def _is_done(self) -> bool:
        return self.exhausted or self.used >= self.most

    @property
    def _work(self) -> float:
        return self.size.exact if self.is_exact else self.size.conjugate

    def _is_above(self, tol: float) -> bool:
        return self.point.gap > tol * self.point.value

    @property
    def _is_rough(self) -> bool:
        """Whether products in float32 tell enough of the next point: far from the goal, by several steps."""
        far = self.point.gap > FAR_ENOUGH * self.point.value and not (self.double or self.is_exact)
        if not far or self.batch < math.inf or self.size.evaluation < LEAST_ROUGH:
            return False
        noise = ROUNDING * self.problem.table.mean_square_norm / (2 * float(self.problem.measure.min()))
        return noise <= LOST * self.point.value

    def _sharpen(self) -> None:
        """Go on beyond the gap asked for, as long as steps gain."""
        former, sharp = self.tol * self.point.value, SHARP if self.problem.ridge[-1] else SHARP_OF_FREE
        for _ in range(SHARPEST):
            if self._is_done or not self._is_above(sharp) or self.point.gap > former:
                break
            former = self.point.gap / 10
            self._step()

    def _step(self) -> None:
        direction, passes = self._direction()
        self._take(search(self.problem, self.point, direction, rough=self._is_rough))
        self.used += passes + 2.0  # the Hessian's reading, the search's product, and value and gradient

    def _direction(self) -> tuple[np.ndarray, float]:
        if self.is_exact:
            return exact_direction(self.problem, self.point), 0.0
        if self.preconditioner is None or self.spent > self.size.preconditioner:
            self.preconditioner, self.spent = self.preconditioner_at(self.point), 0.0
        most = MOST_PRODUCTS
        if self.preconditioner.W is not self.point.W:
            most = min(most, 1 + int((self.size.preconditioner - self.spent) / self.size.product))
        direction, n = cg_direction(
            self.problem, self.point, self.preconditioner, self._goal(), most, double=self.double
        )
        self.spent += n * self.size.product
        self.all_spent += n * self.size.product
        return direction, float(n)

    def preconditioner_at(self, point: Point) -> Preconditioner:
        """Return the preconditioner of conjugate gradients with the curvature of a point."""
        own = self.size.has_blocks and self.problem.loss.curved and point.W.any()
        make = gram_preconditioner if self.size.has_gram else diagonal_preconditioner
        return (block_preconditioner(self.problem, point) if own else None) or make(self.problem, point)

    def _goal(self) -> float:
        """Return the gap that conjugate gradients may leave."""
        value, gap = self.point.value, self.point.gap
        forcing = FORCING_FAR if gap > FAR * value else FORCING
        return min(max(SHARE_OF_GOAL * self.tol * value, forcing**2 * gap), gap / 4)

    def _take(self, new: Point) -> None:
        """Go to a new point where it is better: lower, or as low with a smaller gradient."""
        old = self.point
        fall, noise = old.value - new.value, STILL * abs(old.value)
        flatter = new.gap < old.gap
        gains = fall > noise or new.gap < 0.5 * old.gap
        self.waited = 0 if gains else self.waited + 1
        self.double |= new.gap > old.gap / 2 and new.gap < FAR * abs(new.value)
        if fall > noise or (fall >= -noise and flatter):
            self.point = new
