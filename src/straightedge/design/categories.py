"""Columns of category codes as if each were a column of zeros and ones a category: nothing is ever written out.

A row has one code a column. Its score is the sum of the weights at its codes, and XᵀA adds a row of A at each of
them, so a pass costs as many additions as there are columns, however many categories they have.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from straightedge.design.mapped import MappedDesign
from straightedge.distributed import Communicator
from straightedge.errors import InputError
from straightedge.kernels import Products
from straightedge.preprocess import AffineMap


class CategoryDesign(MappedDesign):
    """Category codes, in the CPU's memory.

    Args:
        codes: (N, J) int64, code of column j in [0, counts[j]); −1 for a row that has no category there.
        counts: J numbers of categories; features are the first column's categories, then the second's, and so on.
        affine: The map from columns of zeros and ones to the classifier's; identity by default.
        communicator: See `Passes`.
        dtype: See `Passes`.
        workers: See `Passes`.

    Raises:
        InputError: ``category-code-invalid`` for a code outside its column's range.
    """

    def __init__(
        self,
        codes: Tensor,
        counts: list[int],
        affine: AffineMap | None = None,
        *,
        communicator: Communicator | None = None,
        dtype: torch.dtype = torch.float32,
        workers: int | None = None,
    ) -> None:
        D, self.counts = sum(counts), torch.tensor(counts, dtype=torch.int64)
        super().__init__(
            len(codes), D, D, device=torch.device("cpu"), communicator=communicator, dtype=dtype, workers=workers
        )
        _check_codes(codes, self.counts)
        first = self.counts.cumsum(0) - self.counts
        self.features = torch.where(codes >= 0, codes + first, D)  # D: a feature that no one has
        self.affine = affine or AffineMap.identity(D)

    def products(self, block_rows: int, n_columns: int) -> Products:
        """See `Design.products`."""
        return CategoryProducts(self.features, self.n_features, self.dtype)

    def gather(self, index: Tensor, out: Tensor) -> Tensor:
        """See `Design.gather`; for a few rows, which become dense."""
        raw = torch.zeros(len(index), self.n_features + 1, dtype=torch.float64)
        raw.scatter_(1, self.features[index], 1.0)
        return self.mapped(raw[:, :-1], out)

    def subset(self, index: Tensor) -> CategoryDesign:
        """See `Design.subset`."""
        part = copy.copy(self)
        part.features, part.n_samples = self.features[index], len(index)
        return part


class CategoryProducts(Products):
    """One worker's products with category codes; see `kernels.base.Products`.

    Args:
        features: (N, J) the feature that each code is; ``n_features`` for none.
        n_features: D.
        dtype: Type of the scores and of the sums between two `take`.
    """

    def __init__(self, features: Tensor, n_features: int, dtype: torch.dtype) -> None:
        self._features, self._n_features, self._dtype = features, n_features, dtype
        self._block = features[:0]
        self._weight = self._offset = torch.empty(0)
        self._sums: Tensor | None = None

    def use(self, weight: Tensor, offset: Tensor) -> None:
        """See `Products.use`."""
        self._weight = torch.cat([weight.t(), torch.zeros(1, len(weight), dtype=weight.dtype)])
        self._offset, self._sums = offset, None

    def load(self, start: int, stop: int) -> None:
        """See `Products.load`."""
        self._block = self._features[start:stop]

    def scores(self) -> Tensor:
        """See `Products.scores`."""
        out = self._offset.to(self._dtype).repeat(len(self._block), 1)
        for column in self._block.unbind(1):
            out += self._weight[column]
        return out

    def add_gradient(self, A: Tensor) -> None:
        """See `Products.add_gradient`."""
        if self._sums is None:
            self._sums = torch.zeros(self._n_features + 1, A.shape[1], dtype=self._dtype)
        for column in self._block.unbind(1):
            self._sums.index_add_(0, column, A.to(self._dtype))

    def take(self) -> Tensor:
        """See `Products.take`."""
        assert self._sums is not None, "nothing has been added"
        found, self._sums = self._sums[:-1].t(), None
        return found


def _check_codes(codes: Tensor, counts: Tensor) -> None:
    """Raise `InputError` where a code is not one of its column's."""
    if codes.ndim != 2 or codes.shape[1] != len(counts):
        what = f"codes have the shape {tuple(codes.shape)}, and there are {len(counts)} numbers of categories"
        mend = "give a table of codes with one column for each number"
        raise InputError("category-code-invalid", what, mend=mend)
    wrong = ((codes < -1) | (codes >= counts)).nonzero()
    if len(wrong):
        row, column = wrong[0].tolist()
        what = f"row {row} has the code {int(codes[row, column])} in column {column}"
        mend = f"codes of that column are 0 to {int(counts[column]) - 1}, or −1 for none"
        raise InputError("category-code-invalid", what, mend=mend)
