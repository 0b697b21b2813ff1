"""From the training rows of a table to its encoding: the kind of each column, and what to say of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from straightedge.data.label_values import listed
from straightedge.data.tables.encoding import Column, TableEncoding, fit_category, fit_number
from straightedge.data.tables.files import Table
from straightedge.data.tables.kinds import Wishes, left_out
from straightedge.data.tables.label_column import is_text, plain_column
from straightedge.data.tables.text_columns import numbers_in
from straightedge.errors import InputError

MOSTLY_NUMBERS = 0.9
"""Share of numbers from which the other texts of a column are no categories but stand for missing values."""


def fit_encoding(
    tables: Sequence[Table],
    label: str,
    wishes: Wishes,
    index: Collection[str] = (),
    *,
    ignored: Collection[str] = (),
    rows: slice | np.ndarray = slice(None),
) -> tuple[TableEncoding, list[str]]:
    """Fit the encoding of all columns on training rows.

    Args:
        tables: Files of the training split.
        label: Name of the label column.
        wishes: What the user says of columns.
        index: Columns that are a frame's index.
        ignored: Columns that are neither features nor left out, such as the split.
        rows: The training rows among those of the tables: a slice, or (n,) int64 positions.

    Returns:
        The encoding, and remarks on what was left out or looks strange.

    Raises:
        InputError: ``column-missing``, ``columns-none``, ``value-kind``, ``value-infinite``.
    """
    names, where = tables[0].schema.names, str(tables[0].path)
    wishes.check(names, where)
    columns, notes, loose = [], [], set(wishes.numeric)
    for name in names:
        if name == label or name in ignored:
            continue
        values = _of_rows(plain_column(tables, name), rows)
        said = [] if name in wishes.categories | wishes.drop | loose else _mixed(name, values)
        loose |= {name} if said else set()
        columns.append(_fitted(name, values, wishes, index, where, loose=name in loose))
        notes += said
    found = TableEncoding(tuple(columns), label, tuple(names), tables[0].header, tuple(sorted(loose)))
    if not found.width:
        raise InputError(
            "columns-none", "no column is left that could be a feature", where, "--keep COLUMN,…"
        )
    return found, [*_left_out(columns), *notes]


def _of_rows(values: Any, rows: slice | np.ndarray) -> Any:
    """Return some rows of a column."""
    return values[rows] if isinstance(rows, slice) else values.take(rows)


def _fitted(
    name: str, values: Any, wishes: Wishes, index: Collection[str], where: str, *, loose: bool
) -> Column:
    kept = wishes if not loose else replace(wishes, numeric=wishes.numeric | {name})
    why = left_out(name, values, kept, index)
    if why is not None:
        return Column(name, "left out", why, values.null_count)
    if name in wishes.categories or (is_text(values.type) and not loose):
        return fit_category(name, values)
    return fit_number(name, values, f"{where}, column {name!r}", loose=loose)


def _left_out(columns: Sequence[Column]) -> list[str]:
    """Say which columns are no features, those of one reason together."""
    reasons: dict[str, list[str]] = {}
    for column in columns:
        if column.kind == "left out":
            reasons.setdefault(column.why, []).append(column.name)
    return [f"left out: {listed(names)} ({why})" for why, names in reasons.items()]


def _mixed(name: str, values: Any) -> list[str]:
    """Say where a column of numbers has some text in it, which is taken for missing."""
    if not is_text(values.type):
        return []
    count, row, text = numbers_in(values)
    there = len(values) - values.null_count
    if row < 0 or count < MOSTLY_NUMBERS * there:
        return []
    return [
        f"column {name!r} holds {there - count} values that are no numbers, the first {text!r} in row {row}: "
        f"taken for missing; --categories {name} takes all values as categories"
    ]
