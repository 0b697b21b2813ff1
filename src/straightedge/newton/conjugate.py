"""Newton's direction by preconditioned conjugate gradients, products in float32: for many unknowns.

The preconditioner is one weighted Gram for all classes, Xᵀ diag(w_i b_i) X + diag(h) with b_i the mean curvature
of a row over its classes, or its diagonal where the Gram would cost too many products. Where few rows bend a class,
since the others are sure, each class has its own block of the Hessian of those rows. A preconditioner serves until
products have cost as much as another would.

References:
    Dembo, Eisenstat and Steihaug, "Inexact Newton methods", SIAM J. Numer. Anal. 19, 1982 (forcing terms).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from straightedge.newton.problem import Point, SmoothProblem
from straightedge.newton.products import back, forward
from straightedge.newton.work import GRAM_ROWS

KEPT = 0.7  # of a class's curvature, in the rows that its block has whole; 0.5 to 0.9 took about as many products
LEAST_KEPT = 0.55  # of all curvature, or one Gram for all classes with all rows takes fewer products
SPARE = 12  # a class keeps at most one row of so many: products with them stay cheaper than with all rows


@dataclass
class GramPreconditioner:
    """M = Xᵀ diag(w b) X + diag(h) at a point, factored in float32 after scaling to unit diagonal.

    Attributes:
        W: (C, D) where the curvature was taken.
        factor: (D, D) float32 Cholesky factor.
        scale: (D,) float32, 1/√diagonal.
    """

    W: np.ndarray
    factor: np.ndarray
    scale: np.ndarray

    def solve(self, R: np.ndarray) -> np.ndarray:
        """Return M⁻¹ r for each row of R (c, D), float64."""
        right = np.asfortranarray((R * self.scale).T, dtype=np.float32)
        solution, _ = lapack.spotrs(self.factor, right, lower=True, overwrite_b=True)
        found: np.ndarray = solution.T.astype(np.float64) * self.scale
        return found


@dataclass
class DiagonalPreconditioner:
    """The diagonal of M alone.

    Attributes:
        W: (C, D) where the curvature was taken.
        inverse: (D,) 1/diagonal.
    """

    W: np.ndarray
    inverse: np.ndarray

    def solve(self, R: np.ndarray) -> np.ndarray:
        """Return M⁻¹ r for each row of R (c, D), float64."""
        found: np.ndarray = R * self.inverse
        return found


@dataclass
class BlockPreconditioner:
    """For each class its own block of the Hessian, Δ + AᵀA: rows that bend it most whole, the rest by its diagonal.

    Attributes:
        W: (C, D) where the curvature was taken.
        rows: For each class AΔ^−½ (n, D) float32.
        factors: For each class the Cholesky factor (n, n) of 1 + AΔ⁻¹Aᵀ.
        scales: (C, D) float32, Δ^−½.
    """

    W: np.ndarray
    rows: list[np.ndarray]
    factors: list[np.ndarray]
    scales: np.ndarray

    def solve(self, R: np.ndarray) -> np.ndarray:
        """Return M⁻¹ r for each row of R (C, D), float64, by the formula of Woodbury."""
        found = (R * self.scales).astype(np.float32)
        for r, A, factor in zip(found, self.rows, self.factors, strict=True):
            inner, _ = lapack.spotrs(factor, A @ r, lower=True, overwrite_b=True)
            r -= inner @ A
        natural: np.ndarray = found * self.scales
        return natural.astype(np.float64)


def block_preconditioner(problem: SmoothProblem, point: Point) -> BlockPreconditioner | None:
    """Return the preconditioner of the classes' own blocks at a point, None where too many rows bend them."""
    X = problem.table.single
    bend = (problem.weights * point.terms.diagonal()).astype(np.float32)
    most = max(1, min(len(X) // SPARE, X.shape[1] // 2))
    kept = [_heaviest(own, most) for own in bend]
    roots = [np.sqrt(own[index])[:, None] for own, index in zip(bend, kept, strict=True)]
    total = float(bend.sum())
    for own, index in zip(bend, kept, strict=True):
        own[index] = 0
    if not float(bend.sum()) <= (1 - LEAST_KEPT) * total:
        return None
    scales = 1 / np.sqrt(np.maximum(bend @ problem.table.squares + problem.ridge, 1e-30)).astype(np.float32)
    rows, factors = [], []
    for index, root, scale in zip(kept, roots, scales, strict=True):
        A = X[index]
        A *= root
        A *= scale
        gram = A @ A.T
        gram.flat[:: len(gram) + 1] += 1
        rows.append(A)
        factors.append(_factor(gram))
    return BlockPreconditioner(point.W, rows, factors, scales)


def _heaviest(own: np.ndarray, most: int) -> np.ndarray:
    """Return the rows that hold KEPT of the sum of own (N,), the fewest there are, and at most so many."""
    top = np.argpartition(own, len(own) - most)[-most:]
    top = top[np.argsort(-own[top], kind="stable")]
    count = int(np.searchsorted(np.cumsum(own[top]), KEPT * own.sum())) + 1
    return np.sort(top[:count])


def diagonal_preconditioner(problem: SmoothProblem, point: Point) -> DiagonalPreconditioner:
    """Return the diagonal preconditioner at a point."""
    weights = (problem.weights * point.terms.mean_diagonal()).astype(np.float32)
    diagonal = (weights @ problem.table.squares).astype(np.float64) + problem.ridge
    return DiagonalPreconditioner(point.W, 1 / np.maximum(diagonal, 1e-30))


def gram_preconditioner(problem: SmoothProblem, point: Point) -> GramPreconditioner:
    """Return the preconditioner at a point."""
    stride = max(1, len(problem.y) // GRAM_ROWS)
    weights = problem.weights * point.terms.mean_diagonal()
    root = np.sqrt(stride * weights[::stride]).astype(np.float32)
    bent = problem.table.single[::stride] * root[:, None]
    gram = bent.T @ bent
    own = problem.ridge
    diagonal = gram.diagonal().astype(np.float64) + own
    scale = 1 / np.sqrt(np.maximum(diagonal, 1e-30))
    gram *= (scale[:, None] * scale).astype(np.float32)
    ridge = np.maximum(own * scale * scale, 1e-6)  # float32 keeps no smaller eigenvalue of a unit diagonal
    gram.flat[:: len(gram) + 1] = 1.0 + np.where(ridge > 1e-6, 0.0, 1e-6)
    return GramPreconditioner(point.W, _factor(gram), scale)


def _factor(matrix: np.ndarray) -> np.ndarray:
    """Return the lower Cholesky factor (float32) of a matrix with unit diagonal, raised until it has one."""
    ridge = 1e-6
    while True:
        factor, failed = lapack.spotrf(matrix.T, lower=True, clean=False)
        if not failed:
            found: np.ndarray = factor
            return found
        matrix.flat[:: len(matrix) + 1] += ridge
        ridge *= 10


Preconditioner = GramPreconditioner | BlockPreconditioner | DiagonalPreconditioner


def cg_direction(
    problem: SmoothProblem,
    point: Point,
    preconditioner: Preconditioner,
    goal: float,
    most: int,
    *,
    double: bool = False,
) -> tuple[np.ndarray, int]:
    """Return a direction (C, D) and the number of products with H it took.

    Args:
        problem: The problem.
        point: Where the step starts.
        preconditioner: Made there or at an earlier point.
        goal: The direction is good when what is left of the gradient is worth at most this gap.
        most: Products after which it is good enough.
        double: Products in float64.
    """
    # classes stay as they are where they are many: the basis would cost as much as a product
    Q, product = _basis(problem), _product(problem, point, double)
    residual = -(Q.T @ point.gradient)
    direction = np.zeros_like(residual)
    natural = preconditioner.solve(residual)
    search, strength = natural, float(np.vdot(residual, natural))
    n_products = 0
    while True:
        problem.check()
        n_products += 1
        bent = product(search)
        length = strength / float(np.vdot(search, bent))
        direction += length * search
        residual -= length * bent
        if problem.gap_of(residual) <= goal or n_products >= most:
            return problem.centred(Q @ direction), n_products  # rounding in float32 leaves the space of the optimum
        natural = preconditioner.solve(residual)
        former, strength = strength, float(np.vdot(residual, natural))
        search = natural + (strength / former) * search


def _basis(problem: SmoothProblem) -> np.ndarray:
    C = len(problem.basis)
    return problem.basis if C == 2 else np.eye(C)


def _product(problem: SmoothProblem, point: Point, double: bool) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function U ↦ H U for (c, D) float64, with products of rows in float32 or float64."""
    X, terms = (problem.table.double, point.terms) if double else (problem.table.single, point.terms.single())
    weights, Q = problem.weights.astype(X.dtype), _basis(problem).astype(X.dtype)
    own = problem.ridge
    plain = Q.shape[0] == Q.shape[1]

    def product(U: np.ndarray) -> np.ndarray:
        narrow = U.astype(X.dtype)
        moved = forward(narrow, X)
        bent = terms.product(moved if plain else Q @ moved)
        bent *= weights
        pulled = back(bent if plain else Q.T @ bent, X)
        found: np.ndarray = pulled.astype(np.float64) + own * U
        return found

    return product


def conjugate_gradients(
    product: Callable[[np.ndarray], np.ndarray],
    precondition: Callable[[np.ndarray], np.ndarray],
    right: np.ndarray,
    residual: float,
    most: int,
) -> tuple[np.ndarray, bool]:
    """Return an approximate solution of a symmetric positive definite system, and whether it is as near as asked.

    Every iterate from 0 is a descent direction, however early the method stops.

    Args:
        product: Of the system with a vector.
        precondition: Of the preconditioner's inverse with one.
        right: The right side.
        residual: Of the right side, in the norm of the preconditioner, at which it ends.
        most: Products at most.
    """
    solution, rest = np.zeros_like(right), right.copy()
    image = precondition(rest)
    direction, norm = image.copy(), float(rest @ image)
    stop = residual**2 * norm
    for _ in range(most):
        if norm <= stop:
            break
        moved = product(direction)
        bend = float(direction @ moved)
        if not bend > 0:  # rounding is all that is left
            break
        length = norm / bend
        solution += length * direction
        rest -= length * moved
        image = precondition(rest)
        former, norm = norm, float(rest @ image)
        direction = image + (norm / former) * direction
    return solution, norm <= stop
