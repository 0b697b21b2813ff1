"""What is in a folder or an archive: names and sizes, checked, before any file is opened.

Nothing is ever extracted: members are read into memory, so an archive cannot write anywhere. A member with a
path that leads out, a link or a device, is refused all the same, for the archive is not what it seems.
"""

import os
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from straightedge.data.tars import LARGEST_TOTAL_RATIO, TOTAL_FROM
from straightedge.errors import InputError, MachineError
from straightedge.special_files import open_regular

IMAGE_ENDINGS = {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff"}
"""A file with such a name must be an image; any other file may turn out to be one or is left out."""
IGNORED_NAMES = {"thumbs.db", "desktop.ini", "__macosx"}
LARGEST_RATIO, RATIO_FROM = 250, 2**20
"""A member above `RATIO_FROM` bytes that grows more than this is a bomb; images hardly shrink at all."""
LARGEST_MEMBER = 2**29  # bytes of the largest image file read


@dataclass(frozen=True)
class Item:
    """One file: its path inside the source, its size, and what its container needs to read it."""

    path: PurePosixPath
    size: int
    handle: Any = None


@dataclass
class Listing:
    """Files and folders of a source, hidden ones counted and left out.

    Attributes:
        items: Files, in the order they are best read.
        folders: Folders, the empty ones too.
        ignored: Number of hidden files and files of the operating system.
        loops: Number of links that lead back to a folder they are in.
    """

    items: list[Item] = field(default_factory=list)
    folders: set[PurePosixPath] = field(default_factory=set)
    ignored: int = 0
    loops: int = 0

    def add(self, item: Item) -> None:
        """Keep a file, or count it as ignored."""
        if is_ignored(item.path):
            self.ignored += 1
        else:
            self.items.append(item)
            self.folders.update(item.path.parents)


def entries_of(folder: Path) -> list[Path]:
    """Return what lies in a folder; nothing where it cannot be looked into."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def is_ignored(path: PurePosixPath) -> bool:
    """Whether a part of the path is hidden or belongs to an operating system."""
    return any(part.startswith(".") or part.lower() in IGNORED_NAMES for part in path.parts)


@dataclass
class Scan:
    """What a walk through a folder found, as plain text and numbers: a hundred thousand files in a second.

    Attributes:
        files: (path inside, size, time of change in ns, path on disk).
        folders: Paths inside.
        ignored: Number of hidden files, files of the operating system, pipes and dead links.
        loops: Number of links that lead back to a folder they are in.
    """

    files: list[tuple[str, int, int, str]] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    ignored: int = 0
    loops: int = 0


def scan_folder(root: Path) -> Scan:
    """Walk through a folder, following links to folders but never round a loop.

    Raises:
        MachineError: ``folder-unreadable``.
    """
    scan = Scan()
    status = root.stat()
    _walk(str(root), "", ((status.st_dev, status.st_ino),), scan)
    scan.files.sort()
    return scan


def _walk(folder: str, inside: str, above: tuple[tuple[int, int], ...], scan: Scan) -> None:
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise MachineError("folder-unreadable", f"the folder cannot be listed: {error.strerror}", folder) from None
    for entry in entries:
        hidden = entry.name.startswith(".") or entry.name.lower() in IGNORED_NAMES
        try:
            is_folder, is_file, status = entry.is_dir(), entry.is_file(), entry.stat()
        except OSError:  # a link to nothing, or to itself
            scan.ignored += 1
            continue
        if hidden or not (is_folder or is_file):
            scan.ignored += sum(len(files) for _, _, files in os.walk(entry.path)) if is_folder else 1
        elif is_file:
            scan.files.append((inside + entry.name, status.st_size, status.st_mtime_ns, entry.path))
        elif (status.st_dev, status.st_ino) in above:
            scan.loops += 1
        else:
            scan.folders.append(inside + entry.name)
            _walk(entry.path, f"{inside}{entry.name}/", (*above, (status.st_dev, status.st_ino)), scan)


def read_limited(path: str | Path) -> bytes:
    """Read one file of a folder whole.

    Raises:
        InputError: ``file-too-large``, ``file-special``, ``file-unreadable``.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST_MEMBER:
            what = f"the file has {size} bytes, and one image or text has {LARGEST_MEMBER} at most"
            raise InputError("file-too-large", what, printable(str(path)), "leave it out, or make it smaller")
        return file.read()


def list_folder(scan: Scan) -> Listing:
    """Return what a walk found as a listing, sorted by path."""
    listing = Listing(ignored=scan.ignored, loops=scan.loops)
    listing.folders = {PurePosixPath(inside) for inside in scan.folders}
    listing.items = [Item(PurePosixPath(inside), size, place) for inside, size, _, place in scan.files]
    listing.items.sort(key=lambda item: item.path.parts)
    return listing


def list_zip(path: Path, archive: zipfile.ZipFile) -> Listing:
    """List a zip, refusing unsafe members and bombs."""
    listing = Listing()
    infos = archive.infolist()
    _refuse_total(sum(info.file_size for info in infos), path)
    for info in infos:
        if not info.filename:
            raise InputError("archive-broken", "a member has no name", str(path), "pack it again")
        inside = safe_path(info.filename, path)
        if (info.external_attr >> 16) & 0o170000 not in (0, 0o100000, 0o040000):
            raise _unsafe(path, info.filename, "is a link or a device")
        if info.flag_bits & 1:
            raise InputError("archive-encrypted", "a member is encrypted", f"{path}, {info.filename}")
        if info.is_dir():
            listing.folders |= {inside, *inside.parents} if not is_ignored(inside) else set()
            continue
        _refuse_member(info.file_size, info.compress_size, path, info.filename)
        listing.add(Item(inside, info.file_size, info))
    listing.items.sort(key=lambda item: item.path.parts)
    return listing


def list_tar(path: Path, archive: tarfile.TarFile) -> Listing:
    """List a tar in its own order (a compressed one can only be read forward), refusing unsafe members."""
    listing = Listing()
    total, packed = 0, path.stat().st_size
    for member in archive:
        inside = safe_path(member.name, path)
        if not (member.isreg() or member.isdir()):
            raise _unsafe(path, member.name, "is a link or a device")
        if member.isdir():
            listing.folders |= {inside, *inside.parents} if not is_ignored(inside) else set()
            continue
        total += member.size
        _refuse_member(member.size, packed, path, member.name)
        _refuse_total(total, path)
        listing.add(Item(inside, member.size, member))
    _refuse_unfinished(archive)
    return listing


def _refuse_unfinished(archive: tarfile.TarFile) -> None:
    """Refuse a tar that stops without its end mark: the reader takes any broken header for the end."""
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("it stops without an end mark, as if cut off")


def safe_path(name: str, archive: Path) -> PurePosixPath:
    """Return a member's path, refusing one that leads out of the folder it would be extracted to."""
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or name.startswith(("/", "\\")) or (len(parts[0]) == 2 and parts[0][1] == ":"):
        raise _unsafe(archive, name, "leads out of the archive")
    return PurePosixPath(*[part for part in name.split("/") if part not in ("", ".")])


def printable(path: PurePosixPath | str) -> str:
    """Return a path as text that any file can hold: bytes that are no UTF-8 become hexadecimal."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _unsafe(archive: Path, name: str, what: str) -> InputError:
    where = f"{archive}, {printable(name)}"
    return InputError("archive-member-unsafe", f"a member {what}", where, "pack plain files and folders only")


def _refuse_member(size: int, packed: int, archive: Path, name: str) -> None:
    if size > LARGEST_MEMBER or (size > RATIO_FROM and size > LARGEST_RATIO * max(1, packed)):
        what = f"a member of {packed} bytes claims to hold {size}"
        mend = f"members above {RATIO_FROM} bytes may grow at most {LARGEST_RATIO} times"
        raise InputError("archive-bomb", what, f"{archive}, {printable(name)}", mend)


def _refuse_total(total: int, archive: Path) -> None:
    packed = archive.stat().st_size
    if total > TOTAL_FROM and total > LARGEST_TOTAL_RATIO * packed:
        what = f"members of an archive of {packed} bytes claim to hold {total} together"
        mend = f"beyond {TOTAL_FROM} bytes an archive may grow at most {LARGEST_TOTAL_RATIO} times"
        raise InputError("archive-bomb", what, str(archive), mend)
