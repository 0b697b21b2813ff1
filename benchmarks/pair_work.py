"""Parts of the benchmark in this process, in CPU seconds: what `pairs` starts once for each of two checkouts.

    PYTHONPATH=CHECKOUT:CHECKOUT/src python benchmarks/pair_work.py PARTS DATA ROWS

It prints a JSON object of measurements by name: CPU seconds of all threads, and MiB for ``memory``. The modules
`benchmarks` and `straightedge` are those of the checkout; only what two checkouts have in common is called.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch

from benchmarks import machine

Found = dict[str, float]
WARMED: set[str] = set()  # losses whose first fit is done
PASSES = 20  # of one measurement
SOFTMAX_REG, SOFTMAX_TOL = (1e-2, 1e-3, 1e-4, 1e-5), 1e-4
SVM_REG, SVM_TOL = (1e-1, 1e-2, 1e-3), 1e-3
PATH_TOL = 1e-3
PATH = np.logspace(-4, 0, 8)  # fewer values than the benchmark has: a pair is short


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of ``work()``, all threads of this process together."""
    began = time.process_time()
    work()
    return time.process_time() - began


machine.timed = cpu_seconds  # before the parts import it: they measure in CPU seconds, too
from benchmarks.ours import fit_once, warm_up  # noqa: E402
from benchmarks.parts import PARTS, Options  # noqa: E402
from benchmarks.problem import Problem, load_problem  # noqa: E402
from straightedge.selection import fit_path  # noqa: E402


def one_pass(problem: Problem) -> Found:
    """Measure passes of one configuration and of sixteen."""
    found = {}
    for K in (1, len(PATH)):
        objective = problem.objective("softmax", [1e-4] * K, torch.float32)
        W = torch.randn(objective.shape, generator=torch.Generator().manual_seed(0)) * 1e-3
        objective.evaluate(W)
        count = max(1, PASSES // K)
        found[f"pass K={K}"] = cpu_seconds(lambda o=objective, W=W, n=count: [o.evaluate(W) for _ in range(n)])
    return found


def softmax(problem: Problem) -> Found:
    """Measure single fits of the softmax loss, all values of reg together."""
    return {"softmax": _fits(problem, "softmax", SOFTMAX_REG, SOFTMAX_TOL)}


def svm(problem: Problem) -> Found:
    """Measure single fits of the SVM, all values of reg together."""
    return {"svm": _fits(problem, "svm", SVM_REG, SVM_TOL)}


def warmed(problem: Problem, loss: str) -> None:
    """Load and compile what a first fit does, once for a loss."""
    if loss not in WARMED:
        warm_up(problem, loss)
        WARMED.add(loss)


def _fits(problem: Problem, loss: str, values: tuple[float, ...], tol: float) -> float:
    warmed(problem, loss)
    return float(sum(fit_once(problem, loss, reg, tol)["seconds"] for reg in values))


def path(problem: Problem) -> Found:
    """Measure the path of the softmax loss."""
    return {"path": _path(problem, "softmax")}


def svm_path(problem: Problem) -> Found:
    """Measure the path of the SVM."""
    return {"svm_path": _path(problem, "svm")}


def _path(problem: Problem, loss: str) -> float:
    warmed(problem, loss)
    X, y = problem.images, problem.labels
    return cpu_seconds(lambda: fit_path(X, y, PATH.tolist(), loss=loss, preprocess="pixels", tol=PATH_TOL))


def folds(problem: Problem) -> Found:
    """Measure five folds of the path of the softmax loss; the part of the benchmark knows its checkout's way."""
    (_, entry), *_ = PARTS["folds"](problem, Options(path_size=len(PATH), tol=PATH_TOL))
    return {"folds": entry["seconds"]}


def memory(problem: Problem) -> Found:
    """Measure the peak memory of a process that reads raw rows and fits them."""
    (_, entry), *_ = PARTS["memory"](problem, Options())
    return {"memory": entry["peak_mib"]}


def spread(problem: Problem, rows: int) -> Problem:
    """Return evenly spaced rows, about as many as asked for: rows may lie class by class; all for 0."""
    step = max(1, len(problem.labels) // rows) if rows else 1
    images = np.ascontiguousarray(problem.images[::step])
    return Problem(problem.name, images, problem.labels[::step].copy(), problem.n_classes, problem.affine)


WORKS: dict[str, Callable[[Problem], Found]] = {
    "pass": one_pass,
    "softmax": softmax,
    "svm": svm,
    "path": path,
    "svm_path": svm_path,
    "folds": folds,
    "memory": memory,
}

if __name__ == "__main__":
    warnings.simplefilter("ignore")  # a fit that ends without its gap is not what is measured
    parts, data, rows = sys.argv[1:]
    problem, found = spread(load_problem(data), int(rows)), dict[str, float]()
    for part in parts.split(","):
        found |= WORKS[part](problem)
    print(json.dumps(found))
