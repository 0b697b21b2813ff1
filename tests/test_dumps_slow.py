"""Dumps of a gigabyte open in the time of reading their bytes, in little more memory than their size."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import torch

SIZE = 2**30
"""Bytes of the rows in each file."""
WIDTH = 2048
SLOWEST = 2
"""Seconds of CPU to open a file, over those to read its bytes once from memory; 0.3 to 0.5 were seen."""
CHILD = """
import json, sys, time
import h5py, numpy, scipy.io, torch
from straightedge.data import load_dataset, dumps, sources
from straightedge.data.dumps import hdf5, matlab, pickle_file, torch_file

def peak():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) * 1024

def read_once(path):
    buffer = bytearray(2**20)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass

def timed(call):
    wall, cpu = time.perf_counter(), time.process_time()
    value = call()
    return value, time.perf_counter() - wall, time.process_time() - cpu

path = sys.argv[1]
_, read_wall, read_cpu = timed(lambda: read_once(path))
before = peak()
found, open_wall, open_cpu = timed(lambda: load_dataset(path, progress=False, cache=False))
grown = peak() - before
rows, y = found.train.X, found.train.y
print(json.dumps({
    "shape": list(rows.shape), "last": float(rows[-1, -1]), "labels": y[-3:].tolist(), "peak": grown,
    "read": [read_wall, read_cpu], "open": [open_wall, open_cpu],
}))
"""


def h5(path: Path, X: np.ndarray, y: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file["X"], file["y"] = X, y


WRITERS: dict[str, Callable[[Path, np.ndarray, np.ndarray], object]] = {
    "f.mat": lambda path, X, y: scipy.io.savemat(path, {"X": X, "y": y}),
    "f.h5": h5,
    "f.pt": lambda path, X, y: torch.save({"X": torch.from_numpy(X), "y": torch.from_numpy(y)}, path),
    "f.pkl": lambda path, X, y: path.write_bytes(pickle.dumps({"X": X, "y": y}, 4)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_a_dump_of_a_gigabyte_opens_at_the_speed_of_reading_it(name: str, tmp_path: Path) -> None:
    X = np.random.default_rng(0).random((SIZE // (4 * WIDTH), WIDTH), dtype=np.float32)
    y = np.arange(len(X)) % 3
    path = tmp_path / name
    WRITERS[name](path, X, y)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=False, timeout=300
    )
    size = path.stat().st_size
    path.unlink()
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["shape"] == list(X.shape) and found["last"] == X[-1, -1]
    assert found["labels"] == y[-3:].tolist() and size > SIZE
    assert found["peak"] < 1.2 * size, found
    assert found["open"][1] < SLOWEST * found["read"][1], found
