"""Compiled loops over single rows, for methods that visit one row after another."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True, fastmath={"contract"})
def map_rows(
    X: np.ndarray, index: np.ndarray, scale: np.ndarray, offset: np.ndarray, out: np.ndarray
) -> None:
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
