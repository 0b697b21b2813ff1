"""Newton's direction by the whole Hessian, scaled to unit diagonal: for few unknowns."""

from __future__ import annotations

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
    c, D = problem.basis.shape[1], problem.table.double.shape[1]
    H = hessian(problem.table.double, problem.weights * point.terms.entries(problem.basis), c)
    H.flat[:: c * D + 1] += np.tile(problem.ridge, c)
    gradient = problem.basis.T @ point.gradient
    step = solve_scaled(H, gradient.ravel()).reshape(c, D)
    direction: np.ndarray = -(problem.basis @ step)
    return direction


def hessian(X: np.ndarray, entries: np.ndarray, c: int) -> np.ndarray:
    """Return the data's part of H, (c·D, c·D), from weighted entries (a, b ≥ a) of the curvature of each row."""
    D = X.shape[1]
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


def solve_scaled(H: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return H⁻¹ r for a positive definite H, which is overwritten, through its scaling to unit diagonal.

    An unknown without any curvature stays where it is, such as the free bias of a class that no row is near: its
    gradient is 0 but for rounding.
    """
    diagonal = H.diagonal().copy()
    curved = diagonal > FLAT
    scale = np.where(curved, 1 / np.sqrt(np.where(curved, diagonal, 1)), 0)
    H *= scale
    H *= scale[:, None]
    H.flat[:: len(H) + 1] = 1
    jitter = 0.0
    while jitter <= LARGEST_JITTER:
        _, solution, failed = lapack.dposv(H, scale * right)
        if not failed:
            answer: np.ndarray = scale * solution
            return answer
        H.flat[:: len(H) + 1] += (jitter := max(10 * jitter, JITTER))
    plain: np.ndarray = scale * scale * right  # steepest descent in the diagonal's metric
    return plain
