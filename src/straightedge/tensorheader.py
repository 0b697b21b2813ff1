"""The header of a safetensors file, read with suspicion: where each tensor lies, before any is read.

Every claim of the header is checked against the file's size first, so that no claim can make the reader
allocate, overlap or run past the end.
"""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from straightedge.errors import InputError

MAX_HEADER_BYTES = 32 << 20
SIZES = {"BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "I32": 4, "I64": 8, "F16": 2, "BF16": 2, "F32": 4, "F64": 8}
"""Types of entries that are read: name in the format -> bytes of an entry."""


@dataclass(frozen=True)
class Entry:
    """Where one tensor lies in the file's body."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def read_header(file: BinaryIO, where: Path) -> tuple[dict[str, str], list[Entry]]:
    """Read and check a safetensors header; the file is left at the first tensor's first byte.

    Returns:
        The metadata, and the tensors in the order of their bytes.

    Raises:
        InputError: ``model-pickle``, ``model-truncated``, ``model-header``, ``model-short``, ``model-overlap``.
    """
    size = os.fstat(file.fileno()).st_size
    start = file.read(9)
    _refuse_pickle(start, where)
    if len(start) < 9:
        raise InputError("model-truncated", f"only {size} bytes long, so not a safetensors file", str(where))
    file.seek(8)
    length = int.from_bytes(start[:8], "little")
    if length > MAX_HEADER_BYTES:
        raise _bad_header(where, f"the header claims {length:,} bytes; at most {MAX_HEADER_BYTES:,} are read")
    if length > size - 8:
        what = f"the header should have {length:,} bytes, the whole file has {size:,}"
        raise InputError("model-truncated", what, str(where), "the file was cut off; copy it again")
    table = parse_object(file.read(length), where)
    metadata = table.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise _bad_header(where, "__metadata__ is not a table of texts")
    entries = sorted((_entry(name, value, where) for name, value in table.items()), key=lambda e: (e.start, e.stop))
    _check_layout(entries, size - 8 - length, where)
    return metadata, entries


def _refuse_pickle(start: bytes, where: Path) -> None:
    """Refuse what torch.save, pickle and joblib write: a zip archive, or a pickle's protocol mark.

    A header's length may begin with the same two bytes; then the ninth byte is the brace of its JSON.
    """
    protocol_mark = start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    if start[:4] == b"PK\x03\x04" or (protocol_mark and start[8:] != b"{"):
        what = "a pickle or torch.save file under another name; such files run code when opened and never are"
        mend = "give the model.safetensors that straightedge saved"
        raise InputError("model-pickle", what, where=str(where), mend=mend)


def parse_object(text: str | bytes, where: Path) -> dict[str, Any]:
    """Return the JSON object that `text` is, or raise ``model-header``; a name given twice is an error."""
    try:
        text = text.decode("utf-8") if isinstance(text, bytes) else text
        table = json.loads(text, object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError) as error:
        raise _bad_header(where, f"the header is not JSON ({str(error)[:100]})") from error
    if not isinstance(table, dict):
        raise _bad_header(where, "the header is not a JSON object")
    return table


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name is given twice")
    return table


def _entry(name: str, value: Any, where: Path) -> Entry:
    """Check one line of the table by itself."""
    valid = isinstance(value, dict) and set(value) == {"dtype", "shape", "data_offsets"}
    if not valid or not isinstance(value["dtype"], str) or value["dtype"] not in SIZES:
        raise _bad_header(where, f"tensor {name[:80]!r} has no dtype that is known")
    shape, offsets = value["shape"], value["data_offsets"]
    if not _counts(shape) or not _counts(offsets) or len(offsets) != 2 or len(shape) > 16:
        raise _bad_header(where, f"tensor {name[:80]!r} has a shape or offsets that are not counts")
    n_bytes = math.prod(shape) * SIZES[value["dtype"]]
    if offsets[1] - offsets[0] != n_bytes:
        place = f"its place has {offsets[1] - offsets[0]:,}"
        what = f"tensor {name[:80]!r} of shape {shape} needs {n_bytes:,} bytes, {place}"
        raise InputError("model-short", what, str(where))
    return Entry(name, value["dtype"], tuple(shape), offsets[0], offsets[1])


def _counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 1 << 60 for value in values)


def _check_layout(entries: list[Entry], n_bytes: int, where: Path) -> None:
    """The tensors must fill the body in order, without overlap, hole or rest."""
    position = 0
    for entry in entries:
        if entry.start < position:
            raise InputError("model-overlap", f"tensor {entry.name[:80]!r} lies over another one", str(where))
        if entry.start > position:
            raise _bad_header(where, f"unused bytes before tensor {entry.name[:80]!r}")
        position = entry.stop
    if position > n_bytes:
        what = f"the tensors need {position:,} bytes, the file has {n_bytes:,} for them"
        raise InputError("model-truncated", what, str(where), "the file was cut off; copy it again")
    if position < n_bytes:
        raise _bad_header(where, f"{n_bytes - position:,} bytes after the last tensor")


def _bad_header(where: Path, what: str) -> InputError:
    return InputError("model-header", what, str(where), "not a safetensors file that can be trusted")
