"""`export_model`: an artefact with its card in a folder, each file whole or not at all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from straightedge import atomic
from straightedge.errors import InputError
from straightedge.export.card import model_card
from straightedge.export.cells import encoding_of, is_cells, random_cells
from straightedge.export.check import random_rows
from straightedge.export.hub import hub_files
from straightedge.export.onnx_file import onnx_bytes
from straightedge.export.sklearn_file import sklearn_bytes
from straightedge.export.table_pipeline import refuse_texts
from straightedge.export.torch_file import STATE_FILE, torch_bytes, torch_module_text
from straightedge.model import LinearModel


def _onnx(model: LinearModel, rows: Any) -> dict[str, bytes]:
    refuse_texts(model, "ONNX")
    return {"model.onnx": onnx_bytes(model, _raw(model, rows))}


def _raw(model: LinearModel, rows: Any) -> Any:
    """Return rows for a format that takes raw columns of a table: cells, random ones where none are given."""
    return random_cells(model) if model.is_of_table and not is_cells(rows) else rows


def _torch(model: LinearModel, rows: Any) -> dict[str, bytes]:
    refuse_texts(model, "torch")
    if is_cells(rows):  # a layer takes features alone
        rows = encoding_of(model).transform(rows, "cells", 0).astype(np.float32)
    return {STATE_FILE: torch_bytes(model, rows), "module.py": torch_module_text(model).encode()}


def _sklearn(model: LinearModel, rows: Any) -> dict[str, bytes]:
    return {"model.skops": sklearn_bytes(model, _raw(model, rows))}


FORMATS: dict[str, Callable[[LinearModel, Any], dict[str, bytes]]] = {
    "onnx": _onnx,
    "torch": _torch,
    "sklearn": _sklearn,
    "hub": hub_files,
}
"""Name of a format -> function that gives its files, checked on rows."""


def export_model(
    model: LinearModel,
    to: str,
    folder: str | Path,
    *,
    rows: Any = None,
    config: dict[str, Any] | None = None,
    metrics: dict[str, Any] | None = None,
) -> dict[str, int]:
    """Write a model for another program, with a model card.

    Args:
        model: The model.
        to: ``onnx``, ``torch``, ``sklearn`` or ``hub``.
        folder: Where the files go; made if it is not there.
        rows: Rows the artefact is checked on, as the weights see them, or an Arrow table of raw cells; random
            ones if left out. A model of a table is written for raw columns, but for torch, which takes features.
        config: The run's config.json, for the card.
        metrics: The run's metrics.json, for the card.

    Returns:
        Name and size in bytes of every file written.

    Raises:
        InputError: ``export-format``, ``export-texts``; MissingExtraError for a missing package.
        MachineError: ``export-differs``; the disk's refusals. Files of an earlier export then stay.
    """
    if model.multilabel and to != "hub":
        what = "exports name one class a row, and this model several"
        raise InputError("export-multilabel", what, "--to", "--to hub writes the model as it is")
    if to not in FORMATS:
        raise InputError("export-format", f"there is no format {to!r}", "--to", f"one of: {', '.join(FORMATS)}")
    target = Path(folder)
    files = FORMATS[to](model, rows if rows is not None else random_rows(model))
    files["README.md"] = model_card(model, to, config or {}, metrics or {}).encode()
    with atomic.disk_errors(target):
        atomic.disk.make_folder(target)
    with atomic.together():
        for name, data in files.items():
            atomic.write_bytes(target / name, data)
    return {name: len(data) for name, data in files.items()}
