"""The search along a few directions at once: the best point of the span of a new direction and the last few.

Along cached changes of the margins the smoothed objective is a piecewise quadratic of a handful of variables, whose
minimum costs no pass. Its gradient and Hessian are sums over all margins; a compiled loop reads each of them once.

References:
    Narkiss and Zibulevsky, "Sequential subspace optimization method for large-scale unconstrained problems",
    Technion, 2005.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from straightedge.losses import PiecewiseLinearLoss, piecewise
from straightedge.objective import Objective

SPAN = 4  # directions of one search; the compiled loop is written for so many
FLAT = 1e-6  # of the most curvature there can be along a direction: the least a search reckons with
NEWTON_STEPS = 12  # of a search at most

Model = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass
class Span:
    """A smoothed hinge at W and along a few directions.

    Attributes:
        objective: The one configuration.
        weights: (N,) row weights.
        W: (C, D + 1).
        z: (N, 1, C) margins at W.
        centre: (N, 1, C) c.
        mu: μ.
        changes: Up to `SPAN` directions (C, D + 1) with the margins' changes (N, 1, C) along them.
    """

    objective: Objective
    weights: Tensor
    W: Tensor
    z: Tensor
    centre: Tensor
    mu: float
    changes: list[tuple[Tensor, Tensor]]

    @property
    def _loss(self) -> PiecewiseLinearLoss:
        return piecewise(self.objective.loss)

    @property
    def _loops(self) -> ModuleType | None:
        return self.objective.design.loops(self.objective.n_classes)

    def minimiser(self) -> Tensor:
        """Return the coordinates (m,) float64 of the best point of the span."""
        return minimise_on_span(self.model(), len(self.changes))

    def model(self) -> Model:
        """Return f as a function of the coordinates (m,): its gradient (m,) and generalised Hessian (m, m)."""
        objective, m = self.objective, len(self.changes)
        sum_ranks = objective.communicator.all_reduce
        directions = torch.stack([x.to(torch.float64) for x, _ in self.changes])
        images = torch.stack([objective.penalty.times_hessian(x[None])[0] for x in directions]).flatten(1)
        quadratic = (images @ directions.flatten(1).t()).cpu()
        linear = (images @ self.W.to(torch.float64).flatten()).cpu()
        most = torch.stack([self.weights @ d.square().sum(dim=(1, 2)).to(torch.float64) for _, d in self.changes])
        # a free bias moves where nothing is curved
        least = torch.diag(FLAT * sum_ranks(most).cpu() / self.mu)
        own_sums = self._looped_sums() if self._loop_is_close_enough() else self._dense_sums()

        def model(tau: Tensor) -> tuple[Tensor, Tensor]:
            slopes, curvature = own_sums(tau)
            sums = sum_ranks(torch.cat([slopes, curvature.flatten()])).cpu()
            slopes, curvature = sums[:m], sums[m:].view(m, m)
            return slopes + linear + quadratic @ tau, curvature + quadratic + least

        return model

    def _loop_is_close_enough(self) -> bool:
        """Tell whether b is found entry by entry, and many enough are to be found for a compiled loop."""
        return not self._loss.sum_bounded and self._loops is not None

    def _dense_sums(self) -> Model:
        """Return this rank's Σ w b d_k (m,) and Σ w d_k T d_l/μ (m, m) as a function of the coordinates."""
        loss, z, y = self._loss, self.z, self.objective.y
        stacked = torch.stack([d for _, d in self.changes])  # (m, N, 1, C)
        flat = stacked.flatten(1)
        weights = self.weights.to(z.dtype)[:, None, None]

        def sums(tau: Tensor) -> tuple[Tensor, Tensor]:
            moved = torch.addmv(z.flatten(), flat.t(), tau.to(flat)).view_as(z)
            b = loss.project(self.centre + moved / self.mu, y)
            bent = loss.projection_jacobian(b).apply(stacked * weights).flatten(1)
            slopes = (flat @ (b * weights).flatten()).to(torch.float64)
            return slopes, ((bent @ flat.t()) / self.mu).to(torch.float64)

        return sums

    def _looped_sums(self) -> Model:
        """Return the same, by a compiled loop; an entry of the right class never leaves 0 where it has no part."""
        assert self._loops is not None
        loop, m = self._loops.add_margin_sums, len(self.changes)
        z, centre, *d = (
            array.contiguous().numpy().reshape(-1) for array in (self.z, self.centre, *(d for _, d in self.changes))
        )
        columns = tuple((d * SPAN)[:SPAN])  # some twice, where there are fewer; their coordinates are 0
        weights = self.weights.to(self.z.dtype).numpy().repeat(self.z.shape[2])

        def sums(tau: Tensor) -> tuple[Tensor, Tensor]:
            slopes, curvature = np.zeros(SPAN), np.zeros((SPAN, SPAN))
            at = tuple([*tau.tolist(), *[0.0] * SPAN][:SPAN])
            loop(z, centre, weights, columns, at, self.mu, slopes, curvature)
            return torch.from_numpy(slopes[:m]), torch.from_numpy(curvature[:m, :m])

        return sums


def minimise_on_span(model: Model, size: int) -> Tensor:
    """Return the minimiser of a convex piecewise quadratic of a few variables, by safeguarded Newton.

    Args:
        model: Gives gradient (m,) and generalised Hessian (m, m) in float64 at a point (m,).
        size: m.

    Numerics:
        A step is judged by the slope at its end, which convexity makes sufficient: near the minimum the slope
        has digits left where differences of values have none.
    """
    point = torch.zeros(size, dtype=torch.float64)
    gradient, hessian = model(point)
    first = 0.0
    for _ in range(NEWTON_STEPS):
        scale = hessian.diagonal().clamp_min(1e-300).rsqrt()  # directions may differ by orders of magnitude
        scaled = scale[:, None] * hessian * scale + 1e-10 * torch.eye(size, dtype=torch.float64)
        step = -scale * torch.linalg.solve(scaled, scale * gradient)
        slope = float(gradient @ step)
        first = min(first, slope)
        if not slope < 1e-3 * first:
            break
        length = 1.0
        for _ in range(20):
            trial = model(point + length * step)
            if float(trial[0] @ step) <= 0.3 * -slope:
                break
            length /= 2
        else:
            break
        point = point + length * step
        gradient, hessian = trial
    return point
