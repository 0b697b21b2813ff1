"""The cache of decoded images: a folder a fingerprint, memory-mapped arrays, written whole or not at all.

It lies in ``$STRAIGHTEDGE_CACHE``, else in the user's cache folder. Everything in it can be made again, so
it may be removed at any time.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.atomic import disk, to_json
from straightedge.data.npy import NpyRows
from straightedge.errors import warn
from straightedge.leftovers import SUFFIX, temporary_name

VERSION = 2  # raised when decoding, the meaning of folders or the files change, so that old entries are not read


Entry = tuple[dict[str, np.ndarray], dict[str, Any]]  # arrays by name, and a description of plain JSON values


def cache_folder() -> Path:
    """Return the folder of the cache; it need not exist."""
    if chosen := os.environ.get("STRAIGHTEDGE_CACHE"):
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "straightedge"
    base = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "straightedge"


def entry_folder(key: str) -> Path:
    """Return the folder of one entry."""
    return cache_folder() / "images" / f"v{VERSION}-{key[:40]}"


def read_entry(key: str) -> Entry | None:
    """Return the arrays (memory-mapped) and the description of an entry, or None where there is none."""
    folder = entry_folder(key)
    try:
        meta: dict[str, Any] = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in meta["arrays"]}
    except (OSError, ValueError, KeyError, TypeError, EOFError):  # absent or damaged: it is made again
        return None
    return arrays, meta


def through_cache(key: str, make: Callable[[Path | None], Entry], *, enabled: bool = True) -> Entry:
    """Return an entry, making and keeping it if it is not there.

    Args:
        key: Fingerprint of everything the arrays follow from.
        make: Makes the arrays; given a folder it may write some of them there itself, as ``NAME.npy``.
        enabled: Whether to use the cache at all.
    """
    if not enabled:
        return make(None)
    entry = read_entry(key)
    if entry is not None:
        return entry
    try:
        with new_entry(key) as folder:
            arrays, meta = make(folder)
            _write_arrays(folder, arrays)
            _write_meta(folder, {**meta, "arrays": list(arrays)})
    except OSError as error:
        warn("cache-not-written", f"what was read is not kept for the next time: {error.strerror or error}")
    return read_entry(key) or make(None)


def _write_arrays(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    for name, array in arrays.items():
        if not (folder / f"{name}.npy").exists():
            rows = NpyRows(folder / f"{name}.npy")
            try:
                rows.append(array)
                rows.finish()
            finally:
                rows.close()


@contextmanager
def new_entry(key: str) -> Iterator[Path]:
    """Give a temporary folder to write an entry in; it takes its place when the block ends without an error.

    Raises:
        OSError: the disk is full or the cache cannot be written.
    """
    target = entry_folder(key)
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target.parent)
    temporary = target.with_name(temporary_name(target.name))
    temporary.mkdir()
    try:
        yield temporary
        disk.sync_folder(temporary)
        if target.exists():  # damaged, or made meanwhile by another process
            shutil.rmtree(target, ignore_errors=True)
        try:
            disk.replace(temporary, target)
        except OSError:
            if read_entry(key) is None:
                raise
        disk.sync_folder(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what processes that were killed left behind more than a day ago."""
    for leftover in folder.glob(f".*{SUFFIX}"):
        with suppress(OSError):
            if time.time() - leftover.stat().st_mtime > 86400:
                shutil.rmtree(leftover, ignore_errors=True)


def _write_meta(folder: Path, meta: dict[str, Any]) -> None:
    """Write the description of an entry, the last of its files."""
    with (folder / "meta.json").open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(to_json(meta))
        file.flush()
        os.fsync(file.fileno())
