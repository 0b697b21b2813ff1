"""Scores of rows: any real type and layout, in blocks, with errors that name the row and column."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from straightedge.disk import disk_rows
from straightedge.errors import InputError, warn
from straightedge.sparse_rows import SparseRows, as_csr, is_sparse

_BLOCK_BYTES = 16 << 20


def as_rows(X: Any) -> Any:
    """Take arrays, tensors and row sources as they are; make an array of the rest.

    Raises:
        InputError: ``predict-type`` for what is no real number, ``predict-shape`` for what is no table.
    """
    if isinstance(X, np.memmap):
        X = disk_rows(X) or X
    if is_sparse(X):
        X = as_csr(X)
    elif not isinstance(X, Tensor) and not (hasattr(X, "read") and hasattr(X, "shape")):
        X = np.asarray(X)
    kind = "f" if isinstance(X, Tensor) and not X.is_complex() else getattr(X.dtype, "kind", "c")
    if kind not in "buif":
        raise InputError("predict-type", f"rows of type {X.dtype} have no scores", mend="give real numbers")
    if len(X.shape) < 2:
        raise InputError(
            "predict-shape", f"one row per sample is needed, got shape {tuple(X.shape)}", mend="X[None]"
        )
    return X


def score_rows(
    X: Any, weight: Tensor, bias: Tensor, input_shape: tuple[int, ...], *, pixels: bool
) -> np.ndarray:
    """Score rows, block by block, in float32.

    Args:
        X: (N, ...) rows, as `as_rows` gives them.
        weight: (D, C) float32.
        bias: (C,) float32.
        input_shape: Shape of one raw sample; rows (N, D) are taken as well.
        pixels: Whether the weights expect 0 to 255; then floats between 0 and 1 give a warning.

    Returns:
        (N, C) float32.

    Raises:
        InputError: ``predict-width`` for rows of another shape, ``predict-nan`` with the row and column.

    Numerics: blocks have a size that depends on D alone, so the same rows always give the same scores.
    """
    n_features = int(weight.shape[0])
    _check_shape(tuple(X.shape[1:]), n_features, input_shape)
    if is_sparse(X):
        return _score_sparse(X, weight, bias)
    out = np.empty((int(X.shape[0]), int(weight.shape[1])), dtype=np.float32)
    device = X.device if isinstance(X, Tensor) else torch.device("cpu")
    weight, bias = weight.to(device), bias.to(device)
    for start, block in _blocks(X, n_features):
        if start == 0 and pixels:
            _compare_ranges(X, block)
        part = torch.addmm(bias, block, weight)
        if not bool(torch.isfinite(part).all()):
            raise _not_finite(block, start)
        out[start : start + block.shape[0]] = part.cpu().numpy()
    return out


def _score_sparse(X: Any, weight: Tensor, bias: Tensor) -> np.ndarray:
    """Return scores (N, C) float32 of sparse rows; sums are float64 where entries are."""
    try:
        SparseRows(X).check_finite()
    except InputError as error:
        raise InputError("predict-nan", error.what, error.where, error.mend) from None
    scores: np.ndarray = (X @ weight.numpy() + bias.numpy()).astype(np.float32)
    return scores


def _check_shape(shape: tuple[int, ...], n_features: int, expected: tuple[int, ...]) -> None:
    gray = len(expected) == 3 and expected[0] == 1 and shape == expected[1:]
    if shape == (n_features,) or ((shape == expected or gray) and math.prod(shape) == n_features):
        return
    hint = f"rows of shape {expected} or ({n_features},) are needed"
    if len(shape) == 3 and (shape[2], *shape[:2]) == expected:
        hint += ": move the channels to the front, X.transpose(0, 3, 1, 2)"
    raise InputError("predict-width", f"rows of shape {shape} do not fit the model", mend=hint)


def _blocks(X: Any, n_features: int) -> Iterator[tuple[int, Tensor]]:
    """Give (first row, (n, D) float32 block); the block size depends on D alone, so answers do not vary."""
    step = max(1, _BLOCK_BYTES // (4 * max(1, n_features)))
    for start in range(0, int(X.shape[0]), step):
        stop = min(start + step, int(X.shape[0]))
        if isinstance(X, Tensor):
            block = X[start:stop].detach().to(torch.float32)
        else:
            block = _float_block(X.read(start, stop) if hasattr(X, "read") else X[start:stop])
        yield start, block.reshape(stop - start, -1)


def _float_block(rows: np.ndarray) -> Tensor:
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is reported with its row
        block = np.ascontiguousarray(rows, dtype=np.float32)
    return torch.from_numpy(block if block.flags.writeable else block.copy())


def _compare_ranges(X: Any, block: Tensor) -> None:
    """Warn when weights for pixels 0 to 255 are given floats between 0 and 1."""
    floats = X.is_floating_point() if isinstance(X, Tensor) else X.dtype.kind == "f"
    if floats and block.numel():
        low, high = float(block.min()), float(block.max())
        if low >= 0 and 0 < high <= 1:
            warn("ranges-differ", f"trained on pixels 0 to 255, but these lie between {low:g} and {high:g}")


def _not_finite(block: Tensor, start: int) -> InputError:
    bad = (~torch.isfinite(block)).nonzero()
    if not len(bad):
        return InputError("predict-nan", f"scores overflow in rows {start} to {start + len(block) - 1}")
    row, column = (int(index) for index in bad[0])
    return InputError(
        "predict-nan",
        f"{float(block[row, column])} in the rows to score (or beyond what float32 holds)",
        where=f"row {start + row}, column {column}",
        mend="every value must be finite; impute or drop the row",
    )
