"""Centring, scaling, flattening, bias: one affine map, fitted on the training rows, that folds into W.

The map takes a raw row x (D,) to x̂ = (x − shift) · scale and appends the constant 1 (the bias trick). A
classifier W (D + 1, C) on x̂ is the same function as (scale · W[:D], W[D] − (shift · scale) W[:D]) on x, so the
float copy of the data is never made.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from straightedge.later import later

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = later("torch")


@dataclass(frozen=True)
class AffineMap:
    """x̂ = (x − shift) · scale, then a constant 1 appended.

    Attributes:
        shift: (D,) float64.
        scale: (D,) float64; 0 switches a feature off (a constant one).
        kind: Name of the recipe it was fitted by, for people.
    """

    shift: Tensor
    scale: Tensor
    kind: str = "none"

    @cached_property
    def spread(self) -> float:
        """The largest scale of a feature that is used over the smallest; 1 where none is."""
        used = self.scale[self.scale != 0].abs()
        return float(used.max() / used.min()) if len(used) else 1.0

    @classmethod
    def identity(cls, n_features: int) -> AffineMap:
        """Return the map that only appends the constant."""
        return cls(torch.zeros(n_features, dtype=torch.float64), torch.ones(n_features, dtype=torch.float64))

    @property
    def n_features(self) -> int:
        """Number of raw features D, the constant not counted."""
        return int(self.shift.shape[0])

    @property
    def is_identity(self) -> bool:
        """Whether rows pass unchanged."""
        return not bool(self.shift.any()) and bool((self.scale == 1).all())

    def fold(self, W: Tensor) -> tuple[Tensor, Tensor]:
        """Return the classifier on raw rows that equals W on mapped rows.

        Args:
            W: (D + 1, C) on mapped rows, bias in the last row.

        Returns:
            weight (D, C) and bias (C,) with scores = x @ weight + bias, in W's dtype, computed in float64.
        """
        W64 = W.to(torch.float64)
        weight = self.scale.to(W.device)[:, None] * W64[:-1]
        bias = W64[-1] - self.shift.to(W.device) @ weight
        return weight.to(W.dtype), bias.to(W.dtype)

    def apply(self, X: Tensor) -> Tensor:
        """Map raw rows (N, ...) to (N, D + 1), floats in their own type: the readable path, for small data."""
        flat = X.reshape(X.shape[0], -1)
        flat = flat if flat.is_floating_point() else flat.to(torch.float64)
        mapped = (flat - self.shift.to(flat)) * self.scale.to(flat)
        return torch.cat([mapped, torch.ones_like(mapped[:, :1])], dim=1)
