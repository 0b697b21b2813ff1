"""Passes by the fused kernels and by compiled loops beside portable ones and float64, on any device.

Run as a program, with TRITON_INTERPRET=1 set, it measures every case on the CPU and prints JSON: Triton decides
when a kernel is defined whether it will be compiled or interpreted, so the interpreter has a process to itself.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch

from straightedge.kernels.door import SWITCH, fused_apply
from straightedge.losses import get_loss
from straightedge.moments import fit_affine
from straightedge.objective import Objective
from straightedge.preprocess import AffineMap
from straightedge.rows import Rows
from straightedge.solvers.base import Limits, minimize
from straightedge.solvers.hinge.half_pass import adjoint, row_weights
from straightedge.solvers.lbfgs import WhitenedLBFGS

TOLERANCE = 1e-6  # of the largest entry: some roundings of float32


@dataclass(frozen=True)
class Case:
    """A pass: rows, columns, and what is odd about it."""

    dtype: str = "float16"
    loss: str = "softmax"
    n: int = 45
    n_features: int = 37
    n_classes: int = 5
    n_configs: int = 1
    block_rows: int | None = None
    map: str = "standardize"
    weights: str | None = None
    size: float = 0.3
    labels: int | None = None  # classes that have a sample; None for all
    order: bool = False


ODD = Case(n=45, n_features=37, n_classes=5, n_configs=3)
CASES = {
    **{f"{dtype}, odd shapes": replace(ODD, dtype=dtype) for dtype in ("uint8", "float16", "bfloat16", "float32")},
    **{f"{loss}": Case(loss=loss) for loss in ("svm", "squared_hinge", "crammer_singer", "one_vs_rest")},
    "svm, three configurations": replace(ODD, loss="svm", dtype="uint8"),
    "one row": Case(n=1, map="none"),
    "one row, one feature, two classes": Case(n=1, n_features=1, n_classes=2, dtype="float32", map="none"),
    "a class without samples": Case(labels=3),
    "more classes than a tile": Case(n=20, n_features=8, n_classes=70, dtype="uint8"),
    "many blocks": Case(block_rows=16, n=70, dtype="uint8"),
    "row weights over twelve decades": Case(weights="wide"),
    "folds": replace(ODD, weights="folds", block_rows=16, dtype="uint8"),
    "blocks that belong to no configuration": Case(weights="folds", block_rows=16, dtype="uint8"),
    "scores in the thousands": Case(size=1e3),
    "rows in another order": Case(order=True, dtype="uint8"),
    "pixels of images": Case(dtype="uint8", map="center", n_features=48),
}


def problem(case: Case, device: str = "cpu") -> tuple[Objective, torch.Tensor]:
    """Return the objective of a case with float32 products, and a W (K, C, D + 1) float64."""
    generator = torch.Generator().manual_seed(len(str(case)))
    X = 40 * torch.randn(case.n, case.n_features, generator=generator) + 128
    X = X.clamp(0, 255).to(getattr(torch, case.dtype))
    y = torch.arange(case.n) * 7 % (case.labels or case.n_classes)
    order = torch.randperm(case.n, generator=generator) if case.order else None
    affine = fit_affine(Rows(X), case.map)
    weights, fold = _weights(case, generator)
    objective = Objective(
        Rows(X, device=device, order=order), y, case.n_classes, get_loss(case.loss),
        [0.1 / (k + 1) for k in range(case.n_configs)], affine=affine, weights=weights, fold=fold,
        block_rows=case.block_rows, workers=1,
    )  # fmt: skip
    W = case.size * torch.randn(objective.shape, generator=generator, dtype=torch.float64)
    return objective, (W / 128 if case.map == "none" else W).to(device)


def _weights(case: Case, generator: torch.Generator) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    if case.weights == "wide":
        return 10 ** (-12 * torch.rand(case.n, generator=generator, dtype=torch.float64)), None
    if case.weights == "folds":
        out = torch.arange(case.n) * 2 // case.n
        return (out != torch.arange(2)[:, None]).double(), torch.arange(case.n_configs) % 2
    return None, None


@contextmanager
def kernels(choice: str):
    """Choose the products of the passes within."""
    former = os.environ.get(SWITCH)
    os.environ[SWITCH] = choice
    try:
        yield
    finally:
        os.environ.pop(SWITCH) if former is None else os.environ.update({SWITCH: former})


def measured(case: Case, device: str = "cpu", choice: str = "fused") -> dict[str, list[float]]:
    """Return, for each result of a pass, the errors of the chosen and the portable one over the largest entry."""
    objective, W = problem(case, device)
    with kernels("portable"):
        exact, portable = _results(objective.in_dtype(torch.float64), W), _results(objective, W)
    with kernels(choice):
        assert choice != "fused" or fused_apply(objective.rows, objective.dtype, objective.affine)
        fused = _results(objective, W)
    return {name: _errors(fused[name], portable[name], exact[name]) for name in exact}


def _results(objective: Objective, W: torch.Tensor) -> dict[str, torch.Tensor]:
    K, C, _ = objective.shape
    scores = torch.zeros(len(objective.y), K, C, dtype=torch.float64, device=W.device)
    found = objective.evaluate(W, scores=scores)
    return {"objective": found.objective, "gradient": found.gradient, "V": found.V, "scores": scores}


def _errors(fused: torch.Tensor, portable: torch.Tensor, exact: torch.Tensor) -> list[float]:
    largest = exact.abs().max().clamp_min(1e-30)
    return [float((found - exact).abs().max() / largest) for found in (fused, portable)]


def measured_adjoint(device: str = "cpu", choice: str = "fused") -> dict[str, list[float]]:
    """Return the errors of the product that the hinges' solver makes by itself."""
    objective, _ = problem(Case(loss="svm", dtype="uint8"), device)
    A = torch.randn(len(objective.y), 1, objective.n_classes, generator=torch.Generator().manual_seed(1))
    A, weights = A.to(device), row_weights(objective)
    with kernels("portable"):
        exact = adjoint(objective.in_dtype(torch.float64), A.double(), weights)
        portable = adjoint(objective, A, weights)
    with kernels(choice):
        return {"adjoint": _errors(adjoint(objective, A, weights), portable, exact)}


def fits(device: str = "cpu", faster: str = "fused") -> dict[str, list[float]]:
    """Return objectives and gaps of two values of reg, fitted by faster and by portable products."""
    found = {}
    for choice in (faster, "portable"):
        with kernels(choice):
            objective, _ = problem(Case(n=60, n_features=20, n_classes=3, n_configs=2, dtype="uint8"), device)
            solution = minimize(objective, WhitenedLBFGS(), Limits(tol=1e-3))
            found[choice] = [*solution.objective.tolist(), *solution.gap.tolist()]
    return found


def spread() -> list[bool]:
    """Return whether fused products are chosen for float16 features of like scales, and of very unlike ones."""
    rows = Rows(np.ones((4, 2), dtype=np.float16))
    maps = [AffineMap(torch.zeros(2).double(), torch.tensor([1.0, s]).double()) for s in (1e-3, 1e-6)]
    with kernels("fused"):
        return [fused_apply(rows, torch.float32, affine) for affine in maps]


if __name__ == "__main__":
    results = {name: measured(case) for name, case in CASES.items()} | {"adjoint": measured_adjoint()}
    json.dump({"cases": results, "fits": fits(), "spread": spread()}, sys.stdout)
