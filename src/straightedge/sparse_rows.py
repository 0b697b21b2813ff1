"""Sparse X in compressed rows (CSR), and the one door to rows of either kind, `open_rows`.

A row has at most one entry in each column; explicit zeros are harmless. X is never made dense. Columns of a row
rise, or lie in any order where sorting many entries would take as long as some epochs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from torch import Tensor

from straightedge.errors import InputError
from straightedge.rows import LARGEST_VALUE, Rows, check_shape, unusable_value

KEPT = {"float32", "float64", "int8", "uint8", "bool"}
"""Types of entries that the compiled loops read as they are; others become float64, or float32 from float16."""


FEW_ENTRIES = 50_000  # sorted sooner than compiled loops are loaded


def check_sparse(X: Any) -> None:
    """Raise on a sparse X that is no table of real numbers.

    Raises:
        InputError: ``x-shape``, ``x-empty`` or ``x-dtype``.
    """
    if X.ndim != 2:
        raise InputError("x-shape", f"X has shape {X.shape}", mend="give a sparse matrix (N, D)")
    check_shape(tuple(X.shape))
    if X.dtype.kind not in "biuf":
        raise InputError("x-dtype", f"X has dtype {X.dtype}", mend="Complex data not supported: give real numbers")


def as_csr(X: Any) -> Any:
    """Return a sparse X (N, D) as CSR, each column once a row; X itself is not changed.

    Raises:
        InputError: See `check_sparse`.
    """
    check_sparse(X)
    csr = X.tocsr()
    if not csr.has_canonical_format and (csr.nnz <= FEW_ENTRIES or _has_repeats(csr)):
        csr = csr.copy() if csr is X else csr
        csr.sum_duplicates()
    if csr.dtype.name not in KEPT:
        csr = csr.astype(np.float32 if csr.dtype.name == "float16" else np.float64)
    return csr


def _has_repeats(csr: Any) -> bool:
    """Return whether a row has two entries in one column."""
    from straightedge.repeated_columns import has_repeats

    return bool(has_repeats(csr.indptr, csr.indices, np.full(csr.shape[1], -1, csr.indices.dtype)))


def joined_sparse(parts: Sequence[Any]) -> Any:
    """Return sparse parts one below the other, as CSR."""
    from scipy.sparse import vstack

    return vstack(parts, format="csr")


class SparseRows:
    """Rows of a sparse X, in the CPU's memory.

    Args:
        X: (N, D) sparse matrix or array of SciPy, of any format.
        order: (n,) int64 row indices, to have these rows alone, in this order; None means all as they lie.
        first_row: The number of X's first row in the whole, where X is a rank's part of it; for messages.

    Attributes:
        csr: The rows, as `as_csr` gives them.
        indptr: (N + 1,) int64.
        indices: (nnz,) int32, or int64 where X is very large.
        data: (nnz,) of a type in `KEPT`; bool is seen as uint8.
        narrow: (nnz,) the same in float32, once a solver has asked for it; every value of a path reads it.
        rising: Whether the columns of each row rise.

    Raises:
        InputError: See `as_csr`.
    """

    def __init__(self, X: Any, *, order: Tensor | None = None, first_row: int = 0) -> None:
        csr = as_csr(X)
        self.csr = csr if order is None else csr[order.numpy()]
        self._first_row = first_row
        self.indptr = self.csr.indptr.astype(np.int64, copy=False)
        self.indices: np.ndarray = self.csr.indices
        self.rising = bool(self.csr.has_sorted_indices)
        self.data: np.ndarray = self.csr.data
        if self.data.dtype == np.bool_:
            self.data = self.data.view(np.uint8)
        self.narrow: np.ndarray | None = None
        self.shape = (int(self.csr.shape[0]), int(self.csr.shape[1]))
        self.n_samples, self.n_features = self.shape
        self.n_whole = self.n_samples
        self.dtype_name = str(self.csr.dtype)
        self.device = torch.device("cpu")
        self.in_memory = True

    @property
    def is_float64(self) -> bool:
        """Whether entries are float64."""
        return self.dtype_name == "float64"

    @property
    def n_stored(self) -> int:
        """Number of entries that are stored, nnz."""
        return len(self.data)

    def subset(self, index: Tensor) -> SparseRows:
        """Return the rows of an index (n,) int64."""
        part = SparseRows(self.csr, order=index)
        part.n_whole = self.n_samples
        return part

    def fill(self, index: np.ndarray, out: np.ndarray) -> None:
        """Write the rows of an index (n,) int64 into out (n, D), zeros included; for a few rows."""
        out[:] = self.csr[index].toarray()

    def check_finite(self) -> None:
        """Raise on the first entry that is not a usable number.

        Raises:
            InputError: ``x-not-finite`` or ``x-too-large``, with row and column.
        """
        whole = self.data.dtype.kind != "f" or not len(self.data)
        if whole or max(float(self.data.max()), -float(self.data.min())) <= LARGEST_VALUE:
            return
        bad = ~(np.abs(self.data) <= LARGEST_VALUE)
        if not bad.any():
            return
        place = int(bad.argmax())
        row = int(np.searchsorted(self.indptr, place, side="right")) - 1
        where = f"row {self._first_row + row}, column {int(self.indices[place])}"
        raise unusable_value(float(self.data[place]), where)


AnyRows = Rows | SparseRows


def open_rows(
    X: Any, *, device: torch.device | str | None = None, order: Tensor | None = None, first_row: int = 0
) -> AnyRows:
    """Return the rows of X, dense or sparse; for the arguments see `Rows`.

    Raises:
        InputError: Those of `Rows` and `SparseRows`; ``sparse-device`` for sparse rows on another device.
    """
    if not issparse(X):
        return Rows(X, device=device, order=order, first_row=first_row)
    if device is not None and torch.device(device).type != "cpu":
        raise InputError("sparse-device", f"sparse rows cannot be fitted on {device}", mend="use device='cpu'")
    return SparseRows(X, order=order, first_row=first_row)
