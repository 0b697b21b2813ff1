"""`.npy` and `.npz` files mapped or read, their headers checked first; arrays of Python objects are refused."""

import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.errors import InputError, StraightedgeError
from straightedge.memory import LARGEST_RATIO, RATIO_FROM, require_memory
from straightedge.special_files import open_regular, refuse_special

DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, struct.error),
    *(ValueError, SyntaxError, tokenize.TokenError, RecursionError, TypeError, OverflowError),  # of a header
    *(NotImplementedError, RuntimeError),  # a compression that is not known, an encrypted member
)
"""What NumPy and zipfile raise on bytes that are no array."""


def read_npy(path: Path) -> np.ndarray:
    """Map one `.npy` file read-only.

    Raises:
        InputError: ``file-missing``, ``npy-objects`` for arrays of Python objects, ``npy-broken``.
    """
    refuse_special(path)
    if not path.is_file():
        raise InputError("file-missing", "there is no such file", str(path))
    if not is_npy(path):
        raise InputError("npy-broken", "the file does not begin as a .npy file", str(path), "save it again")
    try:
        rows: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        return rows
    except DAMAGE as error:
        raise broken(error, str(path)) from None


def read_npz(path: Path, *, tables: bool = True) -> dict[str, np.ndarray]:
    """Read the arrays of an `.npz`: stored members are mapped, compressed ones read.

    Args:
        path: The file.
        tables: Whether arrays of several rows and columns are unpacked; else zeros of their shape and type that
            take no memory stand for them.

    Raises:
        InputError: ``archive-bomb``, ``npy-objects``, ``npy-broken``.
        MachineError: ``out-of-memory`` where compressed arrays are larger than what is free.
    """
    refuse_special(path)
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            packed = sum(info.file_size for info in infos if info.compress_type != zipfile.ZIP_STORED)
            require_memory(packed, "to unpack the arrays", str(path), "save them unpacked: numpy.savez")
            return {info.filename[:-4]: _member(path, archive, info, tables) for info in infos}
    except DAMAGE as error:
        raise broken(error, str(path)) from None


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, tables: bool) -> np.ndarray:
    if info.file_size > RATIO_FROM and info.file_size > LARGEST_RATIO * max(1, info.compress_size):
        what = f"{info.compress_size} packed bytes claim to hold {info.file_size}"
        mend = f"arrays above {RATIO_FROM} bytes may grow at most {LARGEST_RATIO} times: save them unpacked"
        raise InputError("archive-bomb", what, f"{path}, {info.filename}", mend)
    with archive.open(info) as file:
        shape, fortran, dtype = npy_header(file, info.file_size, f"{path}, {info.filename}")
        offset = file.tell()
    if not tables and sum(side > 1 for side in shape) > 1:
        return np.broadcast_to(np.zeros((), dtype), shape)
    mapped = info.compress_type == zipfile.ZIP_STORED and dtype.itemsize * math.prod(shape) > 2**20
    if not mapped:
        with archive.open(info) as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    start = _data_start(path, info) + offset
    return np.memmap(path, dtype, "r", start, shape, "F" if fortran else "C")


def _data_start(path: Path, info: zipfile.ZipInfo) -> int:
    """Return where a stored member's bytes begin: its local header has lengths of its own."""
    with open_regular(path) as file:
        file.seek(info.header_offset)
        header = file.read(30)
    return (
        info.header_offset + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    )


def npy_header(file: Any, size: int, where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of a `.npy` stream and check it against the bytes there are, before allocating."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if dtype.hasobject:
        raise InputError("npy-objects", "the array holds Python objects (a pickle)", where, _as_plain(where))
    claimed = dtype.itemsize
    for length in shape:
        claimed *= length
    if claimed > size - file.tell():
        what = f"the header claims {claimed} bytes, {size - file.tell()} are there"
        raise InputError("npy-broken", what, where, "save it again")
    return shape, fortran, dtype


def broken(error: Exception, where: str) -> StraightedgeError:
    """Return the error for an array file that NumPy refuses: objects are told apart from damage."""
    if isinstance(error, StraightedgeError):
        return error
    if "allow_pickle" in str(error) or "Python objects" in str(error):
        what = "the array holds Python objects (a pickle); opening one can run any program"
        return InputError("npy-objects", what, where, _as_plain(where))
    return InputError("npy-broken", f"the file cannot be read: {error}", where, "save it again")


def _as_plain(where: str) -> str:
    """Return a line of Python that saves the user's own file of objects as text."""
    path = where.split(", ", maxsplit=1)[0]
    if path.endswith(".npz"):
        return (
            f"if it is your own file: import numpy; a = dict(numpy.load({path!r}, allow_pickle=True)); "
            f"numpy.savez({path!r}, **{{k: v.astype(str) if v.dtype == object else v for k, v in a.items()}})"
        )
    again = f"numpy.save({path!r}, numpy.load({path!r}, allow_pickle=True).astype(str))"
    return f"if it is your own file: import numpy; {again}"


def is_npy(path: Path) -> bool:
    """Whether a file begins as a `.npy` file does."""
    with open_regular(path) as file:
        return file.read(6) == b"\x93NUMPY"
