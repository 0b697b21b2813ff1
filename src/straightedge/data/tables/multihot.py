"""Tables whose rows have several labels each: a column of yes and no for each label, or one column of lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from straightedge.data.base import RawTable
from straightedge.data.beside import values_of_file
from straightedge.data.tables.beside import columns_beside, divided, groups_of, note_of, weights_of
from straightedge.data.tables.encoding import TableEncoding, as_floats
from straightedge.data.tables.files import Table, arrow, names_in
from straightedge.data.tables.fitting import fit_encoding
from straightedge.data.tables.kinds import Wishes
from straightedge.data.tables.label_column import column_missing, is_text, plain_column
from straightedge.data.tables.matching import encoded_rows, match_columns, text_read_for, unlike_training
from straightedge.data.tables.opening import text_read
from straightedge.data.tables.parts import SplitRows, TableParts
from straightedge.data.tables.reading import Found, anew, in_memory, open_source, split_rows
from straightedge.errors import InputError
from straightedge.row_weights import checked_sample_weight

SEPARATORS = (";", "|", ",")
"""What stands between the labels of a text, the first that occurs anywhere in the column."""


@dataclass(frozen=True)
class MultiHot:
    """Rows with several labels each.

    Attributes:
        source: Where they are from.
        X: Split -> (N, D) rows, in memory or to be read.
        Y: Split -> (N, C) bool.
        names: C labels.
        columns: What the table's columns became, as plain data.
        fingerprint: SHA-256 of the content.
        groups: (N,) what training rows belong together, or None.
        weights: Split -> (N,) float64 ≥ 0, how often each row counts; splits whose rows count once are not there.
        parts: The raw table, to be encoded by some of its training rows.
        notes: Remarks for the user.
    """

    source: str
    X: dict[str, Any]
    Y: dict[str, np.ndarray]
    names: tuple[str, ...]
    columns: dict[str, Any]
    fingerprint: str
    groups: np.ndarray | None = None
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    parts: RawTable | None = None
    notes: list[str] = field(default_factory=list)


def load_multihot(
    source: str,
    labels: str | None,
    options: Mapping[str, Any],
    *,
    columns: Mapping[str, Any] | None = None,
    names: Sequence[str] | None = None,
) -> MultiHot:
    """Read a table whose rows have several labels each.

    Args:
        source: File or folder.
        labels: Names of columns of yes and no, with commas, or of one column of lists; None takes those of a model.
        options: As `tables.reading.load` takes them; ``groups`` and ``sample_weight`` are columns or files.
        columns: The encoding of a trained model.
        names: Its labels.

    Raises:
        InputError: ``labels-multihot``, ``labels-missing``, ``column-missing`` and the codes of tables.
    """
    trained = TableEncoding.from_dict(columns) if columns is not None else None
    wanted = names_in(labels if labels is not None or trained is None else trained.label)
    if not wanted:
        what = "which columns are the labels?"
        raise InputError("labels-multihot", what, source, "--labels A,B,C or --labels COLUMN")
    as_words = names_in(options.get("categories"))
    how = text_read(options, as_words) if trained is None else text_read_for(trained, options)
    found = open_source(source, how)
    if list(found.tables) == ["train"]:
        found.tables["train"], found.divided_by = divided(found.tables["train"], options)
    _refuse_absent(found, wanted)
    known, Y = _matrices(found, wanted, names)
    splits = split_rows(found, "")
    if trained is not None:
        found.notes += match_columns(found.every, trained) + unlike_training(found.every, trained)
        return _beside(_made(source, found, trained, known, Y, None), splits, options)
    tables, first, n = splits["train"]
    wishes = Wishes.of(options)
    beside = columns_beside(options, found.schema.names)
    ignored = [*wanted, *beside, *(["split"] if len(splits) > 1 and len(found.tables) == 1 else [])]
    fit = partial(fit_encoding, tables, ",".join(wanted), wishes, found.index, ignored=ignored)
    encoding, notes = fit(rows=slice(first, first + n))
    found.notes += notes
    parts = TableParts(splits, lambda rows: fit(rows=rows)[0], partial(anew, source))
    return _beside(_made(source, found, encoding, known, Y, parts), splits, options)


def _beside(made: MultiHot, splits: Mapping[str, SplitRows], options: Mapping[str, Any]) -> MultiHot:
    """Return the rows with their groups and weights, of columns or of files."""
    names, n = splits["train"][0][0].schema.names, len(made.Y["train"])
    if (groups := options.get("groups")) is not None:
        if groups in names:
            made = replace(made, groups=groups_of(splits["train"], groups))
            made.notes.append(note_of("groups", groups))
        else:
            made = replace(made, groups=values_of_file(groups, "groups", n, made.source))
    if (weight := options.get("sample_weight")) is not None:
        if weight in names:
            found = {split: weights_of(rows, weight) for split, rows in splits.items()}
            made = replace(made, weights={split: own for split, own in found.items() if own is not None})
            made.notes.append(note_of("weights", weight))
        else:
            values = values_of_file(weight, "weights", n, made.source)
            made = replace(made, weights={"train": checked_sample_weight(values, n).numpy()})
    return made


def _made(
    source: str,
    found: Found,
    encoding: TableEncoding,
    names: tuple[str, ...],
    Y: np.ndarray,
    parts: RawTable | None,
) -> MultiHot:
    starts, total = {}, 0
    for split, group in found.tables.items():
        starts[split] = total
        total += sum(table.n_rows for table in group)
    X, own = {}, {}
    for split, (tables, first, n) in split_rows(found, "").items():
        X[split] = in_memory(encoded_rows(encoding, tables, n, first), f"{source} ({split})")
        place = starts.get(split, 0) + first  # splits of one file lie in its rows, others one after the other
        own[split] = Y[place : place + n]
    key = found.fingerprint([column.name for column in encoding.used] + list(names))
    note = f"labels: {len(names)} of each row, {', '.join(names[:8])}{', …' if len(names) > 8 else ''}"
    notes = [note, *found.notes]
    return MultiHot(source, X, own, names, encoding.to_dict(), key, parts=parts, notes=notes)


def _refuse_absent(found: Found, wanted: Sequence[str]) -> None:
    for name in wanted:
        if name not in found.schema.names:
            raise column_missing(f"there is no label column {name!r}", found.schema.names, found.where)


def _matrices(
    found: Found, wanted: Sequence[str], names: Sequence[str] | None
) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the labels and the matrix (N, C) of all rows of all files."""
    if len(wanted) > 1:
        flags = [_flags(found.every, name, found.where) for name in wanted]
        return tuple(wanted), np.stack(flags, axis=1)
    sets = _sets(found.every, wanted[0], found.where)
    known = sorted({label for row in sets for label in row}) if names is None else list(names)
    place = {label: k for k, label in enumerate(known)}
    new = {label for row in sets for label in row} - set(place)
    if new:
        found.notes.append(f"labels that training did not have are left out: {', '.join(sorted(new)[:8])}")
    Y = np.zeros((len(sets), len(known)), dtype=bool)
    for i, row in enumerate(sets):
        Y[i, [place[label] for label in row if label in place]] = True
    return tuple(known), Y


def _flags(tables: Sequence[Table], name: str, where: str) -> np.ndarray:
    """Return a column of 0 and 1, or of two words such as no and yes, as (N,) bool."""
    column = plain_column(tables, name)
    at = f"{where}, column {name!r}"
    if column.null_count:
        raise InputError("labels-missing", f"{column.null_count} rows have no value", at, "fill or remove them")
    words = sorted(set(column.to_pylist())) if is_text(column.type) else []
    if words and {word.lower() for word in words} <= {"no", "yes", "false", "true", "n", "y", "f", "t"}:
        return np.array([word.lower() in ("yes", "true", "y", "t") for word in column.to_pylist()])
    values = as_floats(column.combine_chunks(), at)
    bad = np.flatnonzero((values != 0) & (values != 1))
    if len(bad):
        what = f"the value is {values[bad[0]]:g}, and a label's column holds 0 and 1"
        raise InputError("labels-multihot", what, f"{at}, row {bad[0]}", "name columns of 0 and 1, or one of lists")
    return np.asarray(values == 1)


def _sets(tables: Sequence[Table], name: str, where: str) -> list[set[str]]:
    """Return the labels of each row, from a column of lists, or of texts with separators."""
    column = plain_column(tables, name)
    types = arrow("pyarrow.types")
    rows = column.to_pylist()
    if types.is_list(column.type) or types.is_large_list(column.type):
        return [{str(label) for label in row or ()} for row in rows]
    if not is_text(column.type):
        what = f"column {name!r} holds {column.type}, and no lists of labels"
        raise InputError("labels-multihot", what, where, "name several columns, or one of lists or texts: a;b")
    mark = next((mark for mark in SEPARATORS if any(mark in (row or "") for row in rows)), SEPARATORS[0])
    return [{part.strip() for part in (row or "").split(mark) if part.strip()} for row in rows]
