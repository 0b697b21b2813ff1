"""Semismooth Newton directions for a smoothed hinge and its dual.

The smoothed objective is f(W) = Σ_i w_i φ(z_i) + reg ‖W‖² with φ(z) = max over b in B of ⟨b, z⟩ − μ/2 ‖b − c‖²,
so ∇φ = b = project(c + z/μ) and its generalised Hessian is T/μ, T the projection's derivative: rows with
nothing between its bounds have no curvature at all. Three savings make a Newton step cost about a pass:

* products with the Hessian see only rows that have curvature, and of many such rows only an even share;
* what the share leaves out is represented by the second moment Σ of the data, which costs no rows at all;
* conjugate gradients are preconditioned by the Cholesky factor of κΣ + 2 reg I.

How far to go along them `subspace` finds.

References:
    Li, Sun and Toh, "A highly efficient semismooth Newton augmented Lagrangian method for solving Lasso
    problems", SIAM J. Optim. 28, 2018. Byrd, Chin, Neveitt and Nocedal, "On the use of stochastic Hessian
    information in optimization methods for machine learning", SIAM J. Optim. 21, 2011.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from straightedge.losses import PiecewiseLinearLoss, ProjectionJacobian, piecewise
from straightedge.objective import Block, Objective
from straightedge.solvers.hinge.blocks.active_margins import ActiveMargins
from straightedge.solvers.hinge.blocks.preconditioner import Metric, spread_over

SHARE_BYTES = 2**27  # memory of rows copied from disk, at most
LEAST_SHARE = 4_096  # rows below which none are left out
SHARE = 5  # at most one row in five, where there are many


@dataclass
class Hessian:
    """The generalised Hessian of the smoothed objective, over a share of the rows that have curvature.

    Attributes:
        objective: The one configuration.
        metric: Gives Σ.
        part: The share's rows.
        index: (n,) which rows of this rank they are.
        jacobian: T of these rows.
        weights: (n, 1, 1) row weights over μ.
        rest: (C, 1) curvature per class that the share leaves out; Σ stands for its rows. None: it is all.
        cost: Passes one product costs.
        curvature: Mean over classes of the whole curvature: the κ of the metric.
        pairs: The share's margins that move, where products go over them; None: whole rows.
    """

    objective: Objective
    metric: Metric
    part: Objective
    index: Tensor
    jacobian: ProjectionJacobian
    weights: Tensor
    rest: Tensor | None
    cost: float
    curvature: float
    pairs: ActiveMargins | None

    @classmethod
    def at(
        cls,
        objective: Objective,
        metric: Metric,
        b: Tensor,
        mu: float,
        weights: Tensor,
        *,
        damping: float = 0.0,
        complete: bool = False,
    ) -> Hessian:
        """Return the Hessian at b (N, 1, C) = project(c + z/μ) with row weights (N,).

        Args:
            objective: One configuration.
            metric: Gives Σ.
            b: (N, 1, C).
            mu: μ.
            weights: (N,) row weights.
            damping: Curvature appears where a step brings a row between its bounds; this part of the present
                curvature is added for that, in the shape of Σ.
            complete: Leave no row out that fits into memory.
        """
        jacobian = piecewise(objective.loss).projection_jacobian(b)
        total = _class_curvature(objective, jacobian.mask, weights / mu)
        share = _share(jacobian.moving_rows(), objective, complete)
        part = jacobian.select(share)
        seen = _class_curvature(objective, part.mask, weights[share] / mu, share)
        rest = ((total - seen) * (1 - 1 / objective.n_classes)).clamp_min(0.0) + damping * total.mean()
        seen_rows = objective.subset(share)
        return cls(
            objective,
            metric,
            seen_rows,
            share,
            part,
            (weights[share] / mu).to(b.dtype)[:, None, None],
            rest.to(b.dtype)[:, None] if bool((rest > 1e-6 * total.mean()).any()) else None,
            _share_of_all(share, objective),
            float(total.mean()),
            ActiveMargins.of(seen_rows, part.mask),
        )

    @property
    def _loss(self) -> PiecewiseLinearLoss:
        return piecewise(self.objective.loss)

    def times(self, direction: Tensor, image: Tensor) -> Tensor:
        """Return the Hessian applied to a direction (C, D + 1) whose image M Δ by the metric is known."""
        product = self._seen(direction).to(direction.dtype)
        if self.rest is not None:
            product += self.rest * self.metric.times_moment(direction, image)
        return product + self.objective.penalty.times_hessian(direction[None])[0]

    def moves(self, direction: Tensor) -> Tensor:
        """Return T J X̂Δ (n, 1, C) of the share's rows along a direction (C, D + 1)."""
        if self.pairs is not None:
            return self.jacobian.apply(self.pairs.spread(self.pairs.products.products(direction)))
        change = self._loss.margin_change(self.part.scores(direction[None]), self.part.y)
        return self.jacobian.apply(change)

    def _seen(self, direction: Tensor) -> Tensor:
        """Return X̂ᵀJᵀTJX̂Δ/μ (C, D + 1) float64 over the share's rows."""
        loss, pairs = self._loss, self.pairs

        def bend(S: Tensor, block: Block) -> Sequence[Tensor]:
            rows = slice(block.start, block.stop)
            y = self.part.y[rows]
            z = self.jacobian.select(rows).apply(loss.margin_change(S, y)).mul_(self.weights[rows])
            loss.to_scores(z, y)
            return ()

        if pairs is None:
            return self.part.sweep(direction[None], bend)[1][0]
        if self.jacobian.free is None:
            return pairs.products.curve(direction, self.weights[pairs.row, 0, 0])
        z = self.moves(direction).mul_(self.weights)
        return pairs.products.adjoint(pairs.select(z), direction)


def _class_curvature(objective: Objective, mask: Tensor, weights: Tensor, index: Tensor | None = None) -> Tensor:
    """Return (C,) float64 over all ranks: the diagonal of Σ_i w_i JᵀTJ, class by class."""
    y = objective.y if index is None else objective.y[index]
    touched = piecewise(objective.loss).to_scores(mask.clone(), y).abs_()
    sums = weights @ touched[:, 0].to(torch.float64)
    return objective.communicator.all_reduce(sums)


def _share_of_all(share: Tensor, objective: Objective) -> float:
    """Return the part of all ranks' rows that their shares are: ranks count the same passes."""
    count = torch.tensor([len(share)], dtype=torch.float64)
    return float(objective.communicator.all_reduce(count)) / objective.n_total


def _share(moving: Tensor, objective: Objective, complete: bool) -> Tensor:
    """Return an even share of the rows that have curvature, or all of them where they are few."""
    design = objective.design
    most = len(moving) if complete else max(LEAST_SHARE, design.n_samples // SHARE)
    if not design.in_memory:  # the share is a copy
        most = min(most, max(256, SHARE_BYTES // (4 * design.n_features)))
    return spread_over(moving, most)
