"""Starts on a path of reg: W is smooth in log reg where the loss is, so a few answers tell where the next one is.

References:
    Allgower and Georg, "Introduction to Numerical Continuation Methods", SIAM 2003 (predictor and corrector).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from straightedge.newton.problem import Point, SmoothProblem

ANSWERS = 3  # that a start is made of: with two, digits take a sixth more products; a fourth gains none


@dataclass
class FormerAnswer:
    """The answer at another reg.

    Attributes:
        log_reg: Its natural logarithm.
        W: Where it was found, in the coordinates that steps are taken in.
        mean_loss: The loss there.
    """

    log_reg: float
    W: np.ndarray
    mean_loss: float


def extrapolated(answers: Sequence[FormerAnswer], log_reg: float) -> np.ndarray:
    """Return the value (C, D) at log reg of the polynomial through some answers (Lagrange's form)."""
    places = [answer.log_reg for answer in answers]
    W = np.zeros_like(answers[0].W)
    for own, answer in zip(places, answers, strict=True):
        W += math.prod((log_reg - place) / (own - place) for place in places if place != own) * answer.W
    return W


def continued(answers: Sequence[FormerAnswer], problem: SmoothProblem, log_reg: float, start: Point) -> Point:
    """Return the start of a problem: extrapolated from answers where that is better than the last and ``start``.

    Args:
        answers: At different values of reg, the newest last; a problem that is like theirs but for reg.
        problem: The problem.
        log_reg: The natural logarithm of its reg.
        start: What there is without them.
    """
    last = answers[-1]
    value = last.mean_loss + float((problem.ridge * last.W * last.W).sum()) / 2
    for count in range(len(answers), 0, -1):
        point = problem.at(extrapolated(answers[-count:], log_reg))
        if point.value < start.value and (count == 1 or point.value < value):
            return point
    return start
