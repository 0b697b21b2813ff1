"""One epoch of dual coordinate ascent over sparse rows, compiled by Numba."""

from collections.abc import Callable
from types import FunctionType
from typing import Any, cast

import numba
import numpy as np

from straightedge.design.csr_kernels import LINE, ROWS_AHEAD, add_row, fetch_entries, row_scores
from straightedge.design.prefetch import prefetch
from straightedge.solvers.sparse.row_problems import (
    crammer_singer,
    one_vs_rest_hinge,
    one_vs_rest_squared_hinge,
    squared_hinge,
    weston_watkins,
)
from straightedge.solvers.sparse.softmax_row import softmax

solve_row: Any = softmax  # in each loop below the function of its own loss


@numba.njit(nogil=True, cache=True)
def _fetch_duals(
    order: np.ndarray, place: int, b: np.ndarray, y: np.ndarray, caps: np.ndarray, norms: np.ndarray
) -> None:
    """Ask for what else a visit reads of the row that is visited `ROWS_AHEAD` visits after the one at ``place``."""
    if place + ROWS_AHEAD < len(order):
        i = order[place + ROWS_AHEAD]
        for j in range(0, b.shape[1], LINE // b.itemsize):
            prefetch(b, (i, j))
        prefetch(y, i)
        prefetch(caps, i)
        prefetch(norms, i)


def _visit_rows(
    order: np.ndarray,
    indptr: np.ndarray,
    indices: np.ndarray,
    data: np.ndarray,
    y: np.ndarray,
    caps: np.ndarray,
    norms: np.ndarray,
    held: float,
    W: np.ndarray,
    b: np.ndarray,
    gaps: np.ndarray,
    relax: float,
) -> None:
    """Maximise the dual over one row's variables after another.

    W = −Σ caps_i x̂_i a(b_i)ᵀ, its bias held, is kept in step.

    Args:
        order: (n,) rows to visit.
        indptr: (N + 1,) CSR; and the next two.
        indices: (nnz,).
        data: (nnz,).
        y: (N,) labels.
        caps: (N,) w_i/(2 reg); rows with 0 are left as they are.
        norms: (N,) ‖x̂‖², the bias's entry counted as ``held``.
        held: What the bias moves by for the entry 1; see `held_bias`.
        W: (D + 1, C), changed in place.
        b: (N, C) float64 dual variables, changed in place.
        gaps: (N,) receives a row's gap of before its visit, without its weight.
        relax: How many times as far as the exact step a row goes; see `row_problems`. Of no meaning for softmax.
    """
    n_classes = W.shape[1]
    S, change = np.empty(n_classes), np.empty(n_classes)
    for place in range(len(order)):
        i = order[place]
        if caps[i] <= 0.0:
            continue
        fetch_entries(order, place, indptr, indices, data)
        _fetch_duals(order, place, b, y, caps, norms)
        begin, end = indptr[i], indptr[i + 1]
        row_scores(indices, data, begin, end, W, S)
        gaps[i] = solve_row(S, b[i], y[i], caps[i] * norms[i], relax, change)
        largest = 0.0
        for j in range(n_classes):
            largest = max(largest, abs(change[j]))
            change[j] *= -caps[i]
        if largest > 0.0:
            add_row(indices, data, begin, end, change, W, held)


def compiled(solve: Callable[..., float], visit: Callable[..., Any] = _visit_rows) -> Callable[..., Any]:
    """Return the loop ``visit`` for one loss. One that chose among them would compile them all at the first use.

    The copy has a name of its own, by which Numba finds it again in its cache of compiled functions.
    """
    loop = FunctionType(visit.__code__, {**visit.__globals__, "solve_row": solve}, visit.__name__)
    loop.__qualname__ = f"epoch_{solve.__name__}{visit.__name__}"
    return cast("Callable[..., Any]", numba.njit(nogil=True, cache=True)(loop))


EPOCHS = {
    "softmax": compiled(softmax),
    "weston_watkins": compiled(weston_watkins),
    "crammer_singer": compiled(crammer_singer),
    "one_vs_rest": compiled(one_vs_rest_hinge),
    "squared_hinge": compiled(squared_hinge),
    "one_vs_rest_squared_hinge": compiled(one_vs_rest_squared_hinge),
}
"""By the word for the row's exact subproblem, as `duals.FORMS`."""
