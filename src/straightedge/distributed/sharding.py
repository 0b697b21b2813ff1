"""Each rank reads its rows and no others: slices of arrays, memory maps and row sources."""

from typing import Any

import numpy as np

from straightedge.distributed.base import Communicator, row_range
from straightedge.errors import InputError


class RowSlice:
    """Rows ``start:stop`` of a source that is read when it is needed.

    Args:
        source: A `RowSource`.
        start: First row.
        stop: One past the last row.
    """

    def __init__(self, source: Any, start: int, stop: int) -> None:
        self.source, self.start = source, start
        self.shape = (stop - start, *(int(size) for size in source.shape[1:]))
        self.dtype = source.dtype

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return rows ``start:stop`` of the slice."""
        rows: np.ndarray = self.source.read(self.start + start, self.start + min(stop, self.shape[0]))
        return rows


def slice_of(X: Any, start: int, stop: int) -> Any:
    """Return rows ``start:stop`` of an array or row source, read when they are needed."""
    return RowSlice(X, start, stop) if hasattr(X, "read") else X[start:stop]


def own_rows(X: Any, communicator: Communicator) -> Any:
    """Return this rank's contiguous rows of X as a view: nothing is read or copied.

    Args:
        X: (N, ...) array, memory map, tensor or row source.
        communicator: Who owns what.

    Raises:
        InputError: ``ranks-too-many`` where some rank would have no row.
    """
    if communicator.size == 1:
        return X
    n_rows = int(X.shape[0])
    if n_rows < communicator.size:
        what = f"{n_rows} samples cannot be shared by {communicator.size} ranks"
        raise InputError("ranks-too-many", what, mend=f"use at most {n_rows} ranks")
    return slice_of(X, *row_range(n_rows, communicator.rank, communicator.size))
