"""The losses that state their curvature, by name; of two classes also as functions of the difference t = s₁ − s₀.

Those are of one column of weights d, W = (−d/2, d/2). With scores T (1, N) there is half of everything to compute.
reg ‖W‖² is reg ‖d‖²/2, and ‖∇P‖²/(4 reg) is the same number in W and in d.
"""

import numpy as np

from straightedge.newton.curvature import SecondOrder, SoftmaxSecondOrder, SquaredHingeSecondOrder
from straightedge.newton.one_vs_rest import DiagonalTerms, LogisticSecondOrder, SquaredHingesSecondOrder


class LogisticDifference(SecondOrder):
    """The softmax of two classes: log(1 + eᵗ) − y t, with derivative σ(t) − y and second one σ(t)(1 − σ(t))."""

    shift_invariant = False
    curved = True
    likely = True

    def at(self, S: np.ndarray, y: np.ndarray) -> DiagonalTerms:
        """See `SecondOrder.at`; S is T, and no exponent is above 0."""
        tail = np.exp(-np.abs(S))
        share = 1 / (1 + tail)
        value = np.maximum(S, 0) - y * S + np.log1p(tail)
        gradient = np.where(S < 0, tail * share, share) - y
        return DiagonalTerms(value[0], gradient, tail * share * share)


class SquaredHingeDifference(SecondOrder):
    """The squared hinge of two classes: max(0, 1 ∓ t)²."""

    shift_invariant = False
    curved = False

    def at(self, S: np.ndarray, y: np.ndarray) -> DiagonalTerms:
        """See `SecondOrder.at`; S is T."""
        sign = 2.0 * y - 1.0
        margin = np.maximum(1 - sign * S, 0)
        return DiagonalTerms((margin * margin)[0], -2 * sign * margin, 2.0 * (margin > 0))


SECOND_ORDER: dict[str, SecondOrder] = {
    "softmax": SoftmaxSecondOrder(),
    "squared_hinge": SquaredHingeSecondOrder(),
    "one_vs_rest_logistic": LogisticSecondOrder(),
    "one_vs_rest_squared_hinge": SquaredHingesSecondOrder(),
}

OF_TWO: dict[str, SecondOrder] = {"softmax": LogisticDifference(), "squared_hinge": SquaredHingeDifference()}
"""The same of two classes."""
