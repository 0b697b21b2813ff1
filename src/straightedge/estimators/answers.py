"""What a classifier gives back: scores by block, and answers of the kind of X."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from straightedge.moments import extremes
from straightedge.sparse_rows import AnyRows, SparseRows


def score_rows(rows: AnyRows, coef: np.ndarray, intercept: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """Return X coefᵀ + intercept (N, C) and X's (min, max), by blocks, in float64 or for large X float32."""
    if isinstance(rows, SparseRows):
        return rows.csr @ coef.T + intercept, extremes(rows, None)
    dtype = torch.float64 if rows.is_float64 or rows.n_samples * rows.n_features < 2_000_000 else torch.float32
    weight = torch.as_tensor(coef).to(rows.device, dtype)
    bias = torch.as_tensor(intercept).to(rows.device, dtype)
    out = torch.empty(rows.n_samples, len(weight), dtype=dtype, device=rows.device)
    buffer = rows.scratch(min(2048, rows.n_samples), dtype)
    ranges = []
    for start in range(0, rows.n_samples, 2048):
        stop = min(start + 2048, rows.n_samples)
        block = rows.block(start, stop, buffer)
        ranges.append(torch.stack(block.aminmax()))
        out[start:stop] = torch.addmm(bias, block, weight.t())
    seen = torch.stack(ranges)
    return out.cpu().numpy(), (float(seen[:, 0].min()), float(seen[:, 1].max()))


def like_input(X: Any, answer: np.ndarray) -> Any:
    """Return the answer as X came: a tensor on X's device, or an array."""
    if isinstance(X, Tensor) and answer.dtype.kind in "biuf":
        return torch.as_tensor(answer).to(X.device)
    return answer


def on_host(given: Any) -> Any:
    """Return a tensor as an array, and everything else as it is."""
    return given.cpu().numpy() if isinstance(given, Tensor) else given
