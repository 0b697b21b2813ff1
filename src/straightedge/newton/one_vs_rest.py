"""One-versus-rest losses to second order: classes do not touch one another, so that every B_i is diagonal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from straightedge.newton.curvature import SecondOrder, pairs


@dataclass
class DiagonalTerms:
    """A sum over classes of a function of one score; B = diag(bend)."""

    value: np.ndarray
    gradient: np.ndarray
    bend: np.ndarray

    def product(self, T: np.ndarray) -> np.ndarray:
        """See `RowTerms.product`."""
        product: np.ndarray = self.bend * T
        return product

    def entries(self, basis: np.ndarray) -> np.ndarray:
        """See `RowTerms.entries`."""
        a, b = pairs(basis.shape[1])
        found: np.ndarray = (basis[:, a] * basis[:, b]).T @ self.bend
        return found

    def diagonal(self) -> np.ndarray:
        """See `RowTerms.diagonal`."""
        return self.bend

    def mean_diagonal(self) -> np.ndarray:
        """See `RowTerms.mean_diagonal`."""
        share: np.ndarray = self.bend.mean(axis=0)
        return share

    def total(self, weights: np.ndarray) -> np.ndarray:
        """See `RowTerms.total`."""
        return np.diag(self.bend @ weights)

    def single(self) -> DiagonalTerms:
        """See `RowTerms.single`."""
        return DiagonalTerms(self.value, self.gradient, self.bend.astype(np.float32))


class LogisticSecondOrder(SecondOrder):
    """Σ_j log(1 + exp(−t_j s_j)); A = σ(s) − e_y, B = diag(σ(1 − σ))."""

    shift_invariant = False
    curved = True
    likely = True

    def at(self, S: np.ndarray, y: np.ndarray) -> DiagonalTerms:
        """See `SecondOrder.at`; no exponent is above 0."""
        own = (y, np.arange(len(y)))
        tail = np.exp(-np.abs(S))
        value = (np.log1p(tail) + np.maximum(S, 0)).sum(axis=0) - S[own]
        gradient = np.where(S < 0, tail, 1.0) / (1 + tail)
        bend = tail / np.square(1 + tail)
        gradient[own] -= 1.0
        return DiagonalTerms(value, gradient, bend)


class SquaredHingesSecondOrder(SecondOrder):
    """Σ_j max(0, 1 − t_j s_j)²; B = 2 where a margin is positive."""

    shift_invariant = False
    curved = False

    def at(self, S: np.ndarray, y: np.ndarray) -> DiagonalTerms:
        """See `SecondOrder.at`."""
        sign = np.ones_like(S)
        sign[y, np.arange(len(y))] = -1.0
        margins = np.maximum(1 + sign * S, 0)
        return DiagonalTerms(np.square(margins).sum(axis=0), 2 * sign * margins, 2.0 * (margins > 0))
