"""Sparse rows behind an affine map: x̂ = (x − shift) · scale, folded into W, so that zeros stay zeros."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from straightedge.design.base import Design
from straightedge.design.csr import CsrProducts
from straightedge.distributed import Communicator
from straightedge.kernels import Products
from straightedge.preprocess import AffineMap
from straightedge.sparse_rows import SparseRows


class SparseDesign(Design):
    """Rows in compressed form, in the CPU's memory.

    Args:
        rows: X.
        affine: The map from raw rows to the classifier's; identity by default.
        communicator: See `Passes`.
        workers: See `Passes`.
    """

    sparse = True

    def __init__(
        self,
        rows: SparseRows,
        affine: AffineMap | None = None,
        *,
        communicator: Communicator | None = None,
        workers: int | None = None,
    ) -> None:
        D = rows.n_features
        super().__init__(
            rows.n_samples,
            D,
            D,
            device=rows.device,
            communicator=communicator,
            dtype=torch.float64,
            workers=workers,
        )
        self.rows, self.affine = rows, affine or AffineMap.identity(D)

    def fold(self, W: Tensor) -> tuple[Tensor, Tensor]:
        """See `Design.fold`."""
        if self.affine.is_identity:
            return W[:, :-1], W[:, -1]
        weight = W[:, :-1] * self.affine.scale
        return weight, W[:, -1] - weight @ self.affine.shift

    def unfold(self, raw: Tensor) -> Tensor:
        """See `Design.unfold`: the chain rule of the fold."""
        if self.affine.is_identity:
            return raw
        body = self.affine.scale * (raw[:, :-1] - self.affine.shift * raw[:, -1:])
        return torch.cat([body, raw[:, -1:]], dim=1)

    def products(self, block_rows: int, n_columns: int) -> Products:
        """See `Design.products`."""
        return CsrProducts(self.rows, self.dtype)

    def gather(self, index: Tensor, out: Tensor) -> Tensor:
        """See `Design.gather`; for a few rows, which become dense."""
        raw = torch.empty(len(index), self.n_features, dtype=torch.float64)
        self.rows.fill(index.numpy(), raw.numpy())
        torch.sub(raw, self.affine.shift, out=raw)
        out[:, :-1] = raw.mul_(self.affine.scale)
        out[:, -1] = 1.0
        return out

    def read(self, start: int, stop: int, out: Tensor) -> None:
        """See `Design.read`; for a few rows, which become dense."""
        whole = torch.empty(stop - start, self.width, dtype=torch.float64)
        out.copy_(self.gather(torch.arange(start, stop), whole)[:, :-1])

    def subset(self, index: Tensor) -> SparseDesign:
        """See `Design.subset`."""
        part = copy.copy(self)
        part.rows = self.rows.subset(index)
        part.n_samples = len(index)
        return part
