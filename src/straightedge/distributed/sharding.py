"""Each rank reads its rows and no others: slices of arrays, memory maps and row sources."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from straightedge.distributed.base import Communicator, row_range
from straightedge.errors import InputError

AnyDataset = TypeVar("AnyDataset", bound=Any)


class RowSlice:
    """Rows ``start:stop`` of a source that is read when it is needed.

    Args:
        source: A `RowSource`.
        start: First row.
        stop: One past the last row.
    """

    def __init__(self, source: Any, start: int, stop: int) -> None:
        self.source, self.start = source, start
        self.shape = (stop - start, *(int(size) for size in source.shape[1:]))
        self.dtype = source.dtype

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return rows ``start:stop`` of the slice."""
        rows: np.ndarray = self.source.read(self.start + start, self.start + min(stop, self.shape[0]))
        return rows


def own_rows(X: Any, communicator: Communicator) -> Any:
    """Return this rank's contiguous rows of X as a view: nothing is read or copied.

    Args:
        X: (N, ...) array, memory map, tensor or row source.
        communicator: Who owns what.

    Raises:
        InputError: ``ranks-too-many`` where some rank would have no row.
    """
    if communicator.size == 1:
        return X
    start, stop = _range(int(X.shape[0]), communicator)
    return RowSlice(X, start, stop) if hasattr(X, "read") else X[start:stop]


def shard(dataset: AnyDataset, communicator: Communicator) -> AnyDataset:
    """Return the dataset with this rank's rows of the training and validation samples.

    Args:
        dataset: A `Dataset`, the same on every rank.
        communicator: Who owns what.

    Returns:
        The same classes, fingerprint and sealed test split; labels and names are cut as the rows are.

    Raises:
        InputError: ``ranks-too-many``.
    """
    if communicator.size == 1:
        return dataset
    validation = None if dataset.validation is None else _own(dataset.validation, communicator)
    whole: AnyDataset = replace(dataset, train=_own(dataset.train, communicator), validation=validation)
    return whole


def _own(split: Any, communicator: Communicator) -> Any:
    start, stop = _range(len(split.y), communicator)
    names = None if split.names is None else split.names[start:stop]
    return replace(split, X=own_rows(split.X, communicator), y=split.y[start:stop], names=names)


def _range(n_rows: int, communicator: Communicator) -> tuple[int, int]:
    if n_rows < communicator.size:
        raise InputError(
            "ranks-too-many",
            f"{n_rows} samples cannot be shared by {communicator.size} ranks",
            mend=f"use at most {n_rows} ranks",
        )
    return row_range(n_rows, communicator.rank, communicator.size)
