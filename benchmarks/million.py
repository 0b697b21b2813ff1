"""Softmax over a million sparse documents and a million columns, from memory and from memory-mapped arrays.

    python -m benchmarks.million --folder /scratch --out benchmarks/results/million.json

makes 1,000,000 × 1,000,000 rows of 50 columns in compressed form once: columns by Zipf's law, rows of norm 1,
labels of 20 classes from known weights with noise. A process of its own reads them, or maps them, and fits them
to a gap of 1e-3; what it takes beyond what it took after the imports is compared with twice the bytes of X and ten
(C, D) vectors of float32. Pages of mapped files are not counted: the system takes them back when it needs them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from benchmarks.machine import commit, machine, versions

PARTS = ("data", "indices", "indptr", "y")
ENTRIES, N_CLASSES = 50, 20
ROWS_AT_ONCE = 50_000
POLL = 0.02  # s between looks at the memory


def make(folder: Path, n_rows: int, n_columns: int, seed: int = 0) -> None:
    """Write data (float32), indices (int32), indptr (int64) and y as .npy, unless they are there in this size."""
    if (folder / "y.npy").exists() and len(np.load(folder / "y.npy", mmap_mode="r")) == n_rows:
        return
    random = np.random.default_rng(seed)
    share = 1 / np.arange(1, n_columns + 1)
    edges = np.cumsum(share) / share.sum()
    place = random.permutation(n_columns).astype(np.int32)
    teacher = random.standard_normal((n_columns, N_CLASSES), dtype=np.float32)
    parts = [
        _block(random, edges, place, teacher, min(ROWS_AT_ONCE, n_rows - start))
        for start in range(0, n_rows, ROWS_AT_ONCE)
    ]
    counts = np.concatenate([np.diff(X.indptr) for X, _ in parts])
    np.save(folder / "indptr.npy", np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
    np.save(folder / "data.npy", np.concatenate([X.data for X, _ in parts]))
    np.save(folder / "indices.npy", np.concatenate([X.indices for X, _ in parts]))
    np.save(folder / "y.npy", np.concatenate([y for _, y in parts]))


def _block(
    random: np.random.Generator, edges: np.ndarray, place: np.ndarray, teacher: np.ndarray, n_rows: int
) -> tuple[Any, np.ndarray]:
    """Return rows and labels; a column that a row draws twice counts as √2 occurrences."""
    columns = place[np.searchsorted(edges, random.random((n_rows, ENTRIES)))]
    data = np.full(columns.size, 1.0, np.float32)
    rows = np.repeat(np.arange(n_rows, dtype=np.int32), ENTRIES)
    X = sp.csr_matrix((data, (rows, columns.ravel())), shape=(n_rows, len(place)))
    X.sum_duplicates()
    X.data = np.sqrt(X.data) / np.sqrt(np.repeat(np.add.reduceat(X.data, X.indptr[:-1]), np.diff(X.indptr)))
    scores = 4 * (X @ teacher) + random.gumbel(size=(n_rows, N_CLASSES))
    return X, scores.argmax(axis=1)


class PeakOfOwn(threading.Thread):
    """Follows this process's own memory, pages of files aside, and remembers the largest, bytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.bytes, self.going = 0, True

    def run(self) -> None:
        while self.going:
            self.bytes = max(self.bytes, own_memory())
            time.sleep(POLL)


def own_memory() -> int:
    """Return the resident memory of this process that is no file's, bytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssShmem")))


def fit(folder: Path, reg: float, tol: float, mapped: bool) -> dict[str, Any]:
    """Fit the rows of a folder, and return what it took."""
    from straightedge import SoftmaxClassifier

    _warm_up(SoftmaxClassifier)
    imported = own_memory()
    peak = PeakOfOwn()
    peak.start()
    data, indices, indptr, y = (
        np.load(folder / f"{part}.npy", mmap_mode="r" if mapped else None) for part in PARTS
    )
    n_columns = int(np.load(folder / "shape.npy")[1])
    X = sp.csr_matrix((data, indices, indptr), shape=(len(y), n_columns), copy=False)
    began, cpu = time.perf_counter(), time.process_time()
    model = SoftmaxClassifier(reg=reg, tol=tol, callbacks=[_tell]).fit(X, np.asarray(y))
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak.going = False
    allowed = 2 * (data.nbytes + indices.nbytes + indptr.nbytes) + 10 * 4 * N_CLASSES * n_columns
    used = peak.bytes - imported
    return {
        "mapped": mapped, "reg": reg, "tol": tol, "gap": model.gap_, "status": model.status_,
        "passes": model.n_passes_, "seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1),
        "accuracy": round(float((model.predict(X[:100_000]) == y[:100_000]).mean()), 4),
        "imported_mib": imported >> 20, "used_mib": used >> 20, "allowed_mib": allowed >> 20,
        "within": used <= allowed,
    }  # fmt: skip


def _tell(row: Any) -> None:
    """Write how far a fit is: it takes minutes."""
    memory = own_memory() >> 20
    print(f"{row['n_passes']:.1f} passes, {row['seconds']:.0f} s, {memory} MiB", file=sys.stderr, flush=True)


def _warm_up(kind: Any) -> None:
    """Load what a first fit loads and compiles, with rows of the same types."""
    X = sp.random(3000, 1000, 0.02, random_state=0, format="csr", dtype=np.float32)
    kind(reg=1e-2, tol=1e-2).fit(X, np.arange(3000) % N_CLASSES)


def measure(folder: Path, reg: float, tol: float, mapped: bool) -> dict[str, Any]:
    """Return `fit` of a process of its own."""
    words = ["--folder", str(folder), "--reg", str(reg), "--tol", str(tol), "--alone", "map" if mapped else "read"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.million", *words], check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=1_000_000)
    parser.add_argument("--reg", type=float, default=1e-5)
    parser.add_argument("--tol", type=float, default=1e-3)
    parser.add_argument("--alone", choices=("map", "read"), help="fit in this process and print what it took")
    asked = parser.parse_args()
    if asked.alone:
        print(json.dumps(fit(asked.folder, asked.reg, asked.tol, asked.alone == "map")))
        return
    make(asked.folder, asked.rows, asked.columns)
    np.save(asked.folder / "shape.npy", np.array([asked.rows, asked.columns]))
    fits = [measure(asked.folder, asked.reg, asked.tol, mapped) for mapped in (False, True)]
    shape = [asked.rows, asked.columns, ENTRIES]
    found = {"machine": machine(), "versions": versions(), "commit": commit(), "shape": shape, "fits": fits}
    text = json.dumps(found, indent=1)
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
