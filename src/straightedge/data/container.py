"""A folder, zip or tar, open for reading: the one place that touches the files of an image source."""

from __future__ import annotations

import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import IO, Protocol

from straightedge.data.fingerprint import of_file, of_listing
from straightedge.data.listing import (
    Item,
    Listing,
    Scan,
    list_folder,
    list_tar,
    list_zip,
    printable,
    read_limited,
    scan_folder,
)
from straightedge.data.tars import BROKEN, member_bytes, open_tar
from straightedge.errors import InputError

COPIED = 2**20  # bytes of a packed tar that are unpacked at a time


class ByteSource(Protocol):
    """What decoding reads from: files by `Item`, in the order asked."""

    path: Path
    only_images: bool
    """Whether something that is no image is an error whatever its name."""

    def in_reading_order(self, items: Sequence[Item]) -> list[int]:
        """Return positions in the order in which reading is fast."""
        ...

    def read(self, items: Sequence[Item]) -> Iterator[bytes]:
        """Yield the bytes of each item, in the order given."""
        ...


class Container:
    """A folder or archive, open for reading its items one after the other; listed when it is first asked."""

    only_images = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self._archive: zipfile.ZipFile | tarfile.TarFile | None = None
        self._copy: IO[bytes] | None = None

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *error: object) -> None:
        if self._archive is not None:
            self._archive.close()
        if self._copy is not None:
            self._copy.close()

    @cached_property
    def _scan(self) -> Scan:
        return scan_folder(self.path)

    @cached_property
    def listing(self) -> Listing:
        """The files and folders inside.

        Raises:
            InputError: ``archive-broken``, ``archive-member-unsafe``, ``archive-bomb``, ``archive-encrypted``.
            MachineError: ``folder-unreadable``.
        """
        if self.path.is_dir():
            return list_folder(self._scan)
        try:
            if zipfile.is_zipfile(self.path):
                self._archive = zipfile.ZipFile(self.path)
                return list_zip(self.path, self._archive)
            self._archive = open_tar(self.path)
            return list_tar(self.path, self._archive)
        except (OSError, *BROKEN) as error:
            raise broken_archive(self.path, error) from None

    def fingerprint(self) -> str:
        """Hash the archive's bytes, or names, sizes and times of a folder's files."""
        if self.path.is_dir():
            return of_listing(self._scan.files, self._scan.folders)
        return of_file(self.path)

    def in_reading_order(self, items: Sequence[Item]) -> list[int]:
        """Return positions in the order in which reading is fast: a tar is read forward."""
        positions = list(range(len(items)))
        if isinstance(self._archive, tarfile.TarFile):
            positions.sort(key=lambda position: items[position].handle.offset)
        return positions

    def read(self, items: Sequence[Item]) -> Iterator[bytes]:
        """Yield the bytes of each item, in the order given.

        Raises:
            InputError: ``archive-broken`` with the member; the codes of `read_limited`.
        """
        for item in items:
            try:
                yield self._read(item)
            except (OSError, *BROKEN) as error:
                raise broken_archive(self.path, error, item) from None

    def read_in_any_order(self, items: Sequence[Item]) -> Iterator[bytes]:
        """Yield the bytes of each item in an order that need not be that of the archive (errors as `read`).

        A packed tar, which can only be read forward, is first unpacked into a file without a name.
        """
        if isinstance(self._archive, tarfile.TarFile):
            places = [item.handle.offset for item in items]
            if places != sorted(places):
                self._unpack(self._archive)
        yield from self.read(items)

    def _unpack(self, packed: tarfile.TarFile) -> None:
        """Go on with an unpacked copy of a packed tar; listing it has checked its size."""
        if self._copy is not None or packed.fileobj is None or not getattr(packed, "packed", False):
            return
        self._copy = tempfile.TemporaryFile()  # noqa: SIM115 (closed by __exit__)
        try:
            packed.fileobj.seek(0)
            for start in range(0, end := packed.offset + 2 * tarfile.BLOCKSIZE, COPIED):
                self._copy.write(packed.fileobj.read(min(COPIED, end - start)))
        except (OSError, *BROKEN) as error:
            raise broken_archive(self.path, error) from None
        self._copy.seek(0)
        self._archive = tarfile.open(fileobj=self._copy, mode="r:")  # noqa: SIM115 (closed by __exit__)
        packed.close()

    def _read(self, item: Item) -> bytes:
        if isinstance(self._archive, zipfile.ZipFile):
            try:
                return self._archive.read(item.handle)
            except ValueError as error:  # a place before the beginning
                raise zipfile.BadZipFile(str(error)) from error
        if isinstance(self._archive, tarfile.TarFile):
            return member_bytes(self._archive, item.handle)
        return read_limited(item.handle)


def broken_archive(path: Path, error: Exception, item: Item | None = None) -> InputError:
    """Return the error for an archive, or a member of it, that cannot be read."""
    where = str(path) if item is None else f"{path}, {printable(item.path)}"
    return InputError("archive-broken", f"the archive cannot be read: {error}", where, "download or pack it again")
