"""CIFAR-10 from its official binary release, read straight from the archive; its pickles are never opened.

A record is one byte of label and 3 × 32 × 32 bytes of pixels, red, green and blue planes row by row: the layout
of the arrays here, so nothing is moved. Five files of 10,000 training images, one of 10,000 test images.

References:
    A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
"""

from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from straightedge.data import fingerprint
from straightedge.data.assemble import Part, assemble
from straightedge.data.base import Dataset
from straightedge.data.cache import Entry, cache_folder, through_cache
from straightedge.data.container import broken_archive
from straightedge.data.download import Remote, fetch
from straightedge.data.tars import BROKEN, member_bytes, open_tar
from straightedge.errors import InputError
from straightedge.memory import require_memory

REMOTE = Remote(
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    170_052_171,
)
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FOLDER = "cifar-10-batches-bin"
FILES = {**{f"data_batch_{n}.bin": "train" for n in range(1, 6)}, "test_batch.bin": "test"}
RECORD = 1 + 3 * 32 * 32
LARGEST_FILE = 10_000 * RECORD


def load(source: str, **options: Any) -> Dataset:
    """Read CIFAR-10: ``cifar10`` (downloaded unless ``root`` has it), its archive, or its unpacked folder.

    Raises:
        InputError: ``download-hash``, ``cifar-broken``, ``archive-broken``.
        MachineError: ``download-failed``.
    """
    path = find(source, options.get("root"), bool(options.get("progress", True)))
    files = sorted(path.glob("*.bin")) if path.is_dir() else [path]
    key = fingerprint.of_values(kind="cifar10", content=fingerprint.of_files(files))
    arrays, meta = through_cache(key, lambda folder: _read(path), enabled=bool(options.get("cache", True)))
    parts = {
        split: Part(arrays[f"X_{split}"], arrays[f"y_{split}"], _names(split, len(arrays[f"y_{split}"])))
        for split in ("train", "test")
        if f"X_{split}" in arrays
    }
    return assemble(
        source,
        parts,
        fingerprint=meta["fingerprint"],
        classes=CLASSES,
        declared=options.get("classes"),
        repeats=meta["repeats"],
    )


def find(source: str, root: Any, progress: bool = True) -> Path:
    """Return the archive or the unpacked folder, in `root` or downloaded."""
    if Path(source).exists():
        return Path(source)
    folder = Path(root) if root is not None else cache_folder() / "downloads"
    for place in (folder / FOLDER, folder):
        if (place / "data_batch_1.bin").is_file():
            return place
    return fetch(REMOTE, folder, progress=progress)


def parse_batch(data: bytes, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Cut the bytes of one file into images (n, 3, 32, 32) uint8 and labels (n,) int64.

    Raises:
        InputError: ``cifar-broken``: half a record, or a label beyond 9.
    """
    if not data or len(data) % RECORD:
        raise broken(f"{len(data)} bytes are no whole number of records of {RECORD}", where)
    records = np.frombuffer(data, np.uint8).reshape(-1, RECORD)
    y = records[:, 0].astype(np.int64)
    if y.max() >= len(CLASSES):
        row = int(np.argmax(y >= len(CLASSES)))
        raise broken(f"label {y[row]} is beyond 9", f"{where}, row {row}")
    return records[:, 1:].reshape(-1, 3, 32, 32), y


def batch_files(path: Path, wanted: Collection[str], largest: int) -> dict[str, bytes]:
    """Return the bytes of a release's files in a folder, or anywhere in a tar, which is read in one pass.

    Raises:
        InputError: ``archive-broken``, ``cifar-broken``.
        MachineError: ``out-of-memory``.
    """
    if path.is_dir():
        files = [path / name for name in wanted if (path / name).is_file()]
        sizes = [_checked_size(file.stat().st_size, largest, str(file)) for file in files]
        require_memory(2 * sum(sizes), "to read the batches", str(path), "give fewer batches")
        return {file.name: file.read_bytes() for file in files}
    found: dict[str, bytes] = {}
    try:
        with open_tar(path) as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if name in wanted and member.isreg() and name not in found:
                    _checked_size(member.size, largest, f"{path}, {member.name}")
                    found[name] = member_bytes(archive, member)
    except (OSError, *BROKEN) as error:
        raise broken_archive(path, error) from None
    return found


def _checked_size(size: int, largest: int, where: str) -> int:
    if size > largest:
        raise broken(f"{size} bytes are more than the {largest} of a batch", where)
    return size


def _read(path: Path) -> Entry:
    from straightedge.data.base import Split
    from straightedge.data.checks import repeated_rows

    found = batch_files(path, FILES, LARGEST_FILE)
    if not any(FILES[name] == "train" for name in found):
        raise broken(f"there is no data_batch_1.bin … test_batch.bin, only {sorted(found)}", str(path))
    require_memory(sum(map(len, found.values())), "to put the batches together", str(path), "give fewer batches")
    arrays: dict[str, np.ndarray] = {}
    for split in ("train", "test"):
        batches = [parse_batch(found[n], f"{path}, {n}") for n in FILES if FILES[n] == split and n in found]
        if batches:
            arrays[f"X_{split}"] = np.concatenate([X for X, _ in batches])
            arrays[f"y_{split}"] = np.concatenate([y for _, y in batches])
    splits = {name[2:]: Split(arrays[name], arrays[f"y_{name[2:]}"]) for name in arrays if name[0] == "X"}
    return arrays, {"fingerprint": fingerprint.of_arrays(*arrays.values()), "repeats": repeated_rows(splits)}


def _names(split: str, n: int) -> list[str]:
    return [f"cifar10/{split}/{row}" for row in range(n)]


def broken(what: str, where: str) -> InputError:
    """Return the error for files that are not those of the release."""
    mend = "download the release again: straightedge data fetch cifar10"
    return InputError("cifar-broken", what, where, mend)
