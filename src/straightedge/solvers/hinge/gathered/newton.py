"""The Newton step of the augmented Lagrangian: one linear system, in the smallest of three forms.

The smoothed objective has the generalised Hessian H = 2 reg I + Σ_p (w_p/μ) g_p g_pᵀ with g_p = e_p ⊗ x̂_p, over
the p directions in which dual variables can move (`Margins.directions`). The step solves H dW = −2 reg R, where
R = W − W(b), and moves a free bias by dβ. With c_p the change of w_p b_p, by the Woodbury identity

    (G/(2 reg) + diag(μ/w)) c − E dβ = −⟨g, R⟩,   Eᵀc = −ρ,   dW = −R − Σ c_p g_p/(2 reg),

G the inner products of the g, E (p, M) the rows e_p and ρ the column sums that a free bias must bring to 0. It
costs p³/3; the system in W itself costs (M d)³/3; conjugate gradients serve where both are large. Both factored
systems are scaled to unit diagonal first: columns and weights of six decades leave them well conditioned then.
"""

from collections.abc import Callable

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs
from scipy.sparse import csr_array

from straightedge.newton.conjugate import conjugate_gradients
from straightedge.solvers.hinge.gathered.margins import Array, Indices
from straightedge.solvers.hinge.gathered.problem import HingeProblem
from straightedge.solvers.hinge.gathered.spaces import FeatureSpace, Point

FIRST_JITTER = 1e-14  # of a unit diagonal, added where rounding leaves it not positive definite
BIAS_RIDGE = 1e-9  # curvature of a free bias, of Σ w/μ: without free directions it has none
CG_COST = 30  # products with H that a solution by conjugate gradients is reckoned at; usual ones take 10 to 60
CG_COST_IN_SPAN = 600  # the same in the span of the rows, where no block of H is at hand to precondition with
CG_LEAST = 60  # products that one may take in any case
CG_STEPS = 400  # at most
CG_SHARE = 0.25  # of what a factored form costs, which then has its turn: its operations are three times as fast
CG_RESIDUAL = 0.1
"""Of the right side, in the norm of the preconditioner: 1e-3 takes as many steps, of six times the work."""
CG_RESIDUAL_IN_SPAN = 1e-3  # the same in the span of the rows
LARGEST_SYSTEM = 9000  # unknowns of a factored system: 650 MB


def newton_step(problem: HingeProblem, b: Array, mu: float, residual: Point, sums: Array) -> tuple[Point, Array]:
    """Return the Newton step dW and the step dβ (M,) of a free bias.

    Args:
        problem: The problem.
        b: (n, m) dual variables at the present point.
        mu: The smoothing, > 0.
        residual: R = W − W(b).
        sums: (M,) ρ; used for a free bias alone.
    """
    rows, E = problem.margins.directions(b)
    if not len(rows) and not problem.is_free:
        return problem.space.combined(np.zeros_like(residual.scores)).plus(residual, -1.0), np.zeros_like(sums)
    return FORMS[cheapest_form(problem, len(rows))](problem, rows, E, mu, residual, sums)


def step_cost(problem: HingeProblem, n_directions: int) -> float:
    """Return the operations of a Newton step with this many free directions, by its cheapest form."""
    return min(_costs(problem, n_directions).values())


def cheapest_form(problem: HingeProblem, n_directions: int) -> str:
    """Return "woodbury", "direct" or "cg": the form of the least operations."""
    costs = _costs(problem, n_directions)
    return min(costs, key=lambda form: costs[form])


def _costs(problem: HingeProblem, p: int) -> dict[str, float]:
    n, M, d = len(problem.weights), problem.margins.n_columns, problem.space.dimension
    space = problem.space
    featured = isinstance(space, FeatureSpace)
    at_hand = not isinstance(space, FeatureSpace) or space.keeps_products
    return forms(n, M, d, p, featured=featured, inner_products=at_hand)


def forms(n: int, M: int, d: int, p: int, *, featured: bool, inner_products: bool) -> dict[str, float]:
    """Return the operations of a Newton step in each form that serves.

    Args:
        n: Rows.
        M: Columns of W.
        d: Coordinates of a row.
        p: Free directions.
        featured: Whether coordinates are features, and not rows.
        inner_products: Whether the rows' inner products are at hand.
    """
    gram = 0.0 if inner_products else float(min(p, n)) ** 2 * d
    costs = {"woodbury": gram + float(p) ** 2 * (8 + M) + float(p) ** 3 / 3 if p < LARGEST_SYSTEM else np.inf}
    costs["cg"] = (CG_COST if featured else CG_COST_IN_SPAN) * _product_cost(n, M, d)
    if featured:
        costs["cg"] += 2.0 * p * d * d
    if featured and M * d < LARGEST_SYSTEM:
        costs["direct"] = 2.0 * p * d * d + (float(M) * d) ** 3 / 3
    return costs


def _by_directions(
    problem: HingeProblem, rows: Indices, E: Array, mu: float, residual: Point, sums: Array
) -> tuple[Point, Array]:
    """Solve for c, the Woodbury form."""
    system = problem.space.gram(rows)
    system *= E @ E.T
    system /= problem.curvature
    system.flat[:: len(rows) + 1] += mu / problem.weights[rows]
    return _by_changes(problem, rows, E, mu, residual, sums, scaled_solver(system))


def _by_changes(
    problem: HingeProblem,
    rows: Indices,
    E: Array,
    mu: float,
    residual: Point,
    sums: Array,
    solve: Callable[[Array], Array],
) -> tuple[Point, Array]:
    """Return dW and dβ from what solves the system of c alone."""
    right = -np.einsum("pj,pj->p", E, residual.scores[rows])
    if not problem.is_free:
        c, shift = solve(right), np.zeros_like(sums)
    else:
        c, shift = _with_bias(solve, E, right, sums, mu)
    A = np.zeros_like(residual.scores)
    np.add.at(A, rows, E * c[:, None])
    return problem.space.combined(A / -problem.curvature).plus(residual, -1.0), shift


def _with_bias(
    solve: Callable[[Array], Array], E: Array, right: Array, sums: Array, mu: float
) -> tuple[Array, Array]:
    """Eliminate c from the bordered system: EᵀB⁻¹E dβ = −ρ − EᵀB⁻¹·right, B the system of c alone."""
    images, first = solve(E), solve(right)
    schur = E.T @ images
    ridge = BIAS_RIDGE * max(float(schur.trace()), 1.0 / mu)
    shift = np.asarray(np.linalg.solve(schur + ridge * np.eye(len(sums)), -sums - E.T @ first), dtype=np.float64)
    return first + images @ shift, shift


def _in_features(
    problem: HingeProblem, rows: Indices, E: Array, mu: float, residual: Point, sums: Array
) -> tuple[Point, Array]:
    """Factor H itself, blocks of columns j, l of W at a time."""
    assert isinstance(problem.space, FeatureSpace)
    free = problem.is_free
    X, M = _with_constant(problem.space.X, free), len(sums)
    width = X.shape[1]
    H = np.zeros((M, width, M, width))
    for j in range(M):
        for k in range(j, M):
            block = _block(X, rows, E[:, j] * E[:, k] * (problem.weights[rows] / mu))
            H[j, :, k] = block
            H[k, :, j] = block.T
    flat = H.reshape(M * width, M * width)
    flat.flat[:: M * width + 1] += _ridge(problem, M, width, mu)
    right = -_gradient(problem, residual, sums)
    step = scaled_solver(flat)(right.ravel()).reshape(M, width)
    return _split(problem, step)


def _with_constant(X: Array, free: bool) -> Array:
    return np.hstack([X, np.ones((len(X), 1))]) if free else X


def _block(X: Array, rows: Indices, curvature: Array) -> Array:
    """Return Σ_p curvature_p x̂ x̂ᵀ over the rows of the directions, of either sign."""
    per_row = np.bincount(rows, curvature, minlength=len(X))
    used = np.flatnonzero(per_row)
    block: Array = (X[used] * per_row[used, None]).T @ X[used]
    return block


def _ridge(problem: HingeProblem, M: int, width: int, mu: float) -> Array:
    """Return what the penalty adds to H's diagonal; a free bias gets next to nothing."""
    ridge = np.full((M, width), problem.curvature)
    if problem.is_free:
        ridge[:, -1] = BIAS_RIDGE / mu
    return ridge.ravel()


def _gradient(problem: HingeProblem, residual: Point, sums: Array) -> Array:
    """Return the gradient (M, width) of the smoothed objective, a free bias last."""
    gradient = problem.curvature * residual.coordinates
    return gradient if not problem.is_free else np.hstack([gradient, sums[:, None]])


def _split(problem: HingeProblem, step: Array) -> tuple[Point, Array]:
    """Return dW and dβ of a step (M, width)."""
    if not problem.is_free:
        return problem.space.at(step), np.zeros(len(step))
    return problem.space.at(np.ascontiguousarray(step[:, :-1])), np.ascontiguousarray(step[:, -1])


def scaled_solver(system: Array) -> Callable[[Array], Array]:
    """Return a function that solves with a symmetric positive definite system, which is overwritten."""
    scale = 1.0 / np.sqrt(np.maximum(system.diagonal(), 1e-300))
    system *= scale
    system *= scale[:, None]
    jitter, ones = 0.0, system.diagonal().copy()
    factor, minor = _factored_in_place(system)
    while minor:
        jitter = max(FIRST_JITTER, 30 * jitter)
        system[:] = np.triu(system, 1) + np.triu(system, 1).T
        system.flat[:: len(system) + 1] = ones + jitter
        factor, minor = _factored_in_place(system)

    def solve(right: Array) -> Array:
        if not len(right):  # LAPACK knows no system without equations
            return right
        own = scale if right.ndim == 1 else scale[:, None]
        found: Array = dpotrs(factor, right * own)[0]
        return found * own

    return solve


def _factored_in_place(system: Array) -> tuple[Array, int]:
    """Return what LAPACK's dpotrf does. It takes the lower half of the system, and leaves what is above."""
    factor, minor = dpotrf(system.T, overwrite_a=1, clean=0)  # symmetric: a transpose that LAPACK reads as it is
    return factor, minor


def _by_conjugate_gradients(
    problem: HingeProblem, rows: Indices, E: Array, mu: float, residual: Point, sums: Array
) -> tuple[Point, Array]:
    """Solve for c by conjugate gradients on the system of unit diagonal, or for dW where features are at hand."""
    if isinstance(problem.space, FeatureSpace):
        return _features_by_cg(problem, rows, E, mu, residual, sums)
    n, M = residual.scores.shape
    own = mu / problem.weights[rows]

    def product(c: Array) -> Array:
        A = np.zeros((n, M))
        np.add.at(A, rows, E * c[:, None])
        image = problem.space.combined(A).scores[rows]
        image_change: Array = own * c + np.einsum("pj,pj->p", E, image) / problem.curvature
        return image_change

    diagonal = own + (E * E).sum(axis=1) * problem.space.norms[rows] / problem.curvature

    def solve(right: Array) -> Array:
        if right.ndim == 2:
            return np.stack([solve(column) for column in right.T], axis=1)
        return conjugate_gradients(product, lambda r: r / diagonal, right, CG_RESIDUAL_IN_SPAN, CG_STEPS)[0]

    return _by_changes(problem, rows, E, mu, residual, sums, solve)


def _features_by_cg(
    problem: HingeProblem, rows: Indices, E: Array, mu: float, residual: Point, sums: Array
) -> tuple[Point, Array]:
    """Solve H dW = −gradient; the preconditioner has one factored block for each column of W.

    Where that takes as long as a factored form, the system is a bad one, and the factored form has its turn.
    """
    assert isinstance(problem.space, FeatureSpace)
    X, M = _with_constant(problem.space.X, problem.is_free), len(sums)
    width = X.shape[1]
    own = problem.weights[rows] / mu
    ridge = _ridge(problem, M, width, mu).reshape(M, width)
    spread = _spread(rows, E, len(X))

    def product(flat: Array) -> Array:
        step = flat.reshape(M, width)
        along = own * (spread @ (X @ step.T).ravel())
        image: Array = ((along @ spread).reshape(-1, M).T @ X + ridge * step).ravel()
        return image

    solvers = []
    for j in range(M):
        block = _block(X, rows, E[:, j] ** 2 * own)
        block.flat[:: width + 1] += ridge[j]
        solvers.append(scaled_solver(block))

    def precondition(flat: Array) -> Array:
        parts = zip(solvers, flat.reshape(M, width), strict=True)
        return np.concatenate([solve(part) for solve, part in parts])

    right = -_gradient(problem, residual, sums).ravel()
    costs = _costs(problem, len(rows))
    costs.pop("cg")
    factored = min(costs, key=lambda form: costs[form])
    most = int(min(CG_STEPS, max(CG_LEAST, CG_SHARE * costs[factored] / _product_cost(len(X), M, width))))
    step, arrived = conjugate_gradients(product, precondition, right, CG_RESIDUAL, most)
    if arrived or not np.isfinite(costs[factored]):
        return _split(problem, step.reshape(M, width))
    return FORMS[factored](problem, rows, E, mu, residual, sums)


def _product_cost(n: int, M: int, d: int) -> float:
    """Return the operations of a product with H."""
    return 4.0 * n * M * d


def _spread(rows: Indices, E: Array, n: int) -> csr_array:
    """Return the directions (p, n M) as sparse rows: each lies in one row's scores and has few entries there."""
    p, M = E.shape
    places, classes = np.nonzero(E)
    starts = np.searchsorted(places, np.arange(p + 1))
    return csr_array((E[places, classes], rows[places] * M + classes, starts), shape=(p, n * M))


FORMS = {"woodbury": _by_directions, "direct": _in_features, "cg": _by_conjugate_gradients}
"""Ways to the same step; see `forms`."""
