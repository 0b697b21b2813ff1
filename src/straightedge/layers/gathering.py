"""The rows of one layer: those to train on in one buffer, the others read by blocks when they are scored."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from straightedge.disk import disk_rows
from straightedge.errors import InputError
from straightedge.rows import LARGEST_VALUE, unusable_value

BLOCK_ROWS = 128  # rows that are copied, checked or multiplied together: they stay in cache


@dataclass(frozen=True)
class Linear:
    """One linear classifier on rows as they are.

    Attributes:
        coef: (C, D) weights.
        intercept: (C,) offsets.
    """

    coef: np.ndarray
    intercept: np.ndarray


@dataclass(frozen=True)
class Part:
    """Some rows of a layer, read by blocks.

    Attributes:
        source: All rows of the layer: an array, a map or the rows of a file.
        index: (n,) row numbers in the source.
        numbers: (n,) row numbers in the layer as it was given, for messages.
        name: The layer's name, for messages.
    """

    source: Any
    index: np.ndarray
    numbers: np.ndarray
    name: str

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield where a block of rows lies in the part, and the rows.

        Raises:
            InputError: ``x-not-finite`` or ``x-too-large``, with layer, row and column.
        """
        for start in range(0, len(self.index), BLOCK_ROWS):
            place = slice(start, min(start + BLOCK_ROWS, len(self.index)))
            block = np.asarray(self.source[self.index[place]])
            self._check(block, place)
            yield place, block

    def scores(self, *classifiers: Linear) -> np.ndarray:
        """Return the scores (K, n, C) float64 of K classifiers: the rows are read once for all of them."""
        coef = np.concatenate([one.coef for one in classifiers])
        intercept = np.concatenate([one.intercept for one in classifiers])
        out = np.empty((len(classifiers), len(self.index), len(classifiers[0].coef)))
        for place, block in self.blocks():
            scores = block.astype(np.float64) @ coef.T + intercept
            out[:, place] = scores.reshape(len(block), len(classifiers), -1).transpose(1, 0, 2)
        return out

    def _check(self, block: np.ndarray, place: slice) -> None:
        if block.dtype.kind != "f" or max(block.max(), -block.min()) <= LARGEST_VALUE:
            return
        bad = ~(np.abs(block.astype(np.float64)) <= LARGEST_VALUE)
        row, column = (int(at) for at in np.argwhere(bad)[0])
        where = f"{self.name}, row {self.numbers[place][row]}, column {column}"
        error = unusable_value(float(block[row, column]), where)
        raise InputError(error.code, error.what, error.where, error.mend)


class Gatherer:
    """Takes one layer after another apart into the same splits, with one buffer for layers of one shape and type.

    Args:
        splits: Row numbers (n,) of each split, the training rows first.
    """

    def __init__(self, *splits: np.ndarray) -> None:
        self._splits = splits
        self._buffer: np.ndarray = np.empty(0)

    def train(self, X: np.ndarray, name: str) -> tuple[np.ndarray, list[Part]]:
        """Return the training rows of a layer X (N, D) in memory, and the other splits.

        A layer that is a view of a larger array, or a map of a file, is left where it is. Of an array of its own
        the rows of all splits are gathered, so that nothing of it is needed any more.
        """
        apart = isinstance(X, np.memmap) or X.base is not None
        gathered = self._splits[0] if apart else np.concatenate(self._splits)
        source: Any = (disk_rows(X) if isinstance(X, np.memmap) else None) or X
        buffer = self._room_for(len(gathered), X)
        for place, block in Part(source, gathered, gathered, name).blocks():
            buffer[place] = block
        parts, first = [], len(self._splits[0])
        for numbers in self._splits[1:]:
            index = numbers if apart else np.arange(first, first + len(numbers))
            parts.append(Part(source if apart else buffer, index, numbers, name))
            first += len(numbers)
        return buffer[: len(self._splits[0])], parts

    def _room_for(self, n_rows: int, X: np.ndarray) -> np.ndarray:
        shape, kind = (n_rows, X.shape[1]), X.dtype.newbyteorder("=")
        if self._buffer.shape != shape or self._buffer.dtype != kind:
            self._buffer = np.empty(0)  # the former one goes before the new one comes
            self._buffer = np.empty(shape, kind)
        return self._buffer
