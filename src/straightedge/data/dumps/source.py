"""From dumps to a data set: one file with names, two files ``X,y``, or a folder of such files."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from straightedge.data import fingerprint
from straightedge.data.assemble import Part, assemble
from straightedge.data.base import Dataset
from straightedge.data.dumps.naming import (
    SPLIT_OF,
    class_names,
    column,
    extractor_in,
    find_parts,
    is_table,
    named,
    only_rows,
    role,
    rows_in,
)
from straightedge.data.dumps.readers import READERS, read_members
from straightedge.data.listing import IMAGE_ENDINGS, entries_of
from straightedge.errors import InputError

TEXTS = (".txt", ".csv", ".tsv")  # endings of text files that may hold the labels of dumps in the same folder


def load(source: str, **options: Any) -> Dataset:
    """Read a dump of features: one file, ``X.pt,y.pt``, or a folder of ``X_train.npy``, ``y_train.npy`` and so on.

    Args:
        source: File, pair of files or folder.
        **options: ``column`` names the array of rows, ``labels`` that of labels or a file of labels.

    Raises:
        InputError: ``dump-contents``, ``dump-labels-missing``, ``npz-keys`` and the codes of the readers, of
            `assemble` and of `checked_rows`.
    """
    if "," in source and not Path(source).exists():
        files = [Path(part.strip()) for part in source.split(",", 1)]
        return _assembled(source, {"train": _pair(files[0], files[1], options)}, {}, files, options)
    path = Path(source)
    if path.is_dir():
        files = folder_files(path)
        members = {name: value for file in files for name, value in _under_name(file, path).items()}
        return _assembled(source, find_parts(members, source, "dump-contents"), members, files, options)
    members = read_members(path)
    labels = options.get("labels")
    if labels is not None and str(labels) not in members:
        files = [path, Path(labels)]
        return _assembled(source, {"train": _pair(path, files[1], options)}, members, files, options)
    return _assembled(source, _named(members, source, options), members, [path], options)


def _named(members: Mapping[str, Any], source: str, options: Mapping[str, Any]) -> dict[str, Part]:
    """Return rows and labels of one file: as asked by name, or as the names and shapes say."""
    labels, asked = options.get("labels"), options.get("column")
    if labels is not None:
        return {"train": Part(only_rows(members, source, asked), column(members[str(labels)]))}
    if sum(map(is_table, members.values())) == 1 and len(members) == 1:
        mend = "give them in a second file: --labels y.npy (or a text file, one label a line)"
        raise InputError("dump-labels-missing", "the file holds rows and no labels", source, mend)
    return find_parts(members, source, "dump-contents")


def _pair(rows: Path, labels: Path, options: Mapping[str, Any]) -> Part:
    from straightedge.data.arrays import read_label_file

    return Part(only_rows(read_members(rows), str(rows), options.get("column")), read_label_file(labels))


def rows_of(path: Path, width: int) -> Any:
    """Return the rows of a file alone, without labels, for a fitted model.

    Raises:
        InputError: ``dump-contents`` and the codes of the readers and of `checked_rows`.
    """
    return rows_in(only_rows(read_members(path), str(path)), str(path))


def read_labels(path: Path) -> Any:
    """Return the labels that a dump holds: those that bear the name, or the only column there is."""
    members = {name: column(value) for name, value in read_members(path).items()}
    single = [name for name, value in members.items() if not is_table(value)]
    for names in (named(members, "labels"), single):
        if len(names) == 1:
            return members[names[0]]
    raise InputError("dump-contents", f"which of {sorted(members)} are the labels?", str(path), "name one y")


def folder_files(path: Path) -> list[Path]:
    """Return the dumps in a folder, and in folders of splits inside it, whose names say what they hold, sorted.

    Labels may be a text or a CSV, unless there are images, whose labels they would be.
    """
    inside = (entry for entry in path.iterdir() if entry.name.lower() in SPLIT_OF and entry.is_dir())
    names = sorted(file for folder in (path, *inside) for file in entries_of(folder))
    endings = {file.suffix.lower() for file in names}
    texts = () if endings & IMAGE_ENDINGS else TEXTS
    return [file for file in names if _is_part(file, path, texts) and file.is_file()]


def _is_part(file: Path, root: Path, texts: Collection[str]) -> bool:
    ending, kind = file.suffix.lower(), (role(_name(file, root)) or ("", "", 0))[1]
    return bool(kind and ending in READERS) or (kind == "labels" and ending in texts)


def _name(file: Path, root: Path) -> str:
    """Return the path inside a folder without its ending, such as ``train/X``."""
    return file.relative_to(root).with_suffix("").as_posix()


def is_folder_of_dumps(path: Path) -> bool:
    """Whether a folder holds files of training rows and of training labels, by their names."""
    roles = [role(_name(file, path)) for file in folder_files(path)]
    kinds = {kind for split, kind, _ in filter(None, roles) if split == "train"}
    return kinds == {"rows", "labels"}


def _under_name(file: Path, root: Path) -> dict[str, Any]:
    """Return the only array of a file under the file's own name."""
    if file.suffix.lower() in TEXTS:
        from straightedge.data.arrays import read_label_file

        return {_name(file, root): read_label_file(file)}
    members = read_members(file)
    if len(members) != 1:
        what = f"the file holds {sorted(members)}"
        raise InputError("dump-contents", what, str(file), "one array a file in a folder of them")
    return {_name(file, root): column(next(iter(members.values())))}


def _assembled(
    source: str,
    parts: Mapping[str, Part],
    members: Mapping[str, Any],
    files: list[Path],
    options: Mapping[str, Any],
) -> Dataset:
    checked = {key: Part(rows_in(part.X, f"{source} ({key})"), column(part.y)) for key, part in parts.items()}
    return assemble(
        source,
        checked,
        fingerprint=fingerprint.of_files(files),
        classes=class_names(members),
        declared=options.get("classes"),
        features=extractor_in(members),
    )
