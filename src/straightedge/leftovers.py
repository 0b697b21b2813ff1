"""What a killed process left in a folder: temporary files are removed, a set of names half taken is finished."""

import json
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # not on Windows, where leftovers stay
    fcntl: Any = None  # type: ignore[no-redef]

SUFFIX = ".tmp"
JOURNAL = ".straightedge-names-"  # what the name of a journal begins with
LARGEST_JOURNAL = 2**20  # bytes of the largest journal that is read; a name in it takes some hundred
_TEMPORARY = re.compile(rf"\.[^/\0]*\.[0-9a-f]{{12}}{re.escape(SUFFIX)}")
Renames = dict[str, str]  # temporary names, and the names that these files are to take, all in one folder


def temporary_name(name: str) -> str:
    """Return a hidden name no other process uses, as long as the system allows for a long `name`."""
    return f".{_short(name)}.{secrets.token_hex(6)}{SUFFIX}"


def journal_name() -> str:
    """Return a name for a journal that no other process uses."""
    return f"{JOURNAL}{secrets.token_hex(6)}"


def _short(name: str) -> str:
    return name.encode("utf-8", "surrogateescape")[:60].decode("utf-8", "ignore")


def lock(descriptor: int) -> None:
    """Mark a temporary file as one whose writer lives, until it is closed."""
    if fcntl is not None:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def sweep(target: Path) -> None:
    """Remove the temporary files that killed writers of `target` left; those of living ones are locked."""
    start = f".{_short(target.name)}."
    for name in _names(target.parent):
        if name.startswith(start) and len(name) == len(start) + 12 + len(SUFFIX) and _TEMPORARY.fullmatch(name):
            with suppress(OSError):
                _remove_unless_locked(target.parent / name)


def settle(folder: Path) -> None:
    """Let files take the names that a killed process had written down for them.

    A journal names files of its own folder alone, temporary ones among them: whoever can write it there can do
    as much without it.
    """
    for name in _names(folder):
        if name.startswith(f".{JOURNAL}") and _TEMPORARY.fullmatch(name):  # of a journal that was never whole
            with suppress(OSError):
                _remove_unless_locked(folder / name)
        if name.startswith(JOURNAL) and len(name) == len(JOURNAL) + 12:
            with suppress(OSError, ValueError):
                for temporary, final in _read(folder / name).items():
                    if (folder / temporary).exists():
                        os.replace(folder / temporary, folder / final)
                (folder / name).unlink()


def _names(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name.startswith(".")]
    except OSError:
        return []


def _read(journal: Path) -> Renames:
    with journal.open("rb") as file:
        found = json.loads(file.read(LARGEST_JOURNAL))
    plain = isinstance(found, dict) and all(
        isinstance(name, str) and name not in ("", ".", "..") and Path(name).name == name for name in found.values()
    )
    if not plain or not all(map(_TEMPORARY.fullmatch, found)):
        raise ValueError("no journal")
    return dict(found)


def _remove_unless_locked(path: Path) -> None:
    if fcntl is not None:
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        finally:
            os.close(descriptor)
