"""The losses that state their curvature, by name."""

from __future__ import annotations

from straightedge.newton.curvature import SecondOrder, SoftmaxSecondOrder, SquaredHingeSecondOrder
from straightedge.newton.one_vs_rest import LogisticSecondOrder, SquaredHingesSecondOrder
from straightedge.newton.two_classes import LogisticDifference, SquaredHingeDifference

SECOND_ORDER: dict[str, SecondOrder] = {
    "softmax": SoftmaxSecondOrder(),
    "squared_hinge": SquaredHingeSecondOrder(),
    "one_vs_rest_logistic": LogisticSecondOrder(),
    "one_vs_rest_squared_hinge": SquaredHingesSecondOrder(),
}

OF_TWO: dict[str, SecondOrder] = {
    "softmax": LogisticDifference(),
    "squared_hinge": SquaredHingeDifference(),
}
"""The same of two classes, as functions of the difference of their scores."""
