"""Row weights of K configurations: the same for every row, or sets of which each configuration uses one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Stratum:
    """Rows that count in the same sets of weights.

    Attributes:
        rows: (N,) bool on the rows' device.
        members: (F,) bool on the CPU, the sets of weights.
    """

    rows: Tensor
    members: Tensor


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

    @cached_property
    def alike(self) -> Tensor | None:
        """(F,) what each row that counts in a set weighs, where these are equal; None where some are not."""
        if self.table is None:
            return None
        most = self.table.amax(dim=1)
        same = (self.table == 0) | (self.table == most[:, None])
        return most if bool(same.all()) else None

    def of_one(self, n_rows: int, device: torch.device) -> Tensor:
        """Return (N,) float64: the weights of the rows in the first configuration."""
        if self.table is None:
            return torch.full((n_rows,), self.each, dtype=torch.float64, device=device)
        return self.table[int(self.fold[0])]

    def counting(self) -> Tensor | None:
        """Return (N,) bool: the rows that have a weight in the first configuration; None where all have one."""
        if self.table is None or self.n_sets == 1:
            return None
        return self.table[int(self.fold[0])] > 0

    def strata(self) -> list[Stratum]:
        """Return the rows of folds, of which each holds out rows that count in all others; else no stratum."""
        if self.table is None or self.n_sets == 1:
            return []
        counting, F = self.table > 0, self.n_sets
        holding = F - counting.sum(dim=0)  # how many sets hold a row out
        if bool((holding > 1).any()):
            return []
        held = torch.where(holding == 0, F, counting.to(torch.uint8).argmin(dim=0))
        parts = [Stratum(held == k, torch.arange(F) != k) for k in range(F + 1)]
        return [part for part in parts if bool(part.rows.any())]

    def edges(self) -> list[int]:
        """Where the set of folds with any weight changes: blocks do not cross, so whole folds are skipped."""
        if self.table is None or self.n_sets == 1:
            return []
        present = self.table > 0
        changes = (present[:, 1:] != present[:, :-1]).any(dim=0).nonzero().flatten() + 1
        return changes.tolist() if len(changes) <= 4 * self.n_sets else []
