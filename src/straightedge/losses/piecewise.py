"""Losses with kinks: ℓ(s, y) = max over b in B of ⟨b, z(s)⟩, with margins z affine in the scores, z = z₀ + J s.

For b in B the score gradient is a(b) = Jᵀb and −ℓ*(a(b)) = ⟨b, z₀⟩. So all that a dual or second-order method has
to know of such a loss are its margins, the projection on B and the projection's derivative.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from straightedge.later import later
from straightedge.losses.base import Loss, label_index, largest_loss

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = later("torch")


@dataclass
class ProjectionJacobian:
    """The derivative T of the projection on B, at a point that was projected to b: itself a projection.

    Attributes:
        mask: (n, K, C) in the float type of b: 1 where b can move.
        free: (n, K, 1) number of movable coordinates where they must sum to zero, else None.
    """

    mask: Tensor
    free: Tensor | None = None

    def select(self, index: Tensor | slice) -> ProjectionJacobian:
        """Return the derivative of some rows."""
        return ProjectionJacobian(self.mask[index], None if self.free is None else self.free[index])

    def apply(self, z: Tensor) -> Tensor:
        """Overwrite z (n, K, C) with T z and return it."""
        z *= self.mask
        if self.free is not None:
            mean = torch.where(self.free > 0, z.sum(dim=2, keepdim=True) / self.free.clamp_min(1.0), 0.0)
            z -= mean * self.mask
        return z

    def moving_rows(self) -> Tensor:
        """Return (m,) indices of the rows where anything can move."""
        return self.mask.flatten(1).any(dim=1).nonzero().flatten()


class AgainstTrueClass:
    """Margins of every other class against the right one: z_j = 1 + s_j − s_y, z_y = 0."""

    own_margin: ClassVar[bool] = False
    shift_invariant: ClassVar[bool] = True

    def margins(self, S: Tensor, y: Tensor) -> Tensor:
        """Overwrite S (n, K, C) with the margins z, 0 in the column of the right class."""
        index = label_index(S, y)
        limit = largest_loss(S.dtype)
        S.sub_(S.gather(2, index)).add_(1.0).clamp_(-limit, limit)
        return S.scatter_(2, index, 0.0)

    def margin_change(self, change: Tensor, y: Tensor) -> Tensor:
        """Overwrite a change of scores (n, K, C) with the change of margins J ΔS, and return it.

        Numerics:
            The constant of the margins never enters, so small changes keep all their digits.
        """
        index = label_index(change, y)
        return change.sub_(change.gather(2, index)).scatter_(2, index, 0.0)

    def to_scores(self, b: Tensor, y: Tensor) -> Tensor:
        """Overwrite b (n, K, C) with the score gradient a = Jᵀb: a_j = b_j, a_y = −Σ b (the notes' mask)."""
        return b.scatter_(2, label_index(b, y), -b.sum(dim=2, keepdim=True))

    def differences(self, column: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return which score each margin rises with, and which it falls with: −1 for none."""
        return column, y


class OneAgainstRest:
    """A margin of every class on its own: z_j = 1 + s_j for j ≠ y, z_y = 1 − s_y."""

    own_margin: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = False

    def margins(self, S: Tensor, y: Tensor) -> Tensor:
        """Overwrite S with 1 + s_j, and 1 − s_y in the column of the right class."""
        index = label_index(S, y)
        correct = 1.0 - S.gather(2, index)
        limit = largest_loss(S.dtype)
        return S.add_(1.0).scatter_(2, index, correct).clamp_(-limit, limit)

    def margin_change(self, change: Tensor, y: Tensor) -> Tensor:
        """Overwrite a change of scores (n, K, C) with the change of margins J ΔS, and return it."""
        index = label_index(change, y)
        return change.scatter_(2, index, -change.gather(2, index))

    def to_scores(self, b: Tensor, y: Tensor) -> Tensor:
        """Overwrite b with a: a_j = b_j, a_y = −b_y."""
        index = label_index(b, y)
        return b.scatter_(2, index, -b.gather(2, index))

    def differences(self, column: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return which score each margin rises with, and which it falls with: −1 for none."""
        own = column == y
        return torch.where(own, -1, column), torch.where(own, y, -1)


class PiecewiseLinearLoss(Loss):
    """The contract of a loss with kinks; as it stands B is [0, 1]^C, without the right class if it has no margin.

    Numerics:
        At a kink (a margin of exactly 0) the subgradient 0 is taken, as in the notes (``margin > 0``). Margins
        are cut off at `largest_loss`, so that finite scores have a finite loss.

    Attributes:
        own_margin: Whether the right class has a margin; without one its column of z and b is 0.
        sum_bounded: Whether B is {b ≥ 0, Σ b ≤ 1} instead of [0, 1]^C.
    """

    smooth: ClassVar[bool] = False
    piecewise_linear: ClassVar[bool] = True
    own_margin: ClassVar[bool] = False
    sum_bounded: ClassVar[bool] = False

    def curvature(self, n_classes: int) -> float:
        """Return 1: the curvature of the hinge smoothed at μ = 1; solvers divide by their own μ."""
        return 1.0

    def margins(self, S: Tensor, y: Tensor) -> Tensor:
        """Overwrite S (n, K, C) with the margins z."""
        raise NotImplementedError

    def margin_change(self, change: Tensor, y: Tensor) -> Tensor:
        """Overwrite a change of scores (n, K, C) with the change of margins J ΔS, and return it."""
        raise NotImplementedError

    def to_scores(self, b: Tensor, y: Tensor) -> Tensor:
        """Overwrite b (n, K, C) with the score gradient a = Jᵀb."""
        raise NotImplementedError

    def differences(self, column: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return for margins (their columns and labels) the class whose score each rises with, and falls with.

        −1 stands for none; J has entries of 1 and −1 alone.
        """
        raise NotImplementedError

    def project(self, b: Tensor, y: Tensor) -> Tensor:
        """Overwrite b (n, K, C) with its projection on B; a right class without a margin becomes 0."""
        b.clamp_(0.0, 1.0)
        return b if self.own_margin else b.scatter_(2, label_index(b, y), 0.0)

    def projection_jacobian(self, b: Tensor) -> ProjectionJacobian:
        """Return the derivative of the projection at points that were projected to b (n, K, C)."""
        return ProjectionJacobian(((b > 0) & (b < 1)).to(b.dtype))

    def support(self, z: Tensor) -> Tensor:
        """Return max over b in B of ⟨b, z⟩ (n, K) for margins z."""
        return z.clamp_min(0.0).sum(dim=2)

    def subgradient(self, z: Tensor) -> Tensor:
        """Overwrite margins z with the b in B that attains the maximum."""
        return z.gt_(0.0)

    def neg_conjugate(self, b: Tensor, y: Tensor) -> Tensor:
        """Return −ℓ*(Jᵀb) = ⟨b, z₀⟩ (n, K) float64, z₀ the margins of scores of 0."""
        return (b * self.margins(torch.zeros_like(b), y)).sum(dim=2, dtype=torch.float64)

    def value_and_gradient(self, S: Tensor, y: Tensor) -> Tensor:
        """See `Loss.value_and_gradient`."""
        z = self.margins(S, y)
        value = self.support(z)
        self.to_scores(self.subgradient(z), y)
        return value


class SquaredHinge(Loss):
    """The sum of squares of the margins above 0; the class before it in the bases says which."""

    def curvature(self, n_classes: int) -> float:
        """Return 2: the second derivative of z² where the margin is positive."""
        return 2.0

    def margins(self, S: Tensor, y: Tensor) -> Tensor:
        """Overwrite S (n, K, C) with the margins z."""
        raise NotImplementedError

    def to_scores(self, b: Tensor, y: Tensor) -> Tensor:
        """Overwrite b (n, K, C) with the score gradient a = Jᵀb."""
        raise NotImplementedError

    def value_and_gradient(self, S: Tensor, y: Tensor) -> Tensor:
        """See `Loss.value_and_gradient`."""
        z = self.margins(S, y).clamp_(0.0, math.sqrt(largest_loss(S.dtype)))  # its square stays finite
        value = z.square().sum(dim=2)
        self.to_scores(z.mul_(2.0), y)
        return value
