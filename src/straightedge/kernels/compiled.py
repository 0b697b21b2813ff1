"""Products and losses by compiled loops on a CPU; see `cpu_kernels` for what they gain and where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from straightedge.kernels.base import is_zero, padded
from straightedge.kernels.cpu_kernels import add_gram, add_rows, hinge_rows, score_rows, softmax_rows
from straightedge.losses.base import largest_loss
from straightedge.rows import Rows
from straightedge.workers import BlockPool

GRAM_SHARES = 8  # parts of a factor that are summed in its own type: fixed, so that no number of workers changes it


class CompiledProducts:
    """Products that read rows in their own type; see `Products` for the contract.

    Args:
        rows: X of uint8, float32 or float64, on the CPU.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._weight, self._offset, self._block, self._sums = (np.empty((0, 0)) for _ in range(4))
        self._scores = torch.empty(0)
        self._fresh, self._is_zero = True, False

    def width(self, n_columns: int) -> int:
        """See `Products.width`: columns are worked on by two."""
        return n_columns + n_columns % 2

    def use(self, weight: Tensor, offset: Tensor) -> None:
        """See `Products.use`."""
        wide, wide_offset = padded(weight, offset, self.width(len(weight)))
        self._weight, self._offset = wide.contiguous().numpy(), wide_offset.contiguous().numpy()
        self._scores = self._scores.to(weight.dtype)
        self._fresh, self._is_zero = True, is_zero(weight, offset)

    def load(self, start: int, stop: int) -> None:
        """See `Products.load`."""
        self._block = self._rows.raw_block(start, stop).numpy()

    def scores(self) -> Tensor:
        """See `Products.scores`."""
        n, width = len(self._block), len(self._weight)
        if self._scores.numel() < n * width:
            self._scores = torch.empty(n * width, dtype=self._scores.dtype)
        S = self._scores[: n * width].view(n, width)
        if self._is_zero:
            return S.zero_()
        score_rows(self._block, self._weight, self._offset, S.numpy())
        return S

    def add_gradient(self, A: Tensor) -> None:
        """See `Products.add_gradient`."""
        shape = A.shape[1], self._block.shape[1]
        if self._sums.shape != shape or self._sums.dtype != A.numpy().dtype:
            self._sums = np.zeros(shape, A.numpy().dtype)
        elif self._fresh:
            self._sums[:] = 0
        self._fresh = False
        add_rows(self._block, A.numpy(), self._sums)

    def take(self) -> Tensor:
        """See `Products.take`."""
        assert not self._fresh, "nothing has been added"
        self._fresh = True
        return torch.from_numpy(self._sums)


def compiled_gram(R: Tensor, G: Tensor, pool: BlockPool) -> Tensor:
    """Return G RᵀR (M, D) for a lower triangular R (D, D); each share has as many of its entries."""
    lower, columns = R.numpy(), G.contiguous().numpy()
    edges = [int(len(R) * (t / GRAM_SHARES) ** 0.5) for t in range(GRAM_SHARES + 1)]

    def work(share: Iterator[tuple[int, int]]) -> np.ndarray:
        out = np.zeros_like(columns)
        for start, stop in share:
            add_gram(lower, columns, out, start, stop)
        return out

    total, *others = pool.run(list(pairwise(edges)), work, shares=GRAM_SHARES)
    for part in others:
        total += part
    return torch.from_numpy(total)


def compiled_loss(name: str, S: Tensor, y: Tensor) -> Tensor:
    """Overwrite scores S (n, K, C) by A and return the values (n, K) of a loss that has a loop, by its word."""
    values = torch.empty(S.shape[:2], dtype=S.dtype)
    limit = largest_loss(S.dtype)
    LOOPS[name](S.numpy(), y.numpy(), limit, values.numpy())
    return values


LOOPS: dict[str, Callable[..., None]] = {
    "softmax": softmax_rows,
    "svm": lambda S, y, limit, values: hinge_rows(S, y, limit, False, values),
    "squared_hinge": lambda S, y, limit, values: hinge_rows(S, y, limit**0.5, True, values),
}
