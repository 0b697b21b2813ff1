"""Row weights of K configurations: the same for every row, or sets of which each configuration uses one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class RowWeights:
    """w_i of each configuration, on the device of the rows.

    Attributes:
        table: (F, N) float64 on the rows' device, or None where all rows weigh the same.
        fold: (K,) int64 on the CPU, the row of ``table`` that each configuration uses.
        each: What a row weighs where there is no table: 1/N over all ranks for means, 1 for sums.
    """

    table: Tensor | None
    fold: Tensor
    each: float

    def select(self, configs: Tensor) -> RowWeights:
        """Return the weights of some configurations (K',) int64."""
        return replace(self, fold=self.fold[configs])

    @property
    def n_sets(self) -> int:
        """Number of sets of weights F, 1 where all rows weigh the same."""
        return 1 if self.table is None else int(self.table.shape[0])

    def of_one(self, n_rows: int, device: torch.device) -> Tensor:
        """Return (N,) float64: the weights of the rows in the first configuration."""
        if self.table is None:
            return torch.full((n_rows,), self.each, dtype=torch.float64, device=device)
        return self.table[int(self.fold[0])]

    def edges(self) -> list[int]:
        """Where the set of folds with any weight changes: blocks do not cross, so whole folds are skipped."""
        if self.table is None or self.n_sets == 1:
            return []
        present = self.table > 0
        changes = (present[:, 1:] != present[:, :-1]).any(dim=0).nonzero().flatten() + 1
        return changes.tolist() if len(changes) <= 4 * self.n_sets else []
