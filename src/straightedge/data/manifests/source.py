"""From tables that name images to a data set."""

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
from straightedge.data.endings import is_text_table
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
from straightedge.data.manifests.files import ImageFinder
from straightedge.data.manifests.places import ArchivePlace, FolderPlace, ImageFile, Place, is_metadata
from straightedge.data.sample_images import Samples, load_samples
from straightedge.data.split_names import split_of, split_of_word
from straightedge.data.tables.files import Table, arrow
from straightedge.data.tables.opening import text_read
from straightedge.data.tables.plan import class_names
from straightedge.errors import InputError, MachineError


def load(source: str, **options: Any) -> Dataset:
    """Read a folder or archive of images with a table of labels; without one, its folders are the classes.

    Args:
        source: The folder, zip or tar.
        **options: ``labels`` names the label column, ``column`` that of the images' names.

    Raises:
        InputError: ``manifest-ambiguous``, ``image-file-missing``, ``column-missing``, and the codes of tables, of
            images and of `folders`.
    """
    from straightedge.data import folders

    path = Path(source)
    if path.is_dir():
        found = _load(source, FolderPlace(path), options)
        return folders.load(source, **options) if found is None else found
    with Container(path) as container:
        found = _load(source, ArchivePlace(container), options)
        return folders.load_container(source, container, options) if found is None else found


def _load(source: str, place: Place, options: Mapping[str, Any]) -> Dataset | None:
    """Read what the tables of a place name; None where no table names an image, or folders are the classes."""
    tables = place.tables()
    metadata = [path for path in tables if is_metadata(path)]
    if not tables or (not metadata and _has_class_folders(place)):
        return None
    manifests, notes = _manifests(metadata or tables, place, options)
    return load_manifests(source, manifests, place, notes, options) if manifests else None


def _has_class_folders(place: Place) -> bool:
    """Whether the names of folders say the classes, as they do without any table."""
    try:
        return len(arrange(place.listing(), str(place.root)).classes) > 1
    except (InputError, MachineError):
        return False


def _manifests(paths: Sequence[Path], place: Place, options: Mapping[str, Any]) -> tuple[list[Manifest], list[str]]:
    """Return the tables that name images and have labels, one a split, and remarks on the others."""
    found, notes = [], []
    for path in paths:
        manifest, why = _looked_into(path, place, options)
        if manifest is not None:
            manifest.split = split_of(path.relative_to(place.root))
            found.append(manifest)
        notes += [f"{path.name} is not read: {why}"] if why else []
    _refuse_two(found, place.root)
    return found, notes


def _looked_into(path: Path, place: Place, options: Mapping[str, Any]) -> tuple[Manifest | None, str]:
    """Return a table that names images, or why one beside them is not read."""
    if "submission" in path.name.lower():
        return None, "a submission has no true labels"
    try:
        manifest = open_manifest(path, place, options)
    except InputError as error:
        if is_metadata(path) or error.code == "image-file-missing":
            raise
        return None, error.what
    if manifest is not None and len(manifest.table.schema.names) == 1:
        return None, "it has no labels"
    return manifest, ""


def open_manifest(path: Path, place: Place, options: Mapping[str, Any]) -> Manifest | None:
    """Open a table; return it if it names images inside a place, None otherwise."""
    table = place.open_table(path, text_read(options))
    return find_manifest(as_written(table, place, options), place, options.get("column"))


def as_written(table: Table, place: Place, options: Mapping[str, Any]) -> Table:
    """Return a table whose names of images are text as it is written: 007 is no number 7."""
    types = arrow("pyarrow.types")
    numbers = [
        name
        for name in table.schema.names
        if name.strip().lower() in FILE_COLUMNS and types.is_integer(table.schema.field(name).type)
    ]
    if not numbers or not is_text_table(table.path.name) or not ImageFinder(table.path, place).has_images():
        return table
    return place.open_table(table.path, text_read(options, numbers))


def _refuse_two(found: Sequence[Manifest], root: Path) -> None:
    """Refuse two tables for one split."""
    first: dict[str | None, Path] = {}
    for manifest in found:
        path = manifest.table.path
        if manifest.split in first or (None in first and manifest.split is not None):
            other = first.get(manifest.split, first.get(None))
            what = f"{other} and {path} both list images of {manifest.split or 'this folder'}"
            raise InputError("manifest-ambiguous", what, str(root), f"say which: straightedge fit {path}")
        first[manifest.split] = path


def load_manifests(
    source: str, manifests: Sequence[Manifest], place: Place, notes: Sequence[str], options: Mapping[str, Any]
) -> Dataset:
    """Decode the images that tables name into a `Dataset`."""
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
        files = files_of(manifest, place.root, bool(options.get("skip_bad")))
        said += _left_out(manifest, files)
        for split, row in _splits(manifest, files, place.root):
            rows.setdefault(split, []).append((files[row], labels.y[row]))
    if "train" not in rows:
        raise InputError("train-missing", f"there are splits {sorted(rows)} but no train", source)
    content = place.key([file for part in rows.values() for file, _ in part])
    y = {split: [str(label) for _, label in part] for split, part in rows.items()}
    key = fingerprint.of_values(kind="manifest", files=content, labels=y, classes=classes)
    samples = {split: _samples(rows[split], place) for split in SPLITS if split in rows}
    return load_samples(source, lambda: samples, classes, key, said, options)


def load_table(source: str, tables: Mapping[str, Sequence[Table]], options: Mapping[str, Any]) -> Dataset | None:
    """Read a table whose rows name images beside it; None where it names none."""
    path = Path(source)
    place = FolderPlace(path if path.is_dir() else path.parent)
    found = []
    for split, group in tables.items():
        for table in group:
            manifest = find_manifest(as_written(table, place, options), place, options.get("column"))
            if manifest is None or manifest.column in str(options.get("drop") or "").split(","):
                return None
            manifest.split = split if len(tables) > 1 else None
            found.append(manifest)
    return load_manifests(source, found, place, (), options)


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
    several = set(folder.values()) >= {"train"} and len(set(folder.values())) > 1 and None not in folder.values()
    yield from ((str(folder[row]) if several else "train", row) for row in files)


def _samples(rows: Sequence[tuple[ImageFile, Any]], place: Place) -> Samples:
    files = [file for file, _ in rows]
    names = [printable(os.path.relpath(file.path, place.root.absolute())) for file in files]
    labels = np.array([label for _, label in rows], dtype=object)
    return Samples(names, [file.size for file in files], labels, partial(_read, place, files))


def _read(place: Place, files: Sequence[ImageFile], positions: Sequence[int]) -> Iterator[bytes]:
    yield from place.read([files[position] for position in positions])
