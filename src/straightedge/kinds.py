"""What a user's object is, told without importing the library that makes such objects, and its numbers.

Where a library has not been imported, no object can be of it.
"""

import sys
from typing import Any

import numpy as np
from numpy.typing import DTypeLike


def is_tensor(X: Any) -> bool:
    """Return whether X is a tensor of torch, on any device."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(X, torch.Tensor)


def is_sparse(X: Any) -> bool:
    """Return whether X is a sparse matrix or array of SciPy."""
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(X))


def is_frame(X: Any) -> bool:
    """Whether X has named columns that Arrow can take over."""
    return hasattr(X, "__arrow_c_stream__")


def as_array(values: Any, dtype: DTypeLike | None = None) -> np.ndarray:
    """Return numbers as a contiguous array of NumPy, without a copy where they lie so already.

    Args:
        values: An array, a tensor on any device, or what NumPy makes an array of.
        dtype: Its type; None keeps that of the values.
    """
    if is_tensor(values):
        values = values.detach().cpu()
        if dtype is not None:  # NumPy has no bfloat16
            values = values.double() if np.dtype(dtype) == np.float64 else values.float()
        values = values.numpy()
    return np.ascontiguousarray(values, dtype=dtype)
