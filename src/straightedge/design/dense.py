"""Dense rows behind an affine map: x̂ = (x − shift) · scale, folded into W before a product, out of it after.

X̂ is never built: uint8 pixels are multiplied as they lie, and only gathered rows are mapped one by one.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_array
from torch import Tensor

from straightedge.design.base import Design
from straightedge.design.pairs import PairProducts
from straightedge.design.weights import RowWeights
from straightedge.distributed import Communicator
from straightedge.kernels import Products, cpu_loops, default_block_rows, products_for, worth_compiling
from straightedge.preprocess import AffineMap
from straightedge.rows import Rows
from straightedge.workers import block_spans, with_smaller_blocks

CONVERTED_ROWS = 128
"""Rows of a block that is converted to float64, for each worker, where memory is to stay small."""
MOST_ADDED = 4096  # rows that are added up in the products' type
ADDED_ENTRIES = 2**19
"""Entries of them: 2 MiB of float32, which a cache holds. Pixels of CIFAR-10, uint8, took a third of the time of
blocks of 4,096 rows; wide float32 a tenth more than theirs."""
FEWEST_ADDED = 64  # rows, however wide, and not fewer than classes: each block's sums are added up in float64
GATHERED = 256  # rows converted together: they stay in cache


class DenseDesign(Design):
    """Blocks of rows in memory or on disk, uint8 to float64.

    Args:
        rows: X, N rows of D features.
        affine: The map from raw rows to the classifier's; identity by default.
        communicator: See `Passes`.
        dtype: See `Passes`.
        block_rows: See `Passes`.
        workers: See `Passes`.
    """

    def __init__(
        self,
        rows: Rows,
        affine: AffineMap | None = None,
        *,
        communicator: Communicator | None = None,
        dtype: torch.dtype = torch.float32,
        block_rows: int | None = None,
        workers: int | None = None,
    ) -> None:
        D = rows.n_features
        super().__init__(
            rows.n_samples,
            D,
            D,
            device=rows.device,
            communicator=communicator,
            dtype=dtype,
            block_rows=block_rows,
            workers=workers,
        )
        self.rows, self.affine = rows, affine or AffineMap.identity(D)
        self.in_memory = rows.in_memory
        self._map = self._on_device(self.affine)

    def _on_device(self, affine: AffineMap) -> tuple[Tensor, Tensor]:
        """Return shift and scale of a map (D,) float64 where the rows are."""
        double: dict[str, Any] = {"dtype": torch.float64, "device": self.device}
        return affine.shift.to(**double), affine.scale.to(**double)

    def fold(self, W: Tensor) -> tuple[Tensor, Tensor]:
        """See `Design.fold`."""
        shift, scale = self._map
        weight = W[:, :-1] * scale
        return weight, W[:, -1] - weight @ shift

    def unfold(self, raw: Tensor) -> Tensor:
        """See `Design.unfold`: the chain rule of the fold."""
        shift, scale = self._map
        return torch.cat([scale * (raw[:, :-1] - shift * raw[:, -1:]), raw[:, -1:]], dim=1)

    def products(self, block_rows: int, n_columns: int) -> Products:
        """See `Design.products`."""
        return products_for(self.rows, block_rows, self.dtype, self.affine, n_columns=n_columns)

    def default_block_rows(self, n_columns: int) -> int:
        """See `Design.default_block_rows`."""
        if self.device.type != "cpu":
            return default_block_rows(self.rows, n_columns, self.dtype, self.affine)
        in_little = self._remembered is not None and self.dtype == torch.float64 and not self.rows.is_float64
        return CONVERTED_ROWS if in_little else super().default_block_rows(n_columns)

    def class_sums(self, y: Tensor, n_classes: int, weights: RowWeights) -> Tensor:
        """See `Passes.class_sums`; rows that weigh the same are added up, in a fraction of a pass's time."""
        if weights.table is not None or self.device.type != "cpu":
            return super().class_sums(y, n_classes, weights)
        W = torch.zeros(len(weights.fold), n_classes, self.n_features + 1, dtype=torch.float64)

        def own_sums() -> Tensor:
            flat = self.zero_sums(W)
            raw = self.split_sums(flat, W)[1].view(*W.shape[:2], -1)
            first = self.block_rows or min(MOST_ADDED, max(ADDED_ENTRIES // self.n_raw, n_classes, FEWEST_ADDED))
            for part in with_smaller_blocks(first, lambda size: self._added_by_workers(y, n_classes, size)):
                raw += part  # in the order of the workers
            return flat

        return self.all_summed(own_sums, W, weights)[1]

    def _added_by_workers(self, y: Tensor, n_classes: int, size: int) -> list[Tensor]:
        work = partial(self._added, y.numpy(), n_classes, size)
        return list(self.pool.run(block_spans(self.n_samples, size), work))

    def _added(self, y: np.ndarray, n_classes: int, size: int, share: Iterator[tuple[int, int]]) -> Tensor:
        """Return Σ x and the number of rows of each class (C, R + 1) over a worker's spans of ``size`` rows."""
        total = torch.zeros(n_classes, self.n_raw + 1, dtype=torch.float64)
        buffer = self.rows.scratch(min(size, self.n_samples), self.dtype)
        for start, stop in share:
            own = y[start:stop]
            ones = np.ones(len(own), buffer.numpy().dtype)
            which = coo_array((ones, (own, np.arange(len(own)))), (n_classes, len(own))).tocsr()
            total[:, :-1] += torch.from_numpy(which @ self.rows.block(start, stop, buffer[: stop - start]).numpy())
            total[:, -1] += torch.from_numpy(np.bincount(own, minlength=n_classes))
        return total

    def loops(self, n_columns: int) -> ModuleType | None:
        """See `Design.loops`."""
        return cpu_loops() if worth_compiling(self.rows, n_columns) else None

    def pairs(self, row: Tensor, plus: Tensor, minus: Tensor) -> PairProducts | None:
        """See `Design.pairs`."""
        found = self.rows.table(row)
        return None if found is None else PairProducts(self, *found, plus.numpy(), minus.numpy())

    def read(self, start: int, stop: int, out: Tensor) -> None:
        """See `Design.read`."""
        rows = self.rows.block(start, stop, out)
        if not self.affine.is_identity:
            shift, scale = (part.to(self.dtype) for part in self._map)
            torch.sub(rows, shift, out=out).mul_(scale)
        elif rows.data_ptr() != out.data_ptr():
            out.copy_(rows)

    def gather(self, index: Tensor, out: Tensor) -> Tensor:
        """See `Design.gather`; from disk an index that rises is picked out of whole blocks, read in order."""
        shift, scale = (part.to(self.dtype) for part in self._map)
        filled = 0
        for part in self._taken(index):
            torch.addcmul(-shift * scale, part, scale, out=out[filled : filled + len(part), :-1])
            filled += len(part)
        out[:, -1] = 1.0
        return out

    def map_rows(self, index: Tensor, out: Tensor) -> Tensor:
        """See `Design.map_rows`."""
        found = self.rows.table(index)
        if found is None:
            return self.gather(index, out)
        shift, scale = (part.to(self.dtype) for part in self._map)
        cpu_loops().map_rows(*found, scale.numpy(), (-shift * scale).numpy(), out.numpy())
        return out

    def _taken(self, index: Tensor) -> Iterator[Tensor]:
        """Yield the raw rows of the index, some at a time."""
        together = min(GATHERED, self.n_samples)
        if self.rows.in_memory:
            together = min(together, len(index))
        buffer = torch.empty(together, self.n_features, dtype=self.dtype, device=self.device)
        if self.rows.in_memory or bool((index[1:] < index[:-1]).any()):
            for part in index.split(GATHERED):
                yield self.rows.take(part, buffer)
            return
        for start, stop in block_spans(self.n_samples, together):
            inside = index[(index >= start) & (index < stop)]
            if len(inside):
                yield self.rows.block(start, stop, buffer)[inside - start]

    def subset(self, index: Tensor) -> DenseDesign:
        """See `Design.subset`."""
        part = copy.copy(self)
        part._remembered = None
        part.rows = self.rows.subset(index)
        part.n_samples, part.in_memory = part.rows.n_samples, part.rows.in_memory
        return part
