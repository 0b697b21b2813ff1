"""Which reader a source has: told by its name, then by what lies at the path.

A wrong source is answered from here, before NumPy or any reader is imported.
"""

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from straightedge.data.dumps.readers import READERS, reader_by_content
from straightedge.data.endings import (
    ARFF,
    JSON_LINES,
    SHEETS,
    TARS,
    TEXT_TABLES,
    is_json_lines,
    is_text_table,
    is_zip_of_table,
    looks_like_svmlight,
)
from straightedge.data.idx_names import is_idx_images
from straightedge.data.other_kinds import HEAD, by_ending, refuse_other_kind
from straightedge.errors import InputError, did_you_mean
from straightedge.special_files import open_regular, refuse_special

NAMED = {"digits": "digits", "cifar10": "cifar10", "mnist": "idx", "fashion-mnist": "idx"}
"""Sources with a name of their own: name -> module."""

DUMPS = tuple(ending for ending in READERS if not ending.startswith(".np"))
"""Endings of the dumps whose pairs ``X.pt,y.pt`` are read by `dumps`."""
SUFFIXES = {
    **dict.fromkeys((".npz", ".npy"), "arrays"),
    **dict.fromkeys((".zip", *TARS), "manifests"),
    **dict.fromkeys((".parquet", ".arrow", ".feather", ".ipc"), "tables.reading"),
    **dict.fromkeys((ARFF, f"{ARFF}.gz", *SHEETS), "tables.reading"),
    **dict.fromkeys(JSON_LINES, "text.json_lines"),
    **dict.fromkeys((".svm", ".svmlight", ".libsvm"), "svmlight"),
    **dict.fromkeys(DUMPS, "dumps"),
}
"""Files by their ending: ending -> module."""
PICKLES = (".joblib", ".bin.pkl")
"""Endings of pickles that hold more than plain values; `pickles` reads the plain ones without unpickling."""
CIFAR_PICKLES = ("cifar-10-python", "cifar-100-python")
MOST_BESIDE = 1000  # files that are looked at for one whose name is nearly that of a missing one
TABLE_OPTIONS = (
    "split_column",
    "time",
    "drop",
    "keep",
    "categories",
    "numeric",
    "dates",
    "text",
    "delimiter",
    "header",
    "encoding",
    "decimal",
    "missing",
    "image_shape",
)
"""Options that go to the reader of tables as they are."""
TAKEN: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("digits", "cifar10", "idx", "svmlight"), ()),
    **dict.fromkeys(("pickles.cifar", "shards"), ("labels",)),
    **dict.fromkeys(("arrays", "dumps"), ("labels", "column")),
    "folders": ("encoding",),
    "text.json_lines": ("labels", "column", "text", "encoding"),
}
"""Options of tables that readers of other sources take: module -> names."""


def refuse_unused(module: str, source: str, options: Mapping[str, Any]) -> None:
    """Refuse options of tables that a reader would not look at: what was asked for would be left out in silence.

    Raises:
        InputError: ``option-unused``.
    """
    given = [name for name in ("labels", "column", *TABLE_OPTIONS) if options.get(name) is not None]
    unused = [name for name in given if name not in TAKEN.get(module, given)]
    if unused:
        option = f"--{unused[0].replace('_', '-')}"
        why = (
            "names labels, and this source has its own"
            if unused[0] == "labels"
            else "is for tables, and this is none"
        )
        raise InputError("option-unused", f"{option} {why}", source, f"leave {option} out")


def module_of(source: str) -> str:
    """Return the module below `straightedge.data` that reads a source.

    Raises:
        InputError: ``source-missing``, ``source-kind``, ``pickle-refused``.
    """
    if source in NAMED:
        return NAMED[source]
    if "," in source and not os.path.exists(source):
        rows = source.split(",", 1)[0].strip().lower()
        if is_idx_images(rows):
            return "idx"
        return "dumps" if rows.endswith(DUMPS) else "arrays"
    refuse_special(source)
    path = Path(source)
    if not path.exists():
        raise _missing(source)
    return _folder_reader(path) if path.is_dir() else _file_reader(path)


def _file_reader(path: Path) -> str:
    name = path.name.lower()
    if name.endswith(PICKLES):
        what = "the file is a pickle by its name; opening one can run any program"
        mend = "save the arrays with numpy.savez, or give the images themselves"
        raise InputError("pickle-refused", what, str(path), mend)
    return _published(name) or _by_ending(path, name) or _by_content(path)


def _published(name: str) -> str | None:
    """Return the reader of a file that has the name of one of a published data set."""
    if name.startswith("cifar-10-binary"):
        return "cifar10"
    if is_idx_images(name):
        return "idx"
    return "pickles.cifar" if name.startswith(CIFAR_PICKLES) else None


def _by_ending(path: Path, name: str) -> str | None:
    """Return the reader of a file with an ending that is known, where several have it by its content."""
    if name.endswith(JSON_LINES):
        return _json_reader(path)
    if name.endswith(".zip") and is_zip_of_table(path):
        return "tables.reading"
    if is_text_table(name):
        return "svmlight" if looks_like_svmlight(path) else "tables.reading"
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.endswith(suffix):
            return "shards" if suffix in TARS and _is_shard(path) else SUFFIXES[suffix]
    return None


def _json_reader(path: Path) -> str:
    """Return the reader of JSON lines: of texts with their labels, or of a table."""
    from straightedge.data.text.json_lines import is_table

    return "tables.reading" if is_table(path) else "text.json_lines"


def _is_shard(path: Path) -> bool:
    from straightedge.data.shards import looks_like_shard

    return looks_like_shard(path)


def _by_content(path: Path) -> str:
    with open_regular(path) as file:
        head = file.read(HEAD)
    if head.startswith(b"\x93NUMPY"):
        return "arrays"
    if by_ending(path):
        raise refuse_other_kind(path, head, [])
    if is_json_lines(path):
        return _json_reader(path)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) or head[257:262] == b"ustar":
        return "manifests"
    if head.startswith((b"PAR1", b"ARROW1")):
        return "tables.reading"
    if reader_by_content(head) is not None:
        return "dumps"
    if looks_like_svmlight(path):
        return "svmlight"
    raise refuse_other_kind(path, head, [*SUFFIXES, *TEXT_TABLES])


def _folder_reader(path: Path) -> str:
    names = {entry.name for entry in os.scandir(path)}
    return _by_files(path) or _by_names(names, path) or _by_tables(path)


def _by_files(path: Path) -> str | None:
    """Return the reader of a folder by the endings of the files in it and in its folders."""
    for ending in (".parquet", ".arrow", ".feather", ".tar"):
        if any(path.glob(f"*{ending}")) or any(path.glob(f"*/*{ending}")):
            return "shards" if ending == ".tar" else "tables.reading"
    packed = (file for ending in TARS[1:] for place in ("", "*/") for file in path.glob(f"{place}*{ending}"))
    first = next(packed, None)
    return "shards" if first is not None and _is_shard(first) else None


def _by_names(names: Collection[str], path: Path) -> str | None:
    """Return the reader of a folder by the names that its files have in published data sets."""
    if "data_batch_1.bin" in names:
        return "cifar10"
    if "data_batch_1" in names or ({"train", "test", "meta"} <= set(names) and (path / "meta").is_file()):
        return "pickles.cifar"
    return "idx" if any(is_idx_images(name) for name in names) else None


def _by_tables(path: Path) -> str:
    """Return the reader of a folder of dumps, of images with a table of labels, or of class folders."""
    from straightedge.data.dumps.source import is_folder_of_dumps
    from straightedge.data.manifests.places import FolderPlace, is_metadata
    from straightedge.data.tables.pairs import pairs_in
    from straightedge.data.text.json_lines import is_folder_of_json

    tables = FolderPlace(path).tables()
    if is_folder_of_json(path) and not any(is_metadata(table) for table in tables):
        return "text.json_lines"
    if pairs_in(path):
        return "tables.reading"
    if is_folder_of_dumps(path):
        return "dumps"
    return "manifests" if tables else "folders"


def _missing(source: str) -> InputError:
    folder, beside = Path(source).parent, list[str]()
    with suppress(OSError, ValueError):
        beside = [str(folder / entry.name) for entry in islice(os.scandir(folder), MOST_BESIDE)]
    mend = f"{did_you_mean(source, [*NAMED, *beside])}names: {', '.join(NAMED)}"
    return InputError("source-missing", f"there is no file, folder or named source {source!r}", mend=mend)
