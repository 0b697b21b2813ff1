"""Rows of a file that is larger than memory: read, not mapped, and read ahead.

A page of a memory map counts as the process's own for as long as the system likes: after one pass all of the
file does. Rows read into a buffer count while the buffer lives, which is a few blocks. A thread reads the next
block while the present one is worked on; it waits for the disk, or for Parquet, outside the interpreter's lock.
"""

import itertools
import mmap
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import numpy as np

from straightedge.errors import InputError

DENSE = 4  # rows asked for in any order are read with those between them, if these are at most so many times more
PROBES = 3  # rows compared before the file is trusted to be what was mapped

Block = TypeVar("Block")


class DiskRows:
    """The rows of a memory map, read from its file: a `RowSource`.

    Args:
        mapped: (N, ...) map of a file, or a part of one, each row of which lies in one piece.
        start: Byte of the file at which row 0 lies.
    """

    def __init__(self, mapped: np.memmap[Any, Any], start: int) -> None:
        self.shape, self.dtype = mapped.shape, mapped.dtype
        self.path, self._start = str(mapped.filename), start
        self._row_bytes = mapped.dtype.itemsize * int(np.prod(mapped.shape[1:]))
        self._step = int(mapped.strides[0]) if len(mapped) > 1 else self._row_bytes
        self._file = os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        weakref.finalize(self, os.close, self._file)

    def __len__(self) -> int:
        return int(self.shape[0])

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return rows ``start:stop`` in memory of their own.

        Raises:
            InputError: ``data-changed``: the file has become shorter.
        """
        rows = np.empty((max(0, stop - start), *self.shape[1:]), dtype=self.dtype)
        wanted, place = rows.reshape(-1).data.cast("B"), self._start + start * self._step
        piece = len(wanted) if self._step == self._row_bytes else self._row_bytes
        for first in range(0, len(wanted), piece or 1):
            self._fill(wanted[first : first + piece], place, stop - 1)
            place += self._step
        return rows

    def _fill(self, wanted: memoryview, place: int, last: int) -> None:
        """Read into a buffer from a byte of the file on; ``last`` is the last row asked for, for the message."""
        while wanted:
            n = os.preadv(self._file, [wanted], place)
            if n == 0:
                what = f"the file ends before row {last}: it has become shorter"
                raise InputError("data-changed", what, self.path, "let nobody write to it during a fit")
            wanted, place = wanted[n:], place + n

    def __getitem__(self, index: Any) -> np.ndarray:
        """Return rows by a slice or by an array of positions, in that order."""
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            return self.read(start, stop)[::step] if step > 0 else self[np.arange(start, stop, step)]
        wanted = np.asarray(index)
        if self._step == self._row_bytes:
            return rows_at(self, wanted)
        rows = np.empty((len(wanted), *self.shape[1:]), dtype=self.dtype)
        room, size = rows.reshape(-1).data.cast("B"), self._row_bytes
        for place, row in enumerate(wanted.tolist()):
            self._fill(room[place * size : place * size + size], self._start + row * self._step, row)
        return rows


def rows_at(source: Any, wanted: np.ndarray) -> np.ndarray:
    """Return rows of a row source by their positions (n,), in that order, read in rising runs."""
    if len(wanted) == 0:
        nothing: np.ndarray = source.read(0, 0)
        return nothing
    low, high = int(wanted.min()), int(wanted.max()) + 1
    if high - low <= DENSE * len(wanted):
        between: np.ndarray = source.read(low, high)[wanted - low]
        return between
    order = np.argsort(wanted, kind="stable")
    runs = np.split(wanted[order], np.flatnonzero(np.diff(wanted[order]) > 1) + 1)
    read = np.concatenate([source.read(int(r[0]), int(r[-1]) + 1)[r - r[0]] for r in runs])
    found = np.empty_like(read)
    found[order] = read
    return found


def disk_rows(mapped: np.memmap[Any, Any]) -> DiskRows | None:
    """Return the rows of a map to be read from its file, or None where they cannot be.

    None for a map that is no file's, is written to in private (mode "c"), whose rows do not lie in one piece, whose
    file is gone or another one by now, and where the system has no positioned reads.
    """
    own = getattr(mapped, "_mmap", None)
    readable = mapped.mode in {"r", "r+", "w+"} and _rows_in_pieces(mapped) and mapped.dtype.isnative
    if own is None or mapped.filename is None or not readable or not hasattr(os, "preadv") or not mapped.size:
        return None
    beginning = np.frombuffer(own, dtype=np.uint8).__array_interface__["data"][0]
    inside = mapped.__array_interface__["data"][0] - beginning
    start = inside + mapped.offset - mapped.offset % mmap.ALLOCATIONGRANULARITY
    try:
        found = DiskRows(mapped, start)
        places = {i * (len(mapped) - 1) // max(1, PROBES - 1) for i in range(PROBES)}
        same = all(found.read(i, i + 1).tobytes() == mapped[i : i + 1].tobytes() for i in places)
    except (OSError, InputError):
        return None
    return found if same else None


def _rows_in_pieces(mapped: np.ndarray) -> bool:
    """Whether each row lies in one piece, and the rows after one another."""
    strided = mapped.ndim > 1 and mapped[:1].flags.c_contiguous and mapped.strides[0] >= mapped[:1].nbytes
    return bool(mapped.flags.c_contiguous or strided)


def row_reader(X: np.ndarray) -> Callable[[int, int], np.ndarray]:
    """Return a function that gives rows ``start:stop`` of an array; those of a map are read from its file.

    The pages of a map that were looked at count as memory of this process for as long as there is room.
    """
    file = disk_rows(X) if isinstance(X, np.memmap) else None
    if file is None:
        return lambda start, stop: X[start:stop]
    return lambda start, stop: np.asarray(file.read(start, stop))


class JoinedRows:
    """Rows of several arrays or row sources, one after the other: a `RowSource` that copies nothing.

    Args:
        parts: Arrays, memory maps or row sources, rows of one shape.
    """

    def __init__(self, parts: Sequence[Any]) -> None:
        self._parts = [disk_rows(part) or part if isinstance(part, np.memmap) else part for part in parts]
        self._starts = [0, *itertools.accumulate(int(part.shape[0]) for part in parts)]
        self.shape = (self._starts[-1], *(int(size) for size in parts[0].shape[1:]))
        self.dtype = np.result_type(*(part.dtype for part in parts))

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return rows ``start:stop`` of the whole."""
        found = []
        for part, first in zip(self._parts, self._starts, strict=False):
            low, high = max(start - first, 0), min(stop - first, int(part.shape[0]))
            if low < high:
                found.append(part.read(low, high) if hasattr(part, "read") else part[low:high])
        return np.concatenate(found) if found else np.empty((0, *self.shape[1:]), self.dtype)


class ReadAhead(Generic[Block]):
    """Blocks in order, the next ones being read while the present one is worked on.

    Every thread that asks has a reader of its own, so that readers of compressed files keep their place. Small
    blocks are read several at a time: handing one over from thread to thread costs as much as reading 100 kB.

    Args:
        fetch: Returns the block of rows ``start:stop``; called on the readers.
        n_rows: N.
        together: Rows that are read together at most, where blocks are shorter and come in order; such a block is
            sliced.
    """

    def __init__(self, fetch: Callable[[int, int], Block], n_rows: int, together: int = 1) -> None:
        self._fetch, self._n_rows, self._together = fetch, n_rows, together
        self._threads = threading.local()

    def block(self, start: int, stop: int) -> Block:
        """Return rows ``start:stop``; whoever reads in order finds them read already."""
        own = self._threads
        if not hasattr(own, "reader"):
            own.reader = ThreadPoolExecutor(1, thread_name_prefix="straightedge-read")
            own.span, own.held, own.ahead, own.following = (-1, -1), None, (-1, -1), None
        first, last = own.span
        if not first <= start < stop <= last:
            self._read_on(own, start, stop)
            first, last = own.span
        found: Block = own.held if (first, last) == (start, stop) else own.held[start - first : stop - first]
        return found

    def _read_on(self, own: Any, start: int, stop: int) -> None:
        """Hold rows from `start` on, up to `stop` at least; have the next ones read where rows come in order."""
        in_order = own.span[1] == start
        reading: Future[Block] | None = own.following if own.ahead[0] == start and own.ahead[1] >= stop else None
        span = own.ahead if reading else (start, self._end(start, stop - start) if in_order else stop)
        own.span, own.held, own.following = (-1, -1), None, None  # nothing is held where reading goes wrong
        own.held, own.span = (reading or own.reader.submit(self._fetch, *span)).result(), span
        if in_order and span[1] < self._n_rows:
            own.ahead = (span[1], self._end(span[1], stop - start))
            own.following = own.reader.submit(self._fetch, *own.ahead)

    def _end(self, start: int, size: int) -> int:
        """Return where the rows end that are read together with a block of `size` rows."""
        return min(start + max(1, self._together // size) * size, self._n_rows)
