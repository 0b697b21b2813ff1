"""A path of 16 values of reg beside its 16 single fits, in CPU seconds of one process.

    python -m benchmarks.paths --tables FOLDER --only "iris; digits" --out benchmarks/results/paths.json

measures softmax to a gap of 1e-4 and the SVM to 1e-3, from 1e-1 to 1e-6, and adds the ratios to the file. Both are
warm, and taken in turn; the least of three is kept where they are short.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.field_problems import problems
from benchmarks.machine import commit, machine, versions
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


def ratio(X: np.ndarray, y: np.ndarray, loss: str) -> dict[str, Any]:
    """Return the CPU seconds of the path and of its single fits, and how many of each are certified."""
    tol = TOL[loss]

    def singles() -> list[str]:
        return [LinearClassifier(loss, reg=reg, tol=tol).fit(X, y).status_ for reg in REG]

    def path() -> list[str]:
        return fit_path(X, y, REG, loss=loss, tol=tol).status

    fit_path(
        X[:: max(1, len(X) // WARM_ROWS)], y[:: max(1, len(X) // WARM_ROWS)], REG[:2], loss=loss, tol=tol
    )
    runs = [(*cpu_seconds(path), *cpu_seconds(singles))]
    while runs[0][0] < SHORT and len(runs) < 3:
        runs.append((*cpu_seconds(path), *cpu_seconds(singles)))
    own, alone = min(run[0] for run in runs), min(run[2] for run in runs)
    certified = {"path": runs[0][1].count("certified"), "singles": runs[0][3].count("certified")}
    return {"path": own, "singles": alone, "ratio": own / alone, "certified": certified}


def main(arguments: list[str] | None = None) -> None:
    """Measure the problems that are named, and add what was found to the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tables", type=Path, help="folder of the field's tables")
    parser.add_argument("--only", default=USUAL, help="names of the field's problems, between semicolons")
    parser.add_argument("--loss", default="softmax,svm")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    found = json.loads(asked.out.read_text()) if asked.out.is_file() else {"paths": {}}
    found |= {"machine": machine(), "versions": versions()}
    makers = problems(asked.tables)
    for name in map(str.strip, asked.only.split(";")):
        X, y = makers[name]()
        for loss in asked.loss.split(","):
            entry = ratio(X, y, loss) | {"rows": len(X), "features": X.shape[1], "commit": commit()}
            found["paths"][f"{name}, {loss}"] = entry
            print(f"{name}, {loss}: path {entry['path']:.3f} s, {entry['ratio']:.2f} of the single fits")
            asked.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
