"""Columns of a table that are no features: what belongs together, what counts more, and what divides the rows."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from straightedge.data.base import Dataset, SealedSplit, Split
from straightedge.data.split_names import split_of_word
from straightedge.data.tables.encoding import as_floats
from straightedge.data.tables.files import MemoryTable, Table, arrow
from straightedge.data.tables.label_column import column_missing, missing_rows, plain_column
from straightedge.data.tables.parts import SplitRows
from straightedge.errors import InputError
from straightedge.row_weights import checked_sample_weight

OPTIONS = ("groups", "sample_weight")
SPLIT = "split"  # the column that divides a table unasked, where its equal values lie together
PAST, RECENT = 0.7, 0.85
"""Shares of the rows in time before which they are for training, and before which for validation."""


def columns_beside(options: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Return the columns among `names` that an option says are no features."""
    return [options[key] for key in OPTIONS if options.get(key) in names]


def with_beside(dataset: Dataset, splits: Mapping[str, SplitRows], options: Mapping[str, Any]) -> Dataset:
    """Return the data set with the groups and the weights of its rows, where columns have them.

    Args:
        dataset: As read.
        splits: Where the rows of each split are.
        options: ``groups`` and ``sample_weight``, each a column, a file that is read elsewhere, or None.

    Raises:
        InputError: ``value-kind``, ``sample-weight-invalid``.
    """
    names = splits["train"][0][0].schema.names
    name = options.get("groups")
    if name is not None and name in names:
        groups = groups_of(splits["train"], name)
        dataset.notes.append(note_of("groups", name))
        dataset = replace(dataset, train=replace(dataset.train, groups=groups))
    name = options.get("sample_weight")
    if name is not None and name in names:
        dataset.notes.append(note_of("weights", name))
        dataset = _weighted(dataset, splits, name)
    return dataset


def _weighted(dataset: Dataset, splits: Mapping[str, SplitRows], name: str) -> Dataset:
    """Return the data set with the weights of all its splits."""
    train = _with_weights(dataset.train, splits["train"], name)
    validation, test = dataset.validation, dataset.test
    if validation is not None:
        validation = _with_weights(validation, splits["validation"], name)
    if test is not None:
        test = SealedSplit(_with_weights(test.open("its weights"), splits["test"], name))
    return replace(dataset, train=train, validation=validation, test=test)


def _with_weights(split: Split, rows: SplitRows, name: str) -> Split:
    found = weights_of(rows, name)
    return split if found is None else replace(split, weights=found)


def note_of(what: str, name: str) -> str:
    """Return what the user is told of a column that stands beside the rows."""
    return f"{what}: column {name!r}, which is no feature"


def groups_of(rows: SplitRows, name: str) -> np.ndarray:
    """Return the groups (n,) of a split's rows, in a column."""
    tables, first, n = rows
    return np.array(plain_column(tables, name)[first : first + n].to_pylist(), dtype=object)


def weights_of(rows: SplitRows, name: str) -> np.ndarray | None:
    """Return the weights (n,) of a split's rows, in a column; None where there is no such column.

    Raises:
        InputError: ``value-kind``, ``sample-weight-invalid``.
    """
    tables, first, n = rows
    if name not in tables[0].schema.names:
        return None
    where = f"{tables[0].path}, column {name!r}"
    values = as_floats(plain_column(tables, name)[first : first + n].combine_chunks(), where, row=first)
    return np.asarray(checked_sample_weight(values.copy(), n).numpy())


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
