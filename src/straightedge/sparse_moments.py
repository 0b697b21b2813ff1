"""Moments of sparse rows: zeros are counted, not read."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from straightedge.sparse_rows import SparseRows


def weighted_sums(rows: SparseRows, weights: Tensor | None) -> tuple[float, Tensor, Tensor]:
    """Return Σ w_i, Σ w_i x_i (D,) and Σ w_i x_i² (D,), float64; no weights count each row once."""
    data = rows.data.astype(np.float64, copy=False)
    total, weighted = float(rows.n_samples), data
    if weights is not None:
        each = weights.double().numpy()
        total, weighted = float(each.sum()), np.repeat(each, np.diff(rows.indptr)) * data
    first = np.bincount(rows.indices, weighted, minlength=rows.n_features)
    second = np.bincount(rows.indices, weighted * data, minlength=rows.n_features)
    return total, torch.from_numpy(first), torch.from_numpy(second)


def extremes(rows: SparseRows, weights: Tensor | None) -> tuple[float, float]:
    """Return (smallest entry, largest |entry|) of rows of positive weight; what is not stored is 0."""
    data, n_rows = rows.data, rows.n_samples
    if weights is not None:
        counted = weights.numpy() > 0
        data, n_rows = data[np.repeat(counted, np.diff(rows.indptr))], int(counted.sum())
    low = 0.0 if len(data) < n_rows * rows.n_features else float(data.min())
    if not len(data):
        return 0.0, 0.0
    return min(low, float(data.min())), max(abs(float(data.min())), abs(float(data.max())))
