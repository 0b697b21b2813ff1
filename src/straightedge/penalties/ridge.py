"""Ridges: R(W) = Σ m_d W_cd², with weights m of 1, or one a feature; a free bias has weight 0."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from straightedge.errors import InputError
from straightedge.penalties.base import Penalty, checked_bias


class Ridge(Penalty):
    """The sum of squares of W, as in the notes.

    Args:
        bias: "penalized" (the bias row is a part of ‖W‖²) or "free".
    """

    name: ClassVar[str] = "ridge"
    quadratic: ClassVar[bool] = True
    rotation_invariant: ClassVar[bool] = True

    def __init__(self, bias: str = "penalized") -> None:
        self.bias = checked_bias(bias)

    def weigh(self, W: Tensor) -> Tensor:
        """Return m · W: W itself, with a free bias set to 0."""
        if self.bias == "penalized":
            return W
        return torch.cat([W[..., :-1], torch.zeros_like(W[..., -1:])], dim=-1)

    def unweigh(self, V: Tensor) -> Tensor:
        """Return V/m, 0 at a free bias."""
        return self.weigh(V)

    def value(self, W: Tensor, reg: Tensor) -> Tensor:
        """See `Penalty.value`."""
        return reg[:, 0, 0] * (self.weigh(W) * W).sum(dim=(1, 2))

    def gradient(self, W: Tensor, reg: Tensor) -> Tensor:
        """See `Penalty.gradient`: 2 reg m W."""
        return 2 * reg * self.weigh(W)

    def hessian_diagonal(self, W: Tensor, reg: Tensor) -> Tensor:
        """See `Penalty.hessian_diagonal`: 2 reg m."""
        return 2 * reg * self.weigh(torch.ones_like(W[:, :1]))

    def conjugate(self, V: Tensor, reg: Tensor) -> Tensor:
        """See `Penalty.conjugate`: Σ V²/(4 reg m)."""
        return (self.unweigh(V) * V).sum(dim=(1, 2)) / (4 * reg[:, 0, 0])

    def minimiser(self, V: Tensor, reg: Tensor) -> Tensor:
        """See `Penalty.minimiser`: −V/(2 reg m)."""
        return self.unweigh(V) / (-2 * reg)

    def best_bound(self, V: Tensor, conjugate: Tensor, reg: Tensor) -> Tensor:
        """See `Penalty.best_bound`: t c − t² q is largest at t = c/(2q), or at 1."""
        quadratic = self.conjugate(V, reg)
        t = (conjugate / (2 * quadratic).clamp_min(1e-300)).clamp(0, 1)
        return t * conjugate - t.square() * quadratic


class WeightedRidge(Ridge):
    """A ridge with one weight a feature: Σ m_d W_cd². A larger weight holds that feature's column closer to 0.

    Args:
        weights: (D,) numbers above 0, for mapped features; their scale counts, since reg multiplies them.
        bias: "penalized" (with weight 1) or "free".

    Raises:
        InputError: ``penalty-weights-invalid`` for weights that are not numbers above 0.
    """

    name: ClassVar[str] = "weighted_ridge"
    rotation_invariant: ClassVar[bool] = False

    def __init__(self, weights: Sequence[float] | Tensor, bias: str = "penalized") -> None:
        super().__init__(bias)
        features = torch.as_tensor(weights, dtype=torch.float64).flatten().cpu()
        if not len(features) or not bool(((features > 0) & features.isfinite()).all()):
            what = "the weights of the penalty are not all numbers above 0"
            mend = "give one finite number above 0 for each feature"
            raise InputError("penalty-weights-invalid", what, mend=mend)
        self.weights = torch.cat([features, features.new_ones(1)])
        self.largest_weight = float(self.weights.max())

    def check(self, n_features: int) -> None:
        """See `Penalty.check`."""
        found = len(self.weights) - 1
        if found != n_features:
            what = f"the penalty has weights for {found} features and X has {n_features}"
            raise InputError("penalty-weights-invalid", what, mend="give one weight for each feature")

    def weigh(self, W: Tensor) -> Tensor:
        """Return m · W, with a free bias set to 0."""
        return super().weigh(W * self.weights.to(W))

    def unweigh(self, V: Tensor) -> Tensor:
        """Return V/m, 0 at a free bias."""
        return super().weigh(V / self.weights.to(V))
