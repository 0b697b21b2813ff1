"""Parquet, Arrow and Feather files and folders of them: an embedding or image column with a label column.

Splits come from folder names, from file names (``train-00000-of-00004.parquet``), or from a column ``split``
whose equal values lie together. Tables of features beyond `IN_MEMORY` bytes stay on disk and are read in order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.data import fingerprint
from straightedge.data.assemble import SPLITS, Part, assemble
from straightedge.data.base import Dataset
from straightedge.data.checks import checked_rows
from straightedge.data.split_names import split_of_word
from straightedge.data.table_plan import Plan, decode_rows, is_number, make_plan
from straightedge.data.tables import Table, TableRows, arrow
from straightedge.errors import InputError

ENDINGS = {".parquet", ".arrow", ".feather", ".ipc"}
IN_MEMORY = 2**28
"""Decoded bytes of a split up to which it is read whole."""


def load(source: str, **options: Any) -> Dataset:
    """Read a table or a folder of tables.

    Args:
        source: File or folder.
        **options: ``column`` names the embedding or image column, ``labels`` the label column.

    Raises:
        InputError: ``table-broken``, ``table-empty``, ``column-missing``, ``column-kind``, ``columns-differ``,
            ``rows-missing``, ``rows-differ``, ``split-scattered`` and the codes of `assemble`.
        MissingExtraError: pyarrow is not installed.
    """
    files, notes = split_files(Path(source))
    tables = {split: [Table(path) for path in paths] for split, paths in files.items()}
    every = [table for group in tables.values() for table in group]
    plan = make_plan(every, options.get("column"), options.get("labels"))
    key = fingerprint.of_values(
        content=fingerprint.of_files([table.path for table in every]), columns=[*plan.rows, plan.label]
    )
    if plan.kind == "image":
        from straightedge.data import table_images

        return table_images.load(source, tables, plan, key, notes, options)
    parts = {split: _part(group, plan, split) for split, group in tables.items()}
    if list(parts) == ["train"]:
        parts = _by_split_column(tables["train"], plan, parts["train"])
    return assemble(
        source,
        {split: _in_memory(part, f"{source} ({split})") for split, part in parts.items()},
        fingerprint=key,
        classes=plan.classes,
        declared=options.get("classes"),
        image_shape=None if len(plan.shape) != 3 else (plan.shape[0], plan.shape[1], plan.shape[2]),
        notes=notes,
        features=plan.features,
    )


def split_files(path: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """Return the files of each split, and remarks.

    Raises:
        InputError: ``table-empty``: there is no table; ``train-missing``: there are other splits only.
    """
    if path.is_file():
        return {"train": [path]}, []
    paths = sorted(p for p in path.rglob("*") if p.suffix.lower() in ENDINGS and not p.name.startswith("."))
    if not paths:
        raise InputError("table-empty", "there is no Parquet or Arrow file", str(path))
    found: dict[str | None, list[Path]] = {}
    for file in paths:
        found.setdefault(split_of(file.relative_to(path)), []).append(file)
    if "train" not in found:
        if set(found) != {None}:
            raise InputError(
                "train-missing", f"there are splits {sorted(map(str, found))} but no train", str(path)
            )
        return {"train": paths}, []
    loose = found.get(None, [])
    notes = [f"{len(loose)} tables outside train, validation and test ignored"] if loose else []
    return {split: found[split] for split in SPLITS if split in found}, notes


def split_of(path: Path) -> str | None:
    """Return the split that a relative path belongs to, by its folders, else by the first word of its name."""
    for part in path.parts[:-1]:
        if split := split_of_word(part):
            return split
    return split_of_word(re.split(r"[-_.]", path.name)[0])


def _part(tables: Sequence[Table], plan: Plan, split: str) -> Part:
    n = sum(table.n_rows for table in tables)
    X = TableRows(tables, plan.rows, partial(decode_rows, plan=plan), (n, *plan.shape), plan.dtype)
    return Part(X, read_labels(tables, plan.label))


def read_labels(tables: Sequence[Table], column: str) -> np.ndarray:
    """Return the labels of all rows as written: numbers as numbers, everything else as objects."""
    parts = []
    for table in tables:
        values = table.column(column)
        if arrow("pyarrow.types").is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        plain = values.null_count == 0 and is_number(values.type)
        parts.append(values.to_numpy() if plain else np.array(values.to_pylist(), dtype=object))
    return np.concatenate(parts)


def _in_memory(part: Part, where: str) -> Part:
    """Read a small split whole; a large one stays on disk."""
    rows: TableRows = part.X
    if rows.dtype.itemsize * int(np.prod(rows.shape)) > IN_MEMORY:
        return part
    return Part(checked_rows(rows.read(0, rows.shape[0]), where), part.y, part.names)


def _by_split_column(tables: Sequence[Table], plan: Plan, whole: Part) -> dict[str, Part]:
    """Cut one table into splits where it has a column ``split`` whose equal values lie together."""
    if "split" not in tables[0].schema.names or "split" in plan.rows or plan.label == "split":
        return {"train": whole}
    words = read_labels(tables, "split")
    starts = [0, *(np.flatnonzero(words[1:] != words[:-1]) + 1).tolist(), len(words)]
    parts: dict[str, Part] = {}
    for start, stop in pairwise(starts):
        split = split_of_word(str(words[start]))
        if split is None or split in parts:
            raise InputError(
                "split-scattered",
                f"the split {words[start]!r} begins again" if split else f"{words[start]!r} is no split",
                f"{tables[0].path}, row {start}",
                "sort the rows by split; splits are called train, validation and test",
            )
        X = TableRows(
            tables, plan.rows, partial(decode_rows, plan=plan), (stop - start, *plan.shape), plan.dtype, start
        )
        parts[split] = Part(X, whole.y[start:stop])
    return parts
