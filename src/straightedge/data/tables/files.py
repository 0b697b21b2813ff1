"""Parquet and Arrow files read in order, a bounded number of rows at a time.

A `Table` is one file; a `TableRows` is one column (or several number columns) over several files, as a
`RowSource`. Each thread that reads has its own place in the data, so a pass by several threads, each over its own
stretch of rows, decodes everything once.
"""

import bisect
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.disk import rows_at
from straightedge.errors import InputError, damage
from straightedge.memory import require_memory
from straightedge.special_files import open_regular

BATCH_BYTES = 2**21  # decoded bytes asked for at a time from a Parquet file
AGAIN = "write or download it again"  # what mends a damaged file


@cache
def arrow(name: str = "pyarrow") -> Any:
    """Return a module of the Arrow package, imported when it is needed: that takes a tenth of a second."""
    return import_module(name)


def names_in(given: Any) -> list[str]:
    """Return names given as a list, or as text with commas."""
    if given is None:
        return []
    return [part.strip() for part in given.split(",")] if isinstance(given, str) else [str(n) for n in given]


def use_system_memory() -> None:
    """Let Arrow take memory from the system in this process: its own allocators keep 100 MB of what they had."""
    pa = arrow()
    if pa.default_memory_pool().backend_name != "system":
        pa.set_memory_pool(pa.system_memory_pool())


def release_memory() -> None:
    """Give back to the system what is kept of memory that is no longer used, NumPy's included."""
    arrow().default_memory_pool().release_unused()


class Table:
    """One Parquet or Arrow file: its columns, and its pieces (row groups or record batches) in order.

    Attributes:
        about: How it was read, in one line, where there was a choice.
        header: Whether its columns have names of their own.
        digest: SHA-256 of the content of a table that is no file.

    Raises:
        InputError: ``table-broken``.
    """

    about = ""
    header = True
    digest = ""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._threads = threading.local()
        with table_errors(path):
            file = self._file()
            self.is_parquet = hasattr(file, "num_row_groups")
            self.schema = file.schema_arrow if self.is_parquet else file.schema
            _read_names(self.schema)
            self.counts = self._counts(file)
        if self.is_parquet:
            groups = (file.metadata.row_group(group) for group in range(file.num_row_groups))
            largest = max((group.total_byte_size for group in groups), default=0)
            mend = "write it again in smaller row groups"
            require_memory(largest, "to unpack the largest row group", str(path), mend)
        self.n_rows = sum(self.counts)

    def _file(self) -> Any:
        """Return this thread's reader; readers are not shared."""
        if not hasattr(self._threads, "file"):
            self._threads.file = open_file(self.path)
        return self._threads.file

    def _counts(self, file: Any) -> list[int]:
        """Return the rows of each piece."""
        if self.is_parquet:
            return [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)]
        return [self._checked(piece) for piece in range(file.num_record_batches)]

    def _checked(self, piece: int) -> int:
        """Return the rows of a record batch whose offsets are within it: Arrow follows wrong ones anywhere."""
        batch = self._batch(piece)
        batch.validate(full=True)
        return int(batch.num_rows)

    def _batch(self, piece: int) -> Any:
        return self._file().get_batch(piece)

    def blocks(self, piece: int, columns: Sequence[str], batch_rows: int) -> Iterator[Any]:
        """Yield record batches of some columns of one piece, in order; they have all rows that it says it has."""
        rows = 0
        with table_errors(self.path):
            for batch in self._batches_of(piece, list(columns), batch_rows):
                batch.validate(full=True)  # text is UTF-8, offsets are within; a tenth of the time of reading
                rows += batch.num_rows
                yield batch
        if rows != self.counts[piece]:
            what = f"part {piece} is said to have {self.counts[piece]:,} rows, and has {rows:,}"
            raise InputError("table-broken", what, str(self.path), AGAIN)

    def _batches_of(self, piece: int, columns: list[str], batch_rows: int) -> Iterator[Any]:
        if self.is_parquet:
            yield from self._file().iter_batches(batch_rows, row_groups=[piece], columns=columns)
        else:
            yield self._batch(piece).select(columns)

    def column(self, name: str) -> Any:
        """Return one whole column as an Arrow array: for labels, not for features."""
        batches = [b.column(0) for piece in range(len(self.counts)) for b in self.blocks(piece, [name], 65536)]
        with table_errors(self.path):
            field = self.schema.field(name)
            return arrow().chunked_array(batches, type=field.type)


class MemoryTable(Table):
    """A table held in memory, with the face of a file.

    Args:
        path: Where it came from.
        table: The Arrow table.
        about: How it was read, in one line.
        header: Whether its columns have names of their own.
    """

    def __init__(self, path: Path, table: Any, about: str = "", header: bool = True) -> None:
        self.path, self.about, self.header = path, about, header
        self._batches = table.combine_chunks().to_batches()
        self.is_parquet = False
        self.schema = table.schema
        self.counts = [batch.num_rows for batch in self._batches]
        self.n_rows = sum(self.counts)

    def _batch(self, piece: int) -> Any:
        return self._batches[piece]

    def blocks(self, piece: int, columns: Sequence[str], batch_rows: int) -> Iterator[Any]:
        """Yield parts of some columns, at most `batch_rows` rows each."""
        batch = self._batches[piece].select(list(columns))
        for start in range(0, batch.num_rows, batch_rows):
            yield batch.slice(start, batch_rows)


class StreamFile:
    """An Arrow stream (as Hugging Face data sets are saved) with the face of an Arrow file: mapped, not copied."""

    def __init__(self, reader: Any) -> None:
        self.schema = reader.schema
        self._batches = list(reader)
        self.num_record_batches = len(self._batches)

    def get_batch(self, piece: int) -> Any:
        """Return one record batch."""
        return self._batches[piece]


def open_file(path: Path) -> Any:
    """Open a Parquet file, an Arrow (Feather) file or an Arrow stream by its content."""
    with open_regular(path) as file:
        head = file.read(6)
    if head[:4] == b"PAR1":
        return arrow("pyarrow.parquet").ParquetFile(path)
    pa, ipc = arrow(), arrow("pyarrow.ipc")
    mapped = pa.memory_map(str(path))
    return ipc.open_file(mapped) if head == b"ARROW1" else StreamFile(ipc.open_stream(mapped))


def table_errors(path: Path) -> AbstractContextManager[None]:
    """Turn what Arrow raises on a damaged file into an error that names it."""
    kinds = (arrow().ArrowException, OSError, EOFError, UnicodeError)  # the last of names that are no UTF-8
    return damage("table-broken", path, kinds, AGAIN)


def _read_names(fields: Iterable[Any]) -> None:
    """Read the names of fields and of those within: Arrow decodes them late, and a damaged one is no text."""
    for field in fields:
        str(field.name)
        _read_names(field.type.field(place) for place in range(field.type.num_fields))


Decode = Callable[[Any, str, int], Any]
"""Turns a record batch into rows (an array or a list), given the file's name and the batch's first row."""


@dataclass
class _Place:
    """Where a thread is in the data: the next row, what is decoded already, and where more comes from."""

    row: int
    ready: Any
    more: Iterator[Any]


class TableRows:
    """Rows of several files in order, as a `RowSource`.

    Args:
        tables: Files, their rows one after the other.
        columns: Columns that make a row.
        decode: Turns a record batch of these columns into rows.
        shape: (N, ...) of all rows.
        dtype: Of the decoded rows.
        first: Row of the files at which row 0 of this source lies.
    """

    def __init__(
        self,
        tables: Sequence[Table],
        columns: Sequence[str],
        decode: Decode,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        first: int = 0,
    ) -> None:
        self.shape, self.dtype = shape, dtype
        self._columns, self._decode, self._first = columns, decode, first
        pieces = [(table, piece) for table in tables for piece in range(len(table.counts))]
        self._pieces = [(table, piece) for table, piece in pieces if table.counts[piece]]
        counts = [table.counts[piece] for table, piece in self._pieces]
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(int).tolist()
        self._threads = threading.local()
        row_bytes = max(1, dtype.itemsize * int(np.prod(shape[1:]))) if dtype.kind != "O" else 2**16
        self._batch_rows = int(min(65536, max(1, BATCH_BYTES // row_bytes)))

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, start: int, stop: int) -> Any:
        """Return rows ``start:stop``; reading on where the same thread stopped costs no seeking."""
        place = getattr(self._threads, "place", None)
        if place is None or place.row != start:
            place = self._go_to(start)
        parts, missing = [], stop - start
        while missing > 0:
            if len(place.ready) == 0:
                place.ready = next(place.more)
            parts.append(place.ready[:missing])
            place.ready = place.ready[missing:]
            missing -= len(parts[-1])
        place.row = stop
        self._threads.place = place
        return _joined(parts, self)

    def __getitem__(self, index: Any) -> Any:
        """Return rows by a slice or by an array of positions, each stretch of neighbours read in one go."""
        if isinstance(index, slice):
            start, stop, step = index.indices(self.shape[0])
            return self.read(start, stop)[::step] if step > 0 else self[np.arange(start, stop, step)]
        return rows_at(self, np.asarray(index))

    def _go_to(self, row: int) -> _Place:
        inside = row + self._first
        piece = bisect.bisect_right(self._starts, inside) - 1
        place = _Place(row, (), self._from(piece))
        skip = inside - self._starts[piece]
        while skip > 0:
            place.ready = next(place.more)
            dropped = min(skip, len(place.ready))
            place.ready = place.ready[dropped:]
            skip -= dropped
        return place

    def _from(self, piece: int) -> Iterator[Any]:
        for position in range(piece, len(self._pieces)):
            table, number = self._pieces[position]
            row = self._starts[position]
            for batch in table.blocks(number, self._columns, self._batch_rows):
                yield self._decode(batch, str(table.path), row)
                row += batch.num_rows


def _joined(parts: list[Any], rows: TableRows) -> Any:
    if rows.dtype.kind == "O":
        return [value for part in parts for value in part]
    if not parts:
        return np.empty((0, *rows.shape[1:]), rows.dtype)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
