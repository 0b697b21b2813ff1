"""Tables whose rows are texts: one column of them, with a column of labels."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from straightedge.data.assemble import Part, assemble
from straightedge.data.base import Dataset
from straightedge.data.label_values import listed
from straightedge.data.tables.facts import column_blocks, column_facts
from straightedge.data.tables.files import Table, arrow
from straightedge.data.tables.frames import frame_table
from straightedge.data.tables.kinds import is_free_text
from straightedge.data.tables.label_column import column_missing, is_text, plain_column, plain_type, without_dots
from straightedge.data.tables.labels import coded_labels, refuse_regression
from straightedge.data.tables.opening import open_all, text_read
from straightedge.data.tables.parts import SplitRows
from straightedge.data.text.documents import Documents, count_texts, repeated_texts
from straightedge.errors import InputError

if TYPE_CHECKING:
    from straightedge.data.tables.reading import Found

TEXTS = "texts"  # the kind of a model's columns where its rows are the texts of one of them


def wanted_text(found: Found, options: Mapping[str, Any]) -> str | None:
    """Return the column of texts that the user or a trained model names, or None.

    Raises:
        InputError: ``column-missing``, ``column-kind`` where it holds no texts.
    """
    trained = options.get("columns") or {}
    name = options.get("text") or (trained["column"] if trained.get("kind") == TEXTS else None)
    if name is not None:
        refuse_no_text(found.every[0], name)
    return name


def refuse_no_text(table: Table, name: str) -> None:
    """Refuse a column of texts that is not there, or holds none (see `wanted_text`)."""
    names = table.schema.names
    if name not in names:
        raise column_missing(f"there is no column {name!r} of texts", names, table.path)
    if not is_text(kind := plain_type(table, name)):
        mend = f"name a column of texts, or leave {name} a feature as it is"
        raise InputError("column-kind", f"column {name!r} holds {kind}, no texts", str(table.path), mend)


def only_text(tables: Sequence[Table], apart: Collection[str], rows: slice) -> str | None:
    """Return the one column of free text, or None where there is none or several."""
    texts = []
    for name in tables[0].schema.names:
        kind = plain_type(tables[0], name)
        if name not in apart and is_text(kind):
            facts = column_facts(column_blocks(tables, name, rows), kind)
            texts += [name] if is_free_text(facts) else []
    return texts[0] if len(texts) == 1 else None


def load_texts(
    source: str,
    found: Found,
    splits: Mapping[str, SplitRows],
    names: tuple[str, str],
    apart: Sequence[str],
    options: Mapping[str, Any],
) -> Dataset:
    """Return a table's texts and labels; other columns are no part of them."""
    column, label = names
    parts = {}
    for split, (tables, first, n) in splits.items():
        y = coded_labels(tables, label)[first : first + n]
        refuse_regression(y, tables[0], label)
        y = y if options.get("classes") is None else without_dots(y, options["classes"])
        parts[split] = Part(documents(tables, column, slice(first, first + n)), y)
    others = [name for name in found.schema.names if name not in (column, label, "split", *apart)]
    notes = [*found.notes, f"the rows are the texts of column {column!r}: {count_texts(parts, source)}"]
    notes += [f"left out: {listed(others)} (the rows are texts alone)"] if others else []
    return assemble(
        source,
        parts,
        fingerprint=found.fingerprint([column, label]),
        declared=options.get("classes"),
        notes=notes,
        columns={"kind": TEXTS, "column": column, "label": label},
        repeats=repeated_texts(parts),
    )


def documents(tables: Sequence[Table], column: str, rows: slice = slice(None)) -> Documents:
    """Return the texts of a column as they lie in Arrow's memory; a missing one is empty."""
    pa, compute = arrow(), arrow("pyarrow.compute")
    values = compute.fill_null(plain_column(tables, column)[rows].cast(pa.large_string()), "")
    whole = values.combine_chunks()
    whole = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
    _, ends, data = whole.buffers()
    places = np.frombuffer(ends, dtype=np.int64)[whole.offset : whole.offset + len(whole) + 1]
    if data is None or not len(whole):
        return Documents.of([""] * len(whole))
    content = np.frombuffer(data, dtype=np.uint8)[places[0] : places[-1]]
    return Documents(content, places[1:] - places[0])


def new_texts(
    path: Path, description: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[Documents, list[str]]:
    """Read the texts of a table for a trained model, and remarks; a label column need not be there.

    Raises:
        InputError: ``column-missing``, ``column-kind`` and the codes of the readers.
    """
    try:
        tables, notes = open_all(path, text_read(options))
    except InputError as error:
        if error.code != "table-format" or options.get("delimiter"):
            raise
        tables, notes = open_all(path, text_read({**options, "delimiter": ",", "header": True}))
    refuse_no_text(tables[0], description["column"])
    return documents(tables, description["column"]), notes


def frame_texts(frame: Any, description: Mapping[str, Any]) -> Documents:
    """Return the texts of a frame's column for a trained model (errors as `new_texts`)."""
    table = frame_table(frame)
    refuse_no_text(table, description["column"])
    return documents([table], description["column"])
