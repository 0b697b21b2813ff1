"""`.npz` archives and pairs of `.npy` files: arrays as NumPy saves them, never pickled objects.

Files of one array are memory-mapped; so are the members of an `.npz` that are stored without compression.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.data import fingerprint
from straightedge.data.assemble import Part, assemble
from straightedge.data.base import Dataset
from straightedge.data.checks import checked_rows
from straightedge.errors import InputError

ROWS = ("x", "features", "data", "images", "embeddings")
LABELS = ("y", "labels", "target", "targets", "label")
SPLIT_WORDS = {
    "train": ("train", "tr"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "te"),
}
CLASS_KEYS = ("classes", "class_names", "target_names")


def load(source: str, **options: Any) -> Dataset:
    """Read ``file.npz``, ``X.npy,y.npy`` or ``X.npy`` with ``labels="y.npy"``.

    Raises:
        InputError: ``npy-objects``, ``npy-broken``, ``npz-keys``, ``npy-labels-missing``, ``file-missing``
            and the codes of `assemble` and `checked_rows`.
    """
    if not Path(source).exists() and "," in source:
        rows, labels = (Path(part.strip()) for part in source.split(",", 1))
        return _load_pair(source, rows, labels, options)
    path = Path(source)
    if path.suffix.lower() == ".npy" or _is_npy(path):
        if options.get("labels") is None:
            raise InputError(
                "npy-labels-missing",
                "a .npy of features needs its labels",
                source,
                "give both files, X.npy,y.npy, or --labels y.npy",
            )
        return _load_pair(source, path, Path(options["labels"]), options)
    return _load_npz(source, path, options)


def _load_pair(name: str, rows: Path, labels: Path, options: Mapping[str, Any]) -> Dataset:
    X = checked_rows(read_npy(rows), str(rows))
    part = Part(X, read_npy(labels))
    return assemble(
        name,
        {"train": part},
        fingerprint=fingerprint.of_files([rows, labels]),
        declared=options.get("classes"),
        image_shape=image_shape(X),
    )


def _load_npz(name: str, path: Path, options: Mapping[str, Any]) -> Dataset:
    members = read_npz(path)
    parts = find_parts(members, str(path))
    parts = {key: Part(checked_rows(part.X, f"{path} ({key})"), part.y) for key, part in parts.items()}
    classes = next((members[key].tolist() for key in CLASS_KEYS if key in members), None)
    return assemble(
        name,
        parts,
        fingerprint=fingerprint.of_file(path),
        classes=classes,
        declared=options.get("classes"),
        image_shape=image_shape(parts["train"].X) if "train" in parts else None,
    )


def find_parts(members: Mapping[str, np.ndarray], where: str) -> dict[str, Part]:
    """Pair rows with labels: ``X, y`` or ``X_train, y_train, X_val, y_val, X_test, y_test`` and their kin."""
    lower = {key.lower(): key for key in members}
    parts: dict[str, Part] = {}
    for split, words in SPLIT_WORDS.items():
        endings = [f"_{word}" for word in words] + ([""] if split == "train" else [])
        rows = _first(lower, ROWS, endings)
        labels = _first(lower, LABELS, endings)
        if rows is not None and labels is not None:
            parts[split] = Part(members[rows], members[labels])
    if "train" not in parts:
        raise InputError(
            "npz-keys",
            f"no rows with labels among the arrays {sorted(members)}",
            where,
            "name them X and y, or X_train, y_train and X_test, y_test",
        )
    return parts


def _first(lower: Mapping[str, str], stems: tuple[str, ...], endings: list[str]) -> str | None:
    return next((lower[stem + end] for end in endings for stem in stems if stem + end in lower), None)


def read_npy(path: Path) -> np.ndarray:
    """Map one `.npy` file read-only.

    Raises:
        InputError: ``file-missing``, ``npy-objects`` for arrays of Python objects, ``npy-broken``.
    """
    if not path.is_file():
        raise InputError("file-missing", "there is no such file", str(path))
    if not _is_npy(path):
        raise InputError("npy-broken", "the file does not begin as a .npy file", str(path), "save it again")
    try:
        rows: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        return rows
    except (ValueError, EOFError, OSError, SyntaxError) as error:
        raise broken(error, str(path)) from None


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of an `.npz`: stored members are mapped, compressed ones read."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            return {info.filename[:-4]: _member(path, archive, info) for info in infos}
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, SyntaxError, NotImplementedError) as error:
        raise broken(error, str(path)) from None


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(info) as file:
        shape, fortran, dtype = npy_header(file, info.file_size, f"{path}, {info.filename}")
        offset = file.tell()
    mapped = info.compress_type == zipfile.ZIP_STORED and dtype.itemsize * math.prod(shape) > 2**20
    if not mapped:
        with archive.open(info) as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    start = _data_start(path, info) + offset
    return np.memmap(path, dtype, "r", start, shape, "F" if fortran else "C")


def _data_start(path: Path, info: zipfile.ZipInfo) -> int:
    """Return where a stored member's bytes begin: its local header has lengths of its own."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        header = file.read(30)
    return (
        info.header_offset
        + 30
        + int.from_bytes(header[26:28], "little")
        + int.from_bytes(header[28:30], "little")
    )


def npy_header(file: Any, size: int, where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of a `.npy` stream and check it against the bytes there are, before allocating.

    Raises:
        InputError: ``npy-objects``, ``npy-broken``.
    """
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if dtype.hasobject:
        raise InputError(
            "npy-objects", "the array holds Python objects (a pickle)", where, "save plain numbers"
        )
    claimed = dtype.itemsize
    for length in shape:
        claimed *= length
    if claimed > size - file.tell():
        raise InputError(
            "npy-broken",
            f"the header claims {claimed} bytes, {size - file.tell()} are there",
            where,
            "save it again",
        )
    return shape, fortran, dtype


def broken(error: Exception, where: str) -> InputError:
    """Return the error for an array file that NumPy refuses: objects are told apart from damage."""
    if isinstance(error, InputError):
        return error
    if "allow_pickle" in str(error) or "Python objects" in str(error):
        return InputError(
            "npy-objects",
            "the array holds Python objects (a pickle); opening one can run any program",
            where,
            "save plain numbers or text: numpy.save(path, numpy.array(values, dtype=...))",
        )
    return InputError("npy-broken", f"the file cannot be read: {error}", where, "save it again")


def image_shape(X: Any) -> tuple[int, int, int] | None:
    """Return (channels, height, width) of rows that are images."""
    return tuple(X.shape[1:]) if len(X.shape) == 4 else None


def _is_npy(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(6) == b"\x93NUMPY"
