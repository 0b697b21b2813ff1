"""The two products of a pass in Triton: rows are read in their own type and converted on their way in.

Both split the float32 operand (W, or A) into parts that the tensor cores take exactly, and sum the parts'
products in float32: see `splitting`. Tiles are rows × columns (scores) and features × columns (gradient); the
launchers are in `fused`.

References:
    Ootomo and Yokota, "Recovering single precision accuracy from Tensor Cores while surpassing the FP32
    theoretical peak performance", IJHPCA 2022 (splitting). Tillet, Kung and Cox, "Triton", MAPL 2019.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def score_kernel(
    X,
    parts,
    unscale,
    offset,
    S,
    n_rows,
    n_columns,
    n_features,
    part_stride,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
    PARTS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    FEATURES: tl.constexpr,
    GROUP: tl.constexpr,
) -> None:
    """S (n, M) = X (n, D) · Σ parts (P, M, D)ᵀ · unscale + offset; a program makes ROWS × COLUMNS of it.

    Programs are numbered so that GROUP tiles of rows are done with all columns before the next: the rows stay in
    the L2 cache.
    """
    column_tiles = tl.cdiv(n_columns, COLUMNS)
    place = tl.program_id(0)
    first = place // (GROUP * column_tiles) * GROUP
    size = tl.minimum(tl.cdiv(n_rows, ROWS) - first, GROUP)
    within = place % (GROUP * column_tiles)
    row = (first + within % size) * ROWS + tl.arange(0, ROWS)
    column = within // size * COLUMNS + tl.arange(0, COLUMNS)
    x_line = X + row.to(tl.int64)[:, None] * n_features
    w_line = parts + column.to(tl.int64)[None, :] * n_features
    total = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    for start in range(0, n_features, FEATURES):
        feature = start + tl.arange(0, FEATURES)
        inside = feature < n_features
        x = tl.load(x_line + feature[None, :], mask=(row < n_rows)[:, None] & inside[None, :], other=0)
        x = x.to(OPERAND)
        w_mask = (column < n_columns)[None, :] & inside[:, None]
        for part in tl.static_range(PARTS):
            w = tl.load(w_line + part * part_stride + feature[:, None], mask=w_mask, other=0)
            total = tl.dot(x, w.to(OPERAND), total, input_precision=PRECISION)
    factor = tl.load(unscale + column, mask=column < n_columns, other=0.0)
    constant = tl.load(offset + column, mask=column < n_columns, other=0.0)
    total = total * factor[None, :] + constant[None, :]
    target = S + row.to(tl.int64)[:, None] * n_columns + column[None, :]
    tl.store(target, total, mask=(row < n_rows)[:, None] & (column < n_columns)[None, :])


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def gradient_kernel(
    X,
    A,
    scale,
    unscale,
    sums,
    n_rows,
    n_columns,
    n_features,
    a_stride,
    rows_a_share,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
    PARTS: tl.constexpr,
    TRUNCATE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    FEATURES: tl.constexpr,
) -> None:
    """sums[share] (M, D) += A[rows of the share]ᵀ X[rows of the share]; a program makes FEATURES × COLUMNS of it.

    A (n, M) float32 has been through nothing: here it is scaled by column and split. TRUNCATE cuts a part off
    after bfloat16's 8 bits; otherwise a part is the nearest number of the operand's type.
    """
    column_tiles = tl.cdiv(n_columns, COLUMNS)
    tile, share = tl.program_id(0), tl.program_id(1)
    feature = tile // column_tiles * FEATURES + tl.arange(0, FEATURES)
    column = tile % column_tiles * COLUMNS + tl.arange(0, COLUMNS)
    feature_inside, column_inside = feature < n_features, column < n_columns
    factor = tl.load(scale + column, mask=column_inside, other=0.0)
    total = tl.zeros((FEATURES, COLUMNS), dtype=tl.float32)
    stop = tl.minimum((share + 1) * rows_a_share, n_rows)
    for start in range(share * rows_a_share, stop, ROWS):
        row = start + tl.arange(0, ROWS)
        inside = row < stop
        x_place = X + row.to(tl.int64)[:, None] * n_features + feature[None, :]
        x = tl.load(x_place, mask=inside[:, None] & feature_inside[None, :], other=0).to(OPERAND)
        a_place = A + row.to(tl.int64)[:, None] * a_stride + column[None, :]
        rest = tl.load(a_place, mask=inside[:, None] & column_inside[None, :], other=0.0) * factor[None, :]
        for _ in tl.static_range(PARTS):
            if TRUNCATE:
                part = (rest.to(tl.int32, bitcast=True) & -65536).to(tl.float32, bitcast=True)
            else:
                part = rest.to(OPERAND).to(tl.float32)
            rest -= part
            total = tl.dot(tl.trans(x), part.to(OPERAND), total, input_precision=PRECISION)
    back = tl.load(unscale + column, mask=column_inside, other=0.0)
    line = share.to(tl.int64) * n_columns + column.to(tl.int64)[None, :]
    target = sums + line * n_features + feature[:, None]
    both = feature_inside[:, None] & column_inside[None, :]
    tl.store(target, tl.load(target, mask=both, other=0.0) + total * back[None, :], mask=both)
