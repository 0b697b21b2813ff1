"""Newton's direction by the whole Hessian, scaled to unit diagonal: for few unknowns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from straightedge.newton.curvature import pairs
from straightedge.newton.problem import Point, SmoothProblem

JITTER = (
    1e-14  # relative; added, and raised tenfold, where rounding took positive definiteness from a Hessian
)
LARGEST_JITTER = 1e-2
TOGETHER = 20_000  # entries of all weighted copies of X: where they fit in cache, one call makes all blocks
FLAT = 1e-290
"""Second derivative up to which there is none; softmax has far more wherever its gradient counts."""


def exact_direction(problem: SmoothProblem, point: Point) -> np.ndarray:
    """Return −H⁻¹∇P as (C, D), H = Σ w_i QᵀB_iQ ⊗ x_i x_iᵀ + diag(h).

    Numerics:
        Raw columns of very unlike size are harmless: H is scaled to unit diagonal before its Cholesky factor.
    """
    return along_classes(hessian_factor(problem, point), problem.basis, -point.gradient)


def hessian_factor(problem: SmoothProblem, point: Point, *, rough: bool = False) -> ScaledFactor:
    """Return the factored Hessian at a point, in the basis of classes; a rough one is made of float32 products."""
    X = problem.table.single if rough else problem.table.double
    c, D = problem.basis.shape[1], X.shape[1]
    entries = (problem.weights * point.terms.entries(problem.basis)).astype(X.dtype, copy=False)
    H = hessian(X, entries, c).astype(np.float64, copy=False)
    H.flat[:: c * D + 1] += np.tile(problem.ridge, c)
    return scaled_factor(H)


def along_classes(factor: ScaledFactor, basis: np.ndarray, G: np.ndarray) -> np.ndarray:
    """Return QH⁻¹QᵀG (C, D) for G (C, D) and a factor in the basis Q of classes."""
    right = basis.T @ G
    found: np.ndarray = basis @ factor.solve(right.ravel()).reshape(right.shape)
    return found


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
