"""Smooth losses to second order, on NumPy columns: what a Newton method asks of a loss.

Scores lie class-major, S (C, N): a row of the array is one class, so that exponentials and sums over classes run
along contiguous memory. A loss gives the value, the score gradient A = ∂ℓ/∂S and, per row of X, the curvature
B_i = ∂²ℓ/∂s∂s, as products with it and as entries of QᵀB_iQ for a basis Q of the classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Protocol, Self

import numpy as np


@cache
def pairs(n: int, offset: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices (a, b) of the pairs with b ≥ a + offset of n things, in order."""
    return np.triu_indices(n, offset)


class RowTerms(Protocol):
    """A smooth loss at given scores.

    Attributes:
        value: (N,) losses, each ≥ 0.
        gradient: (C, N) score gradients A.
    """

    value: np.ndarray
    gradient: np.ndarray

    def product(self, T: np.ndarray) -> np.ndarray:
        """Return B_i t_i for every column of T (C, N), in T's float type."""
        ...

    def entries(self, basis: np.ndarray) -> np.ndarray:
        """Return the entries (a, b ≥ a) of QᵀB_iQ, (c(c + 1)/2, N), for a basis Q (C, c) with 1ᵀQ = 0 or Q = I."""
        ...

    def diagonal(self) -> np.ndarray:
        """Return the diagonal of every B_i, (C, N)."""
        ...

    def mean_diagonal(self) -> np.ndarray:
        """Return the mean over classes of the diagonal of B_i, (N,)."""
        ...

    def total(self, weights: np.ndarray) -> np.ndarray:
        """Return Σ w_i B_i (C, C) for the weights (N,) of rows."""
        ...

    def single(self) -> Self:
        """Return the same with products in float32."""
        ...


class SecondOrder(Protocol):
    """The contract of a smooth loss for Newton's method.

    Attributes:
        shift_invariant: Whether adding a number to all scores of a row changes nothing, so that A's columns sum to
            0 and one class is redundant.
        curved: Whether every row bends it at all scores, so that a row's curvature can be divided by.
        likely: Whether it is −log of probabilities that it makes of scores, so that −ℓ*(a) ≥ 0 is an entropy and
            a + e_y lies in [0, 1]; see `free_bias`.
    """

    shift_invariant: bool
    curved: bool
    likely: bool = False

    def at(self, S: np.ndarray, y: np.ndarray) -> RowTerms:
        """Return the loss at scores S (C, N) with labels y (N,) in [0, C)."""
        ...

    def overwrite(self, S: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the losses (N,), and overwrite the scores S (C, N), contiguous, with their gradient.

        Of a shift-invariant loss of two classes S may be the one row s₁ − s₀, and is then the gradient in s₁.
        """
        terms = self.at(S, y)
        S[:] = terms.gradient
        return terms.value


@dataclass
class SoftmaxTerms:
    """Cross-entropy of the softmax; B = diag(p) − ppᵀ = Σ_{j<k} p_j p_k (e_j − e_k)(e_j − e_k)ᵀ."""

    value: np.ndarray
    gradient: np.ndarray
    probability: np.ndarray

    def product(self, T: np.ndarray) -> np.ndarray:
        """See `RowTerms.product`."""
        product: np.ndarray = self.probability * T
        product -= self.probability * product.sum(axis=0)
        return product

    def entries(self, basis: np.ndarray) -> np.ndarray:
        """See `RowTerms.entries`; by the sum over pairs of classes, none of whose terms cancels another."""
        first, second = pairs(len(basis), 1)
        spread = basis[first] - basis[second]  # (pairs, c)
        a, b = pairs(basis.shape[1])
        found: np.ndarray = (spread[:, a] * spread[:, b]).T @ (self.probability[first] * self.probability[second])
        return found

    def diagonal(self) -> np.ndarray:
        """See `RowTerms.diagonal`."""
        p = self.probability
        found: np.ndarray = p * (1 - p)
        return found

    def mean_diagonal(self) -> np.ndarray:
        """See `RowTerms.mean_diagonal`."""
        share: np.ndarray = self.diagonal().mean(axis=0)
        return share

    def total(self, weights: np.ndarray) -> np.ndarray:
        """See `RowTerms.total`; the diagonal is the sum of the rest, since p − p² would cancel."""
        found: np.ndarray = -(self.probability * weights) @ self.probability.T
        np.fill_diagonal(found, 0.0)
        np.fill_diagonal(found, -found.sum(axis=0))
        return found

    def single(self) -> SoftmaxTerms:
        """See `RowTerms.single`."""
        return SoftmaxTerms(self.value, self.gradient, self.probability.astype(np.float32))


class SoftmaxSecondOrder:
    """ℓ = log Σ_j e^{s_j} − s_y, A = p − e_y."""

    shift_invariant = True
    curved = True
    likely = True

    def at(self, S: np.ndarray, y: np.ndarray) -> SoftmaxTerms:
        """See `SecondOrder.at`; the largest score of a row is subtracted first, so that no exponent is above 0."""
        shifted = S - S.max(axis=0)
        own = (y, np.arange(len(y)))
        correct = shifted[own]
        p = np.exp(shifted, out=shifted)
        total = p.sum(axis=0)
        p /= total
        gradient = p.copy()
        gradient[own] -= 1.0
        return SoftmaxTerms(np.log(total) - correct, gradient, p)

    def overwrite(self, S: np.ndarray, y: np.ndarray) -> np.ndarray:
        """See `SecondOrder.overwrite`."""
        if len(S) == 1:
            return self._of_two(S[0], y.astype(S.dtype))
        S -= S.max(axis=0)
        entries, own = S.reshape(-1), y * S.shape[1]  # one index an entry: two take twice as long
        own += np.arange(len(y))
        correct = entries[own]
        total = np.exp(S, out=S).sum(axis=0)
        S *= 1 / total
        entries[own] -= 1
        value: np.ndarray = np.log(total) - correct
        return value

    @staticmethod
    def _of_two(score: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return log(1 + e^t) − y t, and overwrite t with σ(t) − y; no exponent is above 0."""
        tail = np.exp(-np.abs(score))
        value: np.ndarray = np.log(1 + tail) + np.maximum(score, 0) - y * score
        share = np.where(score < 0, tail, 1)
        share /= 1 + tail
        np.subtract(share, y, out=score)
        return value


@dataclass
class SquaredHingeTerms:
    """Σ_{j≠y} max(0, z_j)² with z_j = 1 + s_j − s_y; B = 2 Σ over active j of (e_j − e_y)(e_j − e_y)ᵀ."""

    value: np.ndarray
    gradient: np.ndarray
    active: np.ndarray
    y: np.ndarray

    def product(self, T: np.ndarray) -> np.ndarray:
        """See `RowTerms.product`."""
        own = (self.y, np.arange(len(self.y)))
        product: np.ndarray = self.active * (T - T[own])
        product[own] = -product.sum(axis=0)
        product *= 2
        return product

    def entries(self, basis: np.ndarray) -> np.ndarray:
        """See `RowTerms.entries`."""
        columns = [basis[:, a, None] - basis[self.y, a] for a in range(basis.shape[1])]  # (C, N) each
        chosen = zip(*pairs(len(columns)), strict=True)
        return np.stack([2 * (self.active * columns[a] * columns[b]).sum(axis=0) for a, b in chosen])

    def diagonal(self) -> np.ndarray:
        """See `RowTerms.diagonal`."""
        found = 2 * self.active
        found[self.y, np.arange(len(self.y))] = found.sum(axis=0)
        return found

    def mean_diagonal(self) -> np.ndarray:
        """See `RowTerms.mean_diagonal`; an active margin bends its own class and the right one."""
        share: np.ndarray = 4 * self.active.sum(axis=0) / len(self.active)
        return share

    def total(self, weights: np.ndarray) -> np.ndarray:
        """See `RowTerms.total`."""
        C = len(self.active)
        pairs_of = 2 * (self.active * weights) @ (self.y[:, None] == np.arange(C))
        found: np.ndarray = np.diag(pairs_of.sum(axis=0) + pairs_of.sum(axis=1)) - pairs_of - pairs_of.T
        return found

    def single(self) -> SquaredHingeTerms:
        """See `RowTerms.single`."""
        return SquaredHingeTerms(self.value, self.gradient, self.active.astype(np.float32), self.y)


class SquaredHingeSecondOrder(SecondOrder):
    """The notes' margins squared; its second derivative is that of the active margins."""

    shift_invariant = True
    curved = False

    def at(self, S: np.ndarray, y: np.ndarray) -> SquaredHingeTerms:
        """See `SecondOrder.at`."""
        own = (y, np.arange(len(y)))
        margins = S - (S[own] - 1.0)
        margins[own] = 0.0
        np.maximum(margins, 0.0, out=margins)
        value = np.einsum("jn,jn->n", margins, margins)
        gradient = 2 * margins
        gradient[own] = -gradient.sum(axis=0)
        return SquaredHingeTerms(value, gradient, (margins > 0).astype(np.float64), y)

    def overwrite(self, S: np.ndarray, y: np.ndarray) -> np.ndarray:
        """See `SecondOrder.overwrite`."""
        if len(S) == 1:
            return self._of_two(S[0], np.where(y == 1, 1, -1).astype(S.dtype))
        return super().overwrite(S, y)

    @staticmethod
    def _of_two(score: np.ndarray, sign: np.ndarray) -> np.ndarray:
        """Return max(0, 1 − ±t)², and overwrite t with its derivative."""
        margin = np.maximum(1 - sign * score, 0)
        np.multiply(-2 * sign, margin, out=score)
        value: np.ndarray = margin * margin
        return value
