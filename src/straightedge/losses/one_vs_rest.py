"""One-versus-rest losses that are smooth: C two-class problems, each class against all others.

With t_y = 1 and t_j = −1 elsewhere, ℓ(s, y) = Σ_j φ(t_j s_j): φ(m) = log(1 + e^{−m}) is LIBLINEAR's and
scikit-learn's one-versus-rest logistic regression, φ(m) = max(0, 1 − m)² their default SVM.

References:
    Fan, Chang, Hsieh, Wang and Lin, "LIBLINEAR: A Library for Large Linear Classification", JMLR 9, 2008.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from straightedge.later import later
from straightedge.losses.base import DualReference, Loss, label_index, largest_loss
from straightedge.losses.hinge import OneVsRestHingeLoss
from straightedge.losses.piecewise import OneAgainstRest, SquaredHinge
from straightedge.newton.curvature import SecondOrder
from straightedge.newton.rules import SECOND_ORDER

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = later("torch")

FAR = 40.0  # scores beyond which log(1 + e^s) is s: e^−40 is below float64's rounding of 40


class OneVsRestLogisticLoss(Loss):
    """Σ_j log(1 + exp(−t_j s_j)): C two-class logistic regressions; A = σ(s) − e_y with σ the logistic function.

    A score is the log-odds of its class against all others together; the C probabilities need not sum to 1.
    """

    name: ClassVar[str] = "one_vs_rest_logistic"
    title: ClassVar[str] = "One-versus-rest logistic regression"
    phrase: ClassVar[str] = "sum of the logistic losses of each class against the rest"
    formula: ClassVar[str] = "log(1 + e^{−s_y}) + Σ_{j≠y} log(1 + e^{s_j})"
    tolerance: ClassVar[float] = 1e-4
    learning_rate: ClassVar[float] = 1.0
    sklearn_class: ClassVar[str] = "LogisticRegression"
    second_order: ClassVar[SecondOrder | None] = SECOND_ORDER["one_vs_rest_logistic"]

    def curvature(self, n_classes: int) -> float:
        """Return 1/4: p(1 − p) of an undecided score, less for every other."""
        return 0.25

    def value_and_gradient(self, S: Tensor, y: Tensor) -> Tensor:
        """See `Loss.value_and_gradient`."""
        index = label_index(S, y)
        limit = largest_loss(S.dtype)
        S.clamp_(-limit, limit)
        losses = torch.nn.functional.softplus(S, threshold=FAR)
        correct = torch.nn.functional.softplus(-S.gather(2, index), threshold=FAR)
        value = losses.scatter_(2, index, correct).sum(dim=2)
        S.sigmoid_().scatter_add_(2, index, S.new_full((1, 1, 1), -1.0).expand_as(index))
        return value

    def dual_reference(self, residual: Tensor, shares: Tensor) -> DualReference:
        """Mix with constant probabilities q, such that each class's column sum is its share.

        With c the column sums of σ(s) and n the shares, q = (n − (1 − θ) c)/θ lies in [0, 1] for
        θ ≥ 1 − n_j/c_j and θ ≥ 1 − (1 − n_j)/(1 − c_j).
        """
        columns = (residual + shares).clamp(0, 1)
        above = 1 - shares / columns.clamp_min(1e-300)
        below = 1 - (1 - shares) / (1 - columns).clamp_min(1e-300)
        theta = torch.maximum(above, below).amax(dim=1).clamp(0, 1)
        mixed = (shares - (1 - theta)[:, None] * (residual + shares)) / theta.clamp_min(1e-300)[:, None]
        q = torch.where(theta[:, None] > 0, mixed.clamp(0, 1), shares)
        entropy = -(torch.special.xlogy(q, q) + torch.special.xlog1py(1 - q, -q)).sum(dim=1)
        identity = torch.eye(q.shape[1], dtype=q.dtype, device=q.device)
        return DualReference(theta, q[:, None, :] - identity, entropy)


class OneVsRestSquaredHingeLoss(OneAgainstRest, SquaredHinge):
    """Σ_j max(0, 1 − t_j s_j)²: C two-class SVMs with the squared hinge, LinearSVC's default."""

    name: ClassVar[str] = "one_vs_rest_squared_hinge"
    title: ClassVar[str] = "One-versus-rest SVM, squared hinge"
    phrase: ClassVar[str] = "sum of the squared hinges of each class against the rest"
    formula: ClassVar[str] = "max(0, 1 − s_y)² + Σ_{j≠y} max(0, 1 + s_j)²"
    geometry: ClassVar[str | None] = "one_vs_rest_squared_hinge"
    second_order: ClassVar[SecondOrder | None] = SECOND_ORDER["one_vs_rest_squared_hinge"]

    def dual_reference(self, residual: Tensor, shares: Tensor) -> DualReference:
        """Take the hinge's b; here −ℓ*(a(b)) = Σ (b − b²/4)."""
        reference = OneVsRestHingeLoss().dual_reference(residual, shares)
        b = reference.rows.abs()
        conjugate = (shares[:, :, None] * (b - b.square() / 4)).sum(dim=(1, 2))
        return DualReference(reference.theta, reference.rows, conjugate)
