"""Whether rows in compressed form have a column twice, compiled by Numba: without sorting anything.

Columns and places are unsigned: Numba would ask of each whether it counts from the end.
"""

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def has_repeats(indptr: np.ndarray, indices: np.ndarray, last_row: np.ndarray) -> bool:
    """Return whether a row has two entries in one column; last_row (D,) holds −1, and is overwritten."""
    for i in range(len(indptr) - 1):
        for t in range(np.uint64(indptr[i]), np.uint64(indptr[i + 1])):
            column = np.uint64(indices[t])
            if last_row[column] == i:
                return True
            last_row[column] = i
    return False
