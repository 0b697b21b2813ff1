"""`load_dataset`: the one door to every format, and the registry of readers behind it.

A new format is one module with a function ``load(source, **options) -> Dataset`` and one line here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from straightedge.data.base import Dataset
from straightedge.data.beside import with_groups, with_weights
from straightedge.data.dumps.readers import READERS, reader_by_content
from straightedge.data.idx_names import is_idx_images
from straightedge.data.other_kinds import HEAD, by_ending, refuse_other_kind
from straightedge.data.svmlight import looks_like_svmlight
from straightedge.data.tables.arff import ENDING as ARFF
from straightedge.data.tables.excel import ENDINGS as SHEETS
from straightedge.data.tables.frames import NAME as FRAME
from straightedge.data.tables.frames import frame_table, is_frame
from straightedge.data.tables.opening import is_json_lines, is_text_table, is_zip_of_table
from straightedge.data.tables.pairs import pairs_in
from straightedge.data.tables.text_file import ENDINGS as TEXT_ENDINGS
from straightedge.data.test_source import with_test_source
from straightedge.data.text.json_lines import ENDINGS as JSON_ENDINGS
from straightedge.data.text.json_lines import is_folder_of_json, is_table
from straightedge.errors import InputError, did_you_mean
from straightedge.special_files import open_regular, refuse_special

NAMED = {
    "digits": "digits",
    "cifar10": "cifar10",
    "mnist": "idx",
    "fashion-mnist": "idx",
}
"""Sources with a name of their own: name -> module."""

SUFFIXES = {
    ".npz": "arrays",
    ".npy": "arrays",
    ".zip": "manifests",
    ".tar": "manifests",
    ".tar.gz": "manifests",
    ".tgz": "manifests",
    ".tar.bz2": "manifests",
    ".tar.xz": "manifests",
    ".parquet": "tables.reading",
    ".arrow": "tables.reading",
    ".feather": "tables.reading",
    ".ipc": "tables.reading",
    **dict.fromkeys((ARFF, f"{ARFF}.gz", *SHEETS), "tables.reading"),
    **dict.fromkeys(JSON_ENDINGS, "text.json_lines"),
    ".svm": "svmlight",
    ".svmlight": "svmlight",
    ".libsvm": "svmlight",
    **dict.fromkeys(
        (".pkl", ".pickle", ".p", ".mat", ".h5", ".hdf5", ".pt", ".pth", ".safetensors"), "dumps"
    ),
}
"""Files by their ending: ending -> module."""

TARS = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
"""Endings of archives that may be shards, which their first members tell."""
PICKLES = (".joblib", ".bin.pkl")
"""Endings of pickles that hold more than plain values; `pickles` reads the plain ones without unpickling."""
CIFAR_PICKLES = ("cifar-10-python", "cifar-100-python")


DUMPS = tuple(ending for ending in READERS if not ending.startswith(".np"))
"""Endings of the dumps whose pairs ``X.pt,y.pt`` are read by `dumps`."""


def load_dataset(
    source: str | os.PathLike[str] | Any,
    *,
    size: int | str | tuple[int, int] | None = None,
    root: str | os.PathLike[str] | None = None,
    skip_bad: bool = False,
    background: str = "white",
    progress: bool = True,
    cache: bool = True,
    labels: str | os.PathLike[str] | None = None,
    classes: Sequence[Any] | None = None,
    test: str | os.PathLike[str] | None = None,
    groups: str | os.PathLike[str] | None = None,
    sample_weight: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Dataset:
    """Read a data set by name or path.

    Args:
        source: ``digits``, ``cifar10``, ``mnist``, ``fashion-mnist``; a folder, ``.zip`` or ``.tar[.gz]``
            of class folders of images or texts with or without ``train/ val/ test/``; JSON lines; ``.npz``;
            ``X.npy,y.npy``; Parquet, Arrow or Feather files or a folder of them; tar shards; svmlight; pickles of
            plain arrays and CIFAR's ``python`` batches (read without unpickling); CSV, ARFF, workbooks; or a
            frame of pandas, polars or pyarrow.
        size: Pixels that every image is resized to: one number, a pair, or text such as ``32`` or ``24x32``.
        root: Folder that holds, or receives, the files of a named source.
        skip_bad: Go on without images that cannot be decoded, and list them in the notes.
        background: Colour under transparent pixels, a CSS name or ``#rrggbb``.
        progress: Show bars on a terminal.
        cache: Keep decoded images in the cache folder (see `straightedge.data.cache`).
        labels: File of labels for an ``.npy`` of features, or the name of the label column of a table.
        classes: Class names to align to by name, those of a trained model; None takes them from the source.
        test: A second source, whose rows are the sealed test split.
        groups: What training rows belong together: a column of a table, or a file with one group for each row.
        sample_weight: How often training rows count: a column of a table, or a file with one weight for each row. A
            column gives the weights of validation and test rows, too.
        **options: Settings of one format, such as ``column`` (the embedding column of a table).

    Returns:
        The data set; its test split, if it has one, is sealed.

    Raises:
        InputError: ``source-missing``, ``source-kind``, ``pickle-refused``, and the codes of the reader.
    """
    if is_frame(source):
        options["frame"], text, load = frame_table(source), FRAME, reader_of("tables.reading")
    else:
        text = os.fspath(source)
        load = reader(text)
    weights = None if sample_weight is None else os.fspath(sample_weight)
    found = load(
        text,
        size=size,
        root=root,
        skip_bad=skip_bad,
        background=background,
        progress=progress,
        cache=cache,
        labels=labels,
        classes=classes,
        groups=None if groups is None else os.fspath(groups),
        sample_weight=weights,
        **options,
    )
    _check_size(found, size)
    found = found if groups is None else with_groups(found, os.fspath(groups))
    found = found if weights is None or not found.train.n else with_weights(found, weights)
    if test is None:
        return found
    given: dict[str, Any] = {
        "root": root,
        "skip_bad": skip_bad,
        "background": background,
        "progress": progress,
        "cache": cache,
    }
    if weights is not None and not os.path.exists(weights):  # a column, which test rows may have as well
        given["sample_weight"] = weights
    return with_test_source(found, os.fspath(test), load_dataset, {**options, **given, "labels": labels})


def _check_size(found: Dataset, size: Any) -> None:
    """Refuse a size that a source could not follow: it holds pixels or features as they are."""
    from straightedge.data.folders import parse_size

    wanted = parse_size(size)
    if wanted is not None and (found.image_shape is None or found.image_shape[1:] != wanted):
        held = (
            "features"
            if found.image_shape is None
            else "images of {1} × {2} pixels".format(*found.image_shape)
        )
        raise InputError(
            "size",
            f"this source holds {held} as they are and cannot be resized",
            found.name,
            "leave --size out",
        )


def reader(source: str) -> Callable[..., Dataset]:
    """Return the function that reads a source, chosen by name, then by what is at the path."""
    return reader_of(module_of(source))


def reader_of(module: str) -> Callable[..., Dataset]:
    """Return the function that reads sources of a module below `straightedge.data`."""
    load: Callable[..., Dataset] = import_module(f"straightedge.data.{module}").load
    return load


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
        raise InputError(
            "pickle-refused",
            "the file is a pickle by its name; opening one can run any program",
            str(path),
            "save the arrays with numpy.savez, or give the images themselves",
        )
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
    if name.endswith(JSON_ENDINGS):
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
    raise refuse_other_kind(path, head, [*SUFFIXES, *TEXT_ENDINGS])


def _folder_reader(path: Path) -> str:
    names = {entry.name for entry in os.scandir(path)}
    return _by_files(path) or _by_names(names, path) or _by_tables(path)


def _by_files(path: Path) -> str | None:
    """Return the reader of a folder by the endings of the files in it and in its folders."""
    for ending, module in (
        (".parquet", "tables.reading"),
        (".arrow", "tables.reading"),
        (".feather", "tables.reading"),
        (".tar", "shards"),
    ):
        if any(path.glob(f"*{ending}")) or any(path.glob(f"*/*{ending}")):
            return module
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

    tables = FolderPlace(path).tables()
    if is_folder_of_json(path) and not any(is_metadata(table) for table in tables):
        return "text.json_lines"
    if pairs_in(path):
        return "tables.reading"
    if is_folder_of_dumps(path):
        return "dumps"
    return "manifests" if tables else "folders"


def _missing(source: str) -> InputError:
    mend = f"{did_you_mean(source, NAMED)}names: {', '.join(NAMED)}"
    return InputError("source-missing", f"there is no file, folder or named source {source!r}", mend=mend)
