"""The tables and tensors of a run: CSV by the csv module, the path's weights in one file."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from straightedge import atomic
from straightedge.errors import InputError
from straightedge.tensorfile import read_tensors, write_tensors

TRACE_COLUMNS = ("iteration", "n_passes", "seconds", "reg", "objective", "dual", "gap", "solver")
PREDICTION_COLUMNS = ("name", "label", "predicted", "score", "probability")
_PATH_VERSION = 1


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Any]) -> None:
    """Write rows as CSV in UTF-8, whole or not at all.

    Args:
        path: The file.
        columns: Names of the columns, the first line.
        rows: Mappings or objects with these keys or attributes; None and NaN become empty cells.
    """
    with atomic.writing(path) as writer:
        write_rows(writer, columns, rows)


def write_rows(file: Any, columns: Sequence[str], rows: Iterable[Any]) -> None:
    """Write rows as CSV to anything with a ``write`` method that takes text."""
    table = csv.writer(file, lineterminator="\n")
    table.writerow(columns)
    for row in rows:
        get = row.get if isinstance(row, Mapping) else lambda name, row=row: getattr(row, name, None)
        table.writerow([_cell(get(name)) for name in columns])


def _cell(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") and not hasattr(value, "__len__") else value
    value = value.item() if isinstance(value, Tensor) else value
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else value


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a CSV table as texts by column.

    Raises:
        InputError: ``run-file-missing``, ``run-damaged``.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise InputError("run-file-missing", f"the run has no {path.name}", str(path)) from error
    except (OSError, UnicodeError, csv.Error) as error:
        raise InputError("run-damaged", f"the table cannot be read ({error})", str(path)) from error


def write_path(path: Path, points: Sequence[tuple[float, Tensor, Tensor]]) -> None:
    """Write the classifiers of a regularisation path: (reg, weight (D, C), bias (C,)) each, kept as float32."""
    tensors = {
        "reg": torch.tensor([float(reg) for reg, _, _ in points], dtype=torch.float64),
        "weight": torch.stack([torch.as_tensor(weight).detach().cpu().float() for _, weight, _ in points]),
        "bias": torch.stack([torch.as_tensor(bias).detach().cpu().float() for _, _, bias in points]),
    }
    write_tensors(path, tensors, kind="path", version=_PATH_VERSION, meta={})


def read_path(path: Path) -> list[tuple[float, Tensor, Tensor]]:
    """Read what `write_path` wrote (errors as `read_tensors`)."""
    tensors, _ = read_tensors(path, kind="path", version=_PATH_VERSION)
    triples = zip(tensors["reg"].tolist(), tensors["weight"], tensors["bias"], strict=True)
    return [(float(reg), weight, bias) for reg, weight, bias in triples]
