"""A tenth of the rows, sealed before anything is fitted, where a source has no test rows and reg is chosen.

The rows by which reg was chosen say a little too much of the chosen model. Those that are sealed have no part in
the choice, the features or the fit, and judge the final model once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from straightedge.data.base import Dataset, RawTable, SealedSplit, Split
from straightedge.data.text.documents import Documents
from straightedge.errors import InputError
from straightedge.groups import checked_groups, hold_out_groups
from straightedge.kinds import is_sparse
from straightedge.splits import hold_out
from straightedge.workflow.options import FitOptions

LEAST_ROWS = 1_000
"""Rows from which on a tenth is sealed: of fewer than 100 judged rows the interval is wider than 10 points."""
SEALED = 0.1  # share of the rows that is sealed
LEAST_OF_CLASS = 20
"""Rows that the smallest class must have: two of them are then sealed, and folds have as many as they need."""


@dataclass(frozen=True)
class SomeRows:
    """A raw table, some of whose training rows are sealed.

    Attributes:
        whole: All rows.
        train: (n,) positions of those to train on.
        test: (m,) positions of those that are sealed.
    """

    whole: RawTable
    train: np.ndarray
    test: np.ndarray

    def columns(self, index: np.ndarray) -> dict[str, Any]:
        """Return what the columns become by some of the rows to train on."""
        return self.whole.columns(self.train[index])

    def rows(self, split: str, columns: Mapping[str, Any]) -> Any:
        """Return all rows of a split as features."""
        return self.whole.rows("train", columns)[self.test if split == "test" else self.train]


def seals(dataset: Dataset, options: FitOptions) -> bool:
    """Return whether a tenth of a source's rows is sealed.

    It is where reg is chosen and nobody said how, the source has no splits, and rows and those of every class are
    enough. Rows that are read from disk as they are needed stay where they are.
    """
    X, y = dataset.train.X, dataset.train.y
    if not options.is_automatic or options.split.folds is not None or len(y) < LEAST_ROWS:
        return False
    if dataset.test is not None or dataset.validation is not None:
        return False
    counts = np.bincount(y, minlength=len(dataset.classes))
    return bool(counts.min() >= LEAST_OF_CLASS) and _is_held(X, options.data.usable_memory)


def _is_held(X: Any, memory: int) -> bool:
    """Return whether rows are in memory, or may be."""
    held = isinstance(X, np.ndarray) and X.nbytes <= memory // 2
    return held or is_sparse(X) or isinstance(X, Documents)


def with_sealed_tenth(dataset: Dataset, seed: int) -> Dataset:
    """Return the data set with a tenth of its training rows as its sealed test split, no group in both.

    The draw is stratified by class.
    """
    train, test = _parted(dataset.train, seed)
    if not len(test):
        return dataset
    X, columns, parts = dataset.train.X, dataset.columns, dataset.parts
    if parts is not None:
        columns = parts.columns(train)  # what the columns become is nothing that sealed rows teach
        X, parts = parts.rows("train", columns), SomeRows(parts, train, test)
    note = (
        f"there are no test rows: {len(test):,} of the {dataset.train.n:,} rows were sealed before reg was chosen, "
        "and judge the final model, which is fitted to the others; --folds 5 fits all of them"
    )
    return replace(
        dataset,
        train=_some(dataset.train, X, train),
        test=SealedSplit(_some(dataset.train, X, test)),
        columns=columns,
        parts=parts,
        notes=[*dataset.notes, note],
        n_sealed=len(test),
    )


def _parted(split: Split, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (training, sealed) positions; none is sealed where groups cannot be parted."""
    if split.groups is None:
        return hold_out(split.y, SEALED, seed)
    try:
        return hold_out_groups(split.y, checked_groups(split.groups, split.n), SEALED, seed)
    except InputError:
        return np.arange(split.n), np.empty(0, dtype=np.int64)


def _some(split: Split, X: Any, index: np.ndarray) -> Split:
    """Return some rows of a split, which keep the names that they have among all rows."""
    names = [str(row if split.names is None else split.names[row]) for row in index]
    return Split(
        _taken(X, index),
        split.y[index],
        names,
        None if split.groups is None else split.groups[index],
        None if split.weights is None else split.weights[index],
    )


def _taken(X: Any, index: np.ndarray) -> Any:
    if isinstance(X, Documents):
        return Documents.of(X.read(0, len(X))[index])
    return X[index]
