"""Straightedge's own fits, timed from arrays in memory to W: the front door, nothing prepared beforehand."""

from __future__ import annotations

import os
import time
import warnings
from typing import Any

import numpy as np
import torch

from benchmarks.machine import timed
from benchmarks.problem import Problem
from straightedge import LinearClassifier
from straightedge.kernels.door import SWITCH
from straightedge.losses import get_loss
from straightedge.solvers.base import Limits, minimize
from straightedge.solvers.hinge.blocks.active_margins import adjoint_of_change
from straightedge.solvers.hinge.blocks.solver import HingeALM
from straightedge.solvers.hinge.dual_ascent import DualAscent
from straightedge.solvers.hinge.half_pass import row_weights

KINDS = ("uint8", "float32")


def fit_once(
    problem: Problem, loss: str, reg: float, tol: float, kind: str = "uint8", solver: str = "auto"
) -> dict[str, Any]:
    """Fit one reg and return its entry.

    Args:
        problem: The data.
        loss: Name of the loss.
        reg: The value.
        tol: Relative gap asked for.
        kind: "uint8" (raw images, the map fitted on the clock) or "float32" (the peers' table).
        solver: See `straightedge.LinearClassifier`.
    """
    images = kind == "uint8"
    X = problem.images if images else problem.table[:, :-1]
    preprocess = "pixels" if images else "none"
    model = LinearClassifier(loss, reg=reg, tol=tol, preprocess=preprocess, solver=solver)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fit that ends without its gap says so in the entry
        seconds = timed(lambda: model.fit(X, problem.labels))
    before = seconds - model.trace_[-1]["seconds"] if model.trace_ else 0.0
    curve = [(before + row["seconds"], row["objective"], row["gap"]) for row in model.trace_]
    curve.append((seconds, model.objective_, model.gap_))
    return {
        "name": f"straightedge-{kind}",
        "status": "reached" if model.status_ == "certified" else model.status_,
        "seconds": seconds,
        "objective": model.objective_,
        "dual": model.dual_,
        "gap": model.gap_,
        "n_passes": model.n_passes_,
        "curve": curve,
    }


def median_of(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the entry of median time, with the times of all."""
    ordered = sorted(entries, key=lambda entry: entry["seconds"])
    return ordered[(len(ordered) - 1) // 2] | {"all_seconds": [entry["seconds"] for entry in entries]}


def _load_float32(problem: Problem, loss: str) -> None:
    """Load the loops of large data: few rows are fitted in float64, and come to pairs by luck alone."""
    objective = problem.objective(loss, [1.0], torch.float32)
    minimize(objective, HingeALM(), Limits(1e-2))
    if loss == "svm":
        minimize(objective, DualAscent(), Limits(1e-2))
    before = torch.zeros(len(objective.y), 1, problem.n_classes)
    after = before.clone()
    after[objective.y == 0, 0, 1] = 1.0
    assert adjoint_of_change(objective, before, after, row_weights(objective)) is not None


def warm_up(problem: Problem, loss: str) -> float:
    """Load and compile what a first fit in a process loads and compiles, on a few rows; return the seconds."""
    began = time.perf_counter()
    few = slice(None, None, max(1, len(problem.labels) // (60 * problem.n_classes)))  # rows may lie class by class
    images, labels = (np.ascontiguousarray(array[few]) for array in (problem.images, problem.labels))
    part = Problem(problem.name, images, labels, problem.n_classes, problem.affine)
    former = os.environ.get(SWITCH)
    os.environ[SWITCH] = "compiled"  # few rows would not need its loops
    try:
        for kind in KINDS:
            fit_once(part, loss, 1e-1, 1e-2, kind)
        if not get_loss(loss).smooth:
            _load_float32(part, loss)
    finally:
        os.environ.pop(SWITCH) if former is None else os.environ.update({SWITCH: former})
    return time.perf_counter() - began
