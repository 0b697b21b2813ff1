"""Named arrays in one safetensors file, read with suspicion: as NumPy's arrays, or as torch's tensors.

The format: 8 bytes, the header's length (little-endian); the header, JSON; then the tensors' bytes. Files
of this project carry in the header's ``__metadata__`` the kind of file (``straightedge.kind``), the version
of its layout, one JSON text (``straightedge.meta``), and a SHA-256 over all of that and every tensor's bytes.

Reading checks everything before it believes anything, and each way a file can be wrong has its own code.
Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from straightedge import atomic
from straightedge.errors import InputError
from straightedge.later import later
from straightedge.tensorheader import Entry, parse_object, read_header

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = later("torch")

_PREFIX = "straightedge."
TYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
}
"""Types of entries: name in the format -> name in torch, and in NumPy, which lacks bfloat16."""
_NAMES = {dtype: name for name, dtype in TYPES.items()}


@dataclass(frozen=True)
class Stored:
    """What a file holds under a name: bytes that become an array, or a tensor, when one is asked for."""

    entry: Entry
    data: bytearray

    def array(self) -> np.ndarray:
        """Return it as an array that owns its bytes; bfloat16 is widened to float32, which holds it exactly."""
        if self.entry.dtype == "BF16":
            halves = np.frombuffer(self.data, dtype=np.uint16).astype(np.uint32)
            return (halves << 16).view(np.float32).reshape(self.entry.shape)
        return np.frombuffer(self.data, dtype=TYPES[self.entry.dtype]).reshape(self.entry.shape)

    def tensor(self) -> Tensor:
        """Return it as a tensor on the CPU."""
        dtype: torch.dtype = getattr(torch, TYPES[self.entry.dtype])
        if not self.data:
            return torch.empty(self.entry.shape, dtype=dtype)
        return torch.frombuffer(self.data, dtype=dtype).reshape(self.entry.shape)


def write_tensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Tensor | np.ndarray],
    *,
    kind: str,
    version: int,
    meta: dict[str, Any],
) -> None:
    """Write tensors or arrays and a JSON object as one file, whole or not at all.

    Args:
        path: The file.
        tensors: Name to tensor or array, any device and layout.
        kind: What the file is, such as ``"model"``; a reader that expects another kind refuses it.
        version: Version of the layout of `tensors` and `meta`; a reader refuses a newer one.
        meta: What else belongs to it, as JSON.

    Raises:
        MachineError: ``disk-full``, ``read-only``, ``write-failed``.
        InputError: ``output-path``.
    """
    # widest types first, so that every tensor is aligned, as the format asks
    order = sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    blobs = {name: _bytes_of(tensor) for name, tensor in order}
    entries, position = [], 0
    for name, blob in blobs.items():
        dtype, shape = _type_of(tensors[name]), tuple(tensors[name].shape)
        entries.append(Entry(name, dtype, shape, position, position + len(blob)))
        position += len(blob)
    metadata = {f"{_PREFIX}kind": kind, f"{_PREFIX}version": str(version), f"{_PREFIX}meta": atomic.to_json(meta)}
    digest = _digest_start(metadata, entries)
    for blob in blobs.values():
        digest.update(blob)
    header = _header(metadata | {f"{_PREFIX}sha256": digest.hexdigest()}, entries)
    with atomic.writing(path) as writer:
        writer.write(len(header).to_bytes(8, "little"))
        writer.write(header)
        for blob in blobs.values():
            writer.write(blob)


def _type_of(values: Tensor | np.ndarray) -> str:
    return _NAMES[str(values.dtype).removeprefix("torch.")]


def _bytes_of(values: Tensor | np.ndarray) -> memoryview:
    if isinstance(values, np.ndarray):
        return np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
    flat = values.detach().to("cpu").contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if flat.numel() else memoryview(b"")


def _header(metadata: dict[str, str], entries: list[Entry]) -> bytes:
    table: dict[str, Any] = {"__metadata__": metadata}
    for entry in entries:
        offsets = [entry.start, entry.stop]
        table[entry.name] = {"dtype": entry.dtype, "shape": list(entry.shape), "data_offsets": offsets}
    text = json.dumps(table, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)


def _digest_start(metadata: dict[str, str], entries: list[Entry]) -> Any:
    """Begin the file's digest with its header, whatever the order and spacing of the header's JSON."""
    ordered = sorted((entry.name, entry.dtype, list(entry.shape), entry.start, entry.stop) for entry in entries)
    return hashlib.sha256(json.dumps([sorted(metadata.items()), ordered]).encode())


def read_tensors(
    path: str | os.PathLike[str], *, kind: str, version: int
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors on the CPU, and the JSON object (arguments and errors as `read_stored`)."""
    stored, meta = read_stored(path, kind=kind, version=version)
    return {name: one.tensor() for name, one in stored.items()}, meta


def read_stored(
    path: str | os.PathLike[str], *, kind: str, version: int
) -> tuple[dict[str, Stored], dict[str, Any]]:
    """Read what `write_tensors` wrote, by name, and its JSON object; refuse anything else with the reason.

    Raises:
        InputError: ``model-missing``, ``model-pickle``, ``model-truncated``, ``model-header``,
            ``model-overlap``, ``model-short``, ``model-foreign``, ``model-newer``, ``model-damaged``.
    """
    where = Path(path)
    try:
        with where.open("rb") as file:
            metadata, entries = read_header(file, where)
            written = _own_metadata(metadata, where, kind, version)
            digest = _digest_start(metadata, entries)
            stored = {entry.name: _read_entry(file, where, entry, digest) for entry in entries}
    except OSError as error:
        raise InputError("model-missing", f"cannot be read ({error.strerror})", str(where)) from error
    if digest.hexdigest() != written:
        what = "the bytes are not those that were saved: the SHA-256 differs"
        mend = "restore the file from a copy or train again"
        raise InputError("model-damaged", what, where=str(where), mend=mend)
    return stored, parse_object(metadata[f"{_PREFIX}meta"], where)


def _read_entry(file: BinaryIO, where: Path, entry: Entry, digest: Any) -> Stored:
    data = bytearray(file.read(entry.stop - entry.start))
    if len(data) < entry.stop - entry.start:  # the file shrank after its size was checked
        raise InputError("model-truncated", f"tensor {entry.name[:80]!r} ends early", str(where))
    digest.update(data)
    return Stored(entry, data)


def _own_metadata(metadata: dict[str, str], where: Path, kind: str, version: int) -> str:
    """Check that the file is this project's, of the right kind and not newer; take its digest out."""
    found = metadata.get(f"{_PREFIX}kind")
    names = (f"{_PREFIX}version", f"{_PREFIX}meta", f"{_PREFIX}sha256")
    if found != kind or any(name not in metadata for name in names) or not metadata[names[0]].isdecimal():
        what = f"a safetensors file, but not a {kind} file of straightedge" + (f": a {found} file" if found else "")
        raise InputError("model-foreign", what, where=str(where), mend=f"give a {kind} that straightedge saved")
    if len(metadata[names[0]]) > 9 or int(metadata[names[0]]) > version:
        what = f"written by a newer version (layout {metadata[names[0]][:20]}, this one knows up to {version})"
        mend = "upgrade straightedge: pip install --upgrade straightedge"
        raise InputError("model-newer", what, where=str(where), mend=mend)
    return metadata.pop(names[2])
