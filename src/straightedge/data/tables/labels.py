"""The labels of a table's rows, read from their column."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.data.label_values import CodedLabels, plain_labels
from straightedge.data.tables.facts import coded_text, column_blocks
from straightedge.data.tables.files import Table
from straightedge.data.tables.label_column import (
    LABEL_COLUMNS,
    OTHER_NAMES,
    choose_label,
    is_plain_number,
    is_text,
    plain_values,
)
from straightedge.data.tables.text_file import TextRead, read_text_table
from straightedge.errors import InputError

MOST_VALUES = 200
"""Distinct numbers of a label from which it is a quantity and no class, if there are few rows for each."""
ENDINGS = (".csv", ".tsv")  # endings of text files whose first line may be a header


def read_labels(tables: Sequence[Table], column: str) -> np.ndarray:
    """Return the labels of all rows as written: numbers as numbers, everything else as objects."""
    found = coded_labels(tables, column)
    return found.written() if isinstance(found, CodedLabels) else found


def coded_labels(tables: Sequence[Table], column: str) -> np.ndarray | CodedLabels:
    """Return the labels of all rows as `read_labels` does, those that are text as which word each row has."""
    if all(is_text(table.schema.field(column).type) for table in tables):
        codes, words = coded_text(column_blocks(tables, column)())
        if None not in words:
            return CodedLabels(np.array(words, dtype=object), codes)
    parts = []
    for table in tables:
        values = plain_values(table.column(column))
        plain = values.null_count == 0 and is_plain_number(values.type)
        parts.append(values.to_numpy() if plain else np.array(values.to_pylist(), dtype=object))
    return np.concatenate(parts)


def refuse_regression(y: np.ndarray | CodedLabels, table: Table, label: str) -> None:
    """Refuse a label of numbers with hundreds of values."""
    if isinstance(y, CodedLabels) or y.dtype.kind not in "iuf":
        return
    count = len(np.unique(y))
    if count > MOST_VALUES and count > len(y) / 10:
        what = f"column {label!r} holds {count} different numbers: a quantity, and no classes"
        mend = "name a column of classes (--labels), or group the numbers into classes first"
        raise InputError("labels-regression", what, str(table.path), mend)


def labels_of_lines(path: Path, lines: Sequence[str]) -> Any:
    """Return one label a line, or the label column below a header that names one.

    Raises:
        InputError: The codes of `read_text_table` and `choose_label`.
    """
    names = [name.strip(' "').lower() for name in re.split(r"[,;\t]", lines[0])]
    has_header = path.suffix.lower() in ENDINGS and not {*LABEL_COLUMNS, *OTHER_NAMES}.isdisjoint(names)
    if not has_header or (len(names) == 1 and lines[0] in lines[1:]):
        return plain_labels(list(lines))
    if len(names) == 1:
        return plain_labels(list(lines[1:]))
    table = read_text_table(path, TextRead(header=True, cache=False))
    return read_labels([table], choose_label([table], None, table.schema.names).name)
