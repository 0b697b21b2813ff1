"""The best lower bound from several dual points: D is a concave quadratic on their convex hull.

Successive dual points of a smoothed method miss the optimum on different sides; the point between them that
maximises D is found from inner products of V = X̂ᵀA alone, and is often several times closer.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from straightedge.objective import Objective

REMEMBERED = 6
LARGEST_MEMORY = 2**28  # bytes of remembered dual points; fewer are kept where N·C is large


class DualHull:
    """The last few dual points of one configuration, and the best bound seen.

    Attributes:
        bound: The best lower bound on min P so far.
        b: (N, 1, C) the dual point it belongs to.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.bound = -float("inf")
        self.b = torch.empty(0)
        self._points: list[Tensor] = []
        self._V: list[Tensor] = []
        self._conjugates: list[float] = []

    def state(self) -> dict[str, Tensor]:
        """Return the tensors that `restored` makes the same hull of."""
        numbers = torch.tensor([self.bound, *self._conjugates], dtype=torch.float64)
        own = {"numbers": numbers, "b": self.b}
        own |= {f"point.{i}": b for i, b in enumerate(self._points)}
        return own | {f"V.{i}": V for i, V in enumerate(self._V)}

    @classmethod
    def restored(cls, objective: Objective, state: dict[str, Tensor]) -> DualHull:
        """Return the hull whose `state` this is."""
        hull = cls(objective)
        hull.bound, *hull._conjugates = state["numbers"].tolist()
        count = len(hull._conjugates)
        hull.b = state["b"]
        hull._points = [state[f"point.{i}"] for i in range(count)]
        hull._V = [state[f"V.{i}"] for i in range(count)]
        return hull

    def add(self, b: Tensor, V: Tensor, conjugate: float) -> None:
        """Take up a dual point: b (N, 1, C), V (C, D + 1) float64 and the mean of −ℓ*."""
        room = max(1, min(REMEMBERED, LARGEST_MEMORY // max(1, b.numel() * b.element_size())))
        self._points = [*self._points, b][-room:]
        self._V = [*self._V, V][-room:]
        self._conjugates = [*self._conjugates, conjugate][-room:]
        alone = np.zeros(len(self._V))
        alone[-1] = 1.0
        for shares in (alone, self._best_shares()):
            bound = self._bound(shares)
            if bound > self.bound:
                self.bound, self.b = bound, self._mixture(shares)

    def _bound(self, shares: np.ndarray) -> float:
        V = sum(float(t) * v for t, v in zip(shares, self._V, strict=True))
        assert isinstance(V, Tensor)
        conjugate = torch.tensor([float(shares @ np.array(self._conjugates))], dtype=torch.float64)
        return float(self.objective.dual_value(V[None], conjugate)[0])

    def _mixture(self, shares: np.ndarray) -> Tensor:
        used = [(float(t), b) for t, b in zip(shares, self._points, strict=True) if t > 0]
        if len(used) == 1:
            return used[0][1]
        mixed = used[0][0] * used[0][1]
        for share, b in used[1:]:
            mixed.add_(b, alpha=share)
        return mixed

    def _best_shares(self) -> np.ndarray:
        """Return shares ≥ 0 that sum to 1 and maximise Σ t c − R*(−Σ t V), R the quadratic penalty."""
        V = self.objective.penalty.without_bias(torch.stack(self._V))
        images = torch.cat([self.objective.penalty.minimiser(v[None]) for v in V])
        quadratic = (-images.flatten(1) @ V.flatten(1).t()).cpu().numpy() / 2
        linear = np.array(self._conjugates)
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
