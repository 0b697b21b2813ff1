"""What a penalty is: a convex function R of one configuration's W, weighed by that configuration's reg.

Conventions, for every penalty of this package:

* W is (K, C, D + 1) with the bias last; ``reg`` comes as (K, 1, 1) in W's type and on its device. A method returns
  numbers for reg_k · R(W_k), one a configuration.
* R is convex, R ≥ 0 = R(0). So the dual of a problem needs one function of the penalty, its conjugate, and for t in
  [0, 1] the conjugate at tV is at most t times that at V.
* A free bias is no part of R: its gradient and Hessian there are 0, and dual points have a V that is 0 there.

References:
    Rockafellar, "Convex Analysis", 1970, section 31.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from straightedge.errors import InputError

BIASES = ("penalized", "free")
SEARCH_STEPS = 60  # halvings of the bracket around the best multiple of a dual point: 2⁻³⁵ of it is left


class Penalty(Protocol):
    """The contract of a penalty; a member that inherits from this class states only what differs.

    Attributes:
        name: The word for it in files and messages.
        smooth: Whether R has a gradient everywhere.
        quadratic: Whether R's Hessian is the same everywhere, and diagonal.
        rotation_invariant: Whether R(WQ) = R(W) for every orthogonal Q that acts on features.
        largest_weight: The largest curvature of R at W = 0, over 2.
        bias: "penalized" or "free": whether the bias is a part of R.
    """

    name: ClassVar[str]
    smooth: ClassVar[bool] = True
    quadratic: ClassVar[bool] = False
    rotation_invariant: ClassVar[bool] = False
    largest_weight: float = 1.0
    bias: str = "penalized"

    def check(self, n_features: int) -> None:
        """Raise `InputError` where the penalty is not one for so many features."""
        return

    def value(self, W: Tensor, reg: Tensor) -> Tensor:
        """Return (K,) reg · R(W)."""
        ...

    def gradient(self, W: Tensor, reg: Tensor) -> Tensor:
        """Return the gradient of reg · R at W, of W's shape."""
        ...

    def hessian_diagonal(self, W: Tensor, reg: Tensor) -> Tensor:
        """Return the diagonal of reg · R's Hessian at W: (K, C or 1, D + 1)."""
        ...

    def conjugate(self, V: Tensor, reg: Tensor) -> Tensor:
        """Return (K,) the largest ⟨−V, W⟩ − reg · R(W) over all W: what a dual point pays, ∞ included."""
        ...

    def minimiser(self, V: Tensor, reg: Tensor) -> Tensor:
        """Return the W at which ⟨V, W⟩ + reg · R(W) is least, of V's shape; 0 for a free bias."""
        raise NotImplementedError(f"{self.name} does not say which W belongs to a dual point")

    def best_bound(self, V: Tensor, conjugate: Tensor, reg: Tensor) -> Tensor:
        """Return (K,) the largest t · conjugate − (reg R)*(−tV) over t in [0, 1], by a ternary search.

        Every t gives a dual point, so any t the search ends at gives a lower bound.
        """
        low, high = torch.zeros_like(conjugate), torch.ones_like(conjugate)
        for _ in range(SEARCH_STEPS):
            left, right = low + (high - low) / 3, high - (high - low) / 3
            rises = self._bound(left, V, conjugate, reg) < self._bound(right, V, conjugate, reg)
            low, high = torch.where(rises, left, low), torch.where(rises, high, right)
        ends = [self._bound(t, V, conjugate, reg) for t in (low, high, torch.ones_like(low))]
        return torch.stack([*ends, torch.zeros_like(low)]).nan_to_num(nan=-torch.inf).amax(dim=0)

    def _bound(self, t: Tensor, V: Tensor, conjugate: Tensor, reg: Tensor) -> Tensor:
        return t * conjugate - self.conjugate(t[:, None, None] * V, reg)


@dataclass(frozen=True)
class PenaltyTerm:
    """reg_k · R(W_k) for K configurations: a penalty with its strengths. Scalars come in float64 on the CPU.

    Attributes:
        penalty: R.
        reg: (K,) float64 on the CPU, each ≥ 0.
    """

    penalty: Penalty
    reg: Tensor
    _held: dict[tuple[torch.device, torch.dtype], Tensor] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def quadratic(self) -> bool:
        """Whether the Hessian is the same everywhere, and diagonal."""
        return self.penalty.quadratic

    @property
    def plain(self) -> bool:
        """Whether it is reg times the sum of all squares of W, but for a bias that may be free."""
        return self.quadratic and self.penalty.rotation_invariant

    @property
    def uniform(self) -> bool:
        """Whether it is reg times the sum of all squares of W, the bias included."""
        return self.plain and not self.free_bias

    @property
    def free_bias(self) -> bool:
        """Whether the bias is not penalised."""
        return self.penalty.bias == "free"

    @property
    def curvature(self) -> Tensor:
        """(K,) the largest curvature at W = 0: 2 reg for a plain ridge."""
        return 2 * self.reg * self.penalty.largest_weight

    @property
    def bounds_below(self) -> Tensor:
        """(K,) bool: whether there is a penalty at all; without one no dual point is worth anything."""
        return self.reg > 0

    def times(self, factor: float) -> PenaltyTerm:
        """Return the same penalty, so many times as strong."""
        return self.at(factor * self.reg)

    def select(self, configs: Tensor) -> PenaltyTerm:
        """Return the term of some configurations (K',) int64."""
        return replace(self, reg=self.reg[configs])

    def at(self, reg: Tensor) -> PenaltyTerm:
        """Return the same penalty with other strengths (K',)."""
        return replace(self, reg=reg.to("cpu", torch.float64))

    def value(self, W: Tensor) -> Tensor:
        """Return (K,) float64 on the CPU: reg · R(W)."""
        W64 = W.to(torch.float64)
        return self.penalty.value(W64, self._along(W64)).cpu()

    def gradient(self, W: Tensor) -> Tensor:
        """Return the gradient at W (K, C, D + 1), in W's type."""
        return self.penalty.gradient(W, self._along(W))

    def hessian_diagonal(self, W: Tensor) -> Tensor:
        """Return the Hessian's diagonal at W: (K, C or 1, D + 1), in W's type."""
        return self.penalty.hessian_diagonal(W, self._along(W))

    def ridge(self, like: Tensor) -> Tensor:
        """Return the Hessian's diagonal at W = 0 for the one configuration, (D + 1,) like a row of features."""
        return self.hessian_diagonal(torch.zeros_like(like)[None, None])[0, 0]

    def times_hessian(self, direction: Tensor) -> Tensor:
        """Return the Hessian of a quadratic penalty applied to a direction, which is the gradient there."""
        assert self.quadratic, "the Hessian depends on W"
        return self.gradient(direction)

    def without_bias(self, V: Tensor) -> Tensor:
        """Return V with a free bias's part set to 0."""
        if not self.free_bias:
            return V
        return torch.cat([V[..., :-1], torch.zeros_like(V[..., -1:])], dim=-1)

    def minimiser(self, V: Tensor) -> Tensor:
        """Return the W (K, C, D + 1) that a dual point's V belongs to: where ⟨V, W⟩ + reg R(W) is least."""
        return self.penalty.minimiser(V, self._along(V))

    def conjugate(self, V: Tensor) -> Tensor:
        """Return (K,) float64 on the CPU: the most of ⟨−V, W⟩ − reg · R(W)."""
        V64 = V.to(torch.float64)
        return self.penalty.conjugate(V64, self._along(V64)).cpu()

    def distance(self, residual: Tensor) -> Tensor:
        """Return (K,) float64: what a residual V + ∇(reg R)(W) of a quadratic penalty costs a bound, ½ rᵀH⁻¹r.

        An unpenalised bias counts as if it were penalised, since the bound needs its residual to be 0.
        """
        inverse = 1 / self.hessian_diagonal(residual)
        if self.free_bias:
            inverse[..., -1] = 1 / self.curvature.to(inverse)[:, None]
        return (residual.square() * inverse).sum(dim=(1, 2), dtype=torch.float64).cpu() / 2

    def best_bound(self, V: Tensor, conjugate: Tensor) -> Tensor:
        """Return (K,) float64: the best lower bound that a dual point and its multiples tA, t in [0, 1], give.

        Args:
            V: (K, C, D + 1) float64, Σ w_i x̂_i a_iᵀ; 0 at a free bias.
            conjugate: (K,) float64, Σ w_i (−ℓ*(a_i)).
        """
        value = self.penalty.best_bound(V, conjugate.to(V.device), self._along(V)).cpu()
        return torch.where(self.bounds_below, value, -torch.inf)

    def natural_gap(self, gradient: Tensor) -> Tensor:
        """Return (K,) P − D of W's own dual point where it has a formula without cancellation, else ∞.

        By the Fenchel–Young inequality of a quadratic penalty it is ½ ∇PᵀH⁻¹∇P, that is ‖∇P‖²/(4 reg).
        """
        if not self.quadratic or self.free_bias:
            return torch.full_like(self.reg, torch.inf)
        return self.distance(gradient)

    def _along(self, W: Tensor) -> Tensor:
        """Return reg (K, 1, 1) where W is and in its type; a device is waited for once, not in every pass."""
        key = W.device, W.dtype
        if key not in self._held:
            self._held[key] = self.reg.to(W.device, W.dtype)[:, None, None]
        return self._held[key]


def checked_bias(bias: str) -> str:
    """Return the word for what is done with the bias; raise `InputError` ``bias-unknown`` for another word."""
    if bias not in BIASES:
        raise InputError("bias-unknown", f"bias is {bias!r}", mend='one of: "penalized", "free"')
    return bias
