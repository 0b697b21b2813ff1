"""Columns that stand beside the rows of a table and are no features: what belongs together, what counts more."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from straightedge.data.base import Dataset, SealedSplit, Split
from straightedge.data.tables.encoding import as_floats
from straightedge.data.tables.label_column import plain_column
from straightedge.data.tables.parts import SplitRows
from straightedge.row_weights import checked_sample_weight

OPTIONS = ("groups", "sample_weight")


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
