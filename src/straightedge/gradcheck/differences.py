"""Central differences of one entry, and the verdict on it: right, on a kink, or wrong."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from straightedge.gradcheck.reference import Floats, Labels, margins
from straightedge.gradcheck.report import Verdict

ValueFunction = Callable[[Floats], float]
SHORTER_STEPS = (0.1, 0.01)
LONGER_STEP = 100.0
# Step of the scores and tolerance for a function that computes in float32: its values have 7 digits, of which a
# step of 1e-2 leaves the quotient 4 or 5, and the cut-off of the series takes as much.
SINGLE_STEP = 1e-2
SINGLE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Quotient:
    """The three values around W along one entry, and what follows from them.

    Attributes:
        below: f(W − hM), M the matrix with a single 1 of item ②.
        here: f(W).
        above: f(W + hM).
        width: 2h as the floating-point numbers have it.
        epsilon: Rounding of f, relative.
    """

    below: float
    here: float
    above: float
    width: float
    epsilon: float

    @property
    def central(self) -> float:
        """(f(W + hM) − f(W − hM)) / 2h."""
        return (self.above - self.below) / self.width

    @property
    def bracket(self) -> tuple[float, float]:
        """The slopes on both sides, the lower one first: a convex loss has its derivative between them."""
        sides = (self.here - self.below) / (self.width / 2), (self.above - self.here) / (self.width / 2)
        return min(sides), max(sides)

    @property
    def bend(self) -> float:
        """Distance of the two slopes: it shrinks with h where the loss is smooth, and stays at a kink."""
        low, high = self.bracket
        return high - low

    @property
    def rounding(self) -> float:
        """Error that the rounding of the loss alone can put into `central`."""
        size = max(abs(self.below), abs(self.here), abs(self.above))
        return float(16 * self.epsilon * size / self.width)


def relative_error(analytic: float, numeric: float) -> float:
    """|a − n| / max(|a|, |n|), and 0 where both are 0."""
    largest = max(abs(analytic), abs(numeric))
    return abs(analytic - numeric) / largest if largest else 0.0


@dataclass(frozen=True)
class EntryCheck:
    """Checks one entry of dW against central differences of f.

    Attributes:
        value: f, a function of W.
        W: (D, C) where the gradient was taken.
        here: f(W).
        entry: (row, column).
        step: h.
        tolerance: Largest relative error of a right entry.
        scores: For a hinge: X (N, D) and y (N,), so that margins that change sign can be seen.
        is_smooth: Whether f is known to have no kinks.
        epsilon: Rounding of f, relative: 2.2e-16, or 1.2e-7 for a function that computes in float32.
        slack: Absolute rounding of the entries of dW.
    """

    value: ValueFunction
    W: Floats
    here: float
    entry: tuple[int, int]
    step: float
    tolerance: float
    scores: tuple[Floats, Labels] | None = None
    is_smooth: bool = False
    epsilon: float = float(np.finfo(np.float64).eps)
    slack: float = 0.0

    @property
    def is_single(self) -> bool:
        """Whether f has too few digits for short steps."""
        return self.epsilon > float(np.finfo(np.float64).eps)

    def verdict(self, analytic: float) -> tuple[float, float, Verdict]:
        """Return the numeric derivative that the verdict rests on, the relative error, and the verdict."""
        quotient = self._quotient(1.0)
        numeric = quotient.central
        error = relative_error(analytic, numeric)
        if error <= self.tolerance:
            return numeric, error, "ok"
        refined = numeric if self.is_single else self._refined()
        if relative_error(analytic, refined) <= self.tolerance:
            return refined, relative_error(analytic, refined), "ok"
        # no digits are left for so small an entry
        if abs(analytic - numeric) <= quotient.rounding + self.slack:
            return numeric, 0.0, "ok"
        return numeric, error, "kink" if self._is_kink(analytic, quotient) else "mistake"

    def _quotient(self, factor: float) -> Quotient:
        ends = []
        for sign in (-1, 1):
            moved = self.W.copy()
            moved[self.entry] += sign * factor * self.step
            ends.append((moved[self.entry], self.value(moved)))
        (left, below), (right, above) = ends
        return Quotient(below, self.here, above, float(right - left), self.epsilon)

    def _refined(self) -> float:
        """A small entry drowns in rounding: a longer step lifts it out, and Richardson pays its h² back."""
        return (4 * self._quotient(LONGER_STEP).central - self._quotient(2 * LONGER_STEP).central) / 3

    def _is_kink(self, analytic: float, quotient: Quotient) -> bool:
        """A right entry at a kink still lies between the slopes of both sides; a wrong one seldom does."""
        if self.is_smooth:
            return False
        low, high = quotient.bracket
        slack = self.tolerance * max(abs(low), abs(high)) + 4 * quotient.rounding
        if not low - slack <= analytic <= high + slack:
            return False
        return self._bends(analytic, quotient) if self.scores is None else self._margins_change_sign(*self.scores)

    def _margins_change_sign(self, X: Floats, y: Labels) -> bool:
        row, column = self.entry
        below, above = X @ self.W, X @ self.W
        below[:, column] -= self.step * X[:, row]
        above[:, column] += self.step * X[:, row]
        return not np.array_equal(margins(below, y) > 0, margins(above, y) > 0)

    def _bends(self, analytic: float, quotient: Quotient) -> bool:
        """For a loss without a name: at a kink the bend stays when h shrinks, or h comes free of it."""
        if self.is_single:  # a shorter step would show rounding alone
            return True
        for factor in SHORTER_STEPS:
            shorter = self._quotient(factor)
            if relative_error(analytic, shorter.central) <= self.tolerance:
                return True
            if shorter.bend > 0.5 * quotient.bend > 8 * shorter.rounding:
                return True
        return False
