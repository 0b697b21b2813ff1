"""A CSV larger than memory: the fit's peak of resident memory above its imports, and the time of one pass.

    python -m benchmarks.large_table --folder /scratch --gigabytes 10 --out benchmarks/results/large_table.json

writes a table of 200 numbers, a category and two classes, once; its 20,000 rows come over and over. Then it runs
the command as a user would, and reads all features once from the cache that the fit has made. The three steps
may be asked for one by one with ``--step``; each adds to the file of results.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from benchmarks.larger import PeakOf
from benchmarks.machine import commit, machine, versions
from straightedge.data import load_dataset
from straightedge.runs import RunFolder

WIDTH, ROWS = 200, 20_000
READ = 4096
MODULES = "straightedge.cli.fit, straightedge.workflow, straightedge.data.tables.reading, pyarrow.csv, pyarrow.ipc"
IMPORTS = f"import {MODULES}, time; time.sleep(1)"
"""What the fit imports, and long enough to be looked at."""


def make(path: Path, n_bytes: int, seed: int = 0) -> None:
    """Write the table, unless it is there in about this size."""
    if path.exists() and abs(path.stat().st_size / n_bytes - 1) < 0.02:
        return
    random = np.random.default_rng(seed)
    X = random.standard_normal((ROWS, WIDTH)).round(6)
    label = np.where(X[:, :10].sum(axis=1) + 2 * random.standard_normal(ROWS) > 0, "yes", "no")
    columns = {f"x{place}": X[:, place] for place in range(WIDTH)}
    columns |= {"kind": random.choice(["north", "south", "east"], ROWS), "label": label}
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    csv.write_csv(table, sink, csv.WriteOptions(quoting_style="none"))
    header, _, block = sink.getvalue().to_pybytes().partition(b"\n")
    with path.open("wb") as file:
        file.write(header + b"\n")
        for _ in range(round(n_bytes / len(block))):
            file.write(block)


def peak_of(words: list[str], folder: Path) -> tuple[float, float]:
    """Run Python with some words; return the seconds and the peak of resident memory, MiB."""
    began = time.perf_counter()
    environment = os.environ | {"STRAIGHTEDGE_CACHE": str(folder / "cache")}
    process = subprocess.Popen([sys.executable, *words], cwd=folder, env=environment)
    peak = PeakOf(process.pid)
    peak.start()
    if process.wait() != 0:
        raise SystemExit("the command failed")
    return time.perf_counter() - began, peak.mib


def fit(path: Path, reg: float, tol: float) -> dict[str, Any]:
    """Run the command; return its answer, its seconds, and its memory above that of its imports."""
    folder = path.parent
    words = ["fit", path.name, "--reg", str(reg), "--tol", str(tol), "--out", "run", "--overwrite"]
    _, imports = peak_of(["-c", IMPORTS], folder)
    seconds, peak = peak_of(["-m", "straightedge", *words], folder)
    metrics = RunFolder.open(folder / "run").metrics
    told = {key: metrics[key] for key in ("objective", "gap", "status", "n_passes")}
    told |= {"solve_seconds": metrics["seconds"], "accuracy": metrics["train"]["accuracy"]}
    memory = {"imports_mib": imports, "peak_mib": peak, "above_imports_mib": peak - imports}
    return {"command": words, "seconds": seconds} | told | memory


def one_pass(path: Path) -> dict[str, Any]:
    """Read all features once, from the cache, by one thread."""
    os.environ["STRAIGHTEDGE_CACHE"] = str(path.parent / "cache")
    X = load_dataset(str(path)).train.X
    read = X.read if hasattr(X, "read") else lambda start, stop: X[start:stop].copy()  # a small table is in memory
    began, worked = time.perf_counter(), time.process_time()
    for start in range(0, len(X), READ):
        read(start, min(start + READ, len(X)))
    cached = sum(file.stat().st_size for file in (path.parent / "cache").rglob("*.arrow"))
    seconds = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - worked}
    return {"shape": list(X.shape), "cache_bytes": cached} | seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where table, cache and run go, and stay")
    parser.add_argument("--gigabytes", type=float, default=10)
    parser.add_argument("--reg", type=float, default=1e-3)
    parser.add_argument("--tol", type=float, default=1e-2)
    parser.add_argument("--step", choices=["make", "fit", "pass"], action="append")
    parser.add_argument("--out", type=Path, default=Path("large_table.json"))
    asked = parser.parse_args()
    steps = asked.step or ["make", "fit", "pass"]
    path = asked.folder.resolve() / "big.csv"
    found = json.loads(asked.out.read_text(encoding="utf-8")) if asked.out.exists() else {}
    if "make" in steps:
        make(path, round(asked.gigabytes * 1e9))
    if "fit" in steps:
        found |= {"machine": machine(), "versions": versions(), "commit": commit()}
        found |= {"bytes": path.stat().st_size, "fit": fit(path, asked.reg, asked.tol)}
    if "pass" in steps:
        found["pass"] = one_pass(path)
    if found:
        asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
