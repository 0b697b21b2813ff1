"""The best lower bound from several dual points: D is a concave quadratic on their convex hull.

Successive dual points of a smoothed method miss the optimum on different sides; the point between them that
maximises D is found from inner products of V = X̂ᵀA alone, and is often several times closer.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from straightedge.objective import Objective
from straightedge.solvers.state import OF_ROWS

REMEMBERED = 6
LARGEST_MEMORY = 2**28  # bytes of remembered dual points; fewer are kept where N·C is large


@dataclass
class BundlePoint:
    """A dual point and what its bound rests on.

    Attributes:
        V: (C, D + 1) float64 X̂ᵀA.
        conjugate: The mean of −ℓ*.
        b: (N, 1, C) the dual variables.
    """

    V: Tensor
    conjugate: float
    b: Tensor = field(metadata=OF_ROWS)


@dataclass
class BundleState:
    """What a bundle has come to.

    Attributes:
        points: The last few dual points, the latest last.
        bound: The best lower bound on min P so far.
        b: (N, 1, C) the dual point it belongs to.
    """

    points: list[BundlePoint] = field(default_factory=list)
    bound: float = -float("inf")
    b: Tensor = field(default_factory=lambda: torch.empty(0), metadata=OF_ROWS)


class DualBundle:
    """The last few dual points of one configuration, and the best bound seen."""

    def __init__(self, objective: Objective, state: BundleState | None = None) -> None:
        self.objective = objective
        self.state = state or BundleState()

    @property
    def bound(self) -> float:
        """The best lower bound on min P so far."""
        return self.state.bound

    @property
    def b(self) -> Tensor:
        """(N, 1, C) the dual point it belongs to."""
        return self.state.b

    def add(self, b: Tensor, V: Tensor, conjugate: float) -> None:
        """Take up a dual point: b (N, 1, C), V (C, D + 1) float64 and the mean of −ℓ*."""
        room = max(1, min(REMEMBERED, LARGEST_MEMORY // max(1, b.numel() * b.element_size())))
        state = self.state
        state.points = [*state.points, BundlePoint(V, conjugate, b)][-room:]
        alone = np.zeros(len(state.points))
        alone[-1] = 1.0
        for shares in (alone, self._best_shares()):
            bound = self._bound(shares)
            if bound > state.bound:
                state.bound, state.b = bound, self._mixture(shares)

    def _bound(self, shares: np.ndarray) -> float:
        V = sum(float(t) * point.V for t, point in zip(shares, self.state.points, strict=True))
        assert isinstance(V, Tensor)
        conjugate = torch.tensor([float(shares @ self._conjugates)], dtype=torch.float64)
        return float(self.objective.dual_value(V[None], conjugate)[0])

    @property
    def _conjugates(self) -> np.ndarray:
        return np.array([point.conjugate for point in self.state.points])

    def _mixture(self, shares: np.ndarray) -> Tensor:
        used = [(float(t), point.b) for t, point in zip(shares, self.state.points, strict=True) if t > 0]
        if len(used) == 1:
            return used[0][1]
        mixed = used[0][0] * used[0][1]
        for share, b in used[1:]:
            mixed.add_(b, alpha=share)
        return mixed

    def _best_shares(self) -> np.ndarray:
        """Return shares ≥ 0 that sum to 1 and maximise Σ t c − R*(−Σ t V), R the quadratic penalty."""
        from scipy.optimize import minimize  # here, not above: most fits have one dual point at most

        V = self.objective.penalty.without_bias(torch.stack([point.V for point in self.state.points]))
        images = torch.cat([self.objective.penalty.minimiser(v[None]) for v in V])
        quadratic = (-images.flatten(1) @ V.flatten(1).t()).cpu().numpy() / 2
        linear = self._conjugates
        alone = linear - quadratic.diagonal()
        start = np.zeros(len(linear))
        start[int(alone.argmax())] = 1.0
        if len(linear) == 1 or not np.isfinite(quadratic).all():
            return start
        unit = max(abs(float(alone.max())), 1e-12)
        answer = minimize(
            lambda t: (t @ quadratic @ t - t @ linear) / unit,
            start,
            jac=lambda t: (2 * quadratic @ t - linear) / unit,
            bounds=[(0.0, 1.0)] * len(linear),
            constraints={"type": "eq", "fun": lambda t: t.sum() - 1, "jac": np.ones_like},
            method="SLSQP",
            options={"maxiter": 100, "ftol": 1e-10},
        )
        shares = np.clip(np.nan_to_num(answer.x), 0.0, None)
        return shares / shares.sum() if shares.sum() > 0 else start
