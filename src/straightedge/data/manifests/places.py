"""Where a table and the images that it names lie: a folder, or an archive with the same content."""

import os
import stat
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from straightedge.data.container import Container
from straightedge.data.listing import IGNORED_NAMES, Item, Listing, entries_of, read_limited
from straightedge.data.tables.files import Table
from straightedge.data.tables.opening import open_table, open_text_bytes
from straightedge.data.tables.text_file import TextRead

TABLES = (".csv", ".tsv", ".csv.gz")
"""Endings of the tables that are looked for beside images; any table may be the source by itself."""
METADATA = ("metadata.csv", "metadata.jsonl")
"""Names of the tables that Hugging Face's image folders have: they go before the names of folders."""
LARGEST_TABLE = 2**28  # bytes of the largest table beside images that is looked into
DEEPEST = 2  # folders within folders that are looked into for the images
MOST_FOLDERS = 200  # folders that are looked into; images of one table lie in a few
FIRST = 100  # files of a folder that tell whether there are images in it


@dataclass(frozen=True)
class ImageFile:
    """One image of a table.

    Attributes:
        path: Where it lies.
        size: Bytes.
        changed: Time of its last change, ns; 0 inside an archive.
    """

    path: str
    size: int
    changed: int


def is_table(path: Path | PurePosixPath, size: int) -> bool:
    """Whether a file is a table that is looked into."""
    named = path.name.lower().endswith(TABLES) or is_metadata(path)
    return named and not path.name.startswith(".") and size <= LARGEST_TABLE


def is_metadata(path: Path | PurePosixPath) -> bool:
    """Whether a table has the name of those in Hugging Face's image folders."""
    return path.name.lower() in METADATA


class FolderPlace:
    """A folder on disk; nothing outside it is opened."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def tables(self) -> list[Path]:
        """Return the text tables in the folder and in the folders of its splits, sorted."""
        inside = (Path(entry) for entry in os.scandir(self.root) if entry.is_dir(follow_symlinks=False))
        names = (path for place in (self.root, *inside) for path in entries_of(place) if is_table(path, 0))
        return sorted(path for path in names if path.is_file() and is_table(path, path.stat().st_size))

    def open_table(self, path: Path, how: TextRead) -> Table:
        """Open one of the tables."""
        return open_table(path, how)

    def folders(self) -> list[Path]:
        """Return the folder and those inside it, hidden ones left out; links to folders are not followed."""
        level = [self.root.absolute()]
        found = list(level)
        for _ in range(DEEPEST):
            level = [Path(entry.path) for folder in level for entry in _inside(folder)][:MOST_FOLDERS]
            found += level[: MOST_FOLDERS - len(found)]
        return found

    def first_names(self, folder: Path) -> list[str]:
        """Return the names of the first files of a folder."""
        try:
            with os.scandir(folder) as entries:
                return [entry.name for entry in islice(entries, FIRST)]
        except OSError:
            return []

    def file(self, path: str) -> ImageFile | None:
        """Return a regular file; whatever else has the name, such as a pipe or a link to a folder, is no image."""
        try:
            found = os.stat(path)
        except (OSError, ValueError):
            return None
        return ImageFile(path, found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None

    def read(self, files: Sequence[ImageFile]) -> Iterator[bytes]:
        """Yield the bytes of each file.

        Raises:
            InputError: ``file-unreadable``, ``file-too-large``, ``file-special``.
        """
        for file in files:
            yield read_limited(file.path)

    def listing(self) -> Listing:
        """Return all files and folders."""
        with Container(self.root) as container:
            return container.listing

    def key(self, files: Sequence[ImageFile]) -> Any:
        """Return paths, sizes and times of change."""
        return [(file.path, file.size, file.changed) for file in files]


class ArchivePlace:
    """A zip or a tar, whose members are read as the files of a folder would be.

    Args:
        container: The archive, open. A folder that holds all that is in it is the root.
    """

    def __init__(self, container: Container) -> None:
        self._container = container
        top = _common_folder(container.listing)
        self.root = container.path.joinpath(*top)
        self._listing = _below(container.listing, len(top))

    def tables(self) -> list[Path]:
        """Return the text tables at the top and in the folders there, sorted."""
        return sorted(
            self.root / item.path
            for item in self.listing().items
            if len(item.path.parts) <= 2 and is_table(item.path, item.size)
        )

    def open_table(self, path: Path, how: TextRead) -> Table:
        """Open one of the tables: its bytes are held in memory."""
        return open_text_bytes(next(self._container.read([self._members[str(path.absolute())]])), path, how)

    def folders(self) -> list[Path]:
        """Return the folders that may hold the images, the upper ones first."""
        found = sorted(self.listing().folders, key=lambda folder: (len(folder.parts), folder))
        near = [folder for folder in found if 0 < len(folder.parts) <= DEEPEST]
        root = self.root.absolute()
        return [root, *(root / folder for folder in near[: MOST_FOLDERS - 1])]

    def first_names(self, folder: Path) -> list[str]:
        """Return the names of the first files of a folder."""
        return self._names[str(folder)]

    def file(self, path: str) -> ImageFile | None:
        """Return a member, None where there is none of this path."""
        item = self._members.get(path)
        return None if item is None else ImageFile(path, item.size, 0)

    def read(self, files: Sequence[ImageFile]) -> Iterator[bytes]:
        """Yield the bytes of each member (errors as `Container.read`)."""
        yield from self._container.read_in_any_order([self._members[file.path] for file in files])

    def listing(self) -> Listing:
        """Return members and folders, below the folder that holds all of them."""
        return self._listing

    def key(self, files: Sequence[ImageFile]) -> Any:
        """Return the hash of the archive, with the members that are read."""
        return [self._container.fingerprint(), *(file.path for file in files)]

    @cached_property
    def _members(self) -> dict[str, Item]:
        root = self.root.absolute()
        return {str(root / item.path): item for item in self.listing().items}

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for path in self._members:
            folder, name = os.path.split(path)
            if len(found[folder]) < FIRST:
                found[folder].append(name)
        return found


Place = FolderPlace | ArchivePlace  # what tables and images are read from; every path lies inside ``root``


def _common_folder(listing: Listing) -> tuple[str, ...]:
    """Return the parts of the folder that holds all files."""
    paths = [item.path.parts for item in listing.items]
    depth = 0
    while paths and all(len(parts) > depth + 1 and parts[depth] == paths[0][depth] for parts in paths):
        depth += 1
    return paths[0][:depth] if paths else ()


def _below(whole: Listing, depth: int) -> Listing:
    """Return a listing without the first parts of its paths."""
    items = [Item(PurePosixPath(*item.path.parts[depth:]), item.size, item.handle) for item in whole.items]
    folders = {PurePosixPath(*folder.parts[depth:]) for folder in whole.folders}
    return Listing(items, folders, whole.ignored, whole.loops)


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
