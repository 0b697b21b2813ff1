"""Losses in Triton: a block of scores is read once and A written over it, where plain torch makes ten sweeps.

The same formulas, limits and subgradients as `straightedge.losses`; a program has a few rows of one configuration,
all of their classes at once.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def softmax_kernel(
    S, y, values, n_rows, n_configs, n_classes, row_stride, limit, ROWS: tl.constexpr, CLASSES: tl.constexpr
) -> None:
    """Cross-entropy of (row, configuration) into ``values``, and p − e_y over the scores."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    config = tl.program_id(1)
    index = tl.arange(0, CLASSES)
    inside = (row < n_rows)[:, None] & (index < n_classes)[None, :]
    place = S + row.to(tl.int64)[:, None] * row_stride + config * n_classes + index[None, :]
    s = tl.where((index < n_classes)[None, :], tl.load(place, mask=inside, other=0.0), -float("inf"))
    s -= tl.max(s, axis=1)[:, None]
    label = tl.load(y + row, mask=row < n_rows, other=0)
    right = index[None, :] == label[:, None]
    correct = tl.maximum(tl.sum(tl.where(right, s, 0.0), axis=1), -limit)
    p = tl.exp(s)
    total = tl.sum(p, axis=1)
    tl.store(place, p / total[:, None] - tl.where(right, 1.0, 0.0), mask=inside)
    target = values + row.to(tl.int64) * n_configs + config
    tl.store(target, tl.log(total) - correct, mask=row < n_rows)


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def hinge_kernel(
    S,
    y,
    values,
    n_rows,
    n_configs,
    n_classes,
    row_stride,
    limit,
    ROWS: tl.constexpr,
    CLASSES: tl.constexpr,
    SQUARED: tl.constexpr,
) -> None:
    """Sum of the positive margins (or of their squares) into ``values``, and its gradient over the scores."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    config = tl.program_id(1)
    index = tl.arange(0, CLASSES)
    inside = (row < n_rows)[:, None] & (index < n_classes)[None, :]
    place = S + row.to(tl.int64)[:, None] * row_stride + config * n_classes + index[None, :]
    s = tl.load(place, mask=inside, other=0.0)
    label = tl.load(y + row, mask=row < n_rows, other=0)
    right = index[None, :] == label[:, None]
    correct = tl.sum(tl.where(right, s, 0.0), axis=1)
    z = tl.minimum(tl.maximum(s - correct[:, None] + 1.0, 0.0), limit)
    z = tl.where(inside & (index[None, :] != label[:, None]), z, 0.0)
    if SQUARED:
        value, b = tl.sum(z * z, axis=1), 2.0 * z
    else:
        value, b = tl.sum(z, axis=1), tl.where(z > 0.0, 1.0, 0.0)
    tl.store(place, tl.where(right, -tl.sum(b, axis=1)[:, None], b), mask=inside)
    tl.store(values + row.to(tl.int64) * n_configs + config, value, mask=row < n_rows)
