"""Where the image is that a table names: beside the table, in a folder of its own, with its ending or without."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from straightedge.data.decode_run import IMAGE_ENDINGS
from straightedge.data.listing import IGNORED_NAMES
from straightedge.data.split_names import FILLERS, split_of

DEEPEST = 2
"""Folders within folders that are looked into for the images."""
MOST_FOLDERS = 200
"""Folders that are looked into; images of one table lie in a few."""
FIRST = 100
"""Files of a folder that tell whether there are images in it."""
MOST_PARTS = 4
"""Last parts of a path that are looked for where the whole path leads elsewhere, as on another machine."""


@dataclass(frozen=True)
class ImageFile:
    """One image of a table.

    Attributes:
        path: Where it lies.
        size: Bytes.
        changed: Time of its last change, ns.
    """

    path: str
    size: int
    changed: int


class ImageFinder:
    """Finds the images that a table names, inside one folder alone.

    Args:
        table: The table.
        root: The folder that holds both; nothing outside is opened.
    """

    def __init__(self, table: Path, root: Path) -> None:
        self.folders = sorted(_folders(root, DEEPEST), key=lambda folder: _distance(folder, table, root))
        self._last = ("", "")

    def find(self, name: Any) -> ImageFile | None:
        """Return the image of a name, which is a path, its last parts, or lacks its ending; else None."""
        for parts in _endings_of(str(name)):
            found = self._at(*self._last, parts) or self._anywhere(parts)
            if found is not None:
                return found
        return None

    def has_images(self) -> bool:
        """Whether a file with the ending of an image is among the first of any folder."""
        return any(_begins_with_images(folder) for folder in self.folders)

    def _at(self, folder: str, ending: str, parts: str) -> ImageFile | None:
        return _regular(os.path.join(folder, parts + ending)) if folder else None

    def _anywhere(self, parts: str) -> ImageFile | None:
        for folder in self.folders:
            for ending in _to_add(parts):
                found = self._at(str(folder), ending, parts)
                if found is not None:
                    self._last = str(folder), ending
                    return found
        return None


def _folders(root: Path, deep: int) -> list[Path]:
    """Return a folder and those inside it, hidden ones left out; links to folders are not followed."""
    found = [root]
    level = [root]
    for _ in range(deep):
        level = [Path(entry.path) for folder in level for entry in _inside(folder)][:MOST_FOLDERS]
        found += level[: MOST_FOLDERS - len(found)]
    return found


def _inside(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [
                entry
                for entry in entries
                if entry.is_dir(follow_symlinks=False)
                and not entry.name.startswith(".")
                and entry.name.lower() not in IGNORED_NAMES
            ]
    except OSError:
        return []


def _begins_with_images(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            first = [entry.name for entry in islice(entries, FIRST)]
    except OSError:
        return False
    return any(os.path.splitext(name)[1].lower() in IMAGE_ENDINGS for name in first)


def _distance(folder: Path, table: Path, root: Path) -> tuple[int, int, str]:
    """Return a key that puts the folder first that the table most likely speaks of."""
    inside = folder.relative_to(root)
    words = set(folder.name.lower().replace("-", "_").split("_")) if inside.parts else set()
    split = split_of(table.relative_to(root))
    if folder == table.parent:
        rank = 0
    elif folder.name.lower() == table.stem.lower() or (split is not None and split_of(inside / "x") == split):
        rank = 1
    elif words and words <= FILLERS:
        rank = 2
    else:
        rank = 3
    return rank, len(inside.parts), str(inside)


def _endings_of(name: str) -> Iterator[str]:
    """Return a path and its last parts, the longest first, as far as they stay inside a folder."""
    parts = [part for part in name.strip().replace("\\", "/").split("/") if part not in ("", ".")]
    if not parts or "\0" in name or len(name) > 4096:
        return
    inside = not name.startswith(("/", "\\")) and ":" not in parts[0]
    after = max((place + 1 for place, part in enumerate(parts) if part == ".."), default=0)
    first = 0 if inside else max(0, len(parts) - MOST_PARTS)
    for start in range(max(first, after), len(parts)):
        yield "/".join(parts[start:])


def _to_add(parts: str) -> tuple[str, ...]:
    """Return the endings that may be missing from a name."""
    return ("",) if os.path.splitext(parts)[1].lower() in IMAGE_ENDINGS else ("", *ADDED)


ADDED = (".jpg", ".png", ".jpeg", ".JPG", ".PNG", ".JPEG", ".tif", ".tiff", ".bmp", ".webp", ".gif")
"""Endings that are tried for a name without one, the usual ones first."""


def _regular(path: str) -> ImageFile | None:
    """Return a regular file; whatever else has the name, such as a pipe or a link to a folder, is no image."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return ImageFile(path, found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None
