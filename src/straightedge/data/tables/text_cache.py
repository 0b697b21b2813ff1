"""The cells of a large text table, kept parsed: an Arrow file of small batches, of which columns are read singly.

A pass over such a file copies its columns; a reader holds one batch, however large the table is.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from straightedge.data.tables.files import Table, arrow, table_errors

BATCH_BYTES = 2**22
"""Bytes of columns in a batch: each thread that reads holds one, and a batch of a column costs 40 µs to find."""
LEAST_ROWS = 64  # rows of a batch at least: of 100,000 columns, a row alone has 800 kB


class CellWriter:
    """Writes the cells of a table into an Arrow file, in batches of one number of rows; the last may have fewer."""

    def __init__(self, target: Path, schema: Any) -> None:
        ipc = arrow("pyarrow.ipc")
        self.schema = schema
        self._file = ipc.new_file(str(target), schema, options=ipc.IpcWriteOptions(compression="lz4"))
        self._held: list[Any] = []
        self._rows = 0

    def add(self, columns: list[Any]) -> None:
        """Add rows, given as columns."""
        self._held.append(arrow().Table.from_arrays(columns, schema=self.schema))
        held = arrow().concat_tables(self._held)
        if self._rows == 0 and held.nbytes >= BATCH_BYTES:
            self._rows = max(LEAST_ROWS, held.num_rows * BATCH_BYTES // held.nbytes)
        if self._rows:
            whole = held.num_rows // self._rows * self._rows
            self._write(held[:whole])
            held = held[whole:]
        self._held = [held]

    def close(self) -> None:
        """Write what is held back, and the end of the file."""
        for held in self._held:
            self._write(held)
        self._file.close()

    def _write(self, table: Any) -> None:
        if table.num_rows:
            self._file.write_table(table.combine_chunks(), max_chunksize=self._rows or table.num_rows)


class CachedTable(Table):
    """A text table whose cells lie parsed in a file of `CellWriter`.

    Args:
        path: The text, for messages.
        stored: The file of its cells.
        about: How the text was read.
        header: Whether its columns have names of their own.
    """

    def __init__(self, path: Path, stored: Path, about: str, header: bool) -> None:
        self._stored = stored
        super().__init__(path)
        self.about, self.header = about.format(n_rows=self.n_rows), header

    def _file(self) -> Any:
        return self._reader(())

    def _counts(self, file: Any) -> list[int]:
        """Return the rows of each batch, from the first and the last one."""
        n = file.num_record_batches
        reader = self._reader(file.schema.names[:1])
        ends = [reader.get_batch(piece).num_rows for piece in ([0, n - 1] if n else [])]
        return [*ends[:1] * (n - 1), *ends[1:]]

    def _reader(self, columns: Sequence[str]) -> Any:
        """Return this thread's reader of some columns, () for all."""
        if getattr(self._threads, "columns", None) != tuple(columns):
            pa, ipc = arrow(), arrow("pyarrow.ipc")
            places = [self.schema.get_field_index(name) for name in columns]
            options = ipc.IpcReadOptions(included_fields=places, use_threads=False)
            # read, and not mapped: mapped pages would count as memory of this process until the last one
            self._threads.file = ipc.open_file(pa.OSFile(str(self._stored)), options=options)
            self._threads.columns = tuple(columns)
        return self._threads.file

    def blocks(self, piece: int, columns: Sequence[str], batch_rows: int) -> Iterator[Any]:
        """Yield record batches of some columns of one piece, in order."""
        with table_errors(self.path):
            batch = self._reader(columns).get_batch(piece).select(list(columns))
        for start in range(0, batch.num_rows, batch_rows):
            yield batch.slice(start, batch_rows)
