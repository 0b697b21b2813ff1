"""The hinges: ℓ(s, y) = max over b in B of ⟨b, z(s)⟩, with margins z affine in the scores.

| kind | margins z | B | ℓ |
|---|---|---|---|
| `svm` (Weston–Watkins, the notes) | z_j = 1 + s_j − s_y, z_y = 0 | [0, 1]^C | Σ_{j≠y} max(0, z_j) |
| `crammer_singer` | the same | b ≥ 0, Σ b ≤ 1 | max(0, max_{j≠y} z_j) |
| `one_vs_rest` | z_j = 1 + s_j for j ≠ y, z_y = 1 − s_y | [0, 1]^C | Σ_j max(0, z_j) |

For b in B the score gradient a(b) is Jᵀb, with J the Jacobian of z, and −ℓ*(a(b)) = Σ b (the constant part
of the margins): the whole of what a dual method needs to know; see `piecewise`. The squared hinges are sums of
max(0, z_j)²: smooth, and solved like softmax.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from straightedge.later import later
from straightedge.losses.base import DualReference, label_index
from straightedge.losses.piecewise import (
    AgainstTrueClass,
    OneAgainstRest,
    PiecewiseLinearLoss,
    ProjectionJacobian,
    SquaredHinge,
)
from straightedge.newton.curvature import SecondOrder
from straightedge.newton.rules import SECOND_ORDER

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = later("torch")

ON_THE_FACE = 1e-5  # Σ b within this of 1 counts as 1: some roundings of float32


class HingeLoss(AgainstTrueClass, PiecewiseLinearLoss):
    """The multiclass SVM loss of the notes (Weston and Watkins, 1999): Σ_{j≠y} max(0, s_j − s_y + 1)."""

    name: ClassVar[str] = "svm"
    title: ClassVar[str] = "Multiclass SVM"
    phrase: ClassVar[str] = "multiclass hinge of Weston and Watkins"
    formula: ClassVar[str] = "Σ_{j≠y} max(0, s_j − s_y + 1)"
    in_notes: ClassVar[bool] = True
    kernel: ClassVar[str | None] = "svm"
    geometry: ClassVar[str | None] = "weston_watkins"

    def neg_conjugate(self, b: Tensor, y: Tensor) -> Tensor:
        """Return −ℓ*(Jᵀb) = Σ b (n, K) float64: margins of scores of 0 are 1."""
        return b.sum(dim=2, dtype=torch.float64)

    def dual_reference(self, residual: Tensor, shares: Tensor) -> DualReference:
        """Mix with a flow between classes whose net inflow cancels the residual.

        F_yj = min(n_y, n_j)/2 + (ρ_j − ρ_y)/(2C), ρ = −r (1 − θ)/θ, where θ/(1 − θ) is the largest
        |r_y − r_j| / (C min(n_y, n_j)): then 0 ≤ F_yj ≤ n_y, and class j receives ρ_j.
        """
        n_classes = shares.shape[1]
        smaller = torch.minimum(shares[:, :, None], shares[:, None, :])
        difference = residual[:, None, :] - residual[:, :, None]  # r_j − r_y at [y, j]
        ratio = torch.where(difference == 0, 0.0, difference.abs() / (n_classes * smaller))
        odds = ratio.flatten(1).amax(dim=1)
        theta = torch.where(odds.isfinite(), odds / (1 + odds), 1.0)
        rho = -difference / odds.clamp_min(1e-300)[:, None, None]  # ρ_j − ρ_y
        flow = smaller / 2 + torch.where(odds[:, None, None] > 0, rho, 0.0) / (2 * n_classes)
        identity = torch.eye(n_classes, dtype=shares.dtype, device=shares.device)
        flow = flow * (1 - identity)
        rows = flow / shares.clamp_min(1e-300)[:, :, None]
        rows = rows - identity * rows.sum(dim=2, keepdim=True)
        return DualReference(theta, rows, flow.sum(dim=(1, 2)))


class CrammerSingerLoss(HingeLoss):
    """max(0, max_{j≠y} (1 + s_j − s_y)): Crammer and Singer (2001), LinearSVC's `crammer_singer`."""

    name: ClassVar[str] = "crammer_singer"
    title: ClassVar[str] = "Crammer–Singer SVM"
    phrase: ClassVar[str] = "Crammer–Singer hinge"
    formula: ClassVar[str] = "max(0, max_{j≠y} (1 + s_j − s_y))"
    in_notes: ClassVar[bool] = False
    sum_bounded: ClassVar[bool] = True
    geometry: ClassVar[str | None] = "crammer_singer"

    def project(self, b: Tensor, y: Tensor) -> Tensor:
        """Overwrite b with its projection on {b ≥ 0, Σ b ≤ 1, b_y = 0}: sort and threshold (Held et al. 1974)."""
        b.scatter_(2, label_index(b, y), -torch.inf)
        ordered = b.sort(dim=2, descending=True).values
        # −∞ in the right class's column is last in the order; make it harmless for the running sums
        ordered = torch.where(ordered.isfinite(), ordered, torch.zeros_like(ordered) - 1e30)
        ranks = torch.arange(1, b.shape[2] + 1, dtype=b.dtype, device=b.device)
        thresholds = (ordered.cumsum(dim=2) - 1.0) / ranks
        count = (ordered > thresholds).sum(dim=2, keepdim=True).clamp_min(1)
        tau = thresholds.gather(2, count - 1).clamp_min(0.0)
        return b.sub_(tau).clamp_min_(0.0)

    def projection_jacobian(self, b: Tensor) -> ProjectionJacobian:
        """See `PiecewiseLinearLoss.projection_jacobian`: on the face Σ b = 1 what moves must sum to 0."""
        mask = (b > 0).to(b.dtype)
        bound = b.sum(dim=2, keepdim=True) >= 1 - ON_THE_FACE
        count = torch.where(bound, mask.sum(dim=2, keepdim=True), 0.0)
        return ProjectionJacobian(torch.where(bound & (count == 1), 0.0, mask), count.clamp_min_(0.0))

    def support(self, z: Tensor) -> Tensor:
        """Return the largest margin, at least 0."""
        return z.amax(dim=2).clamp_min(0.0)

    def subgradient(self, z: Tensor) -> Tensor:
        """Overwrite z with the indicator of its largest entry where that is positive."""
        largest = z.argmax(dim=2, keepdim=True)
        positive = (z.gather(2, largest) > 0).to(z.dtype)
        return z.zero_().scatter_(2, largest, positive)

    def dual_reference(self, residual: Tensor, shares: Tensor) -> DualReference:
        """Divide the flow of `HingeLoss` by C − 1, so that Σ b ≤ 1, with the share θ that this needs."""
        n_classes = shares.shape[1]
        wide = HingeLoss.dual_reference(self, residual * (n_classes - 1), shares)
        # the wide flow cancels (C − 1) r at odds θ/(1 − θ); divided by C − 1 it cancels r at the same odds
        return DualReference(wide.theta, wide.rows / (n_classes - 1), wide.conjugate / (n_classes - 1))


class OneVsRestHingeLoss(OneAgainstRest, HingeLoss):
    """Σ_j max(0, 1 − t_j s_j), t_y = 1, t_j = −1 elsewhere: C two-class SVMs, LinearSVC's `ovr` and `hinge`."""

    name: ClassVar[str] = "one_vs_rest"
    title: ClassVar[str] = "One-versus-rest SVM"
    phrase: ClassVar[str] = "sum of the hinges of each class against the rest"
    formula: ClassVar[str] = "max(0, 1 − s_y) + Σ_{j≠y} max(0, 1 + s_j)"
    geometry: ClassVar[str | None] = "one_vs_rest"
    in_notes: ClassVar[bool] = False

    def dual_reference(self, residual: Tensor, shares: Tensor) -> DualReference:
        """Give each two-class problem its own flow: right and wrong samples of class j in balance.

        For class j with share n_j: b = β_j on its own samples and b = α_j on the others, net inflow (1 − n_j) α_j −
        n_j β_j = ρ_j, with α, β in [0, 1] around the balanced point of size m_j/2, m_j = min(n_j, 1 − n_j).
        """
        n_classes = shares.shape[1]
        smaller = torch.minimum(shares, 1 - shares)
        ratio = torch.where(residual == 0, 0.0, residual.abs() / smaller)
        odds = ratio.amax(dim=1)
        theta = torch.where(odds.isfinite(), odds / (1 + odds), 1.0)
        inflow = torch.where(odds[:, None] > 0, -residual / odds.clamp_min(1e-300)[:, None], 0.0)
        others, own = (smaller + inflow) / 2, (smaller - inflow) / 2
        identity = torch.eye(n_classes, dtype=shares.dtype, device=shares.device)
        rows = (others / (1 - shares).clamp_min(1e-300))[:, None, :] * (1 - identity)
        rows = rows - identity * (own / shares.clamp_min(1e-300))[:, :, None]
        return DualReference(theta, rows, (others + own).sum(dim=1))


class SquaredHingeLoss(AgainstTrueClass, SquaredHinge):
    """Σ_{j≠y} max(0, s_j − s_y + 1)²: the notes' margins squared; smooth, its certificate is free."""

    name: ClassVar[str] = "squared_hinge"
    title: ClassVar[str] = "Multiclass SVM, squared hinge"
    phrase: ClassVar[str] = "squared multiclass hinge"
    formula: ClassVar[str] = "Σ_{j≠y} max(0, s_j − s_y + 1)²"
    kernel: ClassVar[str | None] = "squared_hinge"
    geometry: ClassVar[str | None] = "squared_hinge"
    second_order: ClassVar[SecondOrder | None] = SECOND_ORDER["squared_hinge"]

    def dual_reference(self, residual: Tensor, shares: Tensor) -> DualReference:
        """Take the hinge's flow b; here −ℓ*(a(b)) = Σ (b − b²/4)."""
        flow = HingeLoss().dual_reference(residual, shares)
        b = flow.rows.clamp_min(0.0)
        conjugate = (shares[:, :, None] * (b - b.square() / 4)).sum(dim=(1, 2))
        return DualReference(flow.theta, flow.rows, conjugate)
