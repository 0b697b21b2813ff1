"""Whether rows in compressed form have a column twice, compiled by Numba: without sorting anything."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def has_repeats(indptr: np.ndarray, indices: np.ndarray, last_row: np.ndarray) -> bool:
    """Return whether a row has two entries in one column; last_row (D,) holds −1, and is overwritten."""
    for i in range(len(indptr) - 1):
        for t in range(indptr[i], indptr[i + 1]):
            column = indices[t]
            if last_row[column] == i:
                return True
            last_row[column] = i
    return False
