"""A reader of pickles of plain values: a small machine that knows some opcodes and calls nothing.

A pickle is a program for a stack. This machine runs the part of its language that plain values need (numbers,
text, bytes, lists, tuples, dictionaries, NumPy arrays) and stops with an error at everything else. It never
imports, and calls nothing that a file names: `names.BUILDERS` is a closed table of functions of this package.

Numerics:
    Arrays are views of the mapped file wherever the file holds their bytes as they are (all but Python 3's
    protocols 0–2), so a file of 1 GB takes no memory of its own.

References:
    Python's `pickletools` documents every opcode.
"""

import gc
import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from straightedge.data.pickles.names import ArrayDraft, Name, TypeDraft, broken, refused
from straightedge.data.pickles.opcodes import BY_CODE, REFUSED
from straightedge.data.pickles.stack import MARK, Machine
from straightedge.errors import InputError, StraightedgeError
from straightedge.memory import require_memory
from straightedge.special_files import open_regular

PROTO, BYTES_SINCE, COPIES = b"\x80", 3, 3
"""Opcode of the protocol's number; the first that has bytes as they are; how often earlier ones copy an array."""


def read_plain(path: Path) -> Any:
    """Return the value that a pickle of plain values holds.

    Returns:
        Numbers, text, bytes (memoryview where long), lists, tuples, dictionaries, arrays (read-only views).

    Raises:
        InputError: ``pickle-refused`` naming what is not plain; ``pickle-broken`` for damage.
    """
    with open_regular(path) as file:
        try:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except ValueError:
            raise broken("the file is empty", str(path)) from None
    if bytes(data[:2]) < PROTO + bytes([BYTES_SINCE]):
        require_memory(COPIES * len(data), "to read the pickle", str(path), "save it again with protocol=4")
    return read_bytes(data, str(path))


def read_bytes(data: bytes | memoryview, where: str) -> Any:
    """Return the value that the bytes of a pickle describe; ``where`` names them in messages."""
    machine = Machine(memoryview(data))
    try:
        with _no_garbage_sought():
            return finished(machine.run(BY_CODE, REFUSED))
    except StraightedgeError as error:
        raise InputError(error.code, error.what, f"{where}, byte {machine.place}", error.mend) from None
    except DAMAGE as error:
        raise broken(f"this is no whole pickle: {error}", f"{where}, byte {machine.place}") from None


@contextmanager
def _no_garbage_sought() -> Iterator[None]:
    """Put Python's search for circles off: it would go over every new list again and again, and finds none."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


DAMAGE = (IndexError, KeyError, ValueError, TypeError, OverflowError, struct.error, RecursionError, EOFError)
"""What Python raises where the bytes do not fit together."""


def finished(value: Any) -> Any:
    """Return the value in place of a draft; a draft that never got its data is refused."""
    if isinstance(value, ArrayDraft):
        if value.array is None:
            raise broken("an array never got its data")
        return value.array
    if isinstance(value, TypeDraft | Name) or value is MARK:
        raise refused("a name or a type in the place of a value")
    return value
