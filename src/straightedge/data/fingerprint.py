"""Fingerprints: SHA-256 of the content, or of sizes, times and samples where the content is very large."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.special_files import open_regular

WHOLE = 2**29  # files up to this many bytes are hashed whole; of larger ones their size, time and 64 samples
SAMPLES, SAMPLE = 64, 2**16


def of_arrays(*arrays: Any) -> str:
    """Hash arrays with their types and shapes; arrays beyond `WHOLE` by samples of rows."""
    digest = hashlib.sha256()
    for array in arrays:
        array = np.asarray(array)
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        if array.dtype.kind in "OT":
            digest.update(json.dumps(array.tolist()).encode())
            continue
        rows = array if array.nbytes <= WHOLE else array[:: max(1, len(array) // 4096)]
        digest.update(np.ascontiguousarray(rows).view(np.uint8).data if rows.size else b"")
    return digest.hexdigest()


def of_file(path: Path) -> str:
    """Hash one file: whole up to `WHOLE` bytes, else size, time of change and samples spread over it."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with open_regular(path) as file:
        if size <= WHOLE:
            while block := file.read(2**20):
                digest.update(block)
            return digest.hexdigest()
        digest.update(str(path.stat().st_mtime_ns).encode())
        for part in range(SAMPLES):
            file.seek((size - SAMPLE) * part // (SAMPLES - 1))
            digest.update(file.read(SAMPLE))
    return digest.hexdigest()


def of_files(paths: list[Path]) -> str:
    """Hash several files in the order given, each by `of_file` and its name."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(os.fsencode(path.name) + b"\0" + of_file(path).encode())
    return digest.hexdigest()


def of_listing(files: Iterable[tuple[str, int, int, str]], folders: Iterable[str]) -> str:
    """Hash a folder by (name, size, time of change in ns, place) of each file and its folders: none is opened."""
    digest = hashlib.sha256()
    for folder in sorted(folders):
        digest.update(os.fsencode(folder) + b"/\n")
    for name, size, time, _ in files:
        digest.update(os.fsencode(name) + f"\0{size}\0{time}\n".encode())
    return digest.hexdigest()


def of_values(**values: Any) -> str:
    """Hash settings that are plain JSON values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()
