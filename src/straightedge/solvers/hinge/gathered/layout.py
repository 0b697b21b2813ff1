"""How the W and the dual variables of a loss are laid out in problems of one kind of margins each.

All classes of a hinge of differences are one problem, two classes one column of W, and one-versus-rest is a problem
for each class.
"""

from dataclasses import dataclass

import numpy as np
import torch

from straightedge.losses import Loss, PiecewiseLinearLoss
from straightedge.losses.hinge import HingeLoss
from straightedge.newton.free_bias import Reference
from straightedge.objective import Objective
from straightedge.solvers.hinge.gathered.margins import (
    Array,
    Indices,
    Margins,
    PairMargins,
    SharedMargins,
    SignedMargins,
)
from straightedge.solvers.hinge.gathered.problem import HingeProblem, Repair
from straightedge.solvers.hinge.gathered.spaces import Space


@dataclass(frozen=True)
class Gathered:
    """The rows that count in one configuration.

    Attributes:
        index: (n,) of all rows, those of positive weight.
        X: (n, d) float64 mapped rows; a penalised bias is their last column.
        y: (n,) labels.
        weights: (n,) their weights; they sum to 1.
        space: Of X.
        scale: See `as_plain_ridge`.
    """

    index: Indices
    X: Array
    y: Indices
    weights: Array
    space: Space
    scale: Array | None = None


def as_plain_ridge(objective: Objective) -> tuple[float, Array | None]:
    """Return 2 reg of one configuration, and by what (D + 1,) to divide rows for a plain ridge; None by nothing.

    A weighted ridge of W is the plain one of W times it; the constant stays 1.
    """
    if objective.penalty.uniform:
        return float(objective.penalty.curvature[0]), None
    ridge = objective.penalty.ridge(torch.zeros(objective.design.width, dtype=torch.float64)).numpy()
    curvature = float(ridge[-1]) or float(objective.penalty.curvature[0])  # a free bias has none
    scale: Array = np.where(ridge > 0, np.sqrt(ridge / curvature), 1.0)
    return curvature, None if (scale == 1.0).all() else scale


class Layout:
    """How the W and b of a loss are laid out in problems: all classes in one.

    Args:
        loss: The hinge.
        n_classes: C.
        curvature: 2 reg, the penalty's Hessian, > 0.
        free: Whether the bias is not penalised.

    Attributes:
        copies: How many times the bounds of the problems count.
    """

    copies = 1

    def __init__(self, loss: PiecewiseLinearLoss, n_classes: int, curvature: float, *, free: bool = False) -> None:
        self.loss, self.n_classes, self.curvature, self.free = loss, n_classes, curvature, free

    def problems(self, rows: Gathered) -> list[HingeProblem]:
        """Return the problems of the configuration."""
        kind = SharedMargins if self.loss.sum_bounded else PairMargins
        repair = repair_by(self.loss, rows.y, rows.weights, self.n_classes) if self.free else None
        return [_problem(kind(rows.y, self.n_classes), rows, self.curvature, repair)]

    def parts(self, b: Array, y: Indices) -> list[Array]:
        """Return the dual variables of each problem from those of all classes (n, C)."""
        return [b]

    def joined(self, parts: list[Array], y: Indices) -> Array:
        """Return the dual variables of all classes (n, C) from those of each problem."""
        return parts[0]

    def weight(self, columns: Array) -> Array:
        """Return W (C, D + 1) from the columns of all problems."""
        return columns


class TwoClassLayout(Layout):
    """Two classes of a hinge of differences: one column w, W = (−w/2, w/2), half the reg."""

    def problems(self, rows: Gathered) -> list[HingeProblem]:
        """See `Layout.problems`."""
        return [_signed_problem(rows, rows.y == 1, self.curvature / 2, self.free)]

    def parts(self, b: Array, y: Indices) -> list[Array]:
        """See `Layout.parts`."""
        return [b[np.arange(len(y)), 1 - y][:, None]]

    def joined(self, parts: list[Array], y: Indices) -> Array:
        """See `Layout.joined`."""
        b = np.zeros((len(y), 2))
        b[np.arange(len(y)), 1 - y] = parts[0][:, 0]
        return b

    def weight(self, columns: Array) -> Array:
        """See `Layout.weight`."""
        return np.concatenate([-columns / 2, columns / 2])


class OneVsRestLayout(Layout):
    """A problem for each class."""

    def problems(self, rows: Gathered) -> list[HingeProblem]:
        """See `Layout.problems`."""
        return [_signed_problem(rows, rows.y == j, self.curvature, self.free) for j in range(self.n_classes)]

    def parts(self, b: Array, y: Indices) -> list[Array]:
        """See `Layout.parts`."""
        return [b[:, j : j + 1].copy() for j in range(self.n_classes)]

    def joined(self, parts: list[Array], y: Indices) -> Array:
        """See `Layout.joined`."""
        return np.hstack(parts)


class MirroredLayout(Layout):
    """One-versus-rest of two classes: one problem, whose mirror image is the other."""

    copies = 2

    def problems(self, rows: Gathered) -> list[HingeProblem]:
        """See `Layout.problems`."""
        return [_signed_problem(rows, rows.y == 1, self.curvature, self.free)]

    def parts(self, b: Array, y: Indices) -> list[Array]:
        """See `Layout.parts`."""
        return [b[:, 1:].copy()]

    def joined(self, parts: list[Array], y: Indices) -> Array:
        """See `Layout.joined`."""
        return np.hstack([parts[0], parts[0]])

    def weight(self, columns: Array) -> Array:
        """See `Layout.weight`."""
        return np.concatenate([-columns, columns])


def layout_for(loss: PiecewiseLinearLoss, n_classes: int, curvature: float, *, free: bool = False) -> Layout:
    """Return the layout for a loss and a number of classes; see `Layout`."""
    kind = TwoClassLayout if n_classes == 2 else Layout
    if loss.own_margin:
        kind = MirroredLayout if n_classes == 2 else OneVsRestLayout
    return kind(loss, n_classes, curvature, free=free)


def _problem(margins: Margins, rows: Gathered, curvature: float, repair: Repair | None) -> HingeProblem:
    return HingeProblem(margins, rows.space, rows.weights, curvature, repair)


def _signed_problem(rows: Gathered, own: np.ndarray, curvature: float, free: bool) -> HingeProblem:
    """Return the problem of the rows of one class, ``own``, against the others."""
    repair = None
    if free:
        two = repair_by(HingeLoss(), own.astype(np.int64), rows.weights, 2)

        def repair(sums: Array) -> tuple[float, Array, float]:
            share, flow, conjugate = two(np.concatenate([-sums, sums]))
            return share, flow[:, 1:], conjugate

    return _problem(SignedMargins(np.where(own, 1.0, -1.0)), rows, curvature, repair)


def repair_by(loss: Loss, y: Indices, weights: Array, n_classes: int) -> Repair:
    """Return the `Repair` that a loss's `dual_reference` is."""
    reference = reference_by(loss, np.bincount(y, weights, minlength=n_classes))

    def repair(sums: Array) -> tuple[float, Array, float]:
        theta, rows, conjugate = reference(sums)
        return theta, rows[y], conjugate

    return repair


def reference_by(loss: Loss, shares: np.ndarray) -> Reference:
    """Return a loss's `dual_reference` where classes have these shares (C,) of the weight, on plain arrays."""
    own = torch.from_numpy(shares)[None]

    def reference(sums: Array) -> tuple[float, Array, float]:
        found = loss.dual_reference(torch.from_numpy(sums)[None], own)
        return float(found.theta[0]), found.rows[0].numpy(), float(found.conjugate[0])

    return reference
