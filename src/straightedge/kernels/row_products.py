"""The two products of a pass, compiled by Numba for CPUs.

A BLAS is made for products of some size each way. A pass has thousands of features, thousands of rows and ten
columns: there its kernels run at half of what they reach elsewhere, after rows were copied to floats and columns
padded. These loops read rows in their own type and take four rows and two columns at a time, so that each number
loaded is used in several multiplications; the compiler makes vectors of them.

Numerics:
    Sums run in the type of W over `CHUNK` features at a time, lane by lane: their rounding is that of a BLAS, not
    the same bits.

References:
    Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 2008, for the tiles.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

CHUNK = 3072  # features worked on together: a few rows and columns of them stay in the first cache
LONGEST_RUN = 512  # rows summed in the type of W before they are added up in float64
SUMS = {"contract", "reassoc", "nsz", "arcp"}  # everything but the licence to assume that numbers are finite


@numba.njit(nogil=True, cache=True, fastmath=SUMS)
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


@numba.njit(nogil=True, cache=True, fastmath=SUMS)
def dot(x: np.ndarray, w: np.ndarray) -> Any:
    """Return the product of one row with one column."""
    total = w.dtype.type(0)
    for k in range(w.shape[0]):
        total += w.dtype.type(x[k]) * w[k]
    return total


@numba.njit(nogil=True, cache=True)
def score_rows(X: np.ndarray, W: np.ndarray, offset: np.ndarray, S: np.ndarray) -> None:
    """Write S (n, M) = X Wᵀ + offset, for rows X (n, D) in their own type, W (M, D), M even."""
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
                S[i, j] += dot(X[i, start:stop], W[j, start:stop])


@numba.njit(nogil=True, cache=True, fastmath=SUMS)
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


@numba.njit(nogil=True, cache=True, fastmath=SUMS)
def add_one(x: np.ndarray, a: float, g: np.ndarray) -> None:
    """Add one row, times a, to g."""
    for k in range(g.shape[0]):
        g[k] += a * g.dtype.type(x[k])


@numba.njit(nogil=True, cache=True)
def add_rows(X: np.ndarray, A: np.ndarray, G: np.ndarray) -> None:
    """Add AᵀX to G (M, D), for rows X (n, D) in their own type, A (n, M), M even."""
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
                add_one(X[i, start:stop], A[i, j], G[j, start:stop])


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
                add_one(x[r], dot(x[r], G[j, :end]), out[j, :end])
    for i in range(last, stop):
        for j in range(M):
            add_one(R[i], dot(R[i], G[j]), out[j])


@numba.njit(nogil=True, cache=True, fastmath={"contract"})
def map_rows(X: np.ndarray, index: np.ndarray, scale: np.ndarray, offset: np.ndarray, out: np.ndarray) -> None:
    """Write x·scale + offset, and the constant 1, of the rows of ``index`` into ``out``: one look at each entry.

    Args:
        X: (N, D) rows as they lie in memory.
        index: (n,) which of them.
        scale: (D,) of the affine map, in out's type.
        offset: (D,) of the affine map.
        out: (n, D + 1).
    """
    width = X.shape[1]
    for i in range(index.shape[0]):
        x, row = X[index[i]], out[i]
        for k in range(width):
            row[k] = out.dtype.type(x[k]) * scale[k] + offset[k]
        row[width] = 1
