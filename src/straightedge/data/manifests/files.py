"""Where the image is that a table names: beside the table, in a folder of its own, with its ending or without."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from straightedge.data.listing import IMAGE_ENDINGS
from straightedge.data.manifests.places import ImageFile, Place
from straightedge.data.split_names import FILLERS, split_of

MOST_PARTS = 4
"""Last parts of a path that are looked for where the whole path leads elsewhere, as on another machine."""


class ImageFinder:
    """Finds the images that a table names, inside one folder or archive alone.

    Args:
        table: The table.
        place: What holds both; nothing outside is opened.
    """

    def __init__(self, table: Path, place: Place) -> None:
        root, table = place.root.absolute(), table.absolute()
        self._place = place
        self.folders = sorted(place.folders(), key=lambda folder: _distance(folder, table, root))
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
        names = (name for folder in self.folders for name in self._place.first_names(folder))
        return any(os.path.splitext(name)[1].lower() in IMAGE_ENDINGS for name in names)

    def _at(self, folder: str, ending: str, parts: str) -> ImageFile | None:
        return self._place.file(os.path.join(folder, parts + ending)) if folder else None

    def _anywhere(self, parts: str) -> ImageFile | None:
        has_ending = os.path.splitext(parts)[1].lower() in IMAGE_ENDINGS
        for folder in self.folders:
            for ending in ("",) if has_ending else ("", *ADDED):
                found = self._at(str(folder), ending, parts)
                if found is not None:
                    self._last = str(folder), ending
                    return found
        return None


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


ADDED = (".jpg", ".png", ".jpeg", ".JPG", ".PNG", ".JPEG", ".tif", ".tiff", ".bmp", ".webp", ".gif")
"""Endings that are tried for a name without one, the usual ones first."""
