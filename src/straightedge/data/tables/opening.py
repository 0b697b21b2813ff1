"""Files and folders of tables, opened by their content: Parquet, Arrow, or text."""

import io
import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from straightedge.data.assemble import files_by_split, to_train_on
from straightedge.data.endings import LINES_OF_JSON, SHEETS, is_json_lines
from straightedge.data.split_names import split_folders
from straightedge.data.tables.arff import is_arff, read_arff
from straightedge.data.tables.excel import read_excel
from straightedge.data.tables.files import MemoryTable, Table, arrow, names_in, table_errors
from straightedge.data.tables.pairs import open_pairs, pairs_in
from straightedge.data.tables.text_bytes import read_text_bytes
from straightedge.data.tables.text_file import TextRead, read_text_table
from straightedge.data.tables.text_format import refuse_repeated, table_empty
from straightedge.data.tables.text_stream import streamed_table
from straightedge.errors import InputError
from straightedge.special_files import open_regular

ENDINGS = {".parquet", ".arrow", ".feather", ".ipc"}  # endings of the files that a folder of tables is read from
CACHED = "cache-"
"""How the files begin that Hugging Face's library keeps beside the data, of what it computed from them."""
SHARD = re.compile(r"-\d+-of-\d+$")
BINARY = (b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")  # first bytes of Parquet files, Arrow files and Arrow streams


def open_table(path: Path, how: TextRead) -> Table:
    """Open one table by its content.

    Raises:
        InputError: ``table-broken``, ``columns-repeated``, the codes of `read_text_table`.
    """
    with open_regular(path) as file:
        head = file.read(6)
    if head.startswith(BINARY) or path.suffix.lower() in ENDINGS:
        table = Table(path)
    elif path.suffix.lower() in SHEETS:
        table = read_excel(path, how)
    elif is_arff(path):
        table = read_arff(path, how)
    elif is_json_lines(path):
        table = read_json_lines(path)
    else:
        table = streamed_table(path, how) or read_text_table(path, how)
    refuse_repeated(table.schema.names, str(path))
    return table


def open_text_bytes(content: bytes, path: Path, how: TextRead) -> Table:
    """Open a text table whose bytes are at hand, such as a member of an archive (errors as `open_table`)."""
    if path.suffix.lower() in LINES_OF_JSON:
        with table_errors(path):
            table = MemoryTable(path, arrow("pyarrow.json").read_json(io.BytesIO(content)))
    else:
        table = read_text_table(path, how, content)
    refuse_repeated(table.schema.names, str(path))
    return table


def text_read(options: Mapping[str, Any], as_text: Collection[str] = ()) -> TextRead:
    """Return how text is read, as the options say.

    Raises:
        InputError: ``table-format`` for a delimiter or a decimal mark that is none.
    """
    delimiter, decimal, header = (options.get(key) for key in ("delimiter", "decimal", "header"))
    delimiter = {"tab": "\t", "\\t": "\t", "blank": " ", "blanks": " "}.get(str(delimiter), delimiter)
    if delimiter is not None and len(delimiter) != 1:
        what = f"the delimiter is {delimiter!r}"
        raise InputError("table-format", what, "--delimiter", "one character, tab, or blanks for runs of blanks")
    if decimal not in (None, ".", ","):
        raise InputError("table-format", f"the decimal mark is {decimal!r}", "--decimal", "give . or ,")
    missing = options.get("missing")
    return TextRead(
        encoding=options.get("encoding"),
        delimiter=delimiter,
        header=header,
        decimal=decimal,
        missing=None if missing is None else tuple(names_in(missing)),
        as_text=as_text,
        cache=bool(options.get("cache", True)),
    )


def open_splits(path: Path, how: TextRead) -> tuple[dict[str, list[Table]], list[str]]:
    """Open a table or a folder of tables: the tables of each split, and remarks."""
    if path.is_dir() and (pairs := pairs_in(path)):
        return open_pairs(pairs, how)
    files, notes = split_files(path)
    tables = {split: [open_table(file, how) for file in paths] for split, paths in files.items()}
    return tables, notes + [table.about for group in tables.values() for table in group if table.about]


def open_all(path: Path, how: TextRead) -> tuple[list[Table], list[str]]:
    """Open a table or a folder of tables, of whatever splits: the tables, those of training first, and remarks."""
    splits, notes = open_splits(path, how)
    return [table for group in splits.values() for table in group], notes


def split_files(path: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """Return the files of each split, and remarks.

    Raises:
        InputError: ``table-empty``: there is no table; ``train-missing``: there are other splits only.
    """
    if path.is_file():
        return {"train": [path]}, []
    paths = saved_tables(path) or sorted(
        p
        for p in path.rglob("*")
        if p.suffix.lower() in ENDINGS and not p.name.startswith((".", CACHED)) and p.is_file()
    )
    if not paths:
        raise InputError("table-empty", "there is no Parquet or Arrow file", str(path))
    return to_train_on(by_split(paths, path), path)


def by_split(paths: Sequence[Path], root: Path) -> dict[str | None, list[Path]]:
    """Return the files of each split, as folders and names say: ``train-00000-of-00004``, ``mnist-train``."""
    found = files_by_split(paths, root)
    if set(found) == {None}:
        stems = {SHARD.sub("", file.stem) for file in paths}
        of_stem = {stem: split for split, stem in split_folders(stems, str(root)).items()}
        if set(of_stem) == stems:
            return {
                split: [file for file in paths if SHARD.sub("", file.stem) == stem]
                for stem, split in of_stem.items()
            }
    return found


def saved_tables(path: Path) -> list[Path]:
    """Return the files that Hugging Face's ``save_to_disk`` lists in a folder; [] where it wrote none.

    Other files beside them are caches of what was once computed from the data.

    Raises:
        InputError: ``table-broken`` where the list is damaged, ``file-missing``.
    """
    states = [state for state in (path / "state.json", *sorted(path.glob("*/state.json"))) if state.is_file()]
    return [file for state in states for file in _listed(state)]


def _listed(state: Path) -> list[Path]:
    try:
        entries = json.loads(state.read_text(encoding="utf-8"))["_data_files"]
        names = [str(entry["filename"]) for entry in entries]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError("table-broken", "this is no list of the files of a data set", str(state)) from None
    files = [state.with_name(name) for name in names if Path(name).name == name]
    missing = next((file for file in files if not file.is_file()), None)
    if missing is not None:
        what = f"{state} lists a file that is not there"
        raise InputError("file-missing", what, str(missing), "copy all of them")
    return files


def read_json_lines(path: Path) -> MemoryTable:
    """Read a text file of one JSON object a line.

    Raises:
        InputError: ``table-broken``, ``table-empty``.
    """
    if path.stat().st_size == 0:
        raise table_empty("the file is empty", path)
    data = read_text_bytes(path).data
    with table_errors(path):
        return MemoryTable(path, arrow("pyarrow.json").read_json(io.BytesIO(data)))
