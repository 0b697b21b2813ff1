"""Image columns of tables, as Hugging Face data sets have them: encoded bytes, with the path they came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.data.base import Dataset
from straightedge.data.sample_images import Samples, load_samples
from straightedge.data.tables.files import Table, TableRows, arrow
from straightedge.data.tables.plan import Plan
from straightedge.errors import InputError


def load(
    source: str,
    tables: Mapping[str, Sequence[Table]],
    plan: Plan,
    key: str,
    notes: Sequence[str],
    options: Mapping[str, Any],
) -> Dataset:
    """Decode the image column of tables into a `Dataset`.

    Raises:
        InputError: ``image-bytes-missing`` and the codes of image folders and labels.
    """

    def samples() -> dict[str, Samples]:
        return {split: _samples(Path(source), group, plan) for split, group in tables.items()}

    return load_samples(source, samples, plan.classes, key, notes, options)


def _samples(source: Path, tables: Sequence[Table], plan: Plan) -> Samples:
    from straightedge.data.tables.reading import read_labels

    n = sum(table.n_rows for table in tables)
    rows = TableRows(tables, [plan.column], partial(_bytes_of, column=plan.column), (n,), np.dtype(object))
    root = source if source.is_dir() else source.parent
    names = [f"{table.path.relative_to(root)}/{row}" for table in tables for row in range(table.n_rows)]
    sizes = [_mean_size(table, plan.column) for table in tables for _ in range(table.n_rows)]
    return Samples(names, sizes, read_labels(tables, plan.label), partial(_read, rows))


def _read(rows: TableRows, positions: Sequence[int]) -> Iterator[bytes]:
    """Yield the bytes of neighbouring samples."""
    yield from rows.read(positions[0], positions[-1] + 1)


def _bytes_of(batch: Any, where: str, row: int, *, column: str) -> list[bytes]:
    values = batch.column(0)
    if arrow("pyarrow.types").is_struct(values.type):
        values = values.field("bytes") if values.null_count == 0 else values.flatten()[_position(values.type)]
    found = values.to_pylist()
    for position, value in enumerate(found):
        if value is None:
            raise InputError(
                "image-bytes-missing",
                f"column {column!r} has no bytes here, perhaps only a path",
                f"{where}, row {row + position}",
                "save the images themselves in the table, or give the image folder",
            )
    images: list[bytes] = found
    return images


def _position(kind: Any) -> int:
    return int(kind.get_field_index("bytes"))


def _mean_size(table: Table, column: str) -> int:
    """Guess the size of an image: what the file holds by its number of rows."""
    return max(1, table.path.stat().st_size // max(1, table.n_rows))
