"""The two halves of a pass on their own: scores without a gradient, and a gradient from given A.

A step along cached scores needs X̂Δ before it knows how far to go, and X̂ᵀA once it does: two halves, one pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from straightedge.kernels import products_for
from straightedge.objective import FLUSH_BLOCKS, Objective
from straightedge.rows import block_spans

BLOCK_ROWS = {"cpu": 512}
GATHERED = 256  # rows converted together: they stay in cache


def row_weights(objective: Objective) -> Tensor:
    """Return (N,) float64: the weight of each row in the one configuration of ``objective``; they sum to 1."""
    if objective.weights is None:
        n = objective.rows.n_samples
        return torch.full((n,), 1.0 / objective.n_total, dtype=torch.float64, device=objective.device)
    return objective.weights[int(objective.fold[0])]


def scores(objective: Objective, W: Tensor) -> Tensor:
    """Return X̂W (N, 1, C) for W (C, D + 1): half a pass."""
    return objective.scores(W[None])


def adjoint(objective: Objective, A: Tensor, weights: Tensor) -> Tensor:
    """Return Σ_i w_i x̂_i a_iᵀ (C, D + 1) float64 over all ranks: half a pass.

    Args:
        objective: One configuration.
        A: (N, 1, C) gradients in the scores.
        weights: (N,) float64.
    """
    C = A.shape[2]
    spans = block_spans(objective.rows.n_samples, BLOCK_ROWS.get(objective.device.type, 16384))

    def work(share: Iterator[tuple[int, int]]) -> Tensor:
        return _adjoint_share(objective, A, weights, share)

    parts = objective.pool.run(spans, work)
    total = parts[0]
    for part in parts[1:]:  # in the order of the workers: the same bits every time
        total += part
    return objective.unfolded(objective.communicator.all_reduce(total[:C]))


def _adjoint_share(
    objective: Objective, A: Tensor, weights: Tensor, share: Iterator[tuple[int, int]]
) -> Tensor:
    like: dict[str, Any] = {"dtype": objective.dtype, "device": objective.device}
    n_features, C = objective.rows.n_features, A.shape[2]
    block_rows = BLOCK_ROWS.get(objective.device.type, 16384)
    products = products_for(objective.rows, block_rows, objective.dtype, objective.affine, n_columns=C)
    width = products.width(C)
    padded = torch.zeros(block_rows, width, **like)
    total = torch.zeros(width, n_features + 1, dtype=torch.float64, device=objective.device)
    count = 0
    for count, (start, stop) in enumerate(share, start=1):
        rows = padded[: stop - start]
        torch.mul(A[start:stop, 0], weights[start:stop, None].to(A.dtype), out=rows[:, :C])
        products.load(start, stop)
        products.add_gradient(rows)
        total[:, -1] += rows.sum(dim=0)
        if count % FLUSH_BLOCKS == 0:
            total[:, :-1] += products.take()
    if count % FLUSH_BLOCKS:
        total[:, :-1] += products.take()
    return total


def gather(objective: Objective, index: Tensor, out: Tensor) -> Tensor:
    """Write the mapped rows x̂ of a rising index (n,) int64 into ``out`` (n, D + 1) and return it."""
    rows = objective.rows
    like: dict[str, Any] = {"dtype": objective.dtype, "device": objective.device}
    shift, scale = objective.affine.shift.to(**like), objective.affine.scale.to(**like)
    offset = -shift * scale
    buffer = torch.empty(GATHERED, rows.n_features, **like)
    filled = 0
    for part in _taken(objective, index, buffer):
        torch.addcmul(offset, part, scale, out=out[filled : filled + len(part), :-1])
        filled += len(part)
    out[:, -1] = 1.0
    return out


def _taken(objective: Objective, index: Tensor, buffer: Tensor) -> Iterator[Tensor]:
    """Yield the raw rows of the index; from disk they are picked out of whole blocks, read in order."""
    rows = objective.rows
    if rows.in_memory:
        for start in range(0, len(index), len(buffer)):
            yield rows.take(index[start : start + len(buffer)], buffer)
        return
    for start, stop in block_spans(rows.n_samples, len(buffer)):
        inside = index[(index >= start) & (index < stop)]
        if len(inside):
            yield rows.block(start, stop, buffer)[inside - start]
