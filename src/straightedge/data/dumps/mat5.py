"""A reader of MATLAB's version 5 files for arrays of numbers, text and cells of text.

SciPy's reader ends the process by a signal on some damaged files, so the few kinds of elements that features and
labels need are read here, each length checked against the bytes there are.

References:
    MathWorks, "MAT-File Format" (version 5): elements of a tag (type, length) and data, padded to 8 bytes.
"""

import math
import mmap
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.errors import InputError
from straightedge.memory import LARGEST_RATIO, RATIO_FROM, require_memory
from straightedge.special_files import open_regular

HEADER = 128
MATRIX, COMPRESSED, UTF8 = 14, 15, 16
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
STORED |= {16: "u1", 17: "u2", 18: "u4"}
"""Type of an element's data -> NumPy's code; those of the second line are letters."""
NUMBERS = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
"""Class of a matrix -> NumPy's code; data are stored in the smallest type that holds them."""
CELL, TEXT = 1, 4
COMPLEX = 0x800
MOST_SIDES = 32


@dataclass(frozen=True)
class Element:
    """One element: its type and its data."""

    kind: int
    data: memoryview


class DamagedError(ValueError):
    """The bytes are no whole file."""


def read(path: Path) -> dict[str, Any]:
    """Return the arrays of numbers and the lists of text of a file by name; other kinds are left out.

    Raises:
        InputError: ``matlab-broken``, ``matlab-refused``.
    """
    with open_regular(path) as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    order = {b"IM": "<", b"MI": ">"}.get(bytes(data[126:128]))
    if order is None:
        raise DamagedError("the header does not say in which order its bytes are")
    members: dict[str, Any] = {}
    for element in elements(data[HEADER:], order):
        name, value = matrix(unpacked(element, order, str(path)), order)
        if value is not None:
            members[name] = value
    return members


def elements(data: memoryview, order: str) -> Iterator[Element]:
    """Go over the elements that lie one after the other in some bytes."""
    place = 0
    while len(data) - place >= 8:
        element, place = element_at(data, place, order)
        if element.kind == 0:
            raise DamagedError("an element has no type")
        yield element


def element_at(data: memoryview, place: int, order: str) -> tuple[Element, int]:
    """Return the element at a place, and the place after it."""
    if len(data) - place < 8:
        raise DamagedError("an element is missing")
    kind, size = struct.unpack_from(f"{order}II", data, place)
    if kind >> 16:  # the short form: length, type and up to 4 bytes of data in one tag
        kind, size = kind & 0xFFFF, kind >> 16
        start, end = place + 4, place + 8
        if size > 4:
            raise DamagedError("a short element is longer than its tag")
    else:
        start = place + 8
        end = start + size if kind == COMPRESSED else start + -(-size // 8) * 8
    if start + size > len(data):
        raise DamagedError("an element ends after the file")
    return Element(kind, data[start : start + size]), end


def unpacked(element: Element, order: str, where: str) -> Element:
    """Return a packed element as the one inside it."""
    if element.kind != COMPRESSED:
        return element
    packed = element.data
    most = max(RATIO_FROM, LARGEST_RATIO * len(packed))
    tag = zlib.decompressobj().decompress(packed[:1024], 8)
    claimed = int(struct.unpack(f"{order}II", tag)[1]) if len(tag) == 8 else 0
    require_memory(min(claimed, most), "to unpack the array", where, "save it unpacked: -v7.3 without compression")
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(packed, most)
    if unpacker.unconsumed_tail:
        what = f"{len(packed)} packed bytes unfold to more than {most}"
        raise InputError("matlab-refused", what, where, "save them unpacked")
    return element_at(memoryview(data), 0, order)[0]


def matrix(element: Element, order: str) -> tuple[str, Any]:
    """Return the name and the value of a matrix: an array, a list of text, or None for other kinds."""
    if element.kind != MATRIX:
        return "", None
    flags, place = element_at(element.data, 0, order)
    sides, place = element_at(element.data, place, order)
    title, place = element_at(element.data, place, order)
    (word,) = struct.unpack_from(f"{order}I", flags.data)
    shape = tuple(np.frombuffer(sides.data, f"{order}i4").tolist())
    if not 2 <= len(shape) <= MOST_SIDES or min(shape) < 0:
        raise DamagedError("a matrix has no shape")
    return bytes(title.data).decode("latin1"), _value(element.data[place:], word, shape, order)


def _value(data: memoryview, word: int, shape: tuple[int, ...], order: str) -> Any:
    kind = word & 0xFF
    if kind == CELL:
        return _cells(data, math.prod(shape), order)
    if kind == TEXT:
        return _text(element_at(data, 0, order)[0], shape, order)
    if kind in NUMBERS and not word & COMPLEX:
        stored = _numbers(element_at(data, 0, order)[0], shape, order)
        if stored.dtype != NUMBERS[kind]:
            require_memory(stored.size * np.dtype(NUMBERS[kind]).itemsize, "to widen the array")
        return stored.astype(NUMBERS[kind], copy=False)
    return None


def _numbers(element: Element, shape: tuple[int, ...], order: str) -> np.ndarray:
    """Return stored numbers in their shape, which counts by columns."""
    if element.kind not in STORED:
        raise DamagedError(f"data of an unknown type {element.kind}")
    flat = np.frombuffer(element.data, np.dtype(STORED[element.kind]).newbyteorder("<" if order == "<" else ">"))
    if len(flat) != math.prod(shape):
        raise DamagedError(f"{len(flat)} numbers for a matrix of shape {shape}")
    return flat.reshape(shape, order="F")


def _text(element: Element, shape: tuple[int, ...], order: str) -> list[str]:
    """Return the rows of a matrix of letters, without blanks at their ends."""
    if element.kind == UTF8:
        letters = np.array([ord(letter) for letter in bytes(element.data).decode("utf-8")], np.uint32)
        codes = letters.reshape(shape, order="F")
    else:
        codes = _numbers(element, shape, order)
    rows = codes.reshape(len(codes), -1) if codes.size else np.empty((0, 0), np.uint32)
    return ["".join(map(chr, row)).rstrip(" \0") for row in rows.tolist()]


def _cells(data: memoryview, count: int, order: str) -> list[str] | None:
    """Return the texts of cells; None where a cell holds something else."""
    found = [matrix(element, order)[1] for element in elements(data, order)]
    if len(found) != count:
        raise DamagedError(f"{len(found)} cells where {count} are said to be")
    plain = all(isinstance(value, list) and len(value) <= 1 for value in found)
    return ["".join(value) for value in found] if plain else None
