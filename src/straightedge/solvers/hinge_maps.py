"""What the second-order hinge solver needs beside a hinge's margins and projection: their derivatives.

A hinge is max over b in B of ⟨b, z(s)⟩ with margins z = z₀ + J s (see `losses.hinge`). The solver moves along
scores, which changes z by J ΔS, and needs the derivative of the projection on B, which is a projection itself:
on the coordinates strictly inside a box, and on a face of the simplex minus its mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from straightedge.losses.hinge import CrammerSingerLoss, HingeLoss, OneVsRestHingeLoss

ON_THE_FACE = 1e-5  # Σ b within this of 1 counts as 1


def margin_change(loss: HingeLoss, change: Tensor, y: Tensor) -> Tensor:
    """Overwrite a change of scores (n, K, C) with the change of margins J ΔS, and return it.

    Numerics:
        The constant of the margins never enters, so small changes keep all their digits.
    """
    index = y.view(-1, 1, 1).expand(-1, change.shape[1], 1)
    own = change.gather(2, index)
    if isinstance(loss, OneVsRestHingeLoss):
        return change.scatter_(2, index, -own)
    return change.sub_(own).scatter_(2, index, 0.0)


@dataclass
class Tangent:
    """The derivative T of the projection on B at a point that was projected to b.

    Attributes:
        mask: (n, K, C) in the float type of b: 1 where b can move.
        free: (n, K, 1) number of movable coordinates where they must sum to zero, else None.
    """

    mask: Tensor
    free: Tensor | None

    @classmethod
    def at(cls, loss: HingeLoss, b: Tensor) -> Tangent:
        """Return the tangent at projected points b (n, K, C)."""
        if not isinstance(loss, CrammerSingerLoss):
            return cls(((b > 0) & (b < 1)).to(b.dtype), None)
        mask = (b > 0).to(b.dtype)
        bound = b.sum(dim=2, keepdim=True) >= 1 - ON_THE_FACE
        count = torch.where(bound, mask.sum(dim=2, keepdim=True), 0.0)
        return cls(torch.where(bound & (count == 1), 0.0, mask), count.clamp_min_(0.0))

    def select(self, index: Tensor | slice) -> Tangent:
        """Return the tangent of some rows."""
        return Tangent(self.mask[index], None if self.free is None else self.free[index])

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
