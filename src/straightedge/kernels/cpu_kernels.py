"""The two products of a pass and three losses, compiled by Numba for CPUs.

A BLAS is made for products of some size each way. A pass has thousands of features, thousands of rows and ten
columns: there its kernels run at half of what they reach elsewhere, after rows were copied to floats and columns
padded. These loops read rows in their own type and take four rows and two columns at a time, so that each number
loaded is used in several multiplications; the compiler makes vectors of them.

Numerics:
    Sums run in the type of W over `CHUNK` features at a time, lane by lane: their rounding is that of a BLAS, not
    the same bits. The losses keep the formulas, limits and subgradients of `straightedge.losses`.

References:
    Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 2008, for the tiles.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

CHUNK = 3072  # features worked on together: a few rows and columns of them stay in the first cache
LONGEST_RUN = 512  # rows summed in the type of W before they are added up in float64
_SUMS = {"contract", "reassoc", "nsz", "arcp"}  # everything but the licence to assume that numbers are finite


@numba.njit(nogil=True, cache=True, fastmath=_SUMS)
def _dots(x: Any, w: Any) -> Any:
    """Return the eight products of four rows with two columns, each (n,)."""
    x0, x1, x2, x3 = x
    w0, w1 = w
    kind = w0.dtype.type
    a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = kind(0)
    for k in range(w0.shape[0]):
        u0, u1, u2, u3 = kind(x0[k]), kind(x1[k]), kind(x2[k]), kind(x3[k])
        a0 += u0 * w0[k]
        a1 += u1 * w0[k]
        a2 += u2 * w0[k]
        a3 += u3 * w0[k]
        b0 += u0 * w1[k]
        b1 += u1 * w1[k]
        b2 += u2 * w1[k]
        b3 += u3 * w1[k]
    return (a0, a1, a2, a3), (b0, b1, b2, b3)


@numba.njit(nogil=True, cache=True, fastmath=_SUMS)
def _dot(x: np.ndarray, w: np.ndarray) -> Any:
    """Return the product of one row with one column."""
    total = w.dtype.type(0)
    for k in range(w.shape[0]):
        total += w.dtype.type(x[k]) * w[k]
    return total


@numba.njit(nogil=True, cache=True)
def score_rows(X: np.ndarray, W: np.ndarray, offset: np.ndarray, S: np.ndarray) -> None:
    """Write S = X Wᵀ + offset.

    Args:
        X: (n, D) rows in their own type.
        W: (M, D), M even.
        offset: (M,).
        S: (n, M).
    """
    n, width = X.shape
    S[:] = offset
    for start in range(0, width, CHUNK):
        stop = min(start + CHUNK, width)
        for i in range(0, n - n % 4, 4):
            x = X[i, start:stop], X[i + 1, start:stop], X[i + 2, start:stop], X[i + 3, start:stop]
            for j in range(0, W.shape[0], 2):
                left, right = _dots(x, (W[j, start:stop], W[j + 1, start:stop]))
                for r in range(4):
                    S[i + r, j] += left[r]
                    S[i + r, j + 1] += right[r]
        for i in range(n - n % 4, n):
            for j in range(W.shape[0]):
                S[i, j] += _dot(X[i, start:stop], W[j, start:stop])


@numba.njit(nogil=True, cache=True, fastmath=_SUMS)
def _add_four(x: Any, a: Any, b: Any, g: np.ndarray, h: np.ndarray) -> None:
    """Add four rows, times a to g and times b to h."""
    x0, x1, x2, x3 = x
    a0, a1, a2, a3 = a
    b0, b1, b2, b3 = b
    kind = g.dtype.type
    for k in range(g.shape[0]):
        u0, u1, u2, u3 = kind(x0[k]), kind(x1[k]), kind(x2[k]), kind(x3[k])
        g[k] += a0 * u0 + a1 * u1 + a2 * u2 + a3 * u3
        h[k] += b0 * u0 + b1 * u1 + b2 * u2 + b3 * u3


@numba.njit(nogil=True, cache=True, fastmath=_SUMS)
def _add_one(x: np.ndarray, a: float, g: np.ndarray) -> None:
    """Add one row, times a, to g."""
    for k in range(g.shape[0]):
        g[k] += a * g.dtype.type(x[k])


@numba.njit(nogil=True, cache=True)
def add_rows(X: np.ndarray, A: np.ndarray, G: np.ndarray) -> None:
    """Add AᵀX to G.

    Args:
        X: (n, D) rows in their own type.
        A: (n, M), M even.
        G: (M, D).
    """
    n, width = X.shape
    for start in range(0, width, CHUNK):
        stop = min(start + CHUNK, width)
        for i in range(0, n - n % 4, 4):
            x = X[i, start:stop], X[i + 1, start:stop], X[i + 2, start:stop], X[i + 3, start:stop]
            for j in range(0, A.shape[1], 2):
                a = A[i, j], A[i + 1, j], A[i + 2, j], A[i + 3, j]
                b = A[i, j + 1], A[i + 1, j + 1], A[i + 2, j + 1], A[i + 3, j + 1]
                _add_four(x, a, b, G[j, start:stop], G[j + 1, start:stop])
        for i in range(n - n % 4, n):
            for j in range(A.shape[1]):
                _add_one(X[i, start:stop], A[i, j], G[j, start:stop])


@numba.njit(nogil=True, cache=True)
def add_gram(R: np.ndarray, G: np.ndarray, out: np.ndarray, start: int, stop: int) -> None:
    """Add G RᵀR over some of the rows of R to ``out``: each is read once, and its zeros are not.

    Args:
        R: (D, D), zero above the diagonal.
        G: (M, D).
        out: (M, D).
        start: First row.
        stop: One past the last row.
    """
    M, last = len(G), stop - (stop - start) % 4
    for i in range(start, last, 4):
        end = i + 4
        x = R[i, :end], R[i + 1, :end], R[i + 2, :end], R[i + 3, :end]
        for j in range(0, M - M % 2, 2):
            left, right = _dots(x, (G[j, :end], G[j + 1, :end]))
            _add_four(x, left, right, out[j, :end], out[j + 1, :end])
        for j in range(M - M % 2, M):
            for r in range(4):
                _add_one(x[r], _dot(x[r], G[j, :end]), out[j, :end])
    for i in range(last, stop):
        for j in range(M):
            _add_one(R[i], _dot(R[i], G[j]), out[j])


@numba.njit(nogil=True, cache=True, fastmath=_SUMS)
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


@numba.njit(nogil=True, cache=True, fastmath=_SUMS)
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
                t[p] *= _dot(X[places[p]], difference) + shift
            if write:
                _add_one(X[places[p]], t[p], total)
        if write:
            _add_to_both(total, t[begin:end].sum(), i, j, G, sums)
        begin = end


@numba.njit(nogil=True, cache=True, fastmath=_SUMS)
def _bend_run(
    z: np.ndarray, centre: np.ndarray, weights: np.ndarray, d: Any, tau: Any, steepness: float
) -> Any:
    """Return the sums of `bend_entries` over a run of entries, in their own type."""
    d0, d1, d2, d3 = d
    t0, t1, t2, t3 = tau
    zero, one = z.dtype.type(0), z.dtype.type(1)
    s0 = s1 = s2 = s3 = zero
    h00 = h01 = h02 = h03 = h11 = h12 = h13 = h22 = h23 = h33 = zero
    for e in range(z.shape[0]):
        x0, x1, x2, x3 = d0[e], d1[e], d2[e], d3[e]
        b = centre[e] + steepness * (z[e] + t0 * x0 + t1 * x1 + t2 * x2 + t3 * x3)
        b = min(max(b, zero), one)
        free = weights[e] if (b > zero) & (b < one) else zero
        b *= weights[e]
        s0 += b * x0
        s1 += b * x1
        s2 += b * x2
        s3 += b * x3
        y0, y1, y2 = free * x0, free * x1, free * x2
        h00 += y0 * x0
        h01 += y0 * x1
        h02 += y0 * x2
        h03 += y0 * x3
        h11 += y1 * x1
        h12 += y1 * x2
        h13 += y1 * x3
        h22 += y2 * x2
        h23 += y2 * x3
        h33 += free * x3 * x3
    return (s0, s1, s2, s3), (h00, h01, h02, h03, h11, h12, h13, h22, h23, h33)


@numba.njit(nogil=True, cache=True)
def bend_entries(
    z: np.ndarray,
    centre: np.ndarray,
    weights: np.ndarray,
    d: Any,
    tau: Any,
    mu: float,
    slopes: np.ndarray,
    curvature: np.ndarray,
) -> None:
    """Add up what a smoothed box hinge changes by along four directions: Σ w b d_k and Σ w d_k d_l [0 < b < 1]/μ.

    b = clip(c + (z + Σ τ_k d_k)/μ, 0, 1), entry by entry; each is read once.

    Args:
        z: (M,) margins.
        centre: (M,) c.
        weights: (M,).
        d: Four arrays (M,), the margins' changes.
        tau: Four numbers.
        mu: μ.
        slopes: (4,) float64, added to.
        curvature: (4, 4) float64, symmetric, added to.
    """
    d0, d1, d2, d3 = d
    kind = z.dtype.type
    steepness = kind(1 / mu)
    t = kind(tau[0]), kind(tau[1]), kind(tau[2]), kind(tau[3])
    for start in range(0, z.shape[0], LONGEST_RUN):
        part = slice(start, min(start + LONGEST_RUN, z.shape[0]))
        s, h = _bend_run(
            z[part], centre[part], weights[part], (d0[part], d1[part], d2[part], d3[part]), t, steepness
        )
        place = 0
        for k in range(4):
            slopes[k] += s[k]
            for m in range(k, 4):
                curvature[k, m] += h[place] / mu
                curvature[m, k] = curvature[k, m]
                place += 1


@numba.njit(nogil=True, cache=True)
def softmax_rows(S: np.ndarray, y: np.ndarray, limit: float, values: np.ndarray) -> None:
    """Cross-entropy of (row, configuration) into ``values``, and p − e_y over the scores.

    Args:
        S: (n, K, C) scores, overwritten.
        y: (n,) labels.
        limit: `losses.base.largest_loss` of the type.
        values: (n, K).
    """
    n, n_configs, n_classes = S.shape
    for i in range(n):
        for k in range(n_configs):
            s = S[i, k]
            largest = s[0]
            for j in range(1, n_classes):
                largest = max(largest, s[j])
            correct = max(s[y[i]] - largest, S.dtype.type(-limit))
            total = S.dtype.type(0)
            for j in range(n_classes):
                s[j] = math.exp(s[j] - largest)
                total += s[j]
            for j in range(n_classes):
                s[j] /= total
            s[y[i]] -= 1
            values[i, k] = math.log(total) - correct


@numba.njit(nogil=True, cache=True)
def hinge_rows(S: np.ndarray, y: np.ndarray, limit: float, squared: bool, values: np.ndarray) -> None:
    """Sum of the positive margins (or of their squares) into ``values``, and its gradient over the scores.

    Args:
        S: (n, K, C) scores, overwritten.
        y: (n,) labels.
        limit: Where margins are cut off.
        squared: Whether margins are squared.
        values: (n, K).
    """
    n, n_configs, n_classes = S.shape
    zero, one = S.dtype.type(0), S.dtype.type(1)
    for i in range(n):
        for k in range(n_configs):
            s, label = S[i, k], y[i]
            correct = s[label]
            total = slopes = zero
            for j in range(n_classes):
                z = min(max(s[j] - correct + one, zero), S.dtype.type(limit))
                if j == label:
                    z = zero
                slope = z + z if squared else (one if z > zero else zero)
                total += z * z if squared else z
                slopes += slope
                s[j] = slope
            s[label] = -slopes
            values[i, k] = total
