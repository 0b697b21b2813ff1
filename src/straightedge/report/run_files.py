"""What the page knows: the files of one run folder, and nothing else."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.errors import InputError
from straightedge.model import LinearModel
from straightedge.report.assets import Assets, load_assets
from straightedge.report.words import finite
from straightedge.runs.reading import RunFiles

SAME_FIT = 1e-3
"""Relative difference of two objectives up to which they are of one fit: a path stops at such gaps, and rounds."""


@dataclass(frozen=True)
class Run:
    """The files of a run folder, read.

    Attributes:
        folder: The run folder.
        config: ``config.json``.
        metrics: ``metrics.json``.
        trace: Rows of ``trace.csv``, numbers as text.
        regs: K values of reg whose weights are known.
        weights: (K, D, C) float32 on raw rows, or None.
        model: The classifier, or None where it was not kept.
        assets: Arrays of ``assets.npz``; empty without it.
        present: Names of the files that are there.
    """

    folder: Path
    config: dict[str, Any]
    metrics: dict[str, Any]
    trace: list[dict[str, str]] = field(default_factory=list)
    regs: list[float] = field(default_factory=list)
    weights: np.ndarray | None = None
    model: LinearModel | None = None
    assets: Assets = field(default_factory=dict)
    present: tuple[str, ...] = ()

    @property
    def classes(self) -> list[str]:
        """Class names, index = label."""
        return [str(name) for name in self.metrics.get("classes") or self.dataset.get("classes") or []]

    @property
    def dataset(self) -> dict[str, Any]:
        """What ``config.json`` says of the data."""
        return dict(self.config.get("dataset") or {})

    @property
    def tol(self) -> float | None:
        """The relative gap that was asked for."""
        return finite(self.config.get("tol"))

    @property
    def judged(self) -> tuple[str, dict[str, Any]]:
        """The split the answer is told for, with its metrics: test, else validation, else train."""
        for name in ("test", "validation", "train"):
            if self.metrics.get(name):
                return name, dict(self.metrics[name])
        return "", {}


def read_run(folder: Path) -> Run:
    """Read a run folder.

    Args:
        folder: It must have ``config.json`` and ``metrics.json``; every other file may be missing.

    Raises:
        InputError: ``run-missing``; ``run-file-missing``, ``run-damaged`` and what else the readers of a
            run's files raise for files that are there but cannot be used; ``assets-damaged``.
    """
    if not folder.is_dir():
        mend = "give a folder that `straightedge fit` wrote"
        raise InputError("run-missing", "there is no such run folder", str(folder), mend)
    files = RunFiles(folder)
    for name in ("config.json", "metrics.json"):
        if not files.has(name):
            mend = "without it there is nothing to report; fit again"
            raise InputError("run-file-missing", f"the run has no {name}", str(folder), mend)
    model = files.load_model() if files.has("model.safetensors") else None
    regs, weights = _weights(files, model)
    return Run(
        folder=folder,
        config=files.config,
        metrics=files.metrics,
        trace=files.read_trace() if files.has("trace.csv") else [],
        regs=regs,
        weights=weights,
        model=model,
        assets=load_assets(folder / "assets.npz") if files.has("assets.npz") else {},
        present=tuple(sorted(path.name for path in folder.iterdir() if path.is_file())),
    )


def _weights(files: RunFiles, model: LinearModel | None) -> tuple[list[float], np.ndarray | None]:
    """Take the weights of the whole path where they were kept, else those of the model alone."""
    if files.has("path.safetensors"):
        regs, weights, _ = files.load_path()
        return regs, weights
    if model is not None:
        return [float(model.reg)], model.arrays.weight[None]
    return [], None


def last_stage(trace: list[dict[str, str]], reg: Any, objective: Any = None) -> list[dict[str, float | None]]:
    """Return the rows of the final fit, numbers or None: the last ones at `reg` in which the passes only grow.

    A path writes rows for many reg, folds write them for other rows of the data, and a refit on more data those
    of the same reg once more.

    Args:
        trace: Rows of ``trace.csv``.
        reg: The reg of the model.
        objective: The objective of the model; the run of rows that ends nearest to it is taken, and none where
            all end elsewhere.
    """
    stages = _stages(trace, reg)
    reached = finite(objective)
    if reached is None or not stages:
        return stages[-1] if stages else []
    apart = [abs((stage[-1]["objective"] or math.inf) - reached) for stage in stages]
    nearest = max(place for place, one in enumerate(apart) if one == min(apart))
    return stages[nearest] if apart[nearest] <= SAME_FIT * abs(reached) else []


def _stages(trace: list[dict[str, str]], reg: Any) -> list[list[dict[str, float | None]]]:
    """Return the rows at `reg`, a list for each fit."""
    wanted = finite(reg)
    stages: list[list[dict[str, float | None]]] = []
    for row in trace:
        here, passes = finite(row.get("reg")), finite(row.get("n_passes"))
        if passes is None or (here is not None and wanted is not None and abs(here - wanted) > 1e-9 * wanted):
            continue
        if not stages or passes < (stages[-1][-1]["n_passes"] or 0):
            stages.append([])
        stages[-1].append({name: finite(row.get(name)) for name in ("n_passes", "objective", "dual", "gap")})
    return stages
