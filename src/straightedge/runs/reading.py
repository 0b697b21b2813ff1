"""Reading a run back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from straightedge.errors import InputError
from straightedge.model import LinearModel, load
from straightedge.runs.tables import read_path, read_table

if TYPE_CHECKING:
    import numpy as np


class RunFiles:
    """The files of a run's folder, read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def config(self) -> dict[str, Any]:
        """config.json: how the run was started."""
        return self.read_json("config.json")

    @property
    def metrics(self) -> dict[str, Any]:
        """metrics.json: what came out."""
        return self.read_json("metrics.json")

    def has(self, name: str) -> bool:
        """Whether the run has the file `name`."""
        return (self.path / name).is_file()

    def read_bytes(self, name: str) -> bytes:
        """Return a file's bytes."""
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise InputError("run-file-missing", f"the run has no {name}", str(self.path)) from error

    def read_json(self, name: str) -> dict[str, Any]:
        """Return a JSON object.

        Raises:
            InputError: ``run-file-missing``, ``run-damaged``.
        """
        text = self.read_bytes(name)
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError("run-damaged", f"not JSON ({error})", str(self.path / name)) from error
        if not isinstance(value, dict):
            raise InputError("run-damaged", "not a JSON object", str(self.path / name))
        return value

    def read_trace(self) -> list[dict[str, str]]:
        """Return the rows of trace.csv as texts by column."""
        return read_table(self.path / "trace.csv")

    def read_predictions(self) -> list[dict[str, str]]:
        """Return the rows of predictions.csv as texts by column."""
        return read_table(self.path / "predictions.csv")

    def load_model(self) -> LinearModel:
        """Return the fitted model."""
        return load(self.path)

    def load_path(self) -> tuple[list[float], np.ndarray, np.ndarray]:
        """Return the K values of reg, weights (K, D, C) and biases (K, C), float32."""
        return read_path(self.path / "path.safetensors")
