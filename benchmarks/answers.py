"""How long a command takes in a new process, in CPU seconds and as a ratio to ``python -c "import numpy"``.

    python -m benchmarks.answers --out benchmarks/results/answers.json

fits a linear model of 64 numbers and ten classes, then runs refusals, uses of it and a fit of sparse rows in turns,
so that what else the machine does falls on all of them. Times are user and system time of the process, the median
of the turns.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy.sparse import random as random_sparse
from sklearn.datasets import dump_svmlight_file, load_digits

from benchmarks.machine import commit, machine, versions

STRAIGHTEDGE = [sys.executable, "-m", "straightedge"]
NUMPY = [sys.executable, "-c", "import numpy"]
COMMANDS = {
    "import numpy": NUMPY,
    "--version": [*STRAIGHTEDGE, "--version"],
    "predict nowhere": [*STRAIGHTEDGE, "predict", "nowhere", "rows.npz"],
    "predict RUN nowhere.npz": [*STRAIGHTEDGE, "predict", "run", "nowhere.npz"],
    "fit nowhere": [*STRAIGHTEDGE, "fit", "nowhere"],
    "fit digits --regg 1": [*STRAIGHTEDGE, "fit", "digits", "--regg", "1"],
    "predict RUN rows.npz": [*STRAIGHTEDGE, "predict", "run", "rows.npz"],
    "evaluate RUN labelled.npz": [*STRAIGHTEDGE, "evaluate", "run", "labelled.npz"],
    "report RUN": [*STRAIGHTEDGE, "report", "run"],
    "fit rows.svmlight": [*STRAIGHTEDGE, "fit", "rows.svmlight", "--out", "sparse", "--overwrite"],
}
"""What is measured: words for a reader -> the command."""


def prepare(folder: Path) -> None:
    """Write rows, the same with labels, and a run fitted to them."""
    X, y = load_digits(return_X_y=True)
    np.savez(folder / "rows.npz", X=X[:300])
    np.savez(folder / "labelled.npz", X=X, y=y)
    rng = np.random.default_rng(0)
    sparse = random_sparse(5575, 8713, 0.0016, format="csr", random_state=0)  # as many as short messages have
    told = sparse @ rng.standard_normal(8713) > 0
    dump_svmlight_file(sparse, told, str(folder / "rows.svmlight"), zero_based=False)
    fit = [*STRAIGHTEDGE, "fit", "labelled.npz", "--reg", "1", "--out", "run", "--quiet"]
    subprocess.run(fit, cwd=folder, check=True)


def cpu_seconds(command: list[str], folder: Path) -> float:
    """Run a command and return its user and system time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(folder: Path, turns: int) -> dict[str, Any]:
    """Return the median of each command's time, and its ratio to NumPy's import."""
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(turns):
        for name, command in COMMANDS.items():
            taken[name].append(cpu_seconds(command, folder))
    yardstick = median(taken["import numpy"])
    return {
        name: {"cpu_seconds": round(median(times), 3), "over_numpy": round(median(times) / yardstick, 2)}
        for name, times in taken.items()
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--turns", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        commands = measure(Path(folder), asked.turns)
    found = {"commands": commands, "turns": asked.turns, "load": round(os.getloadavg()[0], 1)}
    text = json.dumps(found | {"machine": machine(), "versions": versions(), "commit": commit()}, indent=1)
    print(text)
    if asked.out is not None:
        asked.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
