"""From tables that name images to a data set."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.data import fingerprint
from straightedge.data.assemble import SPLITS
from straightedge.data.base import Dataset
from straightedge.data.checks import counted
from straightedge.data.container import Container
from straightedge.data.layout import arrange
from straightedge.data.listing import printable
from straightedge.data.manifests.columns import (
    FILE_COLUMNS,
    Files,
    Manifest,
    files_of,
    find_manifest,
    labels_of,
    split_column,
)
from straightedge.data.manifests.files import ImageFile, ImageFinder
from straightedge.data.sample_images import Samples, load_samples
from straightedge.data.split_names import split_of, split_of_word
from straightedge.data.tables.files import Table, arrow
from straightedge.data.tables.opening import is_text_table, open_table, text_read
from straightedge.data.tables.plan import class_names
from straightedge.errors import InputError, MachineError

TABLES = (".csv", ".tsv", ".csv.gz")
"""Endings of the tables that are looked for beside images; any table may be the source by itself."""
METADATA = ("metadata.csv", "metadata.jsonl")
"""Names of the tables that Hugging Face's image folders have: they go before the names of folders."""
LARGEST_TABLE = 2**28
"""Bytes of the largest table beside images that is looked into."""


def load(source: str, **options: Any) -> Dataset:
    """Read a folder of images with a table of labels; without one, its folders are the classes.

    Args:
        source: The folder.
        **options: ``labels`` names the label column, ``column`` that of the images' names.

    Raises:
        InputError: ``manifest-ambiguous``, ``image-file-missing``, ``column-missing``, and the codes of tables, of
            images and of `folders`.
    """
    from straightedge.data import folders

    root = Path(source)
    tables = tables_beside(root)
    metadata = [path for path in tables if is_metadata(path)]
    if not metadata and _has_class_folders(root):
        return folders.load(source, **options)
    manifests, notes = _manifests(metadata or tables, root, options)
    if not manifests:
        return folders.load(source, **options)
    return load_manifests(source, manifests, root, notes, options)


def tables_beside(root: Path) -> list[Path]:
    """Return the text tables in a folder and in the folders of its splits, sorted."""
    places = [root, *(Path(entry) for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False))]
    return sorted(
        path
        for place in places
        for path in _entries(place)
        if (path.name.lower().endswith(TABLES) or is_metadata(path))
        and not path.name.startswith(".")
        and path.is_file()
        and path.stat().st_size <= LARGEST_TABLE
    )


def is_metadata(path: Path) -> bool:
    """Whether a table has the name of those in Hugging Face's image folders."""
    return path.name.lower() in METADATA


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _has_class_folders(root: Path) -> bool:
    """Whether the names of folders say the classes, as they do without any table."""
    try:
        with Container(root) as container:
            return len(arrange(container.listing, str(root)).classes) > 1
    except (InputError, MachineError):
        return False


def _manifests(
    paths: Sequence[Path], root: Path, options: Mapping[str, Any]
) -> tuple[list[Manifest], list[str]]:
    """Return the tables that name images and have labels, one a split, and remarks on the others."""
    found, notes = [], []
    for path in paths:
        manifest, why = _looked_into(path, root, options)
        if manifest is not None:
            manifest.split = split_of(path.relative_to(root))
            found.append(manifest)
        notes += [f"{path.name} is not read: {why}"] if why else []
    _refuse_two(found, root)
    return found, notes


def _looked_into(path: Path, root: Path, options: Mapping[str, Any]) -> tuple[Manifest | None, str]:
    """Return a table that names images, or why one beside them is not read."""
    if "submission" in path.name.lower():
        return None, "a submission has no true labels"
    try:
        manifest = open_manifest(path, root, options)
    except InputError as error:
        if is_metadata(path) or error.code == "image-file-missing":
            raise
        return None, error.what
    if manifest is not None and len(manifest.table.schema.names) == 1:
        return None, "it has no labels"
    return manifest, ""


def open_manifest(path: Path, root: Path, options: Mapping[str, Any]) -> Manifest | None:
    """Open a table; return it if it names images inside a folder, None otherwise."""
    table = open_table(path, text_read(options))
    return find_manifest(as_written(table, root, options), root, options.get("column"))


def as_written(table: Table, root: Path, options: Mapping[str, Any]) -> Table:
    """Return a table whose names of images are text as it is written: 007 is no number 7."""
    types = arrow("pyarrow.types")
    numbers = [
        name
        for name in table.schema.names
        if name.strip().lower() in FILE_COLUMNS and types.is_integer(table.schema.field(name).type)
    ]
    if not numbers or not is_text_table(table.path.name) or not ImageFinder(table.path, root).has_images():
        return table
    return open_table(table.path, text_read(options, numbers))


def _refuse_two(found: Sequence[Manifest], root: Path) -> None:
    """Refuse two tables for one split.

    Raises:
        InputError: ``manifest-ambiguous``.
    """
    first: dict[str | None, Path] = {}
    for manifest in found:
        path = manifest.table.path
        if manifest.split in first or (None in first and manifest.split is not None):
            other = first.get(manifest.split, first.get(None))
            raise InputError(
                "manifest-ambiguous",
                f"{other} and {path} both list images of {manifest.split or 'this folder'}",
                str(root),
                f"say which: straightedge fit {path}",
            )
        first[manifest.split] = path


def load_manifests(
    source: str,
    manifests: Sequence[Manifest],
    root: Path,
    notes: Sequence[str],
    options: Mapping[str, Any],
) -> Dataset:
    """Decode the images that tables name into a `Dataset`.

    Args:
        source: What the user called it.
        manifests: Tables, one a split, or one for all.
        root: The folder that holds tables and images.
        notes: Remarks so far.
        options: Those of `load_dataset`.
    """
    said = list(notes)
    rows: dict[str, list[tuple[ImageFile, Any]]] = {}
    wanted, classes = options.get("labels"), None
    for manifest in sorted(manifests, key=lambda manifest: manifest.split not in (None, "train")):
        try:
            labels = labels_of(manifest, wanted)
        except InputError as error:
            if not rows or error.code != "column-missing":
                raise
            said.append(f"{manifest.table.path.name} is not read: it has no column {wanted!r}")
            continue
        if not rows:
            wanted, classes = labels.column, class_names(manifest.table.schema, labels.column)
            said.append(f"{labels.remark}; images: column {manifest.column!r}")
        files = files_of(manifest, root, bool(options.get("skip_bad")))
        said += _left_out(manifest, files)
        for split, row in _splits(manifest, files, root):
            rows.setdefault(split, []).append((files[row], labels.y[row]))
    if "train" not in rows:
        raise InputError("train-missing", f"there are splits {sorted(rows)} but no train", source)
    places = [(str(file.path), file.size, file.changed) for part in rows.values() for file, _ in part]
    y = {split: [str(label) for _, label in part] for split, part in rows.items()}
    key = fingerprint.of_values(kind="manifest", files=places, labels=y, classes=classes)
    samples = {split: _samples(rows[split], root) for split in SPLITS if split in rows}
    return load_samples(source, lambda: samples, classes, key, said, options)


def load_table(
    source: str, tables: Mapping[str, Sequence[Table]], options: Mapping[str, Any]
) -> Dataset | None:
    """Read a table whose rows name images beside it; None where it names none."""
    path = Path(source)
    root = path if path.is_dir() else path.parent
    found = []
    for split, group in tables.items():
        for table in group:
            manifest = find_manifest(as_written(table, root, options), root, options.get("column"))
            if manifest is None or manifest.column in str(options.get("drop") or "").split(","):
                return None
            manifest.split = split if len(tables) > 1 else None
            found.append(manifest)
    return load_manifests(source, found, root, (), options)


def _left_out(manifest: Manifest, files: Files) -> list[str]:
    missing = len(manifest.names) - len(files)
    return [f"{counted(missing, 'row')} without an image left out"] if missing else []


def _splits(manifest: Manifest, files: Files, root: Path) -> Iterator[tuple[str, int]]:
    """Go over rows with their split: that of the table, else of a column, else of the image's folder."""
    column = split_column(manifest.table)
    if column is not None:
        words = manifest.table.column(column).to_pylist()
        yield from ((split_of_word(str(words[row])) or "train", row) for row in files)
        return
    if manifest.split is not None:
        yield from ((manifest.split, row) for row in files)
        return
    folder = {row: split_of(Path(file.path).relative_to(root.absolute())) for row, file in files.items()}
    several = (
        set(folder.values()) >= {"train"} and len(set(folder.values())) > 1 and None not in folder.values()
    )
    yield from ((str(folder[row]) if several else "train", row) for row in files)


def _samples(rows: Sequence[tuple[ImageFile, Any]], root: Path) -> Samples:
    files = [file for file, _ in rows]
    names = [printable(os.path.relpath(file.path, root.absolute())) for file in files]
    labels = np.array([label for _, label in rows], dtype=object)
    return Samples(names, [file.size for file in files], labels, partial(_read, files))


def _read(files: Sequence[ImageFile], positions: Sequence[int]) -> Iterator[bytes]:
    for position in positions:
        try:
            yield Path(files[position].path).read_bytes()
        except OSError as error:
            raise MachineError(
                "file-unreadable",
                f"the file cannot be read: {error.strerror}",
                printable(files[position].path),
            ) from None


__all__ = ["load", "load_manifests", "load_table", "tables_beside"]
