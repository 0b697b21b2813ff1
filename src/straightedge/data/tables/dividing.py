"""Tables whose rows are divided by a column: its words name splits, or its values are times."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from straightedge.data.split_names import split_of_word
from straightedge.data.tables.files import MemoryTable, Table, arrow
from straightedge.data.tables.label_column import column_missing, missing_rows, plain_column
from straightedge.errors import InputError

SPLIT = "split"  # the column that divides a table unasked, where its equal values lie together
PAST, RECENT = 0.7, 0.85
"""Shares of the rows in time before which they are for training, and before which for validation."""


def divided(tables: Sequence[Table], options: Mapping[str, Any]) -> tuple[list[Table], list[str]]:
    """Return tables whose rows lie together by split, where a column is named that divides them.

    Args:
        tables: The files of one source, which has no splits by its folders.
        options: ``split_column``: a column of the words train, validation and test. ``time``: a column of times or
            numbers, whose last part is for testing, the part before for validation, ties on one side.

    Returns:
        The tables, with a column `SPLIT` of these words, and the columns that are no features.

    Raises:
        InputError: ``column-missing``, ``split-unknown``, ``time-missing``, ``split-and-time``.
    """
    column, time = options.get("split_column"), options.get("time")
    if column is None and time is None:
        return list(tables), []
    where = str(tables[0].path)
    if column is not None and time is not None:
        raise InputError("split-and-time", "both divide the rows", where, "give --split-column or --time")
    name = str(time if column is None else column)
    if name not in tables[0].schema.names:
        raise column_missing(f"there is no column {name!r}", tables[0].schema.names, where)
    words = _words(tables, name, where) if time is None else _by_time(tables, name, where)
    return [_sorted(tables, words, name)], [name]


def _words(tables: Sequence[Table], name: str, where: str) -> np.ndarray:
    """Return the split of each row, from a column of words."""
    written = plain_column(tables, name).to_pylist()
    known = {word: split_of_word(str(word)) for word in set(written)}
    for row, word in enumerate(written):
        if known[word] is None:
            mend = "splits are called train, validation and test"
            raise InputError("split-unknown", f"{word!r} is no split", f"{where}, column {name!r}, row {row}", mend)
    return np.array([known[word] for word in written])


def _by_time(tables: Sequence[Table], name: str, where: str) -> np.ndarray:
    """Return the split of each row, from a column of times."""
    count, row = missing_rows(tables, name)
    if count:
        what = f"{count} rows have no time"
        raise InputError("time-missing", what, f"{where}, column {name!r}, row {row}", "fill or remove them")
    values = plain_column(tables, name)
    ranks = np.unique(np.array(values.to_pylist()), return_inverse=True)[1]
    past, recent = np.quantile(ranks, (PAST, RECENT), method="higher")
    return np.where(ranks < past, "train", np.where(ranks < recent, "validation", "test"))


def _sorted(tables: Sequence[Table], words: np.ndarray, name: str) -> Table:
    """Return one table of all rows, those of each split together, in their order otherwise."""
    pa, order = arrow(), np.argsort(words, kind="stable")
    columns = {other: plain_column(tables, other) for other in tables[0].schema.names if other != name}
    columns[SPLIT] = pa.array(words)
    table = pa.table(columns).take(order)
    return MemoryTable(tables[0].path, table, tables[0].about, tables[0].header)
