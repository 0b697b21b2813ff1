"""Newton's direction by the whole Hessian, scaled to unit diagonal: for few unknowns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from straightedge.newton.curvature import RowTerms, SoftmaxTerms, pairs
from straightedge.newton.one_vs_rest import DiagonalTerms
from straightedge.newton.problem import Point, SmoothProblem

JITTER = 1e-14  # relative; added, and raised tenfold, where rounding took positive definiteness from a Hessian
LARGEST_JITTER = 1e-2
TOGETHER = 20_000  # entries of all weighted copies of X: where they fit in cache, one call makes all blocks
ROWS = 512  # of a block whose rows times probabilities stay in cache
FLAT = 1e-290  # second derivative up to which there is none; softmax has far more wherever its gradient counts


def exact_direction(problem: SmoothProblem, point: Point) -> np.ndarray:
    """Return −H⁻¹∇P as (C, D), H = Σ w_i QᵀB_iQ ⊗ x_i x_iᵀ + diag(h).

    Numerics:
        Raw columns of very unlike size are harmless: H is scaled to unit diagonal before its Cholesky factor.
    """
    if isinstance(point.terms, DiagonalTerms):
        return _of_each_class(problem, point, point.terms)
    H = _hessian(problem.table.double, problem.weights, point.terms, problem.basis)
    return along_classes(ridged_factor(H, problem.ridge), problem.basis, -point.gradient)


def _of_each_class(problem: SmoothProblem, point: Point, terms: DiagonalTerms) -> np.ndarray:
    """Return −H⁻¹∇P of classes that do not touch one another: each has a Hessian of the rows that bend it."""
    X, direction = problem.table.double, np.empty_like(point.gradient)
    for j, bend in enumerate(problem.weights * terms.bend):
        problem.check()
        rows = bend > 0
        rooted = (X if rows.all() else X[rows]) * np.sqrt(bend[rows])[:, None]
        direction[j] = ridged_factor(rooted.T @ rooted, problem.ridge).solve(-point.gradient[j])
    return direction


def ridged_factor(H: np.ndarray, ridge: np.ndarray) -> ScaledFactor:
    """Return the factor of the data's H (c·D, c·D), which is overwritten, with the ridge (D,) of every class."""
    H.flat[:: len(H) + 1] += np.tile(ridge, len(H) // len(ridge))
    return scaled_factor(H)


def _hessian(X: np.ndarray, weights: np.ndarray, terms: RowTerms, basis: np.ndarray) -> np.ndarray:
    entries = (weights * terms.entries(basis)).astype(X.dtype, copy=False)
    return hessian(X, entries, basis.shape[1])


def rough_hessian(X: np.ndarray, weights: np.ndarray, terms: RowTerms, basis: np.ndarray) -> np.ndarray:
    """Return the data's part of H, (c·D, c·D), good enough for a metric, by whichever way has fewer operations."""
    C, c = basis.shape
    D, n = X.shape[1], c * (c + 1) // 2
    if not isinstance(terms, SoftmaxTerms) or 2 * n * D**2 + 2 * n * C * (C - 1) < (C * D) ** 2 + 2 * C * D**2:
        return _hessian(X, weights, terms, basis)
    H = _of_classes(X * np.sqrt(weights)[:, None].astype(X.dtype), terms.probability.T.astype(X.dtype))
    Q = basis.astype(X.dtype)
    H = np.tensordot(np.tensordot(Q, H, (0, 0)), Q, (2, 0))  # (c, D, D, c)
    return H.transpose(0, 1, 3, 2).reshape(c * D, c * D)


def _of_classes(X: np.ndarray, P: np.ndarray) -> np.ndarray:
    """Return Σ (diag p − ppᵀ) ⊗ xxᵀ as (C, D, C, D): all products of two classes are one, of half the work."""
    C, D = P.shape[1], X.shape[1]
    H = np.zeros((C * D, C * D), X.dtype)
    own = np.zeros((C, D * D), X.dtype)
    for start in range(0, len(X), ROWS):
        x, p = X[start : start + ROWS], P[start : start + ROWS]
        spread = (p[:, :, None] * x[:, None, :]).reshape(len(x), -1)
        H -= spread.T @ spread
        own += (p * (1 - p)).T @ (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)
    H = H.reshape(C, D, C, D)
    classes = np.arange(C)
    H[classes, :, classes] = own.reshape(C, D, D)  # p − p² would cancel
    return H


def along_classes(factor: ScaledFactor, basis: np.ndarray, G: np.ndarray) -> np.ndarray:
    """Return QH⁻¹QᵀG (C, D) for G (C, D) and a factor in the basis Q of classes."""
    right = basis.T @ G
    return basis @ factor.solve(right.ravel()).reshape(right.shape)


def hessian(X: np.ndarray, entries: np.ndarray, c: int) -> np.ndarray:
    """Return the data's part of H, (c·D, c·D), from weighted entries (a, b ≥ a) of the curvature of each row."""
    D = X.shape[1]
    if c == 1:
        rooted = X * np.sqrt(entries[0])[:, None]  # the curvature of a convex loss is ≥ 0
        symmetric: np.ndarray = rooted.T @ rooted  # half the work of another product
        return symmetric
    H = np.empty((c, D, c, D), dtype=X.dtype)
    if entries.size * D <= TOGETHER:
        a, b = pairs(c)
        blocks = X.T @ (X * entries[:, :, None])
        H[a, :, b], H[b, :, a] = blocks, blocks
        return H.reshape(c * D, c * D)
    for row, (a, b) in zip(entries, zip(*pairs(c), strict=True), strict=True):
        block = (X * row[:, None]).T @ X
        H[a, :, b] = block
        if a != b:
            H[b, :, a] = block  # X diag X is symmetric, so is the block
    return H.reshape(c * D, c * D)


@dataclass
class ScaledFactor:
    """A positive definite matrix, factored after scaling to unit diagonal.

    Attributes:
        scale: (n,) 1/√diagonal, 0 for an unknown without any curvature, such as the free bias of a class that no
            row is near: it stays where it is, for its gradient is 0 but for rounding.
        factor: (n, n) Cholesky factor; None where rounding left none, and the diagonal is all there is.
    """

    scale: np.ndarray
    factor: np.ndarray | None

    def solve(self, right: np.ndarray) -> np.ndarray:
        """Return H⁻¹ r for r (n,)."""
        scaled = self.scale * right
        if self.factor is not None:
            scaled, _ = lapack.dpotrs(self.factor, scaled)
        found: np.ndarray = self.scale * scaled
        return found


def scaled_factor(H: np.ndarray) -> ScaledFactor:
    """Return the factor of a positive definite H, which is overwritten."""
    diagonal = H.diagonal().copy()
    curved = diagonal > FLAT
    scale = np.where(curved, 1 / np.sqrt(np.where(curved, diagonal, 1)), 0)
    H *= scale
    H *= scale[:, None]
    H.flat[:: len(H) + 1] = 1
    jitter = 0.0
    while jitter <= LARGEST_JITTER:
        factor, failed = lapack.dpotrf(H, clean=False)
        if not failed:
            return ScaledFactor(scale, factor)
        H.flat[:: len(H) + 1] += (jitter := max(10 * jitter, JITTER))
    return ScaledFactor(scale, None)
