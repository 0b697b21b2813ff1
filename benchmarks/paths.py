"""A path of 16 values of reg beside its 16 single fits, in CPU seconds of one process.

    python -m benchmarks.paths --tables FOLDER --only "iris; digits" --out benchmarks/results/paths.json

measures softmax to a gap of 1e-4 and the SVM to 1e-3, from 1e-1 to 1e-6, and adds the ratios to the file. Both are
warm, and taken in turn; the least of three is kept where they are short. Images are there, too, as uint8 pixels,
where STRAIGHTEDGE_CIFAR10 names an archive of CIFAR-10: `--only "2,000 images; 10,000 images; CIFAR-10"`. Where
single fits are long, `--singles 5` measures every fifth of them and takes the others to lie between.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.field_problems import Maker, Table, problems
from benchmarks.gpu_data import CIFAR10
from benchmarks.machine import commit, machine, versions
from benchmarks.problem import load_problem
from straightedge import LinearClassifier
from straightedge.selection import fit_path

REG: list[float] = np.logspace(-1, -6, 16).tolist()
TOL = {"softmax": 1e-4, "svm": 1e-3}
USUAL = "iris; wine, raw columns; breast cancer, raw columns; digits"
SHORT = 1.0  # seconds of a path below which it is measured three times
WARM_ROWS = 300


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU seconds of a call, all threads counted, and what it gives."""
    began = time.process_time()
    found = work()
    return time.process_time() - began, found


def images(n_rows: int | None) -> Maker:
    """Return what reads so many training images of CIFAR-10, drawn by a fixed seed; all where it is None."""

    def read() -> Table:
        problem = load_problem(os.environ[CIFAR10])
        some = np.random.default_rng(0).permutation(len(problem.labels))[:n_rows]
        return problem.images[some], problem.labels[some]

    return read


IMAGES = {"2,000 images": images(2000), "10,000 images": images(10_000), "CIFAR-10": images(None)}


def ratio(X: np.ndarray, y: np.ndarray, loss: str, every: int = 1) -> dict[str, Any]:
    """Return the CPU seconds of the path and of its single fits, and how many of each are certified.

    Args:
        X: (N, D) rows, or (N, 3, H, W) uint8 images.
        y: (N,) labels.
        loss: Its name.
        every: Single fits are measured at every so-many-th value of reg, from the first to the last one.
    """
    asked: dict[str, Any] = {"tol": TOL[loss], "preprocess": "none" if X.ndim == 2 else "pixels"}
    some = sorted({*range(0, len(REG), every), len(REG) - 1})
    alone: dict[int, list[float]] = {k: [] for k in some}
    status = {"path": [""], "singles": [""] * len(some)}

    def measured() -> float:
        took, path = cpu_seconds(lambda: fit_path(X, y, REG, loss=loss, **asked))
        status["path"] = path.status
        for place, k in enumerate(some):
            own, fit = cpu_seconds(lambda reg=REG[k]: LinearClassifier(loss, reg=reg, **asked).fit(X, y))
            alone[k].append(own)
            status["singles"][place] = fit.status_
        return took

    step = max(1, len(X) // WARM_ROWS)
    fit_path(X[::step], y[::step], REG[:2], loss=loss, **asked)
    runs = [measured()]
    while runs[0] < SHORT and len(runs) < 3:
        runs.append(measured())
    singles = float(np.interp(range(len(REG)), some, [min(alone[k]) for k in some]).sum())
    found = {"path": min(runs), "singles": singles, "ratio": min(runs) / singles}
    return found | {"certified": {name: known.count("certified") for name, known in status.items()}}


def main(arguments: list[str] | None = None) -> None:
    """Measure the problems that are named, and add what was found to the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tables", type=Path, help="folder of the field's tables")
    parser.add_argument("--only", default=USUAL, help="names of the field's problems, between semicolons")
    parser.add_argument("--loss", default="softmax,svm")
    parser.add_argument("--singles", type=int, default=1, help="measure every so-many-th single fit")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    found = json.loads(asked.out.read_text()) if asked.out.is_file() else {"paths": {}}
    found |= {"machine": machine(), "versions": versions()}
    makers = problems(asked.tables) | IMAGES
    for name in map(str.strip, asked.only.split(";")):
        X, y = makers[name]()
        for loss in asked.loss.split(","):
            shape = {"rows": len(X), "features": X[0].size, "singles measured every": asked.singles}
            entry = ratio(X, y, loss, asked.singles) | shape | {"commit": commit()}
            found["paths"][f"{name}, {loss}"] = entry
            print(f"{name}, {loss}: path {entry['path']:.3f} s, {entry['ratio']:.2f} of the single fits")
            asked.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
