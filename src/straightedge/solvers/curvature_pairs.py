"""The memory of L-BFGS: pairs of a step and the change of the gradient along it, K configurations at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

SOUND = 1e-10  # of ‖ΔW‖ ‖Δ∇P‖: a pair of less curvature is rounding
Metric = Callable[[Tensor], Tensor]
"""M⁻¹ applied to (K, C, D + 1) vectors."""


def inner(a: Tensor, b: Tensor) -> Tensor:
    """Return (K,) float64 inner products of (K, C, D + 1) tensors."""
    return (a * b).sum(dim=(1, 2), dtype=torch.float64)


@dataclass
class CurvaturePairs:
    """The last pairs, newest last.

    Attributes:
        scale: (K,) of M⁻¹ where it is the first approximation of the inverse Hessian.
        steps: (K, C, D + 1) each, ΔW.
        changes: (K, C, D + 1) each, Δ∇P.
        inverse_curvature: (K,) each, 1/⟨ΔW, Δ∇P⟩; 0 where a configuration has no such pair.
    """

    scale: Tensor
    steps: list[Tensor] = field(default_factory=list)
    changes: list[Tensor] = field(default_factory=list)
    inverse_curvature: list[Tensor] = field(default_factory=list)

    @classmethod
    def none(cls, K: int) -> CurvaturePairs:
        """Return an empty memory of K configurations."""
        return cls(torch.ones(K, dtype=torch.float64))

    def add(self, step: Tensor, change: Tensor, metric: Metric, most: int) -> None:
        """Remember a pair, 0 where a configuration has none, and forget the oldest beyond so many."""
        curvature = inner(step, change).cpu()
        size = inner(step, step).cpu().sqrt() * inner(change, change).cpu().sqrt()
        sound = curvature > SOUND * size
        self.steps.append(step)
        self.changes.append(change)
        self.inverse_curvature.append(torch.where(sound, 1 / curvature.clamp_min(1e-300), 0.0))
        if len(self.steps) > most:
            for pairs in (self.steps, self.changes, self.inverse_curvature):
                del pairs[0]
        natural = inner(change, metric(change)).cpu()
        self.scale = torch.where(sound, curvature / natural.clamp_min(1e-300), self.scale)

    def descent(self, gradient: Tensor, metric: Metric) -> Tensor:
        """Return the direction −H∇P (K, C, D + 1), H the inverse Hessian that the pairs stand for: two loops."""
        q = gradient.clone()
        weights: list[Tensor] = []
        # copied at once: a device is not waited for at every pair
        known = torch.stack(self.inverse_curvature).to(q).unbind() if self.steps else ()
        pairs = list(zip(self.steps, self.changes, known, strict=True))
        for step, change, inverse in reversed(pairs):
            weight = (inverse * inner(step, q))[:, None, None]
            q -= weight * change
            weights.append(weight)
        q = metric(q) * self.scale.to(q)[:, None, None]
        for (step, change, inverse), weight in zip(pairs, reversed(weights), strict=True):
            q += (weight - (inverse * inner(change, q))[:, None, None]) * step
        return q.neg_()

    def keep(self, positions: Tensor, on_device: Tensor) -> None:
        """Go on with these configurations alone; ``on_device`` are the same positions where W is."""
        self.scale = self.scale[positions]
        self.steps = [step[on_device] for step in self.steps]
        self.changes = [change[on_device] for change in self.changes]
        self.inverse_curvature = [inverse[positions] for inverse in self.inverse_curvature]
