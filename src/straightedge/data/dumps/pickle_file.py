"""Arrays in a pickle of plain values, which is read without unpickling."""

import pickletools
import warnings
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from straightedge.data.dumps.naming import named
from straightedge.data.pickles.machine import read_plain
from straightedge.data.pickles.values import members_of
from straightedge.errors import InputError
from straightedge.special_files import open_regular

LARGEST = 2**25  # bytes of the largest file whose opcodes are listed
MOST_OPCODES = 20_000
DAMAGE = ValueError, OverflowError, MemoryError, UnicodeError, AttributeError, IndexError
"""What pickletools raises of files that are damaged."""
MOST_NAMED = 8  # names that a message lists


def read(path: Path) -> dict[str, Any]:
    """Return the arrays and lists of a pickle by name.

    Raises:
        InputError: ``pickle-refused``, ``pickle-broken``; ``dump-contents`` where there is no array.
    """
    try:
        value = read_plain(path)
    except InputError as error:
        if error.code != "pickle-refused" or (error.mend or "").startswith("convert it"):
            raise
        raise InputError(error.code, error.what, error.where, helpful(path, error.mend)) from None
    return members_of(value, path, "save X and y with numpy.savez")


def helpful(path: Path, mend: str | None) -> str:
    """Return what the owner of a pickle of objects can do: a line of Python, with the names that the file holds."""
    words = texts(path)
    rows, labels = named(words, "rows"), named(words, "labels")
    if rows and labels:
        pair = f"X=d[{rows[0]!r}], y=d[{labels[0]!r}]"
        line = f"d = pickle.load(open({str(path)!r}, 'rb')); numpy.savez({path.stem + '.npz'!r}, {pair})"
        return f'if it is your own file: python -c "import pickle, numpy; {line}"'
    inside = f"; text inside: {', '.join(map(repr, words[:MOST_NAMED]))}" if words else ""
    return f"{mend or 'save the arrays with numpy.savez'}{inside}"


def texts(path: Path) -> list[str]:
    """Return the short texts of a pickle in their order: keys and attributes are among them."""
    found: dict[str, None] = {}
    modules = {word for pair in _names(path) for word in pair}
    for text in _texts(path):
        if text.isidentifier() and len(text) < 40 and text not in modules:
            found[text] = None
    return list(found)


def _opcodes(path: Path) -> list[tuple[str, Any]]:
    """Return the names and arguments of the opcodes; of a damaged file, those before the damage."""
    found: list[tuple[str, Any]] = []
    if path.stat().st_size > LARGEST:
        return found
    with open_regular(path) as file:
        data = file.read()  # a file would make room for whatever length an opcode claims
    with suppress(*DAMAGE), warnings.catch_warnings(action="ignore"):  # of escapes that mean nothing
        for opcode, argument, _ in islice(pickletools.genops(data), MOST_OPCODES):
            found.append((opcode.name, argument))
    return found


def _texts(path: Path) -> Iterator[str]:
    for name, argument in _opcodes(path):
        if (isinstance(argument, str) and "UNICODE" in name) or name in ("BINSTRING", "SHORT_BINSTRING", "STRING"):
            yield str(argument)


def _names(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the module and name of every class or function that is named."""
    last: list[str] = []
    for name, argument in _opcodes(path):
        if isinstance(argument, str) and "UNICODE" in name:
            last = [*last[-1:], argument]
        elif name == "GLOBAL":
            module, _, attribute = str(argument).partition(" ")
            yield module, attribute
        elif name == "STACK_GLOBAL" and len(last) == 2:
            yield last[0], last[1]
