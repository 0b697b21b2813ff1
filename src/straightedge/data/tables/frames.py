"""Frames of pandas, polars and pyarrow as tables: whatever hands its columns over by Arrow's stream protocol."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.data.tables.encoding import TableEncoding
from straightedge.data.tables.files import MemoryTable, arrow
from straightedge.data.tables.matching import match_columns, unlike_training
from straightedge.data.tables.text_format import refuse_repeated
from straightedge.errors import InputError, warn

NAME = "frame"  # what messages call a frame, which has no path


def frame_table(frame: Any) -> MemoryTable:
    """Return a frame as a table in memory, text in Arrow's plain form.

    Raises:
        InputError: ``frame-cells`` for a column that mixes kinds, ``columns-repeated``.
    """
    pa = arrow()
    names = [str(name) for name in getattr(frame, "columns", [])] if not hasattr(frame, "schema") else []
    refuse_repeated(names, NAME)
    try:
        table = pa.table(frame)
    except (pa.ArrowException, TypeError, ValueError) as error:
        mend = "give each column one kind of value, such as frame.astype({column: str})"
        raise InputError("frame-cells", f"a column cannot be read: {str(error)[:200]}", NAME, mend) from None
    refuse_repeated(table.schema.names, NAME)
    plain = [_plain(field) for field in table.schema]
    found = MemoryTable(Path(NAME), table.cast(pa.schema(plain, table.schema.metadata)))
    found.digest = _digest(table)
    return found


def _digest(table: Any) -> str:
    """Return the SHA-256 of a table as Arrow writes it."""
    hashed = hashlib.sha256()
    with arrow("pyarrow.ipc").new_stream(_Hasher(hashed), table.schema) as stream:
        stream.write_table(table)
    return hashed.hexdigest()


class _Hasher(io.RawIOBase):
    """A file that keeps nothing but the hash of what is written."""

    def __init__(self, hashed: Any) -> None:
        self._hashed = hashed

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._hashed.update(data)
        return memoryview(data).nbytes


def _plain(field: Any) -> Any:
    """Return a column's type with text as Arrow's functions know it."""
    pa = arrow()
    types = pa.types
    if types.is_string_view(field.type) or types.is_large_string(field.type):
        return field.with_type(pa.string())
    if types.is_dictionary(field.type):
        return field.with_type(_plain(pa.field("", field.type.value_type)).type)
    return field


def frame_rows(frame: Any, description: Mapping[str, Any]) -> np.ndarray:
    """Return a frame as the features (N, D) float64 of a trained model, and warn of what differs from training.

    Raises:
        InputError: ``column-missing``, ``value-kind``, ``value-infinite``, ``frame-cells``.
    """
    encoding = TableEncoding.from_dict(description)
    table = frame_table(frame)
    notes = match_columns([table], encoding) + unlike_training([table], encoding)
    for note in notes:
        warn("table-differs", note)
    used = [column.name for column in encoding.used]
    blocks = [
        encoding.transform(block, NAME, 0)
        for piece in range(len(table.counts))
        for block in table.blocks(piece, used, max(1, table.n_rows))
    ]
    return np.concatenate(blocks) if blocks else np.zeros((0, encoding.width))
