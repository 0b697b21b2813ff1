"""The rows of a file that a fitted model is to classify: what `load_dataset` reads, without labels."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.data.base import Dataset
from straightedge.data.finding import module_of
from straightedge.errors import InputError

OTHER_DOORS = ("manifests", "folders", "shards", "text.json_lines")
"""Readers of images and texts, which are decoded as the model asks and not as a data set."""


def reader_of_rows(path: Path) -> str | None:
    """Return the reader of a file or folder of rows; None where it holds images or texts, or nothing known."""
    try:
        module = module_of(str(path))
    except InputError:  # images of any name are told by their content
        return None
    return None if module in OTHER_DOORS else module


def rows_at(path: Path, module: str, width: int) -> Any:
    """Return the rows of a file, an array or CSR.

    Args:
        path: The file or folder.
        module: Its reader, below `straightedge.data`: a function ``rows_of(path, width)`` of it reads rows without
            labels. Of a reader that has none, labels must be there, and the rows of all splits are given.
        width: Features that the model takes.

    Raises:
        InputError: The codes of the reader.
    """
    reader = import_module(f"straightedge.data.{module}")
    if path.is_file() and hasattr(reader, "rows_of"):
        return reader.rows_of(path, width)
    return _of_all_splits(reader.load(str(path), progress=False, cache=False))


def _of_all_splits(found: Dataset) -> Any:
    parts = [found.train, found.validation, found.test.open("prediction") if found.test else None]
    rows = [part.X for part in parts if part is not None and part.n]
    return rows[0] if len(rows) == 1 else np.concatenate([np.asarray(X) for X in rows])
