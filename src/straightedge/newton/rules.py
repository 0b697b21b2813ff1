"""The losses that state their curvature, by name."""

from __future__ import annotations

from straightedge.newton.curvature import SecondOrder, SoftmaxSecondOrder, SquaredHingeSecondOrder
from straightedge.newton.one_vs_rest import LogisticSecondOrder, SquaredHingesSecondOrder

SECOND_ORDER: dict[str, SecondOrder] = {
    "softmax": SoftmaxSecondOrder(),
    "squared_hinge": SquaredHingeSecondOrder(),
    "one_vs_rest_logistic": LogisticSecondOrder(),
    "one_vs_rest_squared_hinge": SquaredHingesSecondOrder(),
}
