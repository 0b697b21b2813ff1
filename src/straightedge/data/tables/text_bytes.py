"""The bytes of a text table: unpacked within limits, turned into UTF-8, their lines made to end in a newline."""

import bz2
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from straightedge import memory
from straightedge.data.tables.text_format import table_empty
from straightedge.errors import InputError, damage
from straightedge.memory import LARGEST_RATIO, RATIO_FROM, require_memory
from straightedge.special_files import open_regular

LARGEST_TEXT = 2**32  # bytes of the largest text table that is read, unpacked: it is held in memory
TAIL = 2**16  # bytes at the end of a large file that are looked at first: a disk that was full leaves zeros there
PADDED_FROM = 2**20
"""Bytes of a packed file from which on its end is looked at, too: unpackers step over zeros one by one."""
UNPACKERS: dict[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
"""First bytes of packed files -> what unpacks them."""
DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class TextBytes:
    """A text table as UTF-8.

    Attributes:
        data: The bytes, without a byte-order mark; lines end in a newline.
        encoding: What they were written in, for people.
    """

    data: bytes
    encoding: str


def read_text_bytes(path: Path, encoding: str | None = None, content: bytes | None = None) -> TextBytes:
    """Read, unpack and decode a text table.

    Args:
        path: The file; gzip, bzip2, xz and a zip of one file are told by their content.
        encoding: Name of a codec; None finds it.
        content: The bytes of the file where they are at hand, as those of a member of an archive are.

    Raises:
        InputError: ``table-broken``, ``table-bomb``, ``table-empty``, ``table-nul``, ``table-encoding``.
        MachineError: ``out-of-memory``.
    """
    with damage("table-broken", path, DAMAGE, "write or download it again"):
        raw = _unpacked(path, content, encoding)
    if not raw.strip(b"\xef\xbb\xbf \t\r\n"):
        raise table_empty("the file is empty", path)
    found = _decoded(raw, encoding, path)
    refuse_nul(found.data, path)
    # lines that end in a carriage return alone end in a newline, too
    data = found.data if b"\n" in found.data else found.data.replace(b"\r", b"\n")
    return TextBytes(data, found.encoding)


def refuse_nul(data: bytes, path: Path, lines_before: int = 0) -> None:
    """Refuse text with a NUL byte."""
    if (place := data.find(b"\0")) >= 0:
        where = f"{path}, line {lines_before + data.count(10, 0, place) + 1}"
        mend = "the file is damaged, or no text; save it again as UTF-8"
        raise InputError("table-nul", "there is a NUL byte", where, mend)


def unpacking(file: BinaryIO, *, padded: bool = False) -> Any:
    """Return the content of a file, unpacked as it is read where it is packed.

    Args:
        file: At its beginning.
        padded: Whether zeros may follow what is packed, since nobody will read so far.

    Raises:
        EOFError: A large packed file ends in zeros.
    """
    head = file.read(6)
    file.seek(0)
    unpack = next((unpack for magic, unpack in UNPACKERS.items() if head.startswith(magic)), None)
    if unpack is None:
        return file
    if not padded and file.seek(0, io.SEEK_END) > PADDED_FROM and _ends_in_zeros(file):
        raise EOFError(f"the last {TAIL} bytes are zeros")
    file.seek(0)
    return unpack(file)


def _ends_in_zeros(file: BinaryIO) -> bool:
    file.seek(-TAIL, io.SEEK_END)
    return not file.read(TAIL).strip(b"\0")


def first_bytes(path: Path, size: int = 4096) -> bytes:
    """Return the first bytes of a file, unpacked; none where it is damaged."""
    with open_regular(path) as file:
        try:
            data: bytes = unpacking(file).read(size)
        except DAMAGE:
            return b""
        return data.removeprefix(b"\xef\xbb\xbf")


def only_member(path: Path) -> str | None:
    """Return the name of the one file that a zip holds, or None."""
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            names = _members(archive)
    except DAMAGE:
        return None
    return names[0] if len(names) == 1 else None


def _members(archive: zipfile.ZipFile) -> list[str]:
    names = [info.filename for info in archive.infolist()]  # an archive that is damaged may hold an empty one
    return [name for name in names if not name.endswith("/") and "__MACOSX" not in name]


def _unpacked(path: Path, content: bytes | None, encoding: str | None) -> bytes:
    with open_regular(path) if content is None else io.BytesIO(content) as file:
        is_zip = file.read(4) == b"PK\x03\x04"
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        if is_zip:
            return _only_member(file, path, size, encoding)
        if (unpacked := unpacking(file)) is not file:
            return _limited(unpacked, path, size, encoding)
        _refuse_too_large(file, size, path)
        return _limited(file, path, None, encoding)


def _refuse_too_large(file: BinaryIO, size: int, path: Path) -> None:
    """Refuse a text that memory cannot hold, or that ends in what is no text, before it is read."""
    if size > LARGEST_TEXT:
        what = f"the table has {size} bytes of text, and {LARGEST_TEXT} are read at most"
        raise InputError("table-bomb", what, str(path), "save it as Parquet, which is read in parts")
    require_memory(size, "to read the table", str(path), "save it as Parquet")
    if size > RATIO_FROM:
        if _ends_in_zeros(file):
            what = f"the last {TAIL} bytes are zeros"
            raise InputError("table-nul", what, str(path), "the file is damaged; write it again")
        file.seek(0)


def _only_member(file: BinaryIO, path: Path, size: int, encoding: str | None) -> bytes:
    with zipfile.ZipFile(file) as archive:
        names = _members(archive)
        if len(names) != 1:
            what = f"the zip holds {len(names)} files, and a table is one"
            raise InputError("table-broken", what, str(path), "unpack it and give the table")
        with archive.open(names[0]) as member:
            return _limited(member, path, size, encoding)


def _limited(file: Any, path: Path, packed: int | None, encoding: str | None) -> bytes:
    """Read to the end, but not beyond `LARGEST_TEXT` bytes, nor far beyond what the packed bytes can be."""
    most = LARGEST_TEXT if packed is None else min(LARGEST_TEXT, max(RATIO_FROM, LARGEST_RATIO * packed))
    first: bytes = file.read(2000)
    if encoding is None and not first.startswith((b"\xff\xfe", b"\xfe\xff")):
        refuse_unmarked(first, path)  # before the rest is unpacked
    file.seek(0)
    room = int(min(most, max(memory.SURELY_FREE, memory.free_memory() / 2)))  # what is read is joined once
    data: bytes = file.read(room + 1)
    if len(data) > room < most:
        require_memory(2 * most, "to unpack the table", str(path), "save it as Parquet")
        data += file.read(most - room)
    if len(data) > most:
        from_packed = "" if packed is None else f"of {packed} packed bytes "
        what = f"the table {from_packed}has more than {most} bytes of text"
        raise InputError("table-bomb", what, str(path), "save it as Parquet, which is read in parts")
    return data


def _decoded(raw: bytes, encoding: str | None, path: Path) -> TextBytes:
    if encoding is None and raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    if encoding is not None:
        return _by_name(raw, encoding, path)
    refuse_unmarked(raw, path)
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        raw.decode("utf-8")
        return TextBytes(raw, "UTF-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
    text = raw.decode("cp1252", "replace").encode()
    return TextBytes(text, f"Windows-1252 (line {line} is no UTF-8)")


def _by_name(raw: bytes, encoding: str, path: Path) -> TextBytes:
    try:
        text = raw.decode(encoding).removeprefix("\ufeff")
    except (UnicodeError, LookupError) as error:
        mend = "name the encoding it was written in: --encoding"
        raise InputError("table-encoding", f"the text cannot be read: {error}", str(path), mend) from None
    return TextBytes(text.encode("utf-8", "replace"), encoding.upper())


def refuse_unmarked(raw: bytes, path: Path) -> None:
    """Refuse UTF-16 without a byte-order mark, in which every second byte of plain text is 0."""
    if raw[:2000].count(0) > len(raw[:2000]) // 4:
        what = "the text looks like UTF-16 without a mark"
        raise InputError("table-encoding", what, str(path), "--encoding utf-16-le")


def text_of_cells(rows: Iterable[Iterable[str]]) -> bytes:
    """Return rows of cells as the text of a table, between commas, for its reader; nothing of it is written."""
    return "".join(",".join(map(_quoted, row)) + "\n" for row in rows).encode()


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if re.search('[",\r\n]', cell) else cell
