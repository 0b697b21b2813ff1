"""X as blocks of rows: uint8 or float, memory or disk, any layout, any device.

Only this module knows where X lives. The rest asks for rows ``start:stop`` as a float block, which is a view
of X where X already has the asked type and layout, and otherwise a conversion into a reused buffer: the float
copy of the data is never made.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from straightedge.data.cells import as_numbers
from straightedge.disk import ReadAhead, disk_rows, rows_at
from straightedge.errors import InputError, InputTypeError
from straightedge.workers import block_spans

_NUMPY_DTYPES = {"uint8", "int8", "int16", "int32", "int64", "bool", "float16", "float32", "float64"}
_WIDENED = {"uint16": np.int32, "uint32": np.int64, "uint64": np.int64}
"""Types that torch has no products of: read as the next larger one, a block at a time."""
PICKED = 4096  # rows read together to pick some of them
READ_TOGETHER = 2**20  # bytes of rows on disk that are read together: 8 blocks of 32 columns
LARGEST_VALUE = 1e15  # larger entries have squares and products that leave float32's range


class Rows:
    """Rows of X, read by block.

    Args:
        X: (N, ...) NumPy array, memory map, torch tensor or `RowSource`; uint8, any integer, float16, float32
            or float64; any strides, byte order, read-only or not. Trailing dimensions are flattened.
        device: Where blocks are given; None means where X is (CPU for NumPy).
        order: (N,) int64 row indices, to see the rows in another order (folds side by side); None means
            as they lie.
        first_row: The number of X's first row in the whole, where X is a rank's part of it; for messages.

    Raises:
        InputError: ``x-shape``, ``x-dtype`` or ``x-empty``.
    """

    def __init__(
        self, X: Any, *, device: torch.device | str | None = None, order: Tensor | None = None, first_row: int = 0
    ) -> None:
        self._source = _as_source(X)
        self._first_row = first_row
        self.shape = tuple(int(size) for size in self._source.shape)
        self.n_samples = len(order) if order is not None else self.shape[0]
        self.n_whole = self.n_samples
        self.n_features = int(np.prod(self.shape[1:]))
        self.dtype_name = str(self._source.dtype).removeprefix("torch.")
        own = self._source.device if isinstance(self._source, Tensor) else torch.device("cpu")
        self.device = torch.device(device) if device is not None else own
        self.order = order
        self._ahead = None  # for rows in memory: it refers to these rows, and a ring is freed late
        if not isinstance(self._source, Tensor):
            row = max(1, self.n_features * np.dtype(self.dtype_name).itemsize)
            self._ahead = ReadAhead(self._fetched, self.n_samples, READ_TOGETHER // row)
        else:
            if self._source.device != self.device:
                self._source = self._source.to(self.device)
            if self.order is not None:
                self.order = self.order.to(self.device)

    def subset(self, index: Tensor) -> Rows:
        """Return the rows of a rising index (n,) int64: seen through it where X is in memory, else a copy."""
        index = index.to(self.device)
        if self.in_memory or not len(index):
            order = index if self.order is None else self.order[index]
            part = Rows(self._source, device=self.device, order=order)
        else:
            part = Rows(self._picked(index.cpu()), device=self.device)
        part.n_whole = self.n_samples
        return part

    def _picked(self, index: Tensor) -> Tensor:
        """Return the raw rows of a rising index, picked out of whole blocks, which are read in order."""
        picked, filled = torch.empty(0), 0
        for start, stop in block_spans(self.n_samples, PICKED):
            inside = index[(index >= start) & (index < stop)]
            if not len(inside):
                continue
            found = self._raw(start, stop)[inside - start]
            if not filled:
                picked = found.new_empty(len(index), *found.shape[1:])
            picked[filled : filled + len(found)] = found
            filled += len(found)
        return picked

    @property
    def is_float64(self) -> bool:
        """Whether entries are float64 (or integers that float32 cannot hold)."""
        return self.dtype_name in {"float64", "int64", "int32", "uint32", "uint64"}

    @property
    def is_copied(self) -> bool:
        """Whether a block is a copy, and no view of X."""
        return self.order is not None or not isinstance(self._source, Tensor)

    @property
    def in_memory(self) -> bool:
        """Whether reading rows costs no disk."""
        source = self._source  # an array of bytes in another order, say, is read by block, and from memory
        return isinstance(source, (Tensor, np.ndarray)) and not isinstance(source, np.memmap)

    def scratch(self, n_rows: int, dtype: torch.dtype) -> Tensor:
        """Return the buffer (n_rows, D) of `block`; one of no rows where blocks are views of X, which need none."""
        source = self._source
        views = (
            isinstance(source, Tensor) and self.order is None and source.dtype == dtype and source.is_contiguous()
        )
        return torch.empty(0 if views else n_rows, self.n_features, dtype=dtype, device=self.device)

    def block(self, start: int, stop: int, buffer: Tensor) -> Tensor:
        """Return rows ``start:stop`` as (stop − start, D) in the buffer's dtype, in it or as a view of X.

        Args:
            start: First row.
            stop: One past the last row.
            buffer: (≥ stop − start, D) on `device`, of any strides; or what `scratch` gives.
        """
        raw = self._raw(start, stop)
        if raw.dtype == buffer.dtype and raw.is_contiguous() and raw.device == buffer.device:
            return raw.view(stop - start, -1)
        return buffer[: stop - start].copy_(raw.flatten(1))

    def raw_block(self, start: int, stop: int) -> Tensor:
        """Return rows ``start:stop`` as (stop − start, D) on `device` in X's own dtype, contiguous."""
        raw = self._raw(start, stop).to(self.device)
        return raw.reshape(stop - start, -1).contiguous()

    def _raw(self, start: int, stop: int) -> Tensor:
        source = self._source
        if isinstance(source, Tensor):
            if self.order is None:
                return source[start:stop]
            # copies whole rows: indexing goes entry by entry
            return source.index_select(0, self.order[start:stop])
        assert self._ahead is not None
        return self._ahead.block(start, stop)

    def _fetched(self, start: int, stop: int) -> Tensor:
        """Return rows ``start:stop`` of a source on disk."""
        read = getattr(self._source, "read", None)
        if self.order is not None:
            wanted = self.order[start:stop].numpy()
            return _tensor(self._source[wanted] if read is None else rows_at(self._source, wanted))
        return _tensor(self._source[start:stop] if read is None else read(start, stop))

    def take(self, index: Tensor, buffer: Tensor) -> Tensor:
        """Return the rows of ``index`` (n,) int64, in that order, in the buffer (≥ n, D); in-memory rows only."""
        if self.order is not None:
            index = self.order[index.to(self.order.device)]
        target = buffer[: len(index)]
        source = self._source
        if isinstance(source, Tensor):
            index, shape = index.to(source.device), (len(index), *source.shape[1:])
            if source.dtype == target.dtype and source.device == target.device:
                torch.index_select(source, 0, index, out=target.view(shape))
                return target
            raw = source.index_select(0, index)
        else:
            raw = _tensor(source[index.numpy()])
        target.view(raw.shape).copy_(raw)
        return target

    def table(self, index: Tensor) -> tuple[np.ndarray, np.ndarray] | None:
        """Return (X as (M, D) without a copy, the places of ``index`` in it), for compiled loops; or None.

        None where X is not in memory row by row, or of a type that compiled loops do not know.
        """
        source = self._source
        if not isinstance(source, Tensor) or source.device.type != "cpu" or not source.is_contiguous():
            return None
        if source.dtype not in {torch.uint8, torch.float32, torch.float64}:
            return None
        places = index if self.order is None else self.order[index]
        return source.view(len(source), -1).numpy(), places.numpy()

    def first_bad(self, block_rows: int = 4096) -> tuple[int, int] | None:
        """Return (row, column) of the first NaN, infinity or value beyond `LARGEST_VALUE`, or None."""
        if self.dtype_name in {"uint8", "int8", "int16", "bool"}:
            return None
        for start in range(0, self.n_samples, block_rows):
            raw = self._raw(start, min(start + block_rows, self.n_samples))
            flat = raw.reshape(raw.shape[0], -1)
            if flat.is_floating_point() and flat.element_size() < 4:
                flat = flat.float()  # in float16 the limit itself is infinite
            bad = ~(flat.abs() <= LARGEST_VALUE)
            if bool(bad.any()):
                row, column = (int(i) for i in bad.nonzero()[0])
                return start + row, column
        return None

    def check_finite(self) -> None:
        """Raise on the first entry that is not a usable number.

        Raises:
            InputError: ``x-not-finite`` or ``x-too-large``, with row and column.
        """
        found = self.first_bad()
        if found is None:
            return
        row, column = found
        value = float(self._raw(row, row + 1).reshape(-1)[column])
        place = row if self.order is None else int(self.order[row])
        raise unusable_value(value, f"row {self._first_row + place}, column {column}")


def unusable_value(value: float, where: str) -> InputError:
    """Return the error of an entry that is no number, or one too large: ``x-not-finite`` or ``x-too-large``."""
    if not np.isfinite(value):
        # the words NaN and infinity are those that scikit-learn's own checks look for
        what, mend = f"X contains NaN or infinity: {value}", "remove or fill in such entries"
        return InputError("x-not-finite", what, where, mend)
    what = f"X has the value {value:.3g}, whose products leave the range of floats"
    mend = f"scale the features so that entries are below {LARGEST_VALUE:.0e}"
    return InputError("x-too-large", what, where, mend)


def _as_source(X: Any) -> Any:
    """Return a torch tensor sharing memory with X where that is possible, else X itself."""
    if isinstance(X, Tensor):
        check_shape(tuple(X.shape))
        if X.is_complex():
            what = f"X has dtype {X.dtype}"
            raise InputError("x-dtype", what, mend="Complex data not supported: give real numbers")
        return X.detach()
    if hasattr(X, "read") and hasattr(X, "shape"):
        check_shape(tuple(X.shape))
        return X
    array = X if isinstance(X, np.ndarray) else np.asarray(X)
    if array.dtype.name not in _NUMPY_DTYPES | _WIDENED.keys():
        array = _castable(array)
    check_shape(array.shape)
    if isinstance(array, np.memmap):
        return disk_rows(array) or array  # stays on disk; read block by block
    native = (
        array.dtype.name not in _WIDENED and array.dtype.isnative and all(stride >= 0 for stride in array.strides)
    )
    return _tensor(array) if native else array


def _castable(array: np.ndarray) -> np.ndarray:
    if np.issubdtype(array.dtype, np.complexfloating):
        what = f"X has dtype {array.dtype}"
        raise InputError("x-dtype", what, mend="Complex data not supported: give real numbers")
    if array.dtype.kind in "mM":
        what = f"X has dtype {array.dtype}: dates and durations have no scale of their own"
        raise InputTypeError("x-dtype", what, mend="give numbers, such as days since a day")
    return as_numbers(array)


def check_shape(shape: tuple[int, ...]) -> None:
    """Raise `InputError` ``x-shape`` or ``x-empty`` for shapes that are not rows of features."""
    if len(shape) < 2:
        mend = "Reshape your data: X.reshape(-1, 1) for one feature, X.reshape(1, -1) for one sample"
        raise InputError("x-shape", f"X has shape {shape}; expected 2D: (samples, features)", mend=mend)
    if shape[0] == 0:
        what = f"Found array with 0 sample(s) (shape={shape}) while a minimum of 1 is required."
        raise InputError("x-empty", what)
    if int(np.prod(shape[1:])) == 0:
        what = f"Found array with 0 feature(s) (shape={shape}) while a minimum of 1 is required."
        raise InputError("x-empty", what)


def tensor_over(array: np.ndarray) -> Tensor:
    """Return a tensor over the array's memory, a copy where torch cannot read it; nobody may write to it."""
    if not array.dtype.isnative or any(stride < 0 for stride in array.strides):
        array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of memory that is read-only
        return torch.from_numpy(array)


def _tensor(array: np.ndarray) -> Tensor:
    wider = _WIDENED.get(array.dtype.name)
    return tensor_over(array if wider is None else array.astype(wider))
