"""Tars opened with suspicion: what a header claims is limited before it is read or unpacked.

Python's reader takes any length that an extended header claims into memory, looks through it by patterns whose time
grows with its square, and unpacks whatever lies between two members.
"""

import lzma
import math
import re
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any, Self

from straightedge.data.tables.text_bytes import unpacking
from straightedge.errors import InputError
from straightedge.special_files import open_regular

LARGEST_HEADER = 2**18  # bytes of the largest extended header; the longest path of Linux takes 4,096
LOOKED_THROUGH = 2**13  # bytes of a header from which on it is looked through for what makes Python's patterns slow
MANY_DIGITS = re.compile(rb"[0-9]{300}")
LARGEST_TOTAL_RATIO, TOTAL_FROM = 100, 2**30
"""An archive that grows more than this and beyond `TOTAL_FROM` bytes is a bomb."""

BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,  # a compression that is not known
    RuntimeError,  # a member that claims to be encrypted after all, headers within headers without end
    UnicodeError,  # a name that is no UTF-8
    OverflowError,  # a place beyond what a file can have
    struct.error,
)
"""What the readers of archives raise on damaged ones, beside OSError."""


class TarStream:
    """The bytes of a tar, unpacked as they are asked for.

    Args:
        path: The file; gzip, bzip2 and xz are told by its first bytes.

    Attributes:
        packed: Whether the tar can only be read forward.
        in_header: Whether headers are being read, and not what members hold.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, open_regular(path)
        size, self._stream = path.stat().st_size, unpacking(self._file, padded=True)
        self.packed, self.in_header = self._stream is not self._file, False
        self._most = max(TOTAL_FROM, LARGEST_TOTAL_RATIO * size) if self.packed else math.inf

    def read(self, size: int = -1) -> bytes:
        """Read bytes.

        Raises:
            InputError: ``archive-bomb`` for a header beyond `LARGEST_HEADER`.
        """
        if self.in_header and size > LARGEST_HEADER:
            raise self._bomb(f"a header claims {size} bytes, and {LARGEST_HEADER} are read at most")
        data: bytes = self._stream.read(size)
        if self.in_header and size > LOOKED_THROUGH and MANY_DIGITS.search(data):
            raise tarfile.ReadError("a header is a number of hundreds of digits")
        return data

    def seek(self, place: int, whence: int = 0) -> int:
        """Go to a place.

        Raises:
            InputError: ``archive-bomb`` for one beyond what the file may unfold to.
        """
        if whence == 0 and place > self._most:
            raise self._bomb(f"its members claim {place} bytes, and {self._most} are unpacked at most")
        found: int = self._stream.seek(place, whence)
        return found

    def tell(self) -> int:
        """Return the place."""
        found: int = self._stream.tell()
        return found

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        self._file.close()

    def _bomb(self, what: str) -> InputError:
        return InputError("archive-bomb", what, str(self._path), "pack plain files and folders only")


class GuardedTar(tarfile.TarFile):
    """A tar whose headers are read within limits."""

    def next(self) -> tarfile.TarInfo | None:
        """Return the next member."""
        stream: Any = self.fileobj
        stream.in_header = True
        try:
            return super().next()
        finally:
            stream.in_header = False

    @property
    def packed(self) -> bool:
        """Whether the tar can only be read forward."""
        stream: Any = self.fileobj
        return bool(stream.packed)

    def close(self) -> None:
        """Close the tar and its file."""
        stream: Any = self.fileobj
        super().close()
        stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def open_tar(path: Path) -> GuardedTar:
    """Open a tar, packed or not, for reading.

    Raises:
        InputError: ``archive-bomb``; `BROKEN` and OSError are raised as they are.
    """
    stream: Any = TarStream(path)
    try:
        return GuardedTar(str(path), "r", fileobj=stream)
    except BaseException:
        stream.close()
        raise


def member_bytes(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """Return all bytes of a member.

    Raises:
        EOFError: The archive ends inside it.
    """
    file = archive.extractfile(member)
    data = file.read() if file is not None else b""
    if len(data) < member.size:
        raise EOFError("the archive ends inside this member")
    return data


def is_tar(path: Path) -> bool:
    """Whether a file begins as a tar does."""
    try:
        with open_tar(path):
            return True
    except (OSError, *BROKEN):
        return False
