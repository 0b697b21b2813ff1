"""What `gpu` measures: each part takes the scale and the device and yields (key, entry)."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu_data import Scale, Table, abilities, features, images, seconds_of, synchronised
from straightedge.fitting import FitSettings, build_objective, solve
from straightedge.kernels.door import SWITCH, fused_apply
from straightedge.kernels.splitting import KINDS
from straightedge.objective import Objective
from straightedge.rows import Rows

Entries = Iterator[tuple[str, dict[str, Any]]]
REG, TOL = 1e-4, 1e-3
SVM_REG = 1e-3


@contextmanager
def kernels(choice: str) -> Iterator[None]:
    """Choose the products of the passes within."""
    former = os.environ.get(SWITCH)
    os.environ[SWITCH] = choice
    try:
        yield
    finally:
        os.environ.pop(SWITCH) if former is None else os.environ.update({SWITCH: former})


def objective_of(table: Table, loss: str, reg: list[float], tol: float = TOL) -> Objective:
    """Return the objective on a table."""
    return build_objective(
        Rows(table.X), table.y, table.n_classes, reg, FitSettings(loss=loss, tol=tol), affine=table.affine
    )


def path_of(scale: Scale) -> list[float]:
    """Return the values of reg of a path, two decades around `REG` to each side."""
    exponents = torch.linspace(-2, -6, scale.path, dtype=torch.float64)
    return [float(value) for value in 10**exponents]


# ---------------------------------------------------------------- one pass


def passes(scale: Scale, device: str) -> Entries:
    """One loss-and-gradient pass: as it is chosen here, portable, the torch idiom; beside what is possible."""
    able = abilities(scale, device)
    yield "abilities", able
    for make in (images, features):
        table = make(scale, device)
        for n_configs in (1, scale.path):
            yield f"pass {table.name} K={n_configs}", _pass(table, n_configs, able, device)
    for dtype in (torch.bfloat16, torch.float32):
        other = replace(table, X=table.X.to(dtype))
        yield f"pass features {str(dtype).removeprefix('torch.')}", _pass(other, 1, able, device)


def _pass(table: Table, n_configs: int, able: dict[str, float], device: str) -> dict[str, Any]:
    objective = objective_of(table, "softmax", [REG] * n_configs).in_dtype(torch.float32)
    W = 1e-3 * torch.randn(objective.shape, dtype=torch.float64, device=device)
    entry = table.facts() | floor(table, n_configs, able)
    entry["fused"] = fused_apply(objective.rows, objective.dtype, objective.affine)
    entry["seconds"] = seconds_of(lambda: objective.evaluate(W), device)
    with kernels("portable"):
        entry["portable_seconds"] = seconds_of(lambda: objective.evaluate(W), device)
    if n_configs == 1:  # its float32 copy of X and N × C scores are what the idiom costs
        entry["idiom_seconds"] = seconds_of(torch_idiom(table, W[0]), device)
    entry["times_floor"] = entry["seconds"] / entry["floor_seconds"]
    return entry


def floor(table: Table, n_configs: int, able: dict[str, float]) -> dict[str, float]:
    """Return the least seconds of a pass: X read once, or its flop at the matrix rate of the operands' type.

    ``split_floor_seconds`` counts the products that float32's accuracy takes with operands of that type.
    """
    kind = KINDS[str(table.X.dtype).removeprefix("torch.")]
    flop = 4 * table.X.numel() * table.n_classes * n_configs
    rate = able[str(kind.operand).removeprefix("torch.")]
    read = table.X.numel() * table.X.element_size() / able["bytes"]
    return {"floor_seconds": max(read, flop / rate), "split_floor_seconds": max(read, kind.n_parts * flop / rate)}


def mapped(table: Table) -> Tensor:
    """Return the float32 copy (N, D + 1) that idioms and peers take."""
    shift, scale = (table.affine.shift.to(table.X.device).float(), table.affine.scale.to(table.X.device).float())
    out = torch.ones(len(table.X), table.X.shape[1] + 1, device=table.X.device)
    for start in range(0, len(out), 65_536):
        out[start : start + 65_536, :-1] = (table.X[start : start + 65_536].float() - shift) * scale
    return out


def torch_idiom(table: Table, W: Tensor) -> Callable[[], Tensor]:
    """Return the pass as one would write it: X @ W, cross entropy, X.T @ A, on a float32 copy."""
    X, W32 = mapped(table), W.float().t().contiguous()
    rows = torch.arange(len(X), device=X.device)

    def work() -> Tensor:
        A = torch.softmax(X @ W32, dim=1)
        A[rows, table.y] -= 1
        return X.t() @ A / len(X) + 2 * REG * W32

    return work


# ---------------------------------------------------------------- fits


def image_fits(scale: Scale, device: str) -> Entries:
    """Softmax on the images: one value of reg, a path, and peers until their W has the same gap."""
    table = images(scale, device)
    yield "images softmax", fit(table, "softmax", [REG], device)
    yield "images path", fit(table, "softmax", path_of(scale), device)
    X = mapped(table)
    for name, rung in (("torch.optim.LBFGS", torch_lbfgs), ("scikit-learn array API", sklearn_lbfgs)):
        yield f"images {name}", climbed(table, X, rung, scale, device)


def feature_fits(scale: Scale, device: str) -> Entries:
    """Features of the size of ImageNet's: softmax, a path, the SVM."""
    table = features(scale, device)
    yield "features softmax", fit(table, "softmax", [REG], device)
    yield "features path", fit(table, "softmax", path_of(scale), device)
    yield "features svm", fit(table, "svm", [SVM_REG], device)


def fit(table: Table, loss: str, reg: list[float], device: str) -> dict[str, Any]:
    """Fit twice, rows on the device to certified W on the CPU; the first time compiles and is told apart."""
    times = []
    for _ in range(2):
        synchronised(device)
        began = time.perf_counter()
        solution = solve(objective_of(table, loss, reg), FitSettings(loss=loss, tol=TOL))
        times.append(time.perf_counter() - began)
    return table.facts() | {
        "loss": loss,
        "reg": reg,
        "tol": TOL,
        "first_seconds": times[0],
        "seconds": times[1],
        "gap": solution.gap.tolist(),
        "objective": solution.objective.tolist(),
        "n_passes": solution.n_passes.tolist(),
        "status": [status.value for status in solution.status],
    }


Rung = Callable[[Tensor, Tensor, int, int], Tensor]


def climbed(table: Table, X: Tensor, rung: Rung, scale: Scale, device: str) -> dict[str, Any]:
    """Give a peer fresh runs of 25, 50, 100, … iterations until its W has the gap, or its time is up."""
    judge = objective_of(table, "softmax", [REG], tol=1e-12)
    began, iterations = time.perf_counter(), 25
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                synchronised(device)
                start = time.perf_counter()
                W = rung(X, table.y, table.n_classes, iterations)
                synchronised(device)
                seconds = time.perf_counter() - start
        except Exception as problem:  # a peer that cannot do it here is told, not hidden
            return {"status": "failed", "why": f"{type(problem).__name__}: {problem}"[:300]}
        found = judge.evaluate(W.to(device, torch.float64)[None])
        gap = float(found.gap[0] / found.objective[0])
        if gap <= TOL or time.perf_counter() - began > scale.cap:
            status = "reached" if gap <= TOL else "cap"
            return {"status": status, "seconds": seconds, "iterations": iterations, "gap": gap}
        iterations *= 2


def torch_lbfgs(X: Tensor, y: Tensor, n_classes: int, iterations: int) -> Tensor:
    """Return W (C, D + 1) by torch's own L-BFGS on the whole table."""
    W = torch.zeros(n_classes, X.shape[1], device=X.device, requires_grad=True)
    solver = torch.optim.LBFGS(
        [W], max_iter=iterations, tolerance_grad=0, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        solver.zero_grad()
        value = torch.nn.functional.cross_entropy(X @ W.t(), y) + REG * W.square().sum()
        value.backward()
        return value

    solver.step(closure)
    return W.detach()


def sklearn_lbfgs(X: Tensor, y: Tensor, n_classes: int, iterations: int) -> Tensor:
    """Return W (C, D + 1) by scikit-learn on torch tensors, through the array API."""
    import sklearn
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1 / (2 * REG * len(X)), fit_intercept=False, tol=1e-14, max_iter=iterations)
    with sklearn.config_context(array_api_dispatch=True):
        coefficients = model.fit(X, y).coef_
    return torch.as_tensor(coefficients)
