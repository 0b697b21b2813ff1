"""Launchers of the Triton kernels: tiles for a shape, the split operands, partial sums by share of the rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from straightedge.kernels.base import Products
from straightedge.kernels.loss_kernels import hinge_kernel, softmax_kernel
from straightedge.kernels.product_kernels import gradient_kernel, score_kernel
from straightedge.kernels.splitting import KINDS, Kind, column_scale, split_weight
from straightedge.losses.base import largest_loss
from straightedge.rows import Rows

INTERPRETED = not isinstance(score_kernel, triton.runtime.JITFunction)  # TRITON_INTERPRET=1: on the CPU
ROWS_A_SHARE = 8192  # float32 sums over more rows than this are left to float64
PROGRAMS = 264  # two for each multiprocessor of a large GPU
WIDTHS = {16: 0.3, 32: 0.5, 64: 0.8, 128: 1.0}  # columns of a tile, and how much of the matrix rate they can get
SHARED_MEMORY = 99 * 2**10
"""Bytes a program may have on the smallest devices; `_shared_memory` asks the present one."""
_TYPES = {torch.float16: tl.float16, torch.bfloat16: tl.bfloat16, torch.float32: tl.float32}


@dataclass(frozen=True)
class Tiles:
    """The shape of a program's work and how it runs.

    Attributes:
        long: Rows (scores) or features (gradient) of a program.
        columns: Columns of W of a program.
        step: Features (scores) or rows (gradient) of a step of its loop.
        warps: Warps of a program.
        stages: Steps whose data are on their way at once.
    """

    long: int
    columns: int
    step: int
    warps: int
    stages: int


def tiles_for(n_columns: int, kind: Kind, shared_memory: int = SHARED_MEMORY) -> Tiles:
    """Return the tiles for a number of columns: the width that wastes least of the matrix rate.

    Narrow programs share the bytes of `shared_memory` that a multiprocessor has by two.
    """
    columns = min(WIDTHS, key=lambda width: -(-n_columns // width) * width / WIDTHS[width])
    size = kind.operand.itemsize
    one = 128 * size + columns * max(4, size * kind.n_parts)  # bytes of a row or feature of a step
    step = 64 if size == 2 and 2 * 64 * one <= shared_memory else 32
    stages = shared_memory // (step * one * (1 if columns == 128 else 2))
    return Tiles(128, columns, step, 8 if columns == 128 else 4, max(2, min(4, stages)))


@lru_cache
def _shared_memory(device: torch.device) -> int:
    found = getattr(torch.cuda.get_device_properties(device), "shared_memory_per_block_optin", SHARED_MEMORY)
    return int(found) - 2**10


class FusedProducts(Products):
    """Products that read rows in their own type; see `Products` for the contract, `splitting` for the accuracy.

    Args:
        rows: X, of a type in `KINDS`.
        tiles: Instead of those of `tiles_for`.
    """

    def __init__(self, rows: Rows, tiles: Tiles | None = None) -> None:
        self._rows, self._kind, self._tiles = rows, KINDS[rows.dtype_name], tiles
        self._parts = self._unscale = self._offset = self._scores = torch.empty(0)
        self._block = torch.empty(0)
        self._sums: Tensor | None = None

    def use(self, weight: Tensor, offset: Tensor) -> None:
        """See `Products.use`."""
        self._parts, self._unscale = split_weight(weight, self._kind)
        self._offset, self._sums = offset, None

    def load(self, start: int, stop: int) -> None:
        """See `Products.load`."""
        self._block = self._rows.raw_block(start, stop)

    def scores(self) -> Tensor:
        """See `Products.scores`."""
        n, n_columns = len(self._block), self._parts.shape[1]
        if self._scores.numel() < n * n_columns:
            self._scores = torch.empty(n * n_columns, dtype=torch.float32, device=self._block.device)
        S = self._scores[: n * n_columns].view(n, n_columns)
        tiles = self._tiles_for(n_columns)
        programs = triton.cdiv(n, tiles.long) * triton.cdiv(n_columns, tiles.columns)
        with torch.cuda.device_of(S):  # Triton launches on the current device
            score_kernel[(programs,)](
                self._block, self._parts, self._unscale, self._offset, S, *self._sizes(n, n_columns),
                self._parts[0].numel(), **self._numbers(),
                ROWS=tiles.long, COLUMNS=tiles.columns, FEATURES=tiles.step, GROUP=8,
                num_warps=tiles.warps, num_stages=tiles.stages,
            )  # fmt: skip
        return S

    def add_gradient(self, A: Tensor) -> None:
        """See `Products.add_gradient`. Each share of the rows has sums of its own, so nothing depends on timing."""
        n, n_columns = A.shape
        tiles = self._tiles_for(n_columns)
        programs = triton.cdiv(self._block.shape[1], tiles.long) * triton.cdiv(n_columns, tiles.columns)
        shares = self._shares(n, n_columns, programs, tiles)
        rows_a_share = triton.cdiv(triton.cdiv(n, shares), tiles.step) * tiles.step
        largest = torch.linalg.vector_norm(A, float("inf"), dim=0) if self._kind.scaled else A[0]
        scale, unscale = column_scale(largest, self._kind)
        with torch.cuda.device_of(A):
            gradient_kernel[(programs, shares)](
                self._block, A, scale, unscale, self._sums, *self._sizes(n, n_columns), A.stride(0), rows_a_share,
                **self._numbers(), TRUNCATE=self._kind.operand == torch.bfloat16,
                ROWS=tiles.step, COLUMNS=tiles.columns, FEATURES=tiles.long,
                num_warps=tiles.warps, num_stages=tiles.stages,
            )  # fmt: skip

    def take(self) -> Tensor:
        """See `Products.take`."""
        assert self._sums is not None, "nothing has been added"
        total: Tensor = self._sums.sum(dim=0, dtype=torch.float64)
        self._sums.zero_()
        return total

    def _shares(self, n: int, n_columns: int, programs: int, tiles: Tiles) -> int:
        """Return how many shares the rows of the first block are cut into; later ones are cut alike."""
        if self._sums is None:
            shares = max(triton.cdiv(n, ROWS_A_SHARE), triton.cdiv(PROGRAMS, programs))
            shares = min(shares, triton.cdiv(n, tiles.step))
            size = (shares, n_columns, self._block.shape[1])
            self._sums = torch.zeros(size, dtype=torch.float32, device=self._block.device)
        return len(self._sums)

    def _tiles_for(self, n_columns: int) -> Tiles:
        if self._tiles is not None:
            return self._tiles
        if INTERPRETED:
            return Tiles(32, 16, 32, 1, 1)
        return tiles_for(n_columns, self._kind, _shared_memory(self._block.device))

    def _sizes(self, n: int, n_columns: int) -> tuple[int, int, int]:
        return n, n_columns, self._block.shape[1]

    def _numbers(self) -> dict[str, Any]:
        """Return how numbers are multiplied; the interpreter, which has no bfloat16, does so in float32."""
        operand = _TYPES[self._kind.operand]
        if INTERPRETED and operand == tl.bfloat16:
            operand = tl.float32
        return {"OPERAND": operand, "PRECISION": "tf32x3", "PARTS": self._kind.n_parts}


SQUARED_HINGES = {"svm": False, "squared_hinge": True}  # by a loss's word for its kernel: whether it squares


def fused_loss(name: str, S: Tensor, y: Tensor) -> Tensor:
    """Overwrite scores S (n, K, C) float32 by A and return the values (n, K) of a loss that has a kernel."""
    n, n_configs, n_classes = S.shape
    values = torch.empty(n, n_configs, dtype=S.dtype, device=S.device)
    classes = triton.next_power_of_2(n_classes)
    rows = max(1, min(64 if INTERPRETED else 128, 4096 // classes))
    limit = largest_loss(S.dtype)
    shape = {"ROWS": rows, "CLASSES": classes}
    arguments = (S, y, values, n, n_configs, n_classes, S.stride(0))
    grid = (triton.cdiv(n, rows), n_configs)
    with torch.cuda.device_of(S):
        if name in SQUARED_HINGES:
            squared = SQUARED_HINGES[name]
            hinge_kernel[grid](*arguments, limit**0.5 if squared else limit, **shape, SQUARED=squared)
        else:
            softmax_kernel[grid](*arguments, limit, **shape)
    return values


def trial(device: torch.device) -> float:
    """Return the largest relative error of a small pass on a device, against float64."""
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(48, 32, generator=generator).half()
    W = torch.randn(16, 32, generator=generator)
    products = FusedProducts(Rows(X, device=device))
    products.use(W.to(device), torch.zeros(16, device=device))
    products.load(0, len(X))
    S = products.scores()
    products.add_gradient(S)
    exact = X.double() @ W.double().t()
    wrong = (S.cpu().double() - exact).abs().max() / exact.abs().max()
    sums = exact.t() @ X.double()
    return float(torch.maximum(wrong, (products.take().cpu() - sums).abs().max() / sums.abs().max()))
