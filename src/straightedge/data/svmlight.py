"""svmlight / LIBSVM text files, read and written; large ones stay sparse.

``name`` beside ``name.t`` and ``name.val`` is a training file with its test and validation files, as the LIBSVM
collection names them. The first line of what is written here is a comment: class names, the number of features, the
extractor, and one mark for all files of one write, so that new rows never stand beside old ones.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.atomic import json_object, to_json, writing
from straightedge.data import fingerprint
from straightedge.data.assemble import Part, assemble
from straightedge.data.base import Dataset
from straightedge.data.label_values import listed
from straightedge.data.sparse_members import sparse_or_table
from straightedge.data.svmlight_lines import read_plain
from straightedge.errors import InputError, damage, warn
from straightedge.kinds import is_sparse
from straightedge.leftovers import settle
from straightedge.memory import require_memory
from straightedge.special_files import open_regular

LARGEST_WIDTH = 50_000_000  # features beyond which a file is refused: W has as many numbers for each class

LONGEST_LINE = 2**27  # bytes in which a line ends; the longest of the LIBSVM collection has 4 MB
BYTES_A_BYTE = 1.0
"""Memory that a byte of text takes as an entry: index:value has some 12 bytes, and so has an entry."""
LINES_ARE = "lines are: label index:value …"
ENDINGS = {"train": "", "validation": ".val", "test": ".t"}
"""Split -> what stands behind the name of the training file, as the LIBSVM collection has it."""
HEAD = "# straightedge "
LONGEST_HEAD = 2**20  # bytes of the first line that is read
BLOCK_ROWS = 1024


def load(source: str, **options: Any) -> Dataset:
    """Read an svmlight file, and its ``.t`` test file if there is one.

    Args:
        source: The file.
        **options: Those of `load_dataset`; ``n_features`` is the width of the rows that a trained model takes.

    Raises:
        InputError: ``svmlight-broken``, ``svmlight-too-large``, ``rows-not-finite`` and the codes of `checked_rows`
            and `assemble`.
    """
    settle(Path(source).parent)
    files = split_files(Path(source))
    paths, about = list(files.values()), _about(files)
    found = _read(paths, about.get("n_features"))
    if (width := options.get("n_features")) is not None:
        found = [(_of_width(X, int(width), path), y) for path, (X, y) in zip(paths, found, strict=True)]
    parts = {name: Part(_rows(X, path), y) for (name, path), (X, y) in zip(files.items(), found, strict=True)}
    classes, features = about.get("classes"), about.get("features")
    return assemble(
        source,
        parts,
        fingerprint=fingerprint.of_files(paths),
        classes=classes if isinstance(classes, list) else None,
        declared=options.get("classes"),
        features=features if isinstance(features, dict) else None,
    )


def split_files(train: Path) -> dict[str, Path]:
    """Return the file of each split that lies beside a training file, that itself among them."""
    named = {split: train.with_name(train.name + ending) for split, ending in ENDINGS.items()}
    return {split: path for split, path in named.items() if split == "train" or path.is_file()}


def _about(files: Mapping[str, Path]) -> dict[str, Any]:
    """Return what this package wrote into the files' first lines, if it wrote them.

    Raises:
        InputError: ``svmlight-mixed`` where the files are of different writes.
    """
    heads = {path: read_head(path) for path in files.values()}
    marks = [head.get("mark") for head in heads.values()]
    if len(set(map(str, marks))) > 1:
        other = next(path for path, head in heads.items() if head.get("mark") != marks[0])
        what = "the file was not written together with its training file"
        raise InputError("svmlight-mixed", what, str(other), "write the features again, or move it away")
    about = heads[files["train"]]
    width = about.get("n_features")
    return about if isinstance(width, int) and 0 < width <= LARGEST_WIDTH else {}


def rows_of(path: Path, width: int) -> Any:
    """Return the rows of a file alone, with a trained model's number of features; its labels may be anything.

    Raises:
        InputError: Those of `load` that are about rows.
    """
    return _rows(_of_width(_read([path])[0][0], width, path), path)


def _read(paths: list[Path], width: int | None = None) -> list[tuple[Any, np.ndarray]]:
    """Read files with one common number of features."""
    for path in paths:
        _refuse_no_lines(path)
        require_memory(BYTES_A_BYTE * path.stat().st_size, "to read the file", str(path), "give a part of it")
    return _read_plain(paths, width) or _read_any(paths, width)


def _read_plain(paths: list[Path], width: int | None) -> list[tuple[Any, np.ndarray]] | None:
    """Read files of plain lines with entries; None where one is something else, or wider than it may be."""
    from scipy.sparse import csr_matrix

    files = []
    for path in paths:
        lines = read_plain(path)
        if lines is None or not len(lines.indices):
            return None
        files.append(lines)
    first = min(1, *(int(lines.indices.min()) for lines in files))
    needed = max(int(lines.indices.max()) for lines in files) + 1 - first
    if needed > (width or needed):
        return None
    found = []
    for lines in files:
        ends = np.concatenate([[0], np.cumsum(lines.lengths)])
        shape = (len(lines.labels), width or needed)
        found.append((csr_matrix((lines.values, lines.indices - first, ends), shape), lines.labels))
    return found


def _read_any(paths: list[Path], width: int | None) -> list[tuple[Any, np.ndarray]]:
    """Read files of all that the format allows, and name what is wrong in one."""
    from sklearn.datasets import load_svmlight_files

    where, kinds = ", ".join(map(str, paths)), (ValueError, OverflowError, OSError)
    with damage("svmlight-broken", where, kinds, LINES_ARE):
        found = load_svmlight_files([str(path) for path in paths], n_features=width, dtype=np.float32)
    return list(zip(found[::2], found[1::2], strict=True))


def _refuse_no_lines(path: Path) -> None:
    """Refuse a file that is no text of lines, which would be read whole as one: a NUL byte, or no end of a line."""
    since, row = 0, 1
    with open_regular(path) as file:
        while block := file.read(2**22):
            last = block.rfind(b"\n")
            since = since + len(block) if last < 0 else len(block) - last - 1
            if (nul := block.find(b"\0")) >= 0 or since > LONGEST_LINE:
                what = "there is a NUL byte" if nul >= 0 else f"a line is longer than {LONGEST_LINE} bytes"
                where = f"{path}, line {row + block[: max(nul, 0)].count(10)}"
                raise InputError("svmlight-broken", what, where, LINES_ARE)
            row += block.count(10)


def _of_width(X: Any, width: int, path: Path) -> Any:
    """Return sparse rows with a trained model's number of features.

    Features beyond it were 0 in every training row, so that the model has no weight for them: they are left out,
    with a warning that names them.
    """
    if X.shape[1] > width:
        beyond = np.unique(X.indices[X.indices >= width]) + 1
        warn(
            "features-ignored",
            f"{path}: features {listed([str(index) for index in beyond])} are left out: "
            f"the model was trained on features 1 to {width}",
        )
    rows = X.copy()
    rows.resize(X.shape[0], width)
    return rows


def _rows(X: Any, path: Path) -> Any:
    """Return the rows of a file: sparse ones where a dense table would be large, else a table."""
    if X.shape[1] > LARGEST_WIDTH:
        what = f"the largest index is {X.shape[1]}, and at most {LARGEST_WIDTH} features can be fitted"
        raise InputError("svmlight-too-large", what, str(path), "number the features anew, or hash them")
    return sparse_or_table(X, str(path), first=1)


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
