"""Features written for later: `.npz`, `.npy` files with a description, Parquet, safetensors or svmlight.

What is written here is read again by `load_dataset`, with class names, splits and the description of the extractor.
Every file is written whole or not at all, and several files take their names together. Without the description
`.npy` files are not taken for a data set; svmlight files of one write bear one mark, and files of other marks are
refused together. Sparse rows stay sparse.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.atomic import Writer, to_json, together, write_json, writing
from straightedge.data.assemble import Part
from straightedge.data.npy import npy_header_bytes
from straightedge.data.sparse_members import to_members
from straightedge.data.svmlight import write_svmlight
from straightedge.data.tables.files import arrow
from straightedge.errors import InputError
from straightedge.kinds import is_sparse

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
    """Write the rows and labels of splits; return the files.

    Args:
        path: Ends in one of `WRITERS`.
        parts: Split name -> rows (array, memory map or `RowSource`, read in blocks) with (N,) int64 labels.
        classes: Class names, index = label.
        features: Description of the extractor, kept as JSON.

    Raises:
        InputError: ``output-kind`` for another ending, or sparse rows in a form that has none; ``output-path``.
        MachineError: ``disk-full``, ``read-only``.
        MissingExtraError: Parquet without pyarrow.
    """
    target = Path(path)
    about = {"classes": list(classes), "features": dict(features) if features is not None else None}
    check_output(target)
    sparse = any(is_sparse(part.X) for part in parts.values())
    if sparse and target.suffix not in SPARSE:
        what = f"sparse rows cannot be written as {target.suffix}"
        raise InputError("output-kind", what, str(path), f"use one of {', '.join(SPARSE)}")
    with together():
        return WRITERS[target.suffix](target, parts, about)


def check_output(path: Path) -> None:
    """Refuse an ending that features cannot be written under, before hours are spent on them."""
    if path.suffix not in WRITERS:
        what = f"features cannot be written as {path.suffix or 'a file without ending'!r}"
        raise InputError("output-kind", what, str(path), f"use one of {', '.join(WRITERS)}")


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
    members = arrays_of(parts)
    members["classes"] = np.array(about["classes"], dtype=np.str_)
    if about["features"] is not None:
        members["straightedge"] = np.array(to_json({"features": about["features"]}))
    with writing(path) as writer, zipfile.ZipFile(_Counted(writer), "w") as archive:
        for name, array in members.items():
            _write_member(archive, f"{name}.npy", array)
    return [path]


def arrays_of(parts: Mapping[str, Part]) -> dict[str, Any]:
    """Return rows and labels of all splits by name; sparse rows are the arrays of which they consist."""
    members: dict[str, Any] = {}
    for split, part in parts.items():
        members |= to_members(f"X_{split}", part.X) if is_sparse(part.X) else {f"X_{split}": part.X}
        members[f"y_{split}"] = np.asarray(part.y, dtype=np.int64)
    return members


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


def _write_safetensors(path: Path, parts: Mapping[str, Part], about: dict[str, Any]) -> list[Path]:
    """Write one safetensors file: tensors such as ``X_train`` and ``y_train``, the rest as metadata."""
    arrays, place = arrays_of(parts), 0
    header: dict[str, Any] = {"__metadata__": {"straightedge": to_json(about)}}
    for name, array in arrays.items():
        dtype = np.dtype(array.dtype)
        size = dtype.itemsize * int(np.prod(array.shape))
        kind = "BOOL" if dtype.kind == "b" else f"{dtype.kind.upper()}{8 * dtype.itemsize}"  # F32, U8, I64
        shape = [int(side) for side in array.shape]
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [place, place + size]}
        place += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8
    with writing(path) as writer:
        writer.write(len(text).to_bytes(8, "little") + text)
        for array in arrays.values():
            for block in blocks_of(array):
                writer.write(block.data.cast("B"))
    return [path]


Writing = Callable[[Path, Mapping[str, Part], dict[str, Any]], list[Path]]
WRITERS: dict[str, Writing] = {
    ".npz": _write_npz,
    ".npy": _write_npys,
    ".parquet": _write_parquet,
    ".safetensors": _write_safetensors,
    **dict.fromkeys((".svmlight", ".svm", ".libsvm"), write_svmlight),
}
"""Ending -> what writes such a file."""
SPARSE = (".npz", ".safetensors", ".svmlight", ".svm", ".libsvm")  # endings under which sparse rows stay sparse
