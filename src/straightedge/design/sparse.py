"""Sparse rows behind an affine map: x̂ = (x − shift) · scale, folded into W, so that zeros stay zeros."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from straightedge.design.csr import CsrProducts
from straightedge.design.mapped import MappedDesign
from straightedge.distributed import Communicator
from straightedge.kernels import Products
from straightedge.preprocess import AffineMap
from straightedge.sparse_rows import SparseRows


class SparseDesign(MappedDesign):
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

    def products(self, block_rows: int, n_columns: int) -> Products:
        """See `Design.products`."""
        return CsrProducts(self.rows, self.dtype)

    def gather(self, index: Tensor, out: Tensor) -> Tensor:
        """See `Design.gather`; for a few rows, which become dense."""
        raw = torch.empty(len(index), self.n_features, dtype=torch.float64)
        self.rows.fill(index.numpy(), raw.numpy())
        return self.mapped(raw, out)

    def subset(self, index: Tensor) -> SparseDesign:
        """See `Design.subset`."""
        part = copy.copy(self)
        part._remembered = None
        part.rows = self.rows.subset(index)
        part.n_samples = len(index)
        return part
