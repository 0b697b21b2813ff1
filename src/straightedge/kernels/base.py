"""The contract of a pass's two products, and the portable ones: plain torch on blocks of converted rows."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from straightedge.rows import Rows

NARROWEST = 16  # columns of a product on the CPU; narrower ones hit slow paths of the BLAS


class Products(Protocol):
    """The two products of a pass, block by block: S = X Wᵀ + offset, and Σ Aᵀ X over blocks.

    One worker's; used in the order `use`, then for each block `load`, `scores`, `add_gradient`, and `take` every
    few blocks. Either product may be left out.
    """

    def width(self, n_columns: int) -> int:
        """Return how many columns S has where W has ``n_columns``: those beyond are 0, and A may have them too."""
        return n_columns

    def use(self, weight: Tensor, offset: Tensor) -> None:
        """Take W (M, D), the map folded in, and offset (M,) for the blocks to come; sums pending are dropped."""
        ...

    def load(self, start: int, stop: int) -> None:
        """Make rows ``start:stop`` the present block."""
        ...

    def scores(self) -> Tensor:
        """Return S (n, width(M)) of the present block, a buffer that the next block overwrites."""
        ...

    def add_gradient(self, A: Tensor) -> None:
        """Add AᵀX of the present block, A (n, width(M)) with columns side by side."""
        ...

    def take(self) -> Tensor:
        """Return the sums (width(M), D) since the last `take`, as they are; the caller adds them up in float64."""
        ...


class PortableProducts:
    """Products by torch, for every device and float type: rows are converted into a buffer that stays in cache.

    Args:
        rows: X.
        block_rows: Most rows of a block.
        dtype: Float type of the products.
    """

    def __init__(self, rows: Rows, block_rows: int, dtype: torch.dtype) -> None:
        self._rows = rows
        self._buffer, self._block_rows = rows.scratch(block_rows, dtype), block_rows
        self._weight = self._offset = self._scores = torch.empty(0)
        self._block = self._buffer
        self._pending: Tensor | None = None
        self._taken = self._is_zero = False

    def width(self, n_columns: int) -> int:
        """See `Products.width`."""
        return blas_width(n_columns, self._buffer.device)

    def use(self, weight: Tensor, offset: Tensor) -> None:
        """See `Products.use`."""
        self._weight, self._offset = padded(weight, offset, self.width(len(weight)))
        self._is_zero = is_zero(weight, offset)
        self._pending = None
        weight = self._weight
        if self._scores.numel() < self._block_rows * len(weight):
            self._scores = torch.empty(self._block_rows * len(weight), **_like(self._buffer))

    def load(self, start: int, stop: int) -> None:
        """See `Products.load`."""
        self._block = self._rows.block(start, stop, self._buffer)

    def scores(self) -> Tensor:
        """See `Products.scores`."""
        n, width = len(self._block), len(self._weight)
        S = self._scores[: n * width].view(n, width)
        if self._is_zero:
            return S.zero_()
        return torch.addmm(self._offset, self._block, self._weight.t(), out=S)

    def add_gradient(self, A: Tensor) -> None:
        """See `Products.add_gradient`."""
        if self._pending is None:
            self._pending = torch.zeros(A.shape[1], self._block.shape[1], **_like(self._buffer))
        elif self._taken:
            self._pending.zero_()
        self._taken = False
        self._pending.addmm_(A.t(), self._block)

    def take(self) -> Tensor:
        """See `Products.take`."""
        assert self._pending is not None, "nothing has been added"
        self._taken = True
        return self._pending


def is_zero(weight: Tensor, offset: Tensor) -> bool:
    """Return whether scores are 0 without a product, as at W = 0; a device is not waited for."""
    return weight.device.type == "cpu" and not bool(weight.any()) and not bool(offset.any())


def blas_width(n_columns: int, device: torch.device) -> int:
    """Return how many columns a BLAS is fastest with: on the CPU a multiple of 8, at least `NARROWEST`."""
    if device.type != "cpu":
        return n_columns
    return max(NARROWEST, -(-n_columns // 8) * 8)


def padded(weight: Tensor, offset: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Return weight (M, D) and offset (M,) with columns of zeros up to ``width``."""
    if width == len(weight):
        return weight, offset
    wide = weight.new_zeros(width, weight.shape[1])
    wide[: len(weight)] = weight
    wide_offset = offset.new_zeros(width)
    wide_offset[: len(offset)] = offset
    return wide, wide_offset


def _like(buffer: Tensor) -> dict[str, Any]:
    return {"dtype": buffer.dtype, "device": buffer.device}
