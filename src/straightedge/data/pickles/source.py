"""Features in a pickle: a dictionary, a pair or a bare array, with labels inside or in a second file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from straightedge.data import fingerprint
from straightedge.data.arrays import find_parts, image_shape, read_label_file
from straightedge.data.assemble import Part, assemble
from straightedge.data.base import Dataset
from straightedge.data.checks import checked_rows
from straightedge.data.pickles.machine import read_plain
from straightedge.data.pickles.values import as_labels, described, members
from straightedge.errors import InputError

BUDGET = 16
"""Bytes of an array made from a list, as a multiple of the file's: a small number takes 2 there and 8 here."""
CLASS_KEYS = ("classes", "class_names", "target_names", "label_names")


def load(source: str, **options: Any) -> Dataset:
    """Read ``features.pkl`` and its kin.

    Args:
        source: Path of the pickle.
        **options: ``labels`` names a file of labels, or an entry of the dictionary; ``column`` the entry of rows.

    Raises:
        InputError: ``pickle-refused``, ``pickle-broken``, ``pickle-labels-missing``, ``pickle-contents``.
    """
    path = Path(source)
    value = read_plain(path)
    files, parts = _parts(value, path, options)
    checked = {key: Part(checked_rows(part.X, f"{source} ({key})"), part.y) for key, part in parts.items()}
    return assemble(
        source,
        checked,
        fingerprint=fingerprint.of_files(files),
        classes=_classes(value),
        declared=options.get("classes"),
        image_shape=image_shape(checked["train"].X),
    )


def _parts(value: Any, path: Path, options: dict[str, Any]) -> tuple[list[Path], dict[str, Part]]:
    found = members(value, BUDGET * path.stat().st_size + 2**20)
    labels, column = options.get("labels"), options.get("column")
    if labels is not None and str(labels) in found and column in found:
        return [path], {"train": Part(found[str(column)], found[str(labels)])}
    if labels is not None and Path(labels).is_file():
        return [path, Path(labels)], {
            "train": Part(_only_rows(found, column, path, value), read_label_file(Path(labels)))
        }
    if set(found) == {"X"}:
        raise InputError(
            "pickle-labels-missing",
            f"the pickle holds {described(value)}, and no labels",
            str(path),
            "give them in a second file: --labels y.npy (or a text file, one label a line)",
        )
    try:
        return [path], find_parts(found, str(path))
    except InputError:
        raise _contents(value, path) from None


def _only_rows(found: dict[str, Any], column: Any, path: Path, value: Any) -> np.ndarray:
    """Return the rows that are asked for by name, or the only ones there are."""
    tables = {key: item for key, item in found.items() if isinstance(item, np.ndarray) and item.ndim >= 2}
    if column in tables:
        return tables[column]
    if len(tables) != 1:
        raise _contents(value, path)
    return next(iter(tables.values()))


def _contents(value: Any, path: Path) -> InputError:
    return InputError(
        "pickle-contents",
        f"the pickle holds {described(value)}: no rows with labels are found in it",
        str(path),
        "name the entries: --column ROWS --labels LABELS, or save X and y with numpy.savez",
    )


def _classes(value: Any) -> list[Any] | None:
    if not isinstance(value, dict):
        return None
    names = next((as_labels(value[key]) for key in CLASS_KEYS if key in value), None)
    return None if names is None else list(names)
