"""The two products of a pass with sparse rows, by compiled loops: nothing dense but scores and W."""

import itertools
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from straightedge.kernels import Products
from straightedge.sparse_rows import SparseRows
from straightedge.workers import BlockPool, block_spans

ROWS_AT_ONCE = 1024  # of a worker between two looks for Ctrl-C
WORTH_THREADS = 2_000_000  # products in the time that a thread takes to start
SAMPLED = 65536  # stored entries from which each worker's columns are chosen


def csr_loops() -> ModuleType:
    """Return the module of compiled loops; Numba is imported when it is first needed."""
    from straightedge.design import csr_kernels

    return csr_kernels


class CsrProducts(Products):
    """One worker's products with sparse rows; see `kernels.base.Products`.

    Args:
        rows: X.
        dtype: Type of the scores; sums are float64.
    """

    def __init__(self, rows: SparseRows, dtype: torch.dtype) -> None:
        self._rows, self._dtype = rows, dtype
        self._span = (0, 0)
        self._W = np.empty((0, 0))
        self._sums: np.ndarray | None = None

    def use(self, weight: Tensor, offset: Tensor) -> None:
        """See `Products.use`."""
        self._W = with_offset(weight, offset)
        self._sums = None

    def load(self, start: int, stop: int) -> None:
        """See `Products.load`."""
        self._span = start, stop

    def scores(self) -> Tensor:
        """See `Products.scores`."""
        (start, stop), rows = self._span, self._rows
        out = np.empty((stop - start, self._W.shape[1]))
        csr_loops().scores(rows.indptr, rows.indices, rows.data, start, stop, self._W, out)
        return torch.from_numpy(out).to(self._dtype)

    def add_gradient(self, A: Tensor) -> None:
        """See `Products.add_gradient`."""
        rows = self._rows
        if self._sums is None:
            self._sums = np.zeros((rows.n_features, A.shape[1]))
        own = A.to(torch.float64).contiguous().numpy()
        args = rows.indptr, rows.indices, rows.data
        csr_loops().add_adjoint(*args, self._span[0], own, 0, rows.n_features, self._sums)

    def take(self) -> Tensor:
        """See `Products.take`."""
        assert self._sums is not None, "nothing has been added"
        found, self._sums = torch.from_numpy(self._sums), None
        return found.t()


def with_offset(weight: Tensor, offset: Tensor) -> np.ndarray:
    """Return weight (M, D) and offset (M,) as W (D + 1, M) float64, contiguous."""
    W = np.empty((weight.shape[1] + 1, len(weight)))
    W[:-1], W[-1] = weight.numpy().T, offset.numpy()
    return W


def csr_scores(
    rows: SparseRows, W: np.ndarray, pool: BlockPool, start: int = 0, stop: int | None = None
) -> np.ndarray:
    """Return X̂W (n, C) float64 of rows ``start:stop`` for W (D + 1, C), each worker with rows of its own."""
    stop = rows.n_samples if stop is None else stop
    out, loops = np.empty((stop - start, W.shape[1])), csr_loops()
    arrays = rows.indptr, rows.indices, rows.data

    def work(share: Iterator[tuple[int, int]]) -> None:
        for low, high in share:
            if W.shape[1] == 1:
                loops.column_scores(*arrays, start + low, start + high, W[:, 0], out[low:high, 0])
            else:
                loops.scores(*arrays, start + low, start + high, W, out[low:high])

    pool.run(block_spans(stop - start, ROWS_AT_ONCE), work, shares=_shares(rows, W.shape[1], pool))
    return out


def _shares(rows: SparseRows, n_columns: int, pool: BlockPool) -> int:
    """Return among how many workers half a pass is shared: starting a thread costs as much as many products."""
    return pool.workers if rows.n_stored * n_columns >= WORTH_THREADS else 1


def add_csr_adjoint(rows: SparseRows, A: np.ndarray, pool: BlockPool, first_row: int, out: np.ndarray) -> None:
    """Add Σ x̂_i a_iᵀ over the rows from ``first_row`` on, for A (n, C) float64, to out (D + 1, C) float64.

    Each worker has columns of X of its own.
    """
    out[-1] += A.sum(axis=0)
    loops = csr_loops()

    def work(share: Iterator[tuple[int, int]]) -> None:
        for low, high in share:
            loops.add_adjoint(rows.indptr, rows.indices, rows.data, first_row, A, low, high, out)

    pool.run(column_spans(rows, _shares(rows, A.shape[1], pool)), work)


def csr_class_sums(rows: SparseRows, weights: np.ndarray, y: np.ndarray, n_classes: int) -> np.ndarray:
    """Return Σ w_i x̂_i over the rows of each class (D + 1, C) float64; an entry is read once, for its own class."""
    out = np.zeros((rows.n_features + 1, n_classes))
    out[-1] = np.bincount(y, weights, minlength=n_classes)
    csr_loops().add_class_sums(rows.indptr, rows.indices, rows.data, weights, y, out)
    return out


def square_sum(W: np.ndarray) -> float:
    """Return Σ W², summed in float64."""
    return float(csr_loops().square_sum(W.ravel()))


def centre_classes(W: np.ndarray) -> None:
    """Subtract from W (D, C) the mean over classes, in place."""
    csr_loops().centre_rows(W)


def csr_norms(rows: SparseRows) -> np.ndarray:
    """Return ‖x̂‖² (N,) float64, the constant 1 counted."""
    out = np.empty(rows.n_samples)
    csr_loops().square_norms(rows.indptr, rows.data, out)
    return out


def csr_column_adjoint(rows: SparseRows, pulls: np.ndarray) -> np.ndarray:
    """Return X̂ᵀa (D + 1,) float64 for a (N,); rows where a is 0 are not read."""
    out = np.zeros(rows.n_features + 1)
    csr_loops().add_column_adjoint(rows.indptr, rows.indices, rows.data, pulls, out)
    return out


def csr_gram(rows: SparseRows, weights: np.ndarray) -> np.ndarray:
    """Return Σ w_i x̂_i x̂_iᵀ (D + 1, D + 1) float64 for weights (N,); a row's pairs of entries are its work."""
    half = np.zeros((rows.n_features + 1, rows.n_features + 1))
    csr_loops().add_gram(rows.indptr, rows.indices, rows.data, weights, half)
    whole = half + half.T
    np.fill_diagonal(whole, half.diagonal())
    return whole


def column_spans(rows: SparseRows, count: int) -> list[tuple[int, int]]:
    """Return ``count`` spans of columns with about as many stored entries each; one where columns do not rise."""
    if count == 1 or not rows.n_stored or not rows.rising:
        return [(0, rows.n_features)]
    sample = np.sort(rows.indices[:: max(1, rows.n_stored // SAMPLED)])
    inner = [int(sample[len(sample) * part // count]) for part in range(1, count)]
    edges = sorted({0, *inner, rows.n_features})
    return list(itertools.pairwise(edges))
