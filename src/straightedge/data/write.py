"""Features written for later: one `.npz`, `.npy` files with a description, or one Parquet file.

What is written here is read again by `load_dataset`, with class names, splits and the description of the extractor.
Every file is written whole or not at all; of several, the description comes last, and without it the rest is not
taken for a data set.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.atomic import Writer, disk_errors, to_json, write_json, writing
from straightedge.data.assemble import Part
from straightedge.data.npy import npy_header_bytes
from straightedge.data.tables.files import arrow
from straightedge.errors import InputError

BLOCK_BYTES = 2**24
PLAIN = {"use_dictionary": ["label", "split"], "compression": "none"}
"""Settings of the Parquet writer: entries of features hardly repeat, so packing them only costs time."""
ALIGNMENT = 64


def write_features(
    path: str | Path,
    parts: Mapping[str, Part],
    classes: Sequence[str],
    *,
    features: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write the rows and labels of splits.

    Args:
        path: Ends in ``.npz``, ``.npy`` or ``.parquet``.
        parts: Split name -> rows (array, memory map or `RowSource`, read in blocks) with (N,) int64 labels.
        classes: Class names, index = label.
        features: Description of the extractor, kept as JSON.

    Returns:
        The files written.

    Raises:
        InputError: ``output-kind``; ``output-path``.
        MachineError: ``disk-full``, ``read-only``.
        MissingExtraError: Parquet without pyarrow.
    """
    target = Path(path)
    about = {"classes": list(classes), "features": dict(features) if features is not None else None}
    writers = {".npz": _write_npz, ".npy": _write_npys, ".parquet": _write_parquet}
    if target.suffix not in writers:
        raise InputError(
            "output-kind",
            f"features cannot be written as {target.suffix or 'a file without ending'!r}",
            str(path),
            f"use one of {', '.join(writers)}",
        )
    return writers[target.suffix](target, parts, about)


def blocks_of(X: Any) -> Iterator[np.ndarray]:
    """Yield rows in order as contiguous little-endian blocks of bounded size."""
    n, row_bytes = X.shape[0], max(1, np.dtype(X.dtype).itemsize * int(np.prod(X.shape[1:])))
    step = max(1, BLOCK_BYTES // row_bytes)
    for start in range(0, n, step):
        stop = min(start + step, n)
        rows = X.read(start, stop) if hasattr(X, "read") else X[start:stop]
        yield np.ascontiguousarray(rows, dtype=np.dtype(X.dtype).newbyteorder("<"))


def sidecar(path: Path) -> Path:
    """Return the description beside a `.npy` of features."""
    return path.with_suffix(".json")


def _write_npys(path: Path, parts: Mapping[str, Part], about: dict[str, Any]) -> list[Path]:
    """Write rows and labels of each split as `.npy`, then the description that binds them together."""
    with disk_errors(path):
        sidecar(path).unlink(missing_ok=True)
    files: dict[str, dict[str, str]] = {}
    written = []
    for split, part in parts.items():
        stem = path.stem if split == "train" else f"{path.stem}.{split}"
        names = {"X": f"{stem}.npy", "y": f"{stem}.labels.npy"}
        digest = hashlib.sha256()
        for key, array in (("X", part.X), ("y", np.asarray(part.y, dtype=np.int64))):
            with writing(path.with_name(names[key])) as writer:
                _write_rows(writer, array, digest)
        files[split] = {**names, "sha256": digest.hexdigest()}
        written += [path.with_name(name) for name in names.values()]
    write_json(sidecar(path), {"format": "straightedge features", "version": 1, "files": files, **about})
    return [*written, sidecar(path)]


def _write_rows(writer: Any, array: Any, digest: Any) -> None:
    dtype = np.dtype(array.dtype).newbyteorder("<")
    writer.write(npy_header_bytes(dtype, tuple(int(side) for side in array.shape)))
    for block in blocks_of(array):
        digest.update(block.data)
        writer.write(block.data.cast("B"))


def _write_npz(path: Path, parts: Mapping[str, Part], about: dict[str, Any]) -> list[Path]:
    """Write one `.npz` of stored members, each beginning at a multiple of `ALIGNMENT`, so that it can be mapped."""
    members: dict[str, Any] = {}
    for split, part in parts.items():
        members[f"X_{split}"], members[f"y_{split}"] = part.X, np.asarray(part.y, dtype=np.int64)
    members["classes"] = np.array(about["classes"], dtype=np.str_)
    if about["features"] is not None:
        members["straightedge"] = np.array(to_json({"features": about["features"]}))
    with writing(path) as writer, zipfile.ZipFile(_Counted(writer), "w") as archive:
        for name, array in members.items():
            _write_member(archive, f"{name}.npy", array)
    return [path]


def _write_member(archive: zipfile.ZipFile, name: str, array: Any) -> None:
    info = zipfile.ZipInfo(name)
    begin = archive.fp.tell() + 30 + len(name) + 20  # type: ignore[union-attr]  # local header, name, its 64-bit sizes
    gap = -(begin + 4) % ALIGNMENT
    info.extra = b"\xfe\xca" + gap.to_bytes(2, "little") + bytes(gap)
    with archive.open(info, "w", force_zip64=True) as member:
        if np.dtype(array.dtype).kind == "U":
            np.lib.format.write_array(member, array, allow_pickle=False)
        else:
            _write_rows(member, array, hashlib.sha256())


class _Counted(io.RawIOBase):
    """A stream that can only be written forward and knows where it is: what a zip needs to be streamed."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._position += self._writer.write(data)
        return len(data)

    def tell(self) -> int:
        return self._position


def _write_parquet(path: Path, parts: Mapping[str, Part], about: dict[str, Any]) -> list[Path]:
    """Write one Parquet file: embedding (fixed-size list), label (text), split; row groups of bounded bytes."""
    pa, parquet = arrow(), arrow("pyarrow.parquet")
    first = next(iter(parts.values())).X
    width = int(np.prod(first.shape[1:]))
    entry = pa.from_numpy_dtype(np.dtype(first.dtype))
    schema = pa.schema(
        [("embedding", pa.list_(entry, width)), ("label", pa.string()), ("split", pa.string())],
        metadata={"straightedge": json.dumps(about, default=str)},
    )
    with writing(path) as writer, parquet.ParquetWriter(_Counted(writer), schema, **PLAIN) as table:
        for split, part in parts.items():
            row = 0
            for block in blocks_of(part.X):
                names = [about["classes"][int(label)] for label in part.y[row : row + len(block)]]
                values = pa.FixedSizeListArray.from_arrays(pa.array(block.reshape(-1)), width)
                columns = [values, pa.array(names, pa.string()), pa.array([split] * len(block), pa.string())]
                table.write_batch(pa.record_batch(columns, schema=schema))
                row += len(block)
    return [path]
