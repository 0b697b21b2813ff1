"""Tables encoded anew by some of their training rows: a fold's features have seen nothing of its other rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from straightedge.data.tables.encoding import TableEncoding
from straightedge.data.tables.files import Table

SplitRows = tuple[Sequence[Table], int, int]
"""The files of a split, its first row among those of the files, and its number of rows."""


@dataclass(frozen=True)
class TableParts:
    """The splits of a table with their raw cells.

    Attributes:
        splits: Where the rows of each split are.
        fit: Fits an encoding on rows of the training files, (n,) int64 positions, as a fit of them alone would.
        encode: Gives the rows of files as features.
    """

    splits: Mapping[str, SplitRows]
    fit: Callable[[np.ndarray], TableEncoding]
    encode: Callable[[TableEncoding, Sequence[Table], int, int, str], Any]

    def columns(self, index: np.ndarray) -> dict[str, Any]:
        """Return the encoding, as plain data, that (n,) positions ``index`` among the training rows give."""
        _, first, _ = self.splits["train"]
        return self.fit(index + first).to_dict()

    def rows(self, split: str, columns: Mapping[str, Any]) -> Any:
        """Return all rows of a split as features by an encoding that `columns` gave."""
        tables, first, n = self.splits[split]
        return self.encode(TableEncoding.from_dict(columns), tables, n, first, split)
