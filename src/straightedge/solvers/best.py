"""The best W and the best bounds that a solver has proposed so far, for each configuration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from straightedge.solvers.protocol import Progress
from straightedge.solvers.solution import relative_gap

NOISE = 1e-15  # relative changes of P below this are rounding
FINEST_DIFFERENCE = 1e-12  # relative gaps below this are lost in the difference P − D


@dataclass
class Best:
    """What is known of K configurations.

    Attributes:
        W: (K, C, D + 1) float64 on the CPU.
        primal: (K,) float64, P(W).
        dual: (K,) float64, the best lower bound.
        absolute_gap: (K,) float64, a certified P(W) − min P of W itself; infinite where there is none.
        n_passes: (K,) float64, passes over the rows.
        proven: (K,) bool, whether the bounds are float64's.
    """

    W: Tensor
    primal: Tensor
    dual: Tensor
    absolute_gap: Tensor
    n_passes: Tensor
    proven: Tensor

    @classmethod
    def nothing(cls, shape: tuple[int, int, int]) -> Best:
        """Return what is known at the beginning, for W of this shape (K, C, D + 1)."""
        K = shape[0]
        unknown = torch.full((K,), torch.inf, dtype=torch.float64)
        W = torch.from_numpy(np.zeros(shape))  # NumPy's zeros take no memory before they are written to
        passes = torch.zeros(K, dtype=torch.float64)
        return cls(W, unknown, -unknown, unknown.clone(), passes, torch.zeros(K, dtype=torch.bool))

    @property
    def gap(self) -> Tensor:
        """(K,) float64 relative gaps of W: by the best bounds, or by W's own where that is finer."""
        difference = relative_gap(self.primal, self.dual)
        own = self.absolute_gap / self.primal.clamp_min(1e-300)
        fine = torch.where(difference > FINEST_DIFFERENCE, torch.minimum(difference, own), own)
        return torch.where(own.isfinite(), fine, difference)

    @property
    def own_gap(self) -> Tensor:
        """(K,) float64 relative gaps that a pass at W would find: by W's own bound, where the solver has told one.

        The best lower bound may be that of an earlier W, which a proof at W does not find again.
        """
        own = self.absolute_gap / self.primal.clamp_min(1e-300)
        return torch.where(own.isfinite(), own, relative_gap(self.primal, self.dual))

    def take(self, active: Tensor, progress: Progress) -> None:
        """Keep of a step what is better; it was over the configurations ``active`` (K',) int64."""
        own = progress.absolute_gap
        if progress.proven and own is not None:
            self.absolute_gap[active] = own
            self.take_proof(active, progress.W, progress.primal, progress.dual)
            return
        self.n_passes[active] += progress.n_passes
        own = torch.full_like(progress.primal, torch.inf) if own is None else own
        noise = NOISE * self.primal[active].abs().nan_to_num(posinf=0.0)
        change = progress.primal - self.primal[active]
        better = (change < -noise) | ((change <= noise) & (own < self.absolute_gap[active]))
        improved = active[better]
        self._keep_weights(improved, progress.W, better.nonzero().flatten())
        self.primal[improved] = progress.primal[better]
        self.absolute_gap[improved] = own[better]
        self.dual[active] = torch.fmax(self.dual[active], progress.dual)  # a NaN proves nothing

    def take_proof(self, index: Tensor, W: Tensor, primal: Tensor, dual: Tensor) -> None:
        """Replace the bounds of some configurations by those of a pass in float64, whatever they were."""
        self._keep_weights(index, W, torch.arange(len(W)))
        self.primal[index] = primal
        self.dual[index] = dual
        self.n_passes[index] += 1
        self.proven[index] = True

    def _keep_weights(self, index: Tensor, W: Tensor, places: Tensor) -> None:
        """Keep W of some configurations, without a copy in between that is as large as W."""
        for k, place in zip(index.tolist(), places.tolist(), strict=True):
            self.W[k] = W[place]
