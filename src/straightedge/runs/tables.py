"""The tables and tensors of a run: the one writer of CSV, and the path's weights in one file."""

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from straightedge import atomic
from straightedge.errors import InputError
from straightedge.kinds import as_array, is_tensor
from straightedge.tensorfile import read_stored, write_tensors

TRACE_COLUMNS = ("iteration", "n_passes", "seconds", "reg", "objective", "dual", "gap", "solver")
PREDICTION_COLUMNS = ("name", "label", "predicted", "score", "probability", "split")
_PATH_VERSION = 1
_QUOTED = re.compile('[",\x00-\x1f\x7f-\x9f\u2028\u2029]')
"""A cell with one of these is quoted: separators, quotes, and all that some reader takes for a line's end."""
_FORMULA = re.compile("[=+@\\-\\t\\r\\n\uff1d\uff0b\uff20\uff0d]")
"""First characters by which a spreadsheet takes a text for a formula, the full-width ones of Japanese included."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Any]) -> None:
    """Write rows as CSV in UTF-8, whole or not at all.

    Args:
        path: The file.
        columns: Names of the columns, the first line.
        rows: Mappings or objects with these keys or attributes; None and NaN become empty cells.
    """
    with atomic.writing(path) as writer:
        write_rows(writer, columns, rows)


def write_blocks(path: Path, columns: Sequence[str], blocks: Iterable[Sequence[Any]]) -> None:
    """Write rows that come in blocks of columns as `write_table` writes them: a long table in a third of the time.

    Args:
        path: The file.
        columns: Names of the columns, the first line.
        blocks: Of each, the cells of every column, all of one length: floats as an array (n,), the rest as lists.
    """
    with atomic.writing(path) as writer:
        writer.write(_line(columns))
        for block in blocks:
            lines = map(",".join, zip(*(_cells(values) for values in block), strict=True))
            writer.write("".join(f"{line}\n" for line in lines))


def _cells(values: Any) -> list[str]:
    """Return the values of a column as cells; those of a list that come again, such as classes, are made once."""
    if isinstance(values, np.ndarray):
        return ["" if math.isnan(value) else str(value) for value in values.tolist()]
    made = {value: _cell(value) for value in set(values)}
    return [made[value] for value in values]


def write_rows(file: Any, columns: Sequence[str], rows: Iterable[Any]) -> None:
    """Write rows as CSV to anything with a ``write`` method that takes text.

    Texts come from file and class names, which other people choose. Control characters are quoted, so that no
    name begins a row. A text that a spreadsheet would take for a formula gets an apostrophe before it; a text
    that is a number, such as the class ``-1``, stays as it is.
    """
    file.write(_line(columns))
    for row in rows:
        get = row.get if isinstance(row, Mapping) else lambda name, row=row: getattr(row, name, None)
        file.write(_line([get(name) for name in columns]))


def _line(values: Iterable[Any]) -> str:
    return ",".join(_cell(value) for value in values) + "\n"


def _cell(value: Any) -> str:
    """Return a value as a cell: None and NaN are empty, numbers plain, texts quoted where they need it."""
    if type(value) is float:  # most cells of a long table: the short way for them
        return "" if math.isnan(value) else str(value)
    value = value if isinstance(value, str) else _plain(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    text = str(value)
    if isinstance(value, str) and _FORMULA.match(text) and not _NUMBER.fullmatch(text):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text


def _plain(value: Any) -> Any:
    """Return a number of NumPy or torch as one of Python; anything else as it is."""
    is_number = hasattr(value, "item") and (is_tensor(value) or not hasattr(value, "__len__"))
    return value.item() if is_number else value


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a CSV table as texts by column."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise InputError("run-file-missing", f"the run has no {path.name}", str(path)) from error
    except (OSError, UnicodeError, csv.Error) as error:
        raise InputError("run-damaged", f"the table cannot be read ({error})", str(path)) from error


def write_path(path: Path, points: Sequence[tuple[float, Any, Any]]) -> None:
    """Write the classifiers of a regularisation path: (reg, weight (D, C), bias (C,)) each, kept as float32."""
    regs, weights, biases = zip(*points, strict=True)
    tensors = {
        "reg": np.array(regs, dtype=np.float64),
        "weight": np.stack([as_array(weight, np.float32) for weight in weights]),
        "bias": np.stack([as_array(bias, np.float32) for bias in biases]),
    }
    write_tensors(path, tensors, kind="path", version=_PATH_VERSION, meta={})


def read_path(path: Path) -> tuple[list[float], np.ndarray, np.ndarray]:
    """Return reg (K,), weights (K, D, C) and biases (K, C) that `write_path` wrote (errors as `read_stored`)."""
    stored, _ = read_stored(path, kind="path", version=_PATH_VERSION)
    return stored["reg"].array().tolist(), stored["weight"].array(), stored["bias"].array()
