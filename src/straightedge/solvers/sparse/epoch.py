"""One epoch of dual coordinate ascent over sparse rows, compiled by Numba."""

from __future__ import annotations

import numba
import numpy as np

from straightedge.design.csr_kernels import add_row, row_scores
from straightedge.solvers.sparse.row_problems import (
    crammer_singer,
    one_vs_rest_hinge,
    one_vs_rest_squared_hinge,
    squared_hinge,
    weston_watkins,
)
from straightedge.solvers.sparse.softmax_row import softmax


@numba.njit(nogil=True, cache=True)
def _solve_row(kind: int, S: np.ndarray, b: np.ndarray, label: int, q: float, change: np.ndarray) -> float:
    if kind == 0:
        return softmax(S, b, label, q, change)
    if kind == 1:
        return weston_watkins(S, b, label, q, change)
    if kind == 2:
        return crammer_singer(S, b, label, q, change)
    if kind == 3:
        return one_vs_rest_hinge(S, b, label, q, change)
    if kind == 4:
        return squared_hinge(S, b, label, q, change)
    return one_vs_rest_squared_hinge(S, b, label, q, change)


@numba.njit(nogil=True, cache=True)
def epoch(
    kind: int,
    order: np.ndarray,
    indptr: np.ndarray,
    indices: np.ndarray,
    data: np.ndarray,
    y: np.ndarray,
    caps: np.ndarray,
    norms: np.ndarray,
    W: np.ndarray,
    b: np.ndarray,
    moved: np.ndarray,
) -> None:
    """Maximise the dual over one row's variables after another; W = −Σ caps_i x̂_i a(b_i)ᵀ is kept in step.

    Args:
        kind: The number of the loss; see `duals.FORMS`.
        order: (n,) rows to visit.
        indptr: (N + 1,) CSR; and the next two.
        indices: (nnz,).
        data: (nnz,).
        y: (N,) labels.
        caps: (N,) w_i/(2 reg); rows with 0 are left as they are.
        norms: (N,) ‖x̂‖².
        W: (D + 1, C) float64, changed in place.
        b: (N, C) float64 dual variables, changed in place.
        moved: (N,) receives the largest change of a dual variable of each row that is visited.
    """
    n_classes = W.shape[1]
    S, change = np.empty(n_classes), np.empty(n_classes)
    for i in order:
        if caps[i] <= 0.0:
            continue
        begin, end = indptr[i], indptr[i + 1]
        row_scores(indices, data, begin, end, W, S)
        moved[i] = _solve_row(kind, S, b[i], y[i], caps[i] * norms[i], change)
        if moved[i] > 0.0:
            for j in range(n_classes):
                change[j] *= -caps[i]
            add_row(indices, data, begin, end, change, W)
