"""Compiled loops over rows in compressed form (CSR), by Numba: scores, the adjoint, norms.

A row i has the entries ``data[indptr[i]:indptr[i + 1]]`` in the columns ``indices[indptr[i]:indptr[i + 1]]``,
each once. W is laid out (D + 1, C), the bias last: an entry touches one contiguous row of W. The
constant 1 of x̂ is never stored.

They are written as plain loops: an array assignment or a search of NumPy compiles for seconds at the first use.
Places are unsigned (``U``), or Numba would ask of each whether it counts from the end: a fifth of the time.
"""

import numba
import numpy as np

from straightedge.design.prefetch import prefetch

U = np.uint64
ONE, TWO, THREE, FOUR = U(1), U(2), U(3), U(4)
WIDE = 2**14  # entries of W that the nearest cache holds: those of a larger one are asked for ahead
ENTRIES_AHEAD = 16  # how far: 8 and 32 do as well on 20 newsgroups, where an epoch takes 0.65 of the time without
ROWS_AHEAD = 2  # visits before its own that a row's entries are asked for
LINE = 64  # bytes that memory hands out together
FAST = {"contract", "reassoc", "nsz", "arcp"}  # not "nnan" or "ninf": what is not a number stays so


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def row_scores(indices: np.ndarray, data: np.ndarray, begin: int, end: int, W: np.ndarray, out: np.ndarray) -> None:
    """Write x̂W of the row with entries ``begin:end`` into out (C,).

    Four entries are taken at once: out is read and written a quarter as often, in less than half the time. Those
    of later ones are on their way from memory meanwhile.
    """
    n_classes, bias = U(W.shape[1]), U(W.shape[0] - 1)
    for j in range(n_classes):
        out[j] = W[bias, j]
    first, stop = U(begin), U(end)
    whole = stop - (stop - first) % FOUR
    ahead = U(ENTRIES_AHEAD) if W.size > WIDE else whole
    for t in range(first, whole, FOUR):
        if t + ahead < whole:
            for later in range(t + ahead, t + ahead + FOUR):
                prefetch(W, (U(indices[later]), 0))
                prefetch(W, (U(indices[later]), n_classes - ONE))
        v0, v1, v2, v3 = data[t], data[t + ONE], data[t + TWO], data[t + THREE]
        k0, k1, k2, k3 = U(indices[t]), U(indices[t + ONE]), U(indices[t + TWO]), U(indices[t + THREE])
        for j in range(n_classes):
            out[j] += v0 * W[k0, j] + v1 * W[k1, j] + v2 * W[k2, j] + v3 * W[k3, j]
    for t in range(whole, stop):
        value, k = data[t], U(indices[t])
        for j in range(n_classes):
            out[j] += value * W[k, j]


@numba.njit(nogil=True, cache=True)
def fetch_entries(order: np.ndarray, place: int, indptr: np.ndarray, indices: np.ndarray, data: np.ndarray) -> None:
    """Ask for the entries of the row that is visited `ROWS_AHEAD` visits after the one at ``place``."""
    place += ROWS_AHEAD
    if place + ROWS_AHEAD < len(order):
        prefetch(indptr, order[place + ROWS_AHEAD])
    if place < len(order):
        begin, end = indptr[order[place]], indptr[order[place] + 1]
        for t in range(begin, end, LINE // data.itemsize):
            prefetch(data, t)
        for t in range(begin, end, LINE // indices.itemsize):
            prefetch(indices, t)


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def add_row(
    indices: np.ndarray, data: np.ndarray, begin: int, end: int, change: np.ndarray, W: np.ndarray, constant: float
) -> None:
    """Add x̂ ⊗ change (C,) of the row with entries ``begin:end``, and ``constant`` for the bias, to W."""
    n_classes, bias = U(W.shape[1]), U(W.shape[0] - 1)
    for j in range(n_classes):
        W[bias, j] += constant * change[j]
    for t in range(U(begin), U(end)):
        value, k = data[t], U(indices[t])
        for j in range(n_classes):
            W[k, j] += value * change[j]


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def scores(
    indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, start: int, stop: int, W: np.ndarray, out: np.ndarray
) -> None:
    """Write x̂W of rows ``start:stop`` into out (stop − start, C)."""
    for i in range(start, stop):
        row_scores(indices, data, indptr[i], indptr[i + 1], W, out[i - start])


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def column_scores(
    indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, start: int, stop: int, w: np.ndarray, out: np.ndarray
) -> None:
    """Write x̂w of rows ``start:stop`` for one column w (D + 1,) into out (stop − start,).

    Columns and places are unsigned: Numba would ask of each whether it counts from the end.
    """
    for i in range(start, stop):
        score = w[len(w) - 1]
        for t in range(U(indptr[i]), U(indptr[i + 1])):
            score += data[t] * w[U(indices[t])]
        out[i - start] = score


@numba.njit(nogil=True, cache=True)
def first_at_least(indices: np.ndarray, begin: int, end: int, low: int) -> int:
    """Return the first position in ``begin:end`` of rising indices that holds ``low`` or more, else ``end``."""
    while begin < end:
        middle = (begin + end) // 2
        if indices[middle] < low:
            begin = middle + 1
        else:
            end = middle
    return begin


@numba.njit(nogil=True, cache=True)
def has_entries(a: np.ndarray) -> bool:
    """Tell whether a (C,) has an entry that is not 0."""
    found = False
    for j in range(len(a)):
        found |= a[j] != 0.0
    return found


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def add_adjoint(
    indptr: np.ndarray,
    indices: np.ndarray,
    data: np.ndarray,
    first_row: int,
    A: np.ndarray,
    low: int,
    high: int,
    out: np.ndarray,
) -> None:
    """Add Σ x_i a_iᵀ over rows from ``first_row`` on, for columns ``low:high`` of X alone, to out (D + 1, C).

    The columns of a row must rise, unless all of X's are asked for. Rows with a_i = 0 are not read.

    Workers that have columns of their own write to rows of out of their own; each column is summed in the order of
    the rows, so that the sums do not depend on the number of workers.
    """
    n_columns = U(A.shape[1])
    ahead = U(ENTRIES_AHEAD) if out.size > WIDE else U(len(indices))
    for i in range(A.shape[0]):
        if not has_entries(A[i]):
            continue
        begin, end = indptr[first_row + i], indptr[first_row + i + 1]
        stop = U(end)
        for t in range(U(first_at_least(indices, begin, end, low)), stop):
            column = indices[t]
            if column >= high:
                break
            if t + ahead < stop:
                prefetch(out, (U(indices[t + ahead]), 0))
                prefetch(out, (U(indices[t + ahead]), n_columns - ONE))
            value, k = data[t], U(column)
            for j in range(n_columns):
                out[k, j] += value * A[i, j]


@numba.njit(nogil=True, cache=True)
def add_class_sums(
    indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, weights: np.ndarray, y: np.ndarray, out: np.ndarray
) -> None:
    """Add w_i x_i of every row to the column of its class in out (D + 1, C)."""
    for i in range(len(y)):
        weight, label = weights[i], U(y[i])
        for t in range(U(indptr[i]), U(indptr[i + 1])):
            out[U(indices[t]), label] += weight * data[t]


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def square_norms(indptr: np.ndarray, data: np.ndarray, out: np.ndarray) -> None:
    """Write ‖x̂‖², the constant 1 counted, of every row into out (N,) float64."""
    for i in range(len(out)):
        total = 1.0
        for t in range(U(indptr[i]), U(indptr[i + 1])):
            value = float(data[t])
            total += value * value
        out[i] = total


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def square_sum(entries: np.ndarray) -> float:
    """Return the sum of squares of entries (n,) in float64, without a copy of them."""
    total = 0.0
    for k in range(len(entries)):
        value = np.float64(entries[k])  # Numba's float() leaves float32 as it is
        total += value * value
    return total


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def centre_rows(W: np.ndarray) -> None:
    """Subtract its mean from every row of W (D, C): NumPy takes ten times as long where C is 2."""
    n_classes = W.shape[1]
    for row in W:
        mean = 0.0
        for j in range(n_classes):
            mean += row[j]
        mean /= n_classes
        for j in range(n_classes):
            row[j] -= mean


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def add_column_adjoint(
    indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, pulls: np.ndarray, out: np.ndarray
) -> None:
    """Add Σ a_i x̂_i for a (N,) to out (D + 1,)."""
    for i in range(len(pulls)):
        pull = pulls[i]
        if pull != 0.0:
            out[len(out) - 1] += pull
            for t in range(U(indptr[i]), U(indptr[i + 1])):
                out[U(indices[t])] += pull * data[t]


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def add_gram(
    indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, weights: np.ndarray, out: np.ndarray
) -> None:
    """Add Σ w_i x̂_i x̂_iᵀ to out (D + 1, D + 1), each pair of columns on one side of the diagonal or the other.

    Rows of weight 0 are not read.
    """
    bias = len(out) - 1
    for i in range(len(weights)):
        weight = weights[i]
        if weight == 0.0:
            continue
        begin, end = U(indptr[i]), U(indptr[i + 1])
        constant = out[bias]
        constant[bias] += weight
        for t in range(begin, end):
            value, own = weight * data[t], out[U(indices[t])]
            constant[U(indices[t])] += value
            for u in range(begin, t + U(1)):
                own[U(indices[u])] += value * data[u]
