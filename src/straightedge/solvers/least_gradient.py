"""The point of least gradient among the combinations of the last points of a descent.

Near the optimum the gradient is affine in W, so Σ c_k W_k with Σ c_k = 1 has the gradient Σ c_k ∇P(W_k). A proof is
‖∇P‖²/(4 reg), whose size swings from one step of L-BFGS to the next: P is near its minimum long before. At the
combination whose gradient is least the proof arrives after five passes where it otherwise takes six.

References:
    Anderson, "Iterative procedures for nonlinear integral equations", J. ACM 12, 1965 (the same combination, there
    as the next step). Pulay, "Convergence acceleration of iterative sequences", Chem. Phys. Lett. 73, 1980.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from straightedge.newton.quasi import least_gradient

MOST_POINTS = 20
FEWEST = 3
WORTH = 0.9  # of the gap asked for: a combination whose gap is foreseen below is the proof
LARGEST = 2**24  # numbers of all gradients that are kept
CHUNK = 2**14  # numbers of each gradient that are converted to float64 together: those of all stay in a cache
JITTER = 1e-6  # relative, of the products of gradients whose entries are float32's


@dataclass
class LeastGradient:
    """The last points and gradients of one configuration, in m slots; the newest takes the slot of the oldest.

    Attributes:
        points: (m, n) float type of the gradients, W_k.
        gradients: (m, n), ∇P(W_k).
        products: (m, m) float64, inner products of the gradients.
        tol: Relative gap asked for.
        worth: Relative gap that a combination is to have.
        foreseen: Gap of the next step, if it lessens the gap as the last one has; infinite where nothing is known.
        count: Points so far.
    """

    points: Tensor
    gradients: Tensor
    products: Tensor
    tol: float
    worth: float
    foreseen: float
    count: int = 0

    @classmethod
    def none(cls, W: Tensor, tol: float, foreseen: float) -> LeastGradient:
        """Return an empty memory for points like W (C, D + 1), and what is foreseen of the first step."""
        size = W.numel()
        most = max(2, min(MOST_POINTS, LARGEST // size))
        points, gradients = (W.new_zeros(most, size) for _ in range(2))
        return cls(points, gradients, torch.zeros(most, most, dtype=torch.float64), tol, WORTH * tol, foreseen)

    def add(self, W: Tensor, gradient: Tensor) -> None:
        """Remember a point (C, D + 1) with its gradient."""
        slot = self.count % len(self.points)
        self.points[slot], self.gradients[slot] = W.flatten(), gradient.flatten()
        self.count += 1
        held = min(self.count, len(self.points))
        along = torch.zeros(held, dtype=torch.float64, device=W.device)
        for part in self.gradients[:held].split(CHUNK, dim=1):
            along += part.to(torch.float64) @ part[slot].to(torch.float64)
        self.products[slot, :held] = self.products[:held, slot] = along.cpu()

    def found(self) -> tuple[float, Tensor]:
        """Return ‖Σ c_k ∇P(W_k)‖² where it is least, and the shares c (m′,) float64, whose sum is 1."""
        held = min(self.count, len(self.points))
        square, shares = least_gradient(self.products[:held, :held].numpy(), JITTER)
        return square, torch.from_numpy(shares)

    def combination(self, value: float, curvature: float) -> Tensor | None:
        """Return Σ c_k W_k (n,) float64 where its gap is foreseen to be small enough, else None.

        P is about `value`, and `curvature` is 2 reg.
        """
        if self.count < FEWEST:
            return None
        square, shares = self.found()
        if square > self.worth * 2 * curvature * value:
            return None
        # where it falls short, only a much better one is looked at
        self.worth = square / (2 * curvature * value) / 2
        return shares.to(self.points.device) @ self.points[: len(shares)].to(torch.float64)
