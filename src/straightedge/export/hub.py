"""A repository of the Hugging Face hub: the model's own file, and a `config.json` that tells what it is."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from straightedge import atomic
from straightedge.errors import MachineError
from straightedge.export.cells import encoding_of, is_cells
from straightedge.model import LinearModel, load
from straightedge.model.file import facts_of
from straightedge.model.hub import HUB_FILE

INSIDE = ("columns", "affine_kind")
"""Facts that are in the model's file alone: the columns of a table may be thousands."""


def hub_files(model: LinearModel, rows: Any) -> dict[str, bytes]:
    """Return the files of a repository, but for the card.

    Args:
        model: The model.
        rows: Rows as the weights see them, or an Arrow table of cells, on which the written model is compared.

    Raises:
        MachineError: ``export-differs`` where the file that was written does not give the same scores, to the bit.
    """
    if is_cells(rows):
        rows = encoding_of(model).transform(rows, "cells", 0).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / HUB_FILE
        model.save(place)
        data = place.read_bytes()
        if not np.array_equal(load(place).scores(rows), model.scores(rows)):
            raise MachineError("export-differs", "the file that was written gives other scores")
    return {HUB_FILE: data, "config.json": atomic.to_json(hub_config(model)).encode()}


def hub_config(model: LinearModel) -> dict[str, Any]:
    """Return what `config.json` says: the classes by number, as the hub's own models have them, and the proof."""
    facts = {name: value for name, value in facts_of(model).items() if name not in INSIDE}
    numbered = {str(label): name for label, name in enumerate(model.classes)}
    labels = {"id2label": numbered, "label2id": {name: label for label, name in enumerate(model.classes)}}
    return {"library_name": "straightedge", "model_type": "straightedge-linear", **labels, **facts}
