"""`.npz` archives and pairs of `.npy` files: arrays as NumPy saves them, never pickled objects.

Files of one array are memory-mapped; so are the members of an `.npz` that are stored without compression.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from straightedge.data import fingerprint
from straightedge.data.assemble import SPLITS, Part, assemble
from straightedge.data.base import Dataset
from straightedge.data.checks import checked_rows
from straightedge.data.dumps.naming import class_names, extractor_in, find_parts, rows_in
from straightedge.data.dumps.readers import READERS
from straightedge.data.npz import is_npy, read_npy, read_npz
from straightedge.data.sparse_members import with_matrices
from straightedge.data.write import sidecar
from straightedge.errors import InputError
from straightedge.leftovers import settle
from straightedge.special_files import refuse_special


def load(source: str, **options: Any) -> Dataset:
    """Read ``file.npz``, ``X.npy,y.npy`` or ``X.npy`` with ``labels="y.npy"``.

    Raises:
        InputError: ``npy-objects``, ``npy-broken``, ``npz-keys``, ``npy-labels-missing``, ``file-missing``
            and the codes of `assemble` and `checked_rows`.
    """
    if not Path(source).exists() and "," in source:
        if options.get("labels") is not None:
            raise InputError("option-unused", "the labels are named twice", source, "leave --labels out")
        rows, labels = (Path(part.strip()) for part in source.split(",", 1))
        return _load_pair(source, rows, labels, options)
    path = Path(source)
    if path.suffix.lower() == ".npy" or is_npy(path):
        if options.get("labels") is None and sidecar(path).is_file():
            return _load_described(source, path, options)
        if options.get("labels") is None:
            mend = "give both files, X.npy,y.npy, or --labels y.npy (or a text file, one label a line)"
            raise InputError("npy-labels-missing", "a .npy of features needs its labels", source, mend)
        return _load_pair(source, path, Path(options["labels"]), options)
    return _load_npz(source, path, options)


def _load_pair(name: str, rows: Path, labels: Path, options: Mapping[str, Any]) -> Dataset:
    X = checked_rows(read_npy(rows), str(rows))
    part = Part(X, read_label_file(labels))
    return assemble(
        name, {"train": part}, fingerprint=fingerprint.of_files([rows, labels]), declared=options.get("classes")
    )


def read_label_file(path: Path) -> Any:
    """Read labels from a `.npy`, a dump, a text file with one label a line, or a CSV with a header.

    Raises:
        InputError: ``file-missing``, ``npy-objects``, ``npy-broken``, ``labels-file``.
    """
    refuse_special(path)
    if path.suffix.lower() == ".npy" or not path.is_file() or is_npy(path):
        return read_npy(path)
    if path.suffix.lower() in READERS:
        from straightedge.data.dumps.source import read_labels

        return read_labels(path)
    from straightedge.data.tables.labels import labels_of_lines

    return labels_of_lines(path, _lines(path))


def _lines(path: Path) -> list[str]:
    r"""Return the lines of a UTF-8 text file, which end in \n or \r\n alone; a byte-order mark is no text.

    Raises:
        InputError: ``labels-file``.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _no_label_text(path, f"the file is no UTF-8 text: {error}") from None
    lines = [line.removesuffix("\r").strip(" \t") for line in text.removesuffix("\n").split("\n")]
    if any("\r" in line for line in lines):
        raise _no_label_text(path, "lines end in a carriage return alone")
    return lines


def _no_label_text(path: Path, what: str) -> InputError:
    mend = "give a .npy or a UTF-8 text file, one label a line"
    return InputError("labels-file", what, str(path), mend)


def _load_described(name: str, path: Path, options: Mapping[str, Any]) -> Dataset:
    """Read features written by `write_features` as `.npy`, bound together by their description."""
    settle(path.parent)
    about = read_description(sidecar(path))
    parts = {}
    for split, files in about["files"].items():
        X, y = (read_npy(path.with_name(str(files[key]))) for key in ("X", "y"))
        parts[split] = Part(checked_rows(X, f"{path} ({split})"), y)
    return assemble(
        name,
        parts,
        fingerprint=fingerprint.of_values(**{split: files["sha256"] for split, files in about["files"].items()}),
        classes=about["classes"],
        declared=options.get("classes"),
        features=about["features"],
    )


def read_description(path: Path) -> dict[str, Any]:
    """Read the description beside written features, and check what is used of it."""
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        names = [files[key] for files in about["files"].values() for key in ("X", "y")]
        plain = all(isinstance(name, str) and Path(name).name == name for name in names)
        usable = plain and isinstance(about["classes"], list) and set(about["files"]) <= set(SPLITS)
        usable = usable and all(isinstance(files["sha256"], str) for files in about["files"].values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        usable = False
    if not usable or not isinstance(about.get("features"), dict | None):
        what = "this is no description of written features"
        raise InputError("description-broken", what, str(path), "write the features again")
    return {key: about.get(key) for key in ("files", "classes", "features")}


def _load_npz(name: str, path: Path, options: Mapping[str, Any]) -> Dataset:
    if options.get("column") is not None or options.get("labels") is not None:
        from straightedge.data import dumps

        return dumps.load(name, **options)
    told = read_npz(path, tables=False)
    if not any(key.endswith("indptr") for key in told):
        find_parts(told, str(path))  # wrong names are told before what is large is unpacked
    members = with_matrices(read_npz(path), str(path))
    parts = find_parts(members, str(path))
    parts = {key: Part(rows_in(part.X, f"{path} ({key})"), part.y) for key, part in parts.items()}
    return assemble(
        name,
        parts,
        fingerprint=fingerprint.of_file(path),
        classes=class_names(members),
        declared=options.get("classes"),
        features=extractor_in(members),
    )
