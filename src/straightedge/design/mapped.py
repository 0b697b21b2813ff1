"""Rows behind an affine map that is folded into W: what designs of sparse rows and of category codes share."""

import torch
from torch import Tensor

from straightedge.design.base import Design
from straightedge.preprocess import AffineMap


class MappedDesign(Design):
    """A design on the CPU whose rows lie unmapped.

    Attributes:
        affine: The map from raw rows to the classifier's.
    """

    affine: AffineMap

    def fold(self, W: Tensor) -> tuple[Tensor, Tensor]:
        """See `Design.fold`."""
        if self.affine.is_identity:
            return W[:, :-1], W[:, -1]
        weight = W[:, :-1] * self.affine.scale
        return weight, W[:, -1] - weight @ self.affine.shift

    def unfold(self, raw: Tensor) -> Tensor:
        """See `Design.unfold`: the chain rule of the fold."""
        if self.affine.is_identity:
            return raw
        body = self.affine.scale * (raw[:, :-1] - self.affine.shift * raw[:, -1:])
        return torch.cat([body, raw[:, -1:]], dim=1)

    def mapped(self, raw: Tensor, out: Tensor) -> Tensor:
        """Write the mapped rows (n, D + 1) of raw ones (n, D) float64, which are overwritten, into ``out``."""
        torch.sub(raw, self.affine.shift, out=raw)
        out[:, :-1] = raw.mul_(self.affine.scale)
        out[:, -1] = 1.0
        return out

    def read(self, start: int, stop: int, out: Tensor) -> None:
        """See `Design.read`; for a few rows, which become dense."""
        whole = torch.empty(stop - start, self.width, dtype=torch.float64)
        out.copy_(self.gather(torch.arange(start, stop), whole)[:, :-1])
