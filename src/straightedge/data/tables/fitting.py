"""From the training rows of a table to its encoding: the kind of each column, and what to say of it."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from straightedge.data.label_values import listed
from straightedge.data.tables.dates import fit_dates, order_of
from straightedge.data.tables.encoding import Column, TableEncoding, as_floats, as_text
from straightedge.data.tables.facts import (
    Blocks,
    ColumnFacts,
    NumberFacts,
    column_blocks,
    column_facts,
    value_counts,
)
from straightedge.data.tables.files import Table, release_memory
from straightedge.data.tables.kinds import FREE_TEXT, Wishes, left_out
from straightedge.data.tables.label_column import is_text, plain_type
from straightedge.errors import InputError

MOSTLY_NUMBERS = 0.9
"""Share of numbers from which the other texts of a column are no categories but stand for missing values."""

FEWEST_ROWS = 5  # training rows below which a category counts as "other"
MOST_CATEGORIES = 200  # categories of one column that get a feature of their own, the most frequent ones


def fit_encoding(
    tables: Sequence[Table],
    label: str,
    wishes: Wishes,
    index: Collection[str] = (),
    *,
    ignored: Collection[str] = (),
    rows: slice | np.ndarray = slice(None),
) -> tuple[TableEncoding, list[str]]:
    """Fit the encoding of all columns on training rows; return it, and remarks on what was left out or is strange.

    Args:
        tables: Files of the training split.
        label: Name of the label column.
        wishes: What the user says of columns.
        index: Columns that are a frame's index.
        ignored: Columns that are neither features nor left out, such as the split.
        rows: The training rows among those of the tables: a slice, or (n,) int64 positions.

    Raises:
        InputError: ``column-missing``, ``columns-none``, ``value-kind``, ``value-infinite``.
    """
    names, where = tables[0].schema.names, str(tables[0].path)
    wishes.check(names, where)
    columns, notes, loose = [], [], set(wishes.numeric)
    for name in names:
        if name == label or name in ignored:
            continue
        facts = column_facts(column_blocks(tables, name, rows), plain_type(tables[0], name))
        said = [] if name in wishes.categories | wishes.drop | wishes.dates | loose else _mixed(name, facts)
        loose |= {name} if said else set()
        columns.append(_fitted(name, facts, wishes, index, where, loose=name in loose))
        notes += said
    release_memory()
    found = TableEncoding(tuple(columns), label, tuple(names), tables[0].header, tuple(sorted(loose)))
    if not found.width:
        raise InputError("columns-none", "no column is left that could be a feature", where, "--keep COLUMN,…")
    return found, [*_left_out(columns), *notes]


def _fitted(
    name: str, facts: ColumnFacts, wishes: Wishes, index: Collection[str], where: str, *, loose: bool
) -> Column:
    kept = wishes if not loose else replace(wishes, numeric=wishes.numeric | {name})
    why = left_out(name, facts, kept, index)
    if why is not None:
        return Column(name, "left out", why, facts.missing)
    if wishes.takes_parts(name, facts):
        return fit_date(name, facts.blocks, f"{where}, column {name!r}")
    if name in wishes.categories or (is_text(facts.type) and not loose):
        return fit_category(name, facts.blocks(), facts.missing)
    return fit_number(name, facts.blocks(), f"{where}, column {name!r}", loose=loose)


def fit_number(name: str, blocks: Iterable[Any], where: str, *, loose: bool = False) -> Column:
    """Fit the encoding of a column of numbers on blocks of its training rows (errors and `loose`: `as_floats`)."""
    facts, row = NumberFacts(), 0
    for block in blocks:
        facts.add(as_floats(block, where, row=row, loose=loose))
        row += len(block)
    n = facts.missing
    return Column(name, "number", "", n, facts.mean, facts.low, facts.high, indicator=n > 0)


def fit_category(name: str, blocks: Iterable[Any], missing: int) -> Column:
    """Fit the encoding of a column of categories on its training rows: the frequent ones, sorted as text."""
    counts = value_counts(as_text(block) for block in blocks)
    frequent = sorted((-count, value or "", value) for value, count in counts.pairs(FEWEST_ROWS))
    kept = [value for _, _, value in frequent[:MOST_CATEGORIES]]
    kept = kept or [value for value, _ in counts.pairs(1)]
    order = sorted(kept, key=lambda value: (value is None, value or ""))
    return Column(name, "category", "", missing, categories=tuple(order), other=counts.distinct - len(order))


def fit_date(name: str, blocks: Blocks, where: str) -> Column:
    """Fit the encoding of a column of dates on its training rows (errors as `fit_dates`)."""
    found = fit_dates(blocks(), order_of(blocks()), where)
    if not found.parts:
        return Column(name, "left out", "dates of which no part varies", found.missing)
    return Column(
        name,
        "date",
        missing=found.missing,
        low=found.low,
        high=found.high,
        indicator=found.missing > 0,
        parts=found.parts,
        order=found.order,
    )


def _left_out(columns: Sequence[Column]) -> list[str]:
    """Say which columns are no features, those of one reason together."""
    reasons: dict[str, list[str]] = {}
    for column in columns:
        if column.kind == "left out":
            reasons.setdefault(column.why, []).append(column.name)
    notes = [f"left out: {listed(names)} ({why})" for why, names in reasons.items()]
    if "a date" in reasons:
        notes.append("--dates all makes columns of the parts of dates: year, month, day, weekday, hour, minute")
    if FREE_TEXT in reasons:
        notes.append(f"--text {reasons[FREE_TEXT][0]} fits the words of its texts, and no other column")
    return notes


def _mixed(name: str, facts: ColumnFacts) -> list[str]:
    """Say where a column of numbers has some text in it, which is taken for missing."""
    row, text = facts.first_text
    if not is_text(facts.type) or row < 0 or facts.n_numbers < MOSTLY_NUMBERS * facts.there:
        return []
    return [
        f"column {name!r} holds {facts.there - facts.n_numbers} values that are no numbers, the first {text!r} "
        f"in row {row}: taken for missing; --categories {name} takes all values as categories"
    ]
