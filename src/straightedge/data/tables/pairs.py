"""Rows and labels in two text tables side by side, such as ``X_train.csv`` and ``y_train.csv``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from straightedge.data import fingerprint
from straightedge.data.dumps.naming import role
from straightedge.data.label_values import plain_labels
from straightedge.data.listing import entries_of
from straightedge.data.tables.files import MemoryTable, Table, arrow
from straightedge.data.tables.kinds import PANDAS_INDEX
from straightedge.data.tables.label_column import LABEL_COLUMNS, first_named
from straightedge.data.tables.text_bytes import read_text_bytes
from straightedge.data.tables.text_file import TextRead, read_text_table
from straightedge.errors import InputError

DELIMITERS = re.compile(r"[,;\t|]")
ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")  # endings of tables that are looked at


@dataclass(frozen=True)
class Pair:
    """The files of one split: rows, and labels where there are any."""

    rows: Path
    labels: Path | None


def pairs_in(folder: Path) -> dict[str, Pair]:
    """Return the pairs of a folder by split; {} where training rows or their labels are not among its files."""
    found: dict[tuple[str, str], Path] = {}
    for file in sorted(entries_of(folder)):
        ending = next((ending for ending in ENDINGS if file.name.lower().endswith(ending)), None)
        meant = role(file.name[: -len(ending)]) if ending and file.is_file() else None
        if meant is not None:
            found.setdefault((meant[0], meant[1]), file)
    splits = [split for split, kind in found if kind == "rows"]
    pairs = {split: Pair(found[split, "rows"], found.get((split, "labels"))) for split in splits}
    return pairs if "train" in pairs and pairs["train"].labels is not None else {}


def open_pairs(pairs: dict[str, Pair], how: TextRead) -> tuple[dict[str, list[Table]], list[str]]:
    """Open the pairs of a folder as one table a split, and say what was left.

    Raises:
        InputError: ``rows-differ`` where a pair has unlike numbers of rows; the codes of `read_text_table`.
    """
    files = [file for pair in pairs.values() for file in (pair.rows, pair.labels) if file is not None]
    digest = fingerprint.of_files(files)
    tables: dict[str, list[Table]] = {}
    notes = []
    for split, pair in pairs.items():
        if pair.labels is None:
            notes.append(f"{pair.rows.name} has no labels beside it: rows for straightedge predict")
            continue
        tables[split] = [_joined(pair.rows, pair.labels, how)]
        tables[split][0].digest = digest
        notes.append(f"{split}: rows of {pair.rows.name}, labels of {pair.labels.name}")
    return tables, notes


def _joined(rows: Path, labels: Path, how: TextRead) -> MemoryTable:
    """Return rows with their labels as a column."""
    X = read_text_table(rows, how)
    name, y = _labels(labels, how, X.n_rows)
    if len(y) != X.n_rows:
        what = f"{labels.name} has {len(y)} rows, and {rows.name} has {X.n_rows}"
        raise InputError("rows-differ", what, str(rows.parent), "give each row its label")
    taken = {column.lower() for column in X.schema.names}
    called = next(word for word in (*LABEL_COLUMNS, name, "label of the row") if word.lower() not in taken)
    columns: dict[str, Any] = {column: X.column(column) for column in X.schema.names}
    return MemoryTable(rows, arrow().table(columns | {called: y}), X.about, X.header)


def _labels(path: Path, how: TextRead, n: int) -> tuple[str, Any]:
    """Return the name of the labels and the labels: the lines of a file, or a column of a table."""
    lines = read_text_bytes(path, how.encoding).data.decode().strip("\n").split("\n")
    if not DELIMITERS.search(lines[0]):
        is_name = lines[0].strip(' "\r').lower() in LABEL_COLUMNS
        header = lines[0] if is_name or len(lines) == n + 1 else ""
        return header.strip(), arrow().array(plain_labels([line.strip(' "\r') for line in lines[bool(header) :]]))
    y = read_text_table(path, how)
    if y.n_rows != n:  # columns of words do not tell whether the first ones are names
        y = read_text_table(path, replace(how, header=not y.header))
    name = _label_of(y.schema.names)
    return name, y.column(name)


def _label_of(names: Sequence[str]) -> str:
    """Return the label among the columns of a file of labels: by its name, else the last that is no index."""
    return first_named(LABEL_COLUMNS, names) or [name for name in names if not PANDAS_INDEX.fullmatch(name)][-1]
