"""The labels of a table's rows, read from their column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from straightedge.data.label_values import CodedLabels
from straightedge.data.tables.facts import coded_text, column_blocks
from straightedge.data.tables.files import Table
from straightedge.data.tables.label_column import is_plain_number, is_text, plain_values
from straightedge.errors import InputError

MOST_VALUES = 200
"""Distinct numbers of a label from which it is a quantity and no class, if there are few rows for each."""


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
        raise InputError(
            "labels-regression",
            f"column {label!r} holds {count} different numbers: a quantity, and no classes",
            str(table.path),
            "name a column of classes (--labels), or group the numbers into classes first",
        )
