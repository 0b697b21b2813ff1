"""Image columns of tables, as Hugging Face data sets have them: encoded bytes, with the path they came from."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.data.base import Dataset
from straightedge.data.listing import read_limited
from straightedge.data.manifests.files import ImageFinder
from straightedge.data.manifests.places import FolderPlace
from straightedge.data.sample_images import Samples, load_samples
from straightedge.data.tables.files import Table, TableRows
from straightedge.data.tables.plan import Plan
from straightedge.errors import InputError

Finders = Mapping[str, ImageFinder]  # table -> what finds the images that it names


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
    from straightedge.data.tables.labels import read_labels

    n = sum(table.n_rows for table in tables)
    root = source if source.is_dir() else source.parent
    finders = {str(table.path): ImageFinder(table.path, FolderPlace(root)) for table in tables}
    decode = partial(_bytes_of, column=plan.column, finders=finders)
    rows = TableRows(tables, [plan.column], decode, (n,), np.dtype(object))
    names = [f"{table.path.relative_to(root)}/{row}" for table in tables for row in range(table.n_rows)]
    guessed = ((table.n_rows, table.path.stat().st_size) for table in tables)  # what a file holds by its rows
    sizes = [size for rows, whole in guessed for size in [max(1, whole // max(1, rows))] * rows]
    return Samples(names, sizes, read_labels(tables, plan.label), partial(_read, rows))


def _read(rows: TableRows, positions: Sequence[int]) -> Iterator[bytes]:
    """Yield the bytes of neighbouring samples."""
    yield from rows.read(positions[0], positions[-1] + 1)


def _bytes_of(batch: Any, where: str, row: int, *, column: str, finders: Finders) -> list[bytes]:
    values = batch.column(0).to_pylist()
    return [
        _image(value, f"{where}, row {row + position}", column, finders[where])
        for position, value in enumerate(values)
    ]


def _image(value: Any, where: str, column: str, finder: ImageFinder) -> bytes:
    """Return the bytes of an image: those in the table, or those of the file that it names beside it."""
    path = value.get("path") if isinstance(value, dict) else None
    data = value.get("bytes") if isinstance(value, dict) else value
    if data is None and path and (file := finder.find(path)) is not None:
        return read_limited(file.path)
    if data is None:
        what = f"column {column!r} has no bytes here" + (f", and there is no file {path!r}" if path else "")
        raise InputError("image-bytes-missing", what, where, "put the images beside the table, or save them in it")
    found: bytes = data
    return found
