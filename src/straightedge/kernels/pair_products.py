"""Products over pairs of a row with a difference of two columns, compiled by Numba for CPUs."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from straightedge.kernels.row_products import LONGEST_RUN, SUMS, add_one, dot


@numba.njit(nogil=True, cache=True, fastmath=SUMS)
def _four_dots(x: Any, d: np.ndarray) -> Any:
    """Return the products of four rows with one column."""
    x0, x1, x2, x3 = x
    kind = d.dtype.type
    a0 = a1 = a2 = a3 = kind(0)
    for k in range(d.shape[0]):
        a0 += kind(x0[k]) * d[k]
        a1 += kind(x1[k]) * d[k]
        a2 += kind(x2[k]) * d[k]
        a3 += kind(x3[k]) * d[k]
    return a0, a1, a2, a3


@numba.njit(nogil=True, cache=True, fastmath=SUMS)
def _add_four_rows(x: Any, a: np.ndarray, g: np.ndarray) -> None:
    """Add four rows, times a (4,), to g."""
    x0, x1, x2, x3 = x
    a0, a1, a2, a3 = a[0], a[1], a[2], a[3]
    kind = g.dtype.type
    for k in range(g.shape[0]):
        g[k] += a0 * kind(x0[k]) + a1 * kind(x1[k]) + a2 * kind(x2[k]) + a3 * kind(x3[k])


@numba.njit(nogil=True, cache=True)
def _difference_of(weight: np.ndarray, offset: np.ndarray, i: int, j: int, out: np.ndarray) -> Any:
    """Write column i minus column j into ``out`` (D,), −1 being none, and return the same of the offsets."""
    shift = weight.dtype.type(0)
    out[:] = 0
    if i >= 0:
        out += weight[i]
        shift += offset[i]
    if j >= 0:
        out -= weight[j]
        shift -= offset[j]
    return shift


@numba.njit(nogil=True, cache=True)
def _add_to_both(total: np.ndarray, count: float, i: int, j: int, G: np.ndarray, sums: np.ndarray) -> None:
    """Add ``total`` (D,) and its sum of t to column i, take them from column j, −1 being none, and clear it."""
    if i >= 0:
        G[i] += total
        sums[i] += count
    if j >= 0:
        G[j] -= total
        sums[j] -= count
    total[:] = 0


@numba.njit(nogil=True, cache=True)
def visit_pairs(
    X: np.ndarray,
    places: np.ndarray,
    plus: np.ndarray,
    minus: np.ndarray,
    weight: np.ndarray,
    offset: np.ndarray,
    t: np.ndarray,
    G: np.ndarray,
    sums: np.ndarray,
    read: bool,
    write: bool,
) -> None:
    """Go over pairs of a row with a difference of two columns; pairs of the same two lie together.

    With both ``read`` and ``write`` each row is read once. The difference, and the sum of what it collects, stay in
    the first cache.

    Args:
        X: (N, D) rows in their own type.
        places: (P,) rows of the pairs.
        plus: (P,) columns; −1 for none.
        minus: (P,) the same.
        weight: (M, D).
        offset: (M,).
        t: (P,) in the type of ``weight``, overwritten if ``read``.
        G: (M, D) float64.
        sums: (M,) float64: of t, as G of x.
        read: Multiply t_p by x_p (w_plus − w_minus) + offset_plus − offset_minus.
        write: Add t_p x_p to G_plus, and take it from G_minus.
    """
    difference, total = np.empty_like(weight[0]), np.zeros_like(weight[0])
    begin, n, shift = 0, len(places), weight.dtype.type(0)
    while begin < n:
        i, j, end = plus[begin], minus[begin], begin + 1
        while end < n and end < begin + LONGEST_RUN and plus[end] == i and minus[end] == j:
            end += 1
        last = end - (end - begin) % 4
        if read:
            shift = _difference_of(weight, offset, i, j, difference)
        for p in range(begin, last, 4):
            x = X[places[p]], X[places[p + 1]], X[places[p + 2]], X[places[p + 3]]
            if read:
                z = _four_dots(x, difference)
                for r in range(4):
                    t[p + r] *= z[r] + shift
            if write:
                _add_four_rows(x, t[p : p + 4], total)
        for p in range(last, end):
            if read:
                t[p] *= dot(X[places[p]], difference) + shift
            if write:
                add_one(X[places[p]], t[p], total)
        if write:
            _add_to_both(total, t[begin:end].sum(), i, j, G, sums)
        begin = end
