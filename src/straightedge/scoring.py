"""Scores of rows: any real type and layout, in blocks, with errors that name the row and column."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from straightedge.disk import disk_rows
from straightedge.errors import InputError, warn
from straightedge.kinds import as_array, is_sparse, is_tensor
from straightedge.later import later

if TYPE_CHECKING:
    import torch
else:
    torch = later("torch")

_BLOCK_BYTES = 16 << 20


def as_rows(X: Any) -> Any:
    """Take arrays, tensors and row sources as they are; make an array of the rest.

    Raises:
        InputError: ``predict-type`` for what is no real number, ``predict-shape`` for what is no table.
    """
    if isinstance(X, np.memmap):
        X = disk_rows(X) or X
    if is_sparse(X):
        from straightedge.sparse_rows import as_csr

        X = as_csr(X)
    elif not is_tensor(X) and not (hasattr(X, "read") and hasattr(X, "shape")):
        X = np.asarray(X)
    kind = "f" if is_tensor(X) and not X.is_complex() else getattr(X.dtype, "kind", "c")
    if kind not in "buif":
        raise InputError("predict-type", f"rows of type {X.dtype} have no scores", mend="give real numbers")
    if len(X.shape) < 2:
        what = f"one row per sample is needed, got shape {tuple(X.shape)}"
        raise InputError("predict-shape", what, mend="X[None]")
    return X


def score_rows(
    X: Any, weight: np.ndarray, bias: np.ndarray, input_shape: tuple[int, ...], *, pixels: bool
) -> np.ndarray:
    """Return the scores (N, C) float32 of rows, block by block.

    Args:
        X: (N, ...) rows, as `as_rows` gives them.
        weight: (D, C) float32.
        bias: (C,) float32.
        input_shape: Shape of one raw sample; rows (N, D) are taken as well.
        pixels: Whether the weights expect 0 to 255; then floats between 0 and 1 give a warning.

    Raises:
        InputError: ``predict-width`` for rows of another shape, ``predict-nan`` with the row and column.

    Numerics: rows in the CPU's memory are multiplied by NumPy, those on another device there. Blocks have a size
    that depends on D alone, so the same rows always give the same scores.
    """
    n_features = int(weight.shape[0])
    _check_shape(tuple(X.shape[1:]), n_features, input_shape)
    if is_sparse(X):
        return _score_sparse(X, weight, bias)
    out = np.empty((int(X.shape[0]), int(weight.shape[1])), dtype=np.float32)
    numbers: tuple[Any, Any] = (weight, bias)
    if _is_elsewhere(X):
        numbers = (torch.from_numpy(weight).to(X.device), torch.from_numpy(bias).to(X.device))
    for start, block in _blocks(X, n_features):
        if start == 0 and pixels:
            _compare_ranges(X, block)
        part = out[start : start + block.shape[0]]
        _multiply(block, *numbers, part)
        if not np.isfinite(part).all():
            raise _not_finite(as_array(block), start)
    return out


def _multiply(block: Any, weight: Any, bias: Any, out: np.ndarray) -> None:
    """Write the scores of a block (n, D) into an array (n, C); all of them arrays, or tensors on one device."""
    if is_tensor(block):
        out[:] = torch.addmm(bias, block, weight).cpu().numpy()
        return
    with np.errstate(all="ignore"):  # scores that overflow are found and reported with their rows
        np.matmul(block, weight, out=out)
        out += bias


def _is_elsewhere(X: Any) -> bool:
    """Whether X is a tensor on a device of its own."""
    return is_tensor(X) and X.device.type != "cpu"


def _score_sparse(X: Any, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Return scores (N, C) float32 of sparse rows; sums are float64 where entries are."""
    from straightedge.sparse_rows import SparseRows

    try:
        SparseRows(X).check_finite()
    except InputError as error:
        raise InputError("predict-nan", error.what, error.where, error.mend) from None
    scores: np.ndarray = (X @ weight + bias).astype(np.float32)
    return scores


def _check_shape(shape: tuple[int, ...], n_features: int, expected: tuple[int, ...]) -> None:
    gray = len(expected) == 3 and expected[0] == 1 and shape == expected[1:]
    if shape == (n_features,) or ((shape == expected or gray) and math.prod(shape) == n_features):
        return
    shapes = " or ".join(map(str, dict.fromkeys([expected, (n_features,)])))
    hint = f"rows of shape {shapes} are needed"
    if len(shape) == 3 and (shape[2], *shape[:2]) == expected:
        hint += ": move the channels to the front, X.transpose(0, 3, 1, 2)"
    raise InputError("predict-width", f"rows of shape {shape} do not fit the model", mend=hint)


def _blocks(X: Any, n_features: int) -> Iterator[tuple[int, Any]]:
    """Give (first row, (n, D) float32 block); the block size depends on D alone, so answers do not vary."""
    step = max(1, _BLOCK_BYTES // (4 * max(1, n_features)))
    for start in range(0, int(X.shape[0]), step):
        stop = min(start + step, int(X.shape[0]))
        block: Any
        if is_tensor(X):
            block = X[start:stop].detach().to(torch.float32)
            block = block if _is_elsewhere(X) else block.numpy()
        else:
            block = _float_block(X.read(start, stop) if hasattr(X, "read") else X[start:stop])
        yield start, block.reshape(stop - start, -1)


def _float_block(rows: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is reported with its row
        return np.ascontiguousarray(rows, dtype=np.float32)


def _compare_ranges(X: Any, block: Any) -> None:
    """Warn when weights for pixels 0 to 255 are given floats between 0 and 1."""
    floats = X.is_floating_point() if is_tensor(X) else X.dtype.kind == "f"
    if floats and math.prod(block.shape):
        low, high = float(block.min()), float(block.max())
        if low >= 0 and 0 < high <= 1:
            warn("ranges-differ", f"trained on pixels 0 to 255, but these lie between {low:g} and {high:g}")


def _not_finite(block: np.ndarray, start: int) -> InputError:
    bad = np.argwhere(~np.isfinite(block))
    if not len(bad):
        return InputError("predict-nan", f"scores overflow in rows {start} to {start + len(block) - 1}")
    row, column = (int(index) for index in bad[0])
    what = f"{float(block[row, column])} in the rows to score (or beyond what float32 holds)"
    mend = "every value must be finite; impute or drop the row"
    return InputError("predict-nan", what, where=f"row {start + row}, column {column}", mend=mend)
