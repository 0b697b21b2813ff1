"""Cross-entropy of the softmax: ℓ(s, y) = log Σ_j e^{s_j} − s_y."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from straightedge.later import later
from straightedge.losses.base import DualReference, Loss, label_index, largest_loss
from straightedge.newton.curvature import SecondOrder
from straightedge.newton.rules import SECOND_ORDER

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = later("torch")


class SoftmaxLoss(Loss):
    """Cross-entropy in nats; A = p − e_y with p the softmax of the row.

    Numerics:
        The row's maximum is subtracted first, so every exponent is ≤ 0 and the sum is in [1, C]: finite for
        every finite score, differences beyond the float type's range (cut off at `largest_loss`) included.

    References:
        The notes, "Softmax", cases ① and ②. Böhning, "Multinomial logistic regression algorithm", 1992, for
        the bound ½(I − 11ᵀ/C) on the curvature; its average along one score is near 1/C.
    """

    name: ClassVar[str] = "softmax"
    title: ClassVar[str] = "Softmax"
    phrase: ClassVar[str] = "cross-entropy in nats"
    formula: ClassVar[str] = "log Σ_j e^{s_j} − s_y"
    shift_invariant: ClassVar[bool] = True
    probabilistic: ClassVar[bool] = True
    tolerance: ClassVar[float] = 1e-4
    learning_rate: ClassVar[float] = 1.0
    sklearn_class: ClassVar[str] = "LogisticRegression"
    in_notes: ClassVar[bool] = True
    kernel: ClassVar[str | None] = "softmax"
    geometry: ClassVar[str | None] = "softmax"
    second_order: ClassVar[SecondOrder | None] = SECOND_ORDER["softmax"]

    def curvature(self, n_classes: int) -> float:
        """Return 1/C: p(1 − p) of a row that is undecided, less for every other."""
        return 1.0 / n_classes

    def value_and_gradient(self, S: Tensor, y: Tensor) -> Tensor:
        """See `Loss.value_and_gradient`."""
        index = label_index(S, y)
        maximum = S.amax(dim=2, keepdim=True)
        S.sub_(maximum)
        correct = S.gather(2, index).clamp_min_(-largest_loss(S.dtype))
        S.exp_()
        total = S.sum(dim=2, keepdim=True)
        S.div_(total)  # p
        S.scatter_add_(2, index, S.new_full((1, 1, 1), -1.0).expand_as(index))  # p − e_y
        return (total.log_() - correct).squeeze(2)

    def dual_reference(self, residual: Tensor, shares: Tensor) -> DualReference:
        """Mix P with constant rows q so that each class's column sum is its share.

        With c the column sums of P and n the shares: θ = max(0, max_j (1 − n_j/c_j)) and
        q = (n − (1 − θ) c)/θ ≥ 0, Σq = 1.
        """
        columns = residual + shares
        theta = (1 - shares / columns.clamp_min(1e-300)).amax(dim=1).clamp(0, 1)
        mixed = (shares - (1 - theta)[:, None] * columns) / theta.clamp_min(1e-300)[:, None]
        q = torch.where(theta[:, None] > 0, mixed.clamp_min(0), shares)
        q = q / q.sum(dim=1, keepdim=True)
        entropy = -torch.special.xlogy(q, q).sum(dim=1)
        identity = torch.eye(q.shape[1], dtype=q.dtype, device=q.device)
        return DualReference(theta, q[:, None, :] - identity, entropy)
