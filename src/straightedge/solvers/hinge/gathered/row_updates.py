"""The compiled loops of dual coordinate ascent: one row's dual variables after another, each time exactly.

Rows are dense: their scores are products of whole rows, and where W lives in the span of the rows, as scores of all
of them, a row of their inner products moves them. What a row's own problem is, `sparse.row_problems` says.

References:
    Those of `sparse.row_problems`.
"""

from typing import Any

import numba
import numpy as np

from straightedge.design.csr_kernels import FAST
from straightedge.solvers.sparse.epoch import compiled
from straightedge.solvers.sparse.row_problems import crammer_singer, one_vs_rest_hinge, weston_watkins

solve_row: Any = crammer_singer  # in each loop below the function of its own loss


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def inner_product(x: np.ndarray, w: np.ndarray) -> float:
    """Return Σ x_k w_k of two vectors of the same length."""
    total = 0.0
    for k in range(len(x)):
        total += x[k] * w[k]
    return total


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def add_changes(change: np.ndarray, factor: float, x: np.ndarray, W: np.ndarray) -> int:
    """Add factor · change_j x (d,) to the rows of W (M, d) that change; return how many they are."""
    moves = 0
    for j in range(len(W)):
        if change[j] != 0:
            w, step = W[j], factor * change[j]
            moves += 1
            for k in range(len(x)):
                w[k] += step * x[k]
    return moves


def _visit_features(
    order: np.ndarray,
    X: np.ndarray,
    y: np.ndarray,
    caps: np.ndarray,
    norms: np.ndarray,
    W: np.ndarray,
    b: np.ndarray,
    gaps: np.ndarray,
    relax: float,
) -> int:
    """Visit rows in an order; W = −Σ caps_i a(b_i) x̂_iᵀ is kept in step. Return how many rows of W were moved.

    Args:
        order: (k,) rows to visit.
        X: (n, d) rows, contiguous.
        y: (n,) labels.
        caps: (n,) w_i/(2 reg).
        norms: (n,) ‖x̂_i‖² > 0.
        W: (M, d) contiguous, changed in place.
        b: (n, M) dual variables, as `row_problems` has them; changed in place.
        gaps: (n,) receives a row's gap of before its visit, without its weight.
        relax: How many times as far as the exact step a row goes; see `row_problems`.
    """
    S, change, moves = np.empty(len(W)), np.empty(len(W)), 0
    for i in order:
        x = X[i]
        for j in range(len(W)):
            S[j] = inner_product(x, W[j])
        gaps[i] = solve_row(S, b[i], y[i], caps[i] * norms[i], relax, change)
        moves += add_changes(change, -caps[i], x, W)
    return moves


def _visit_products(
    order: np.ndarray,
    K: np.ndarray,
    y: np.ndarray,
    caps: np.ndarray,
    norms: np.ndarray,
    scores: np.ndarray,
    b: np.ndarray,
    gaps: np.ndarray,
    relax: float,
) -> int:
    """The same with the rows' inner products K (n, n); the scores (M, n) of all rows stand for W."""
    S, change, moves = np.empty(len(scores)), np.empty(len(scores)), 0
    for i in order:
        for j in range(len(scores)):
            S[j] = scores[j, i]
        gaps[i] = solve_row(S, b[i], y[i], caps[i] * norms[i], relax, change)
        moves += add_changes(change, -caps[i], K[i], scores)
    return moves


SOLVES = {"weston_watkins": weston_watkins, "crammer_singer": crammer_singer, "one_vs_rest": one_vs_rest_hinge}
IN_FEATURES = {geometry: compiled(solve, _visit_features) for geometry, solve in SOLVES.items()}
"""By the word for the row's exact subproblem, as `sparse.epoch.EPOCHS`."""
IN_PRODUCTS = {geometry: compiled(solve, _visit_products) for geometry, solve in SOLVES.items()}
"""The same, where W lives in the span of the rows."""
