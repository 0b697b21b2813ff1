"""Features as svmlight files: what is not 0, a line a row; the test split in ``NAME.t``, validation in ``.val``.

The first line is a comment for this package: class names, the number of features, the extractor, and one mark for
all files of one write, so that new rows never stand beside old ones.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.atomic import json_object, to_json, writing
from straightedge.data.assemble import Part
from straightedge.kinds import is_sparse
from straightedge.special_files import open_regular

ENDINGS = {"train": "", "validation": ".val", "test": ".t"}
"""Split -> what stands behind the name of the training file, as the LIBSVM collection has it."""
HEAD = "# straightedge "
LONGEST_HEAD = 2**20  # bytes of the first line that is read
BLOCK_ROWS = 1024


def write_svmlight(path: Path, parts: Mapping[str, Part], about: Mapping[str, Any]) -> list[Path]:
    """Write one file a split, the training rows last; errors as `writing`."""
    width = int(np.prod(next(iter(parts.values())).X.shape[1:]))
    head = HEAD + to_json({**about, "n_features": width, "mark": _mark(parts)}) + "\n"
    written = []
    for split in sorted(parts, key=lambda split: split == "train"):
        target = path.with_name(path.name + ENDINGS[split])
        with writing(target) as writer:
            writer.write(head)
            for lines in _lines(parts[split]):
                writer.write(lines)
        written.append(target)
    return written


def read_head(path: Path) -> dict[str, Any]:
    """Return what the first line of a file written here says; {} for files of other programs."""
    with open_regular(path) as file:
        line = file.readline(LONGEST_HEAD)
    return json_object(line.removeprefix(HEAD.encode())) if line.startswith(HEAD.encode()) else {}


def _blocks(X: Any) -> Iterator[Any]:
    for start in range(0, X.shape[0], BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, X.shape[0])
        yield X.read(start, stop) if hasattr(X, "read") else X[start:stop]


def _mark(parts: Mapping[str, Part]) -> str:
    """Return a hash of all rows and labels."""
    digest = hashlib.sha256()
    for part in parts.values():
        digest.update(np.ascontiguousarray(part.y).tobytes())
        for block in _blocks(part.X):
            arrays = (block.data, block.indices, block.indptr) if is_sparse(block) else (block,)
            for array in arrays:
                digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]


def _lines(part: Part) -> Iterator[str]:
    """Yield the lines of blocks of rows."""
    row = 0
    for block in _blocks(part.X):
        yield "".join(_line(part.y[row + place], *_entries(block, place)) for place in range(block.shape[0]))
        row += block.shape[0]


def _entries(block: Any, place: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns and values of a row that are not 0."""
    if is_sparse(block):
        part = slice(block.indptr[place], block.indptr[place + 1])
        order = np.argsort(block.indices[part], kind="stable")
        return block.indices[part][order], block.data[part][order]
    values = np.asarray(block[place]).reshape(-1)
    columns = np.flatnonzero(values)
    return columns, values[columns]


def _line(label: Any, columns: np.ndarray, values: np.ndarray) -> str:
    digits = ".9g" if values.dtype.itemsize <= 4 else ".17g"  # as many as tell two numbers apart
    pairs = zip((columns + 1).tolist(), values.tolist(), strict=True)
    return " ".join([str(int(label)), *(f"{column}:{value:{digits}}" for column, value in pairs)]) + "\n"
