"""Sparse rows behind an affine map: x̂ = (x − shift) · scale, folded into W, so that zeros stay zeros."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

from straightedge.design.csr import CsrProducts, csr_class_sums
from straightedge.design.mapped import MappedDesign
from straightedge.design.weights import RowWeights
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

    def class_sums(self, y: Tensor, n_classes: int, weights: RowWeights) -> Tensor:
        """See `Passes.class_sums`; a stored entry is read once, for its own class."""
        table, fold = weights.table, weights.fold
        if table is None:
            table, fold = torch.ones(1, self.n_samples, dtype=torch.float64), torch.zeros_like(fold)
        W = torch.zeros(len(fold), n_classes, self.width, dtype=torch.float64)

        def own_sums() -> Tensor:
            flat = self.zero_sums(W)
            of_sets = [csr_class_sums(self.rows, own.numpy(), y.numpy(), n_classes).T for own in table]
            self.split_sums(flat, W)[1][:] = torch.from_numpy(np.stack(of_sets))[fold].flatten(0, 1)
            return flat

        return self.all_summed(own_sums, W, weights)[1]

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
