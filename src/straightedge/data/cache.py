"""The cache of decoded images: a folder a fingerprint, memory-mapped arrays, written whole or not at all.

It lies in ``$STRAIGHTEDGE_CACHE``, else in the user's cache folder. Everything in it can be made again, so
it may be removed at any time.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.atomic import disk, temporary_name, to_json

VERSION = 1
"""Raised when decoding or the files change, so that old entries are not read."""


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


def read_entry(key: str) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """Return the arrays (memory-mapped) and the description of an entry, or None where there is none."""
    folder = entry_folder(key)
    try:
        meta: dict[str, Any] = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in meta["arrays"]}
    except (OSError, ValueError, KeyError, EOFError):  # absent or damaged: it is made again
        return None
    return arrays, meta


@contextmanager
def new_entry(key: str) -> Iterator[Path]:
    """Give a temporary folder to write an entry in; it takes its place when the block ends without an error.

    Raises:
        OSError: the disk is full or the cache cannot be written.
    """
    target = entry_folder(key)
    target.parent.mkdir(parents=True, exist_ok=True)
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


def write_meta(folder: Path, meta: dict[str, Any]) -> None:
    """Write the description of an entry, the last of its files."""
    with (folder / "meta.json").open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(to_json(meta))
        file.flush()
        os.fsync(file.fileno())
