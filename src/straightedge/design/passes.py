"""Passes over the rows of a design: a whole one with a score function, and either half on its own.

On the CPU worker threads each own a contiguous share of the blocks; partial sums are added in the order of the
workers, so a pass gives the same bits whatever the timing. Sums over blocks are float64, and the blocks that are
summed in float32 before are the same for any number of workers: between these a pass differs by some 1e-16.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from straightedge.cores import available_cores
from straightedge.design.sweep import FLUSH_BLOCKS, MOST_QUANTITIES, Block, Columns, PassSums, ScoreFunction
from straightedge.design.weights import RowWeights
from straightedge.distributed import Communicator, guarded_sum, local
from straightedge.kernels import Products
from straightedge.workers import BlockPool, block_spans, with_smaller_blocks

HALF_PASS_ROWS = {"cpu": 512}  # rows of a block of half a pass, by device
WIDE = {torch.float32: 48, torch.float64: 257}  # columns from which blocks of twice as many rows take less time
DEVICE_ROWS = 16384  # the same on other devices: a launch costs as much as thousands of rows


class Passes(ABC):
    """The part of a `Design` that goes over all rows; its arguments are every design's.

    Args:
        n_samples: N, of this rank.
        n_features: D, of mapped rows, the constant left out.
        n_raw: R, features of the rows as they lie.
        device: Where products run.
        communicator: Sums over ranks; each rank holds its own rows.
        dtype: float32 or float64, the type of the products; sums over blocks are float64 in either.
        block_rows: Rows of a block; chosen by the width of W when None.
        workers: Worker threads on the CPU; the cores of this process when None.

    Attributes:
        in_memory: Whether reading rows costs no disk.
        n_total: Rows of all ranks, of a subset those of the whole.
        sparse: Whether rows are zeros for the most part, so that they must not be gathered in numbers.
    """

    in_memory: bool = True
    sparse: bool = False

    def __init__(
        self,
        n_samples: int,
        n_features: int,
        n_raw: int,
        *,
        device: torch.device,
        communicator: Communicator | None = None,
        dtype: torch.dtype = torch.float32,
        block_rows: int | None = None,
        workers: int | None = None,
    ) -> None:
        self.n_samples, self.n_features, self.n_raw = n_samples, n_features, n_raw
        self.device, self.dtype, self.block_rows = device, dtype, block_rows
        self.communicator = communicator or local()
        cores = (workers or available_cores()) if device.type == "cpu" else 1
        self.pool = BlockPool(cores, patient=self.communicator.size > 1)
        count = torch.tensor([float(n_samples)], dtype=torch.float64)
        self.n_total = int(self.communicator.all_reduce(count)[0])

    # ---------------------------------------------------------------- what a member says

    @abstractmethod
    def fold(self, W: Tensor) -> tuple[Tensor, Tensor]:
        """Return W (M, D + 1) float64 for the rows as they lie: weight (M, R) and offset (M,) float64."""

    @abstractmethod
    def unfold(self, raw: Tensor) -> Tensor:
        """Return XᵀA and 1ᵀA (M, R + 1) of the rows as they lie as those of mapped ones (M, D + 1), float64."""

    @abstractmethod
    def products(self, block_rows: int, n_columns: int) -> Products:
        """Return one worker's products with the rows as they lie, for columns that `fold` gave."""

    def default_block_rows(self, n_columns: int) -> int:
        """Return the rows of a block of a pass with so many columns of W."""
        if self.device.type != "cpu":
            return DEVICE_ROWS
        wide = n_columns >= WIDE[self.dtype] or self.n_features > 4096
        return 1024 if wide else 512

    @property
    def _like(self) -> dict[str, Any]:
        return {"dtype": self.dtype, "device": self.device}

    # ---------------------------------------------------------------- one pass

    def sweep(
        self, W: Tensor, score_function: ScoreFunction, weights: RowWeights, *, gradient: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Go over all rows once: scores, whatever is done with them, and the weighted sum X̂ᵀA.

        Args:
            W: (K, C, D + 1) on mapped rows.
            score_function: Called for each block with S (n, K', C) and its `Block`; it overwrites S with A
                and returns per-row quantities (n, K').
            weights: Of the rows in each configuration.
            gradient: False leaves out X̂ᵀA (then S need not be overwritten).

        Returns:
            sums (m, K) float64: the weighted sums of the m per-row quantities, and V (K, C, D + 1) float64 =
            Σ_i w_i x̂_i a_iᵀ, zeros if ``gradient`` is False. Both over all ranks.
        """
        counts: list[int] = []

        def own_sums() -> Tensor:
            first = self.block_rows or self.default_block_rows(W.shape[0] * W.shape[1])
            flat, n_quantities = with_smaller_blocks(
                first, lambda size: self._own_sums(W, score_function, weights, gradient, size)
            )
            counts.append(n_quantities)
            return flat

        scalars, V = self.all_summed(own_sums, W, weights)
        return scalars[: counts[-1]].cpu(), V

    def class_sums(self, y: Tensor, n_classes: int, weights: RowWeights) -> Tensor:
        """Return (K, C, D + 1) float64: Σ w_i x̂_i over the rows of each class, of all ranks.

        Args:
            y: (N,) int64 labels of this rank's rows.
            n_classes: C.
            weights: Of the rows in each configuration.
        """

        def one_hot(S: Tensor, block: Block) -> Sequence[Tensor]:
            index = y[block.start : block.stop].view(-1, 1, 1).expand(-1, S.shape[1], 1)
            S.zero_().scatter_(2, index, 1.0)
            return ()

        shape = len(weights.fold), n_classes, self.n_features + 1
        W = torch.zeros(shape, dtype=torch.float64, device=self.device)
        return self.sweep(W, one_hot, weights)[1]

    def all_summed(self, own_sums: Callable[[], Tensor], W: Tensor, weights: RowWeights) -> tuple[Tensor, Tensor]:
        """Return the sums over all ranks of what ``own_sums`` gives for raw rows: quantities (4, K), and V.

        Args:
            own_sums: This rank's, laid out like `zero_sums`.
            W: (K, C, D + 1), the same on every rank.
            weights: Of the rows; a weight that all share is applied here.
        """
        flat = guarded_sum(self.communicator, own_sums, self.zero_sums(W), witness=W)
        if weights.table is None:
            flat *= weights.each
        scalars, raw = self.split_sums(flat, W)
        return scalars, self.unfold(raw).view(*W.shape[:2], -1)

    def zero_sums(self, W: Tensor) -> Tensor:
        """Return zeros laid out as what `all_summed` adds up: quantities (4, K), then XᵀA, 1ᵀA (K·C, R + 1)."""
        K, C, _ = W.shape
        size = MOST_QUANTITIES * K + K * C * (self.n_raw + 1)
        return torch.zeros(size, dtype=torch.float64, device=self.device)

    def split_sums(self, flat: Tensor, W: Tensor) -> tuple[Tensor, Tensor]:
        """Return the views of a pass's sums: quantities (4, K) and XᵀA, 1ᵀA as (K·C, R + 1)."""
        K, C, _ = W.shape
        split = MOST_QUANTITIES * K
        return flat[:split].view(MOST_QUANTITIES, K), flat[split:].view(K * C, self.n_raw + 1)

    def columns(self, W: Tensor) -> Columns:
        """Return W (K, C, D + 1) as columns for the rows as they lie, in the products' type."""
        K, C, _ = W.shape
        weight, offset = self.fold(W.to(device=self.device, dtype=torch.float64).flatten(0, 1))
        return Columns(K, C, weight.to(self.dtype), offset.to(self.dtype))

    def _own_sums(
        self, W: Tensor, score_function: ScoreFunction, weights: RowWeights, gradient: bool, block_rows: int
    ) -> tuple[Tensor, int]:
        """Return this rank's sums, laid out for one all-reduce, and the number of quantities."""
        columns = self.columns(W)
        spans = block_spans(self.n_samples, block_rows, weights.edges())

        def work(share: Iterator[tuple[int, int]]) -> PassSums:
            sums = PassSums(columns, self.products(block_rows, len(columns.weight)), weights, gradient)
            for start, stop in share:
                sums.add_block(score_function, start, stop)
            return sums.close()

        parts = self.pool.run(spans, work, group=FLUSH_BLOCKS)
        flat = self.zero_sums(W)
        scalars, raw = self.split_sums(flat, W)
        for part in parts:  # in the order of the workers: the same bits every time
            for row, value in zip(scalars, part.scalars, strict=False):
                row += value
            if gradient:
                raw[:, :-1] += part.G
                raw[:, -1] += part.column_sums
        count = max(len(part.scalars) for part in parts) or MOST_QUANTITIES  # no row of ours: zeros for all
        assert count <= MOST_QUANTITIES
        return flat, count

    # ---------------------------------------------------------------- half a pass

    def scores(self, W: Tensor) -> Tensor:
        """Return X̂W of this rank's rows for W (K, C, D + 1): (N, K, C) in the products' type."""
        K, C, _ = W.shape
        out = torch.empty(self.n_samples, K, C, dtype=self.dtype, device=self.device)

        def keep(S: Tensor, block: Block) -> Sequence[Tensor]:
            out[block.start : block.stop] = S
            return ()

        alone = copy.copy(self)
        alone.communicator = local()  # ranks may ask for scores of different numbers of blocks, or not at all
        alone.sweep(W, keep, RowWeights(None, torch.zeros(K, dtype=torch.int64), 1.0), gradient=False)
        return out

    def adjoint(self, A: Tensor, weights: Tensor) -> Tensor:
        """Return Σ_i w_i x̂_i a_iᵀ (C, D + 1) float64 over all ranks.

        Args:
            A: (N, 1, C) gradients in the scores.
            weights: (N,) float64.
        """
        C = A.shape[2]
        block_rows = HALF_PASS_ROWS.get(self.device.type, DEVICE_ROWS)

        def work(share: Iterator[tuple[int, int]]) -> Tensor:
            return self._adjoint_share(A[:, 0], weights, share, block_rows)

        spans = block_spans(self.n_samples, block_rows)
        parts = self.pool.run(spans, work, group=FLUSH_BLOCKS)
        total = parts[0]
        for part in parts[1:]:  # in the order of the workers: the same bits every time
            total += part
        return self.unfold(self.communicator.all_reduce(total[:C]))

    def _adjoint_share(
        self, A: Tensor, weights: Tensor, share: Iterator[tuple[int, int]], block_rows: int
    ) -> Tensor:
        C = A.shape[1]
        products = self.products(block_rows, C)
        width = products.width(C)
        padded = torch.zeros(block_rows, width, **self._like)
        total = torch.zeros(width, self.n_raw + 1, dtype=torch.float64, device=self.device)
        count = 0
        for count, (start, stop) in enumerate(share, start=1):
            rows = padded[: stop - start]
            torch.mul(A[start:stop], weights[start:stop, None].to(A.dtype), out=rows[:, :C])
            products.load(start, stop)
            products.add_gradient(rows)
            total[:, -1] += rows.sum(dim=0)
            if count % FLUSH_BLOCKS == 0:
                total[:, :-1] += products.take()
        if count % FLUSH_BLOCKS:
            total[:, :-1] += products.take()
        return total
