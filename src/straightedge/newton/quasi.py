"""Inverse Hessians from changes of the gradient: L-BFGS's two loops, around any first guess.

References:
    Nocedal, "Updating quasi-Newton matrices with limited storage", Mathematics of Computation 35, 1980.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

Change = tuple[np.ndarray, np.ndarray]  # how W has changed, and how the gradient has


@dataclass
class Pairs:
    """Changes of W and of the gradient.

    Attributes:
        first: The first guess, R ↦ H⁻¹R, given the kept changes.
        memory: Changes that are kept.
        kept: They, the oldest first.
    """

    first: Callable[[np.ndarray, list[Change]], np.ndarray]
    memory: int
    kept: list[Change] = field(default_factory=list)

    def add(self, step: np.ndarray, change: np.ndarray) -> None:
        """Remember a step along which the gradient has grown."""
        if np.vdot(step, change) > 0:
            self.kept = [*self.kept, (step, change)][-self.memory :]

    def direction(self, gradient: np.ndarray) -> np.ndarray:
        """Return −B⁻¹∇P by the two loops of L-BFGS."""
        rest, shares = gradient.copy(), []
        for step, change in reversed(self.kept):
            shares.append(float(np.vdot(step, rest) / np.vdot(step, change)))
            rest -= shares[-1] * change
        found = self.first(rest, self.kept)
        for (step, change), share in zip(self.kept, reversed(shares), strict=True):
            found += (share - float(np.vdot(change, found) / np.vdot(step, change))) * step
        return -found


def least_gradient(products: np.ndarray, jitter: float) -> tuple[float, np.ndarray]:
    """Return ‖Σ c_k ∇P(W_k)‖² where it is least, Σ c_k = 1, and the shares c (m,).

    With unit gradients u_k and the inverse norms a_k it is 1/(aᵀK⁻¹a), K the products of the u_k. It is infinite
    where roundings of these leave no sense in it: K has negative eigenvalues then.

    Args:
        products: (m, m) inner products of the gradients.
        jitter: Relative rounding of these.
    """
    inverse = 1 / np.sqrt(np.maximum(products.diagonal(), 1e-300))
    K = products * inverse * inverse[:, None]
    K.flat[:: len(K) + 1] += jitter
    shares = np.linalg.solve(K, inverse)
    total = float(inverse @ shares)
    if not 0 < total < math.inf:
        return math.inf, np.zeros_like(shares)
    return 1 / total, shares * inverse / total
