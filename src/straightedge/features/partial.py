"""Rows of a `.npy` file made chunk by chunk, where a kill loses one chunk and the next run goes on from there.

Rows are appended to ``NAME.partial``. After each chunk the bytes are pushed to the disk, and only then does the
journal ``NAME.journal`` say how many rows there are, replaced in one step; what lies beyond that number is cut
off at the next start. At the end the file takes its name in one step.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from straightedge import atomic
from straightedge.data.npy import HEADER_BYTES, npy_header_bytes

Make = Callable[[int, int], np.ndarray]
Bar = AbstractContextManager[Callable[[int], None]]


def write_rows(path: Path, make: Make, n: int, width: int, dtype: np.dtype[Any], chunk: int, shown: Bar) -> None:
    """Write (n, width) rows as the `.npy` file `path`, going on from what an earlier run left.

    Args:
        path: The file; `.partial` and `.journal` stand beside it until it is whole.
        make: Gives rows ``start:stop``, the same whenever it is asked.
        n: Number of rows.
        width: Values per row.
        dtype: Type of the values.
        chunk: Rows per step.
        shown: A progress bar in rows.

    Raises:
        MachineError: ``disk-full``, ``read-only``, ``write-failed``; what was written so far stays.
    """
    partial, journal = path.with_suffix(".partial"), path.with_suffix(".journal")
    header, row_bytes = npy_header_bytes(dtype, (n, width)), width * dtype.itemsize
    with shown as advance, _opened(partial, journal, header, row_bytes) as (file, done):
        advance(done)
        for start in range(done, n, chunk):
            stop = min(start + chunk, n)
            rows = make(start, stop)  # outside `disk_errors`: what reading says is not about this file
            with atomic.disk_errors(path):
                file.write(np.ascontiguousarray(rows).data.cast("B"))
                file.flush()
                atomic.disk.sync(file.fileno())
            atomic.write_json(journal, {"rows": stop})
            advance(stop - start)
    with atomic.disk_errors(path):
        atomic.disk.replace(partial, path)
        atomic.disk.sync_folder(path.parent)
    with suppress(OSError):
        journal.unlink()


@contextmanager
def _opened(partial: Path, journal: Path, header: bytes, row_bytes: int) -> Iterator[tuple[BinaryIO, int]]:
    """Open the partial file at the end of the rows that can be trusted; give it with their number."""
    done = rows_done(partial, journal, header, row_bytes)
    with atomic.disk_errors(partial):
        file = partial.open("r+b" if done else "w+b")
    with file:
        with atomic.disk_errors(partial):
            if not done:
                file.write(header)
            file.truncate(HEADER_BYTES + done * row_bytes)
            file.seek(0, os.SEEK_END)
        yield file, done


def rows_done(partial: Path, journal: Path, header: bytes, row_bytes: int) -> int:
    """Return how many rows of a partial file can be trusted: 0 without its journal, or of another shape."""
    try:
        rows = int(json.loads(journal.read_text())["rows"])
        with partial.open("rb") as file:
            same = file.read(HEADER_BYTES) == header
        whole = partial.stat().st_size >= HEADER_BYTES + rows * row_bytes
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return rows if same and whole and rows > 0 else 0


def rows_kept(path: Path, n: int, width: int, dtype: np.dtype[Any]) -> np.ndarray:
    """Return the first rows of ``path`` that an unfinished `write_rows` left, of (n, width) in all; may be none."""
    partial, journal = path.with_suffix(".partial"), path.with_suffix(".journal")
    done = rows_done(partial, journal, npy_header_bytes(dtype, (n, width)), width * dtype.itemsize)
    if not done:
        return np.empty((0, width), dtype)
    return np.fromfile(partial, dtype, done * width, offset=HEADER_BYTES).reshape(done, width)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file, so that two processes do not make the same features; the second finds them made.

    Systems without file locks go without: the worst is work done twice, since files take their names in one step.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    with atomic.disk_errors(path):
        file = path.open("a")
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
