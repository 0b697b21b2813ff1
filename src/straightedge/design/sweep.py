"""One worker's part of a pass: blocks of scores, what is done with them, and the running sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from straightedge.design.weights import RowWeights
from straightedge.kernels import Products

MOST_QUANTITIES = 4  # per-row quantities that a score function may ask to be summed
FLUSH_BLOCKS = 8  # float32 block sums are added into float64 this often


@dataclass(frozen=True)
class Block:
    """The rows and configurations a score function is looking at.

    Attributes:
        start: First row.
        stop: One past the last row.
        configs: (K',) indices of the configurations present in S, or None for all K in order.
    """

    start: int
    stop: int
    configs: Tensor | None = None


ScoreFunction = Callable[[Tensor, Block], Sequence[Tensor]]
"""Sees a block of scores S (n, K', C), overwrites it with A, returns per-row quantities (n, K') to be summed."""


@dataclass(frozen=True)
class Columns:
    """W as columns of one product: K configurations of C classes on R raw features.

    Attributes:
        n_configs: K.
        n_classes: C.
        weight: (K·C, R), the map folded in.
        offset: (K·C,).
    """

    n_configs: int
    n_classes: int
    weight: Tensor
    offset: Tensor


class PassSums:
    """One worker's sums.

    Args:
        columns: W, folded.
        products: This worker's products.
        weights: Of the rows.
        gradient: Whether XᵀA is summed.
    """

    def __init__(self, columns: Columns, products: Products, weights: RowWeights, gradient: bool) -> None:
        self.columns, self.products, self.weights, self.gradient = columns, products, weights, gradient
        products.use(columns.weight, columns.offset)
        self.scalars: list[Tensor] = []
        M, R = columns.weight.shape
        self._double: dict[str, Any] = {"dtype": torch.float64, "device": columns.weight.device}
        self.G = torch.zeros(M, R, **self._double) if gradient else torch.empty(0)
        self.column_sums = torch.zeros(M, **self._double)
        self._configs: Tensor | None = None
        self._key: tuple[int, ...] | None = None
        self._n_blocks, self._pending_blocks = 0, 0

    def add_block(self, score_function: ScoreFunction, start: int, stop: int) -> None:
        """Scores of the block, the score function, and the block's share of XᵀA."""
        if self._n_blocks % FLUSH_BLOCKS == 0:
            self._flush()
        self._n_blocks += 1
        self._leave_out(start, stop)
        if self._configs is not None and not len(self._configs):
            return  # the rows are held out by every configuration that is left
        self.products.load(start, stop)
        S = self.products.scores()
        K, C = self._n_present, self.columns.n_classes
        view = S[:, : K * C].unflatten(1, (K, C))
        quantities = score_function(view, Block(start, stop, self._configs))
        row_weights = self._row_weights(start, stop)
        self._add_scalars(quantities, row_weights)
        if not self.gradient:
            return
        if row_weights is not None:
            view *= row_weights[:, :, None].to(view.dtype)
        self.products.add_gradient(S)
        self._add(self.column_sums, S[:, : K * C].sum(dim=0))
        self._pending_blocks += 1

    def close(self) -> PassSums:
        """Add what is pending, apply the weight that all rows of a configuration share, and return self."""
        self._flush()
        if self.weights.alike is not None:
            each = self.weights.alike[self.weights.fold.to(self.weights.alike.device)]
            self.scalars = [total * each for total in self.scalars]
            columns = each.repeat_interleave(self.columns.n_classes)
            self.column_sums *= columns
            if self.gradient:
                self.G *= columns[:, None]
        return self

    @property
    def _n_present(self) -> int:
        return self.columns.n_configs if self._configs is None else len(self._configs)

    def _flush(self) -> None:
        if self.gradient and self._pending_blocks:
            self._add(self.G, self.products.take()[: self._n_present * self.columns.n_classes])
        self._pending_blocks = 0

    def _add(self, total: Tensor, part: Tensor) -> None:
        """Add the part of the present configurations to the total of all."""
        if self._configs is None:
            total += part
        else:
            C = self.columns.n_classes
            total.unflatten(0, (-1, C))[self._configs] += part.unflatten(0, (-1, C)).to(torch.float64)

    def _add_scalars(self, quantities: Sequence[Tensor], row_weights: Tensor | None) -> None:
        while len(self.scalars) < len(quantities):
            self.scalars.append(torch.zeros(self.columns.n_configs, **self._double))
        for total, rows in zip(self.scalars, quantities, strict=False):
            if row_weights is None:
                part = rows.sum(dim=0, dtype=torch.float64)
            else:
                part = (rows.to(torch.float64) * row_weights).sum(dim=0)
            if self._configs is None:
                total += part
            else:
                total[self._configs] += part

    def _leave_out(self, start: int, stop: int) -> None:
        """Leave out the configurations to which none of the block's rows belongs."""
        if self.weights.table is not None and self.weights.n_sets > 1:
            table = self.weights.table[:, start:stop]
            self._present((table > 0).any(dim=1)[self.weights.fold.to(table.device)])

    def _row_weights(self, start: int, stop: int) -> Tensor | None:
        """Return (n, K') weights of the block; None where all of its rows weigh the same, here or in `close`."""
        if self.weights.table is None:
            return None
        table, fold = self.weights.table[:, start:stop], self.weights.fold
        fold = fold if self._configs is None else fold[self._configs]
        own = table[fold.to(table.device)].t()
        if self.weights.alike is None:
            return own
        return None if bool((own > 0).all()) else (own > 0).to(own.dtype)

    def _present(self, present: Tensor) -> None:
        key = None if bool(present.all()) else tuple(present.nonzero().flatten().tolist())
        if key == self._key:
            return
        self._flush()
        self._key = key
        self._configs = None if key is None else torch.tensor(key, dtype=torch.int64)
        weight, offset = self.columns.weight, self.columns.offset
        if self._configs is not None:
            C = self.columns.n_classes
            weight = weight.unflatten(0, (-1, C))[self._configs].flatten(0, 1)
            offset = offset.unflatten(0, (-1, C))[self._configs].flatten()
        self.products.use(weight, offset)
