"""A fit of features larger than memory: time, proof and the peak of resident memory.

    python -m benchmarks.larger --folder /scratch --out benchmarks/results/larger.json

makes a float16 .npy of 1,500,000 × 2,048 (6 GB) once, its labels from a known W of 100 classes with noise and a
decaying spectrum, fits it with the command as a user would, and then fits a part that is small enough from the
file and from memory: the same W.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import commit, machine, versions
from straightedge import SoftmaxClassifier
from straightedge.runs import RunFolder

ROWS_AT_ONCE = 20_000
POLL = 0.05  # s between looks at the memory of the command


def make(folder: Path, n_rows: int, n_features: int, n_classes: int, seed: int = 0) -> tuple[Path, Path]:
    """Write X.npy (float16) and y.npy, unless they are there in this size.

    Row i is s ∘ z with z normal and s_j = (1 + j)^−½; labels are drawn from softmax(3 z W / √D).
    """
    X_path, y_path = folder / "X.npy", folder / "y.npy"
    if y_path.exists() and np.load(X_path, mmap_mode="r").shape == (n_rows, n_features):
        return X_path, y_path
    random = np.random.default_rng(seed)
    teacher = random.standard_normal((n_features, n_classes), dtype=np.float32) * (3 / n_features**0.5)
    spectrum = (1 + np.arange(n_features, dtype=np.float32)) ** -0.5
    X = np.lib.format.open_memmap(X_path, mode="w+", dtype=np.float16, shape=(n_rows, n_features))
    y = np.empty(n_rows, dtype=np.int64)
    for start in range(0, n_rows, ROWS_AT_ONCE):
        z = random.standard_normal((min(ROWS_AT_ONCE, n_rows - start), n_features), dtype=np.float32)
        X[start : start + len(z)] = z * spectrum
        y[start : start + len(z)] = (z @ teacher + random.gumbel(size=(len(z), n_classes))).argmax(axis=1)
    X.flush()
    np.save(y_path, y)
    return X_path, y_path


class PeakOf(threading.Thread):
    """Follows a process and remembers its largest resident memory, MiB."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.mib = pid, 0.0

    def run(self) -> None:
        status = Path(f"/proc/{self.pid}/status")
        while True:
            try:
                lines = status.read_text(encoding="utf-8").splitlines()
            except OSError:
                return
            found = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")]
            self.mib = max([self.mib, *found])
            time.sleep(POLL)


def fit_command(X_path: Path, y_path: Path, folder: Path, reg: float, tol: float, memory: str) -> dict[str, Any]:
    """Run ``straightedge fit`` in the folder of the files and return its answer, seconds and peak memory."""
    words = ["fit", f"{X_path.name},{y_path.name}", "--reg", str(reg), "--tol", str(tol), "--memory", memory]
    words += ["--out", "run", "--overwrite"]
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "straightedge", *words], cwd=folder)
    peak = PeakOf(process.pid)
    peak.start()
    if process.wait() != 0:
        raise SystemExit("the fit failed")
    metrics = RunFolder.open(folder / "run").metrics
    entry = {key: metrics[key] for key in ("objective", "dual", "gap", "status", "n_passes")}
    seconds = time.perf_counter() - began
    return (
        {"command": words, "seconds": seconds, "solve_seconds": metrics["seconds"]} | entry | {"peak_mib": peak.mib}
    )


def same_from_memory(X_path: Path, y_path: Path, n_rows: int, reg: float, tol: float) -> dict[str, Any]:
    """Fit the first rows from the file and from memory; return how far apart the two W are."""
    mapped, y = np.load(X_path, mmap_mode="r")[:n_rows], np.load(y_path)[:n_rows]
    found = [SoftmaxClassifier(reg=reg, tol=tol).fit(X, y) for X in (mapped, np.array(mapped))]
    first, second = (np.column_stack([model.coef_, model.intercept_]) for model in found)
    difference = float(np.abs(first - second).max() / np.abs(second).max())
    return {"n": n_rows, "relative_difference": difference, "gaps": [model.gap_ for model in found]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the files go, and stay; a temporary folder by default")
    parser.add_argument("--rows", type=int, default=1_500_000)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--part", type=int, default=100_000, help="rows of the comparison with memory")
    parser.add_argument("--reg", type=float, default=1e-5)
    parser.add_argument("--tol", type=float, default=1e-2)
    parser.add_argument("--memory", default="1500MB")
    parser.add_argument("--out", type=Path, default=Path("larger.json"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        X_path, y_path = make(folder, asked.rows, asked.features, asked.classes)
        found = {"machine": machine(), "versions": versions(), "commit": commit()}
        found["data"] = {"shape": [asked.rows, asked.features], "n_classes": asked.classes, "dtype": "float16"}
        found["data"]["mib"] = X_path.stat().st_size / 2**20
        found["fit"] = fit_command(X_path, y_path, folder, asked.reg, asked.tol, asked.memory)
        part = min(asked.part, asked.rows)
        found["same_from_memory"] = same_from_memory(X_path, y_path, part, asked.reg, asked.tol)
    asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
