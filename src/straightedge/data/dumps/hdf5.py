"""Arrays in HDF5 files, in groups or not; nothing outside the file is ever opened."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.errors import InputError, damage, import_extra
from straightedge.memory import LARGEST_RATIO, RATIO_FROM, require_memory

MAPPED_FROM = 2**20  # bytes from which an array is mapped instead of read
DEEPEST = 8  # groups within groups that are looked into


def read(path: Path) -> dict[str, Any]:
    """Return the arrays of an HDF5 file by name; those in groups as ``group/name``.

    Raises:
        InputError: ``hdf5-broken``; ``hdf5-refused`` for arrays that lie in another file or unfold too far.
        MissingExtraError: h5py is not installed.
    """
    h5py = import_extra("h5py", "h5py", "formats", "reading HDF5")
    kinds = (OSError, RuntimeError, ValueError, KeyError, TypeError)
    with damage("hdf5-broken", path, kinds), h5py.File(path, "r") as file:
        return {name: array_of(item, path, name) for name, item in datasets(file, h5py)}


def datasets(group: Any, h5py: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Go over the arrays of a group and of the groups in it, hard links alone: others may lead elsewhere."""
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        item = group[name]
        if isinstance(item, h5py.Dataset):
            yield prefix + name, item
        elif depth < DEEPEST and not name.startswith("#"):
            yield from datasets(item, h5py, f"{prefix}{name}/", depth + 1)


def array_of(item: Any, path: Path, name: str) -> Any:
    """Return one array, mapped where it lies in the file as it is; text as a list.

    Raises:
        InputError: ``hdf5-refused``.
        MachineError: ``out-of-memory``.
    """
    where = f"{path}, {name}"
    if item.external or item.is_virtual:
        raise _refused("the array lies in other files", where)
    stored = item.id.get_storage_size()
    if item.nbytes > RATIO_FROM and item.nbytes > LARGEST_RATIO * stored:
        raise _refused(f"{item.nbytes} bytes are claimed and {stored} stored", where)
    mapped = _mapped(item, path)
    if mapped is not None:
        return mapped
    mend = "store it in one piece, neither packed nor in chunks: then it is not copied"
    require_memory(item.nbytes + (stored if item.dtype.kind == "O" else 0), "to read the array", where, mend)
    if item.dtype.kind == "O":
        return [
            entry.decode("utf-8", "replace") if isinstance(entry, bytes) else entry for entry in np.ravel(item[()])
        ]
    return np.asarray(item[()])


def _mapped(item: Any, path: Path) -> np.ndarray | None:
    """Map an array of numbers that is stored in one piece; None for small ones and for those in pieces."""
    place = item.id.get_offset()
    if place is None or item.dtype.kind not in "biuf" or not item.nbytes >= MAPPED_FROM:
        return None
    if place + item.nbytes > path.stat().st_size:
        raise _refused("the array ends after the file", f"{path}, {item.name}")
    return np.memmap(path, item.dtype, "r", place, item.shape)


def _refused(what: str, where: str) -> InputError:
    return InputError("hdf5-refused", what, where, "save the arrays themselves into one file")
