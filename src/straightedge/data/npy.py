"""A `.npy` file that grows by blocks of rows; its header is written when their number is known."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.atomic import disk

HEADER_BYTES = 128


class MemoryRows:
    """Rows kept in memory."""

    def __init__(self) -> None:
        self._blocks: list[np.ndarray] = []

    def append(self, rows: np.ndarray) -> None:
        """Take a block of rows."""
        self._blocks.append(rows)

    def finish(self) -> np.ndarray:
        """Return all rows as one array."""
        rows = np.concatenate(self._blocks)
        self._blocks.clear()
        return rows


class NpyRows:
    """Rows written to a `.npy` file as they come, by plain writes: a full disk is an error, no signal."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = disk.create(path)
        self._open = True
        self._n = 0
        self._shape: tuple[int, ...] = ()
        self._dtype: np.dtype[Any] | None = None
        self._write(bytes(HEADER_BYTES))

    def append(self, rows: np.ndarray) -> None:
        """Write a block of rows; all blocks have one dtype and one row shape.

        Raises:
            OSError: the disk is full.
        """
        if self._dtype is None:
            self._dtype, self._shape = rows.dtype, rows.shape[1:]
        assert rows.dtype == self._dtype and rows.shape[1:] == self._shape
        self._n += len(rows)
        if rows.size:
            self._write(np.ascontiguousarray(rows).data.cast("B"))

    def finish(self) -> np.ndarray:
        """Write the header, push the file to the disk and map it."""
        assert self._dtype is not None
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self._write(npy_header_bytes(self._dtype, (self._n, *self._shape)))
        disk.sync(self._descriptor)
        self.close()
        rows: np.ndarray = np.load(self._path, mmap_mode="r" if self._n else None)
        return rows

    def close(self) -> None:
        """Close the file, finished or not."""
        if self._open:
            self._open = False
            disk.close(self._descriptor)

    def _write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            view = view[disk.write(self._descriptor, view) :]


RowSink = MemoryRows | NpyRows  # takes blocks of rows in order and gives one array at the end


def npy_header_bytes(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """Return a version 1.0 header of `HEADER_BYTES` bytes for rows in C order."""
    text = f"{{'descr': {dtype.str!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
    room = HEADER_BYTES - 10
    assert len(text) < room, "a row of so many dimensions has no place in the header"
    return b"\x93NUMPY\x01\x00" + room.to_bytes(2, "little") + text.ljust(room - 1).encode("latin1") + b"\n"
