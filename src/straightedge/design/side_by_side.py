"""Several designs of the same rows as one, their columns side by side: numbers, category codes and sparse text.

Each part keeps its own form, map and products: a pass adds up what the parts give for a block of rows. Nothing is
concatenated but W, the gradient, and rows that are gathered.

References:
    The split matrix of tabmat, on which glum rests.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from straightedge.design.base import Design
from straightedge.errors import InputError
from straightedge.kernels import Products


class SideBySide(Design):
    """Designs of the same rows, one beside the other.

    Args:
        parts: Two or more, on one device; features are the first part's, then the second's, and so on.
        dtype: Float type of the products of all parts.
        workers: See `Passes`.

    Raises:
        InputError: ``design-parts-differ`` where parts have different numbers of rows or lie on different devices.
    """

    def __init__(
        self, parts: Sequence[Design], *, dtype: torch.dtype = torch.float32, workers: int | None = None
    ) -> None:
        _check_parts(parts)
        first = parts[0]
        super().__init__(
            first.n_samples,
            sum(part.n_features for part in parts),
            sum(part.n_raw for part in parts),
            device=first.device,
            communicator=first.communicator,
            dtype=dtype,
            workers=workers,
        )
        self.in_memory = all(part.in_memory for part in parts)
        self.sparse = all(part.sparse for part in parts)
        self.parts = [part.to(dtype) for part in parts]

    def fold(self, W: Tensor) -> tuple[Tensor, Tensor]:
        """See `Design.fold`: each part folds its own columns, and the bias counts once."""
        own = W[:, :-1].split([part.n_features for part in self.parts], dim=1)
        nothing = torch.zeros_like(W[:, -1:])
        folded = [
            part.fold(torch.cat([columns, nothing], dim=1)) for part, columns in zip(self.parts, own, strict=True)
        ]
        offset = W[:, -1] + sum(shift for _, shift in folded)
        return torch.cat([weight for weight, _ in folded], dim=1), offset

    def unfold(self, raw: Tensor) -> Tensor:
        """See `Design.unfold`."""
        own = raw[:, :-1].split([part.n_raw for part in self.parts], dim=1)
        bodies = [
            part.unfold(torch.cat([columns, raw[:, -1:]], dim=1))[:, :-1]
            for part, columns in zip(self.parts, own, strict=True)
        ]
        return torch.cat([*bodies, raw[:, -1:]], dim=1)

    def products(self, block_rows: int, n_columns: int) -> Products:
        """See `Design.products`."""
        return SideProducts([(part.products(block_rows, n_columns), part.n_raw) for part in self.parts])

    def gather(self, index: Tensor, out: Tensor) -> Tensor:
        """See `Design.gather`."""
        for part, start in self._placed():  # the constant of each part gives way to the next one's features
            part.gather(index, out[:, start : start + part.width])
        return out

    def read(self, start: int, stop: int, out: Tensor) -> None:
        """See `Design.read`."""
        for part, first in self._placed():
            part.read(start, stop, out[:, first : first + part.n_features])

    def subset(self, index: Tensor) -> SideBySide:
        """See `Design.subset`."""
        other = copy.copy(self)
        other.parts = [part.subset(index) for part in self.parts]
        other.n_samples = len(index)
        return other

    def to(self, dtype: torch.dtype) -> SideBySide:
        """See `Design.to`."""
        other = copy.copy(self)
        other.dtype, other.parts = dtype, [part.to(dtype) for part in self.parts]
        return other

    def _placed(self) -> Iterator[tuple[Design, int]]:
        """Yield each part with its first feature."""
        start = 0
        for part in self.parts:
            yield part, start
            start += part.n_features


class SideProducts(Products):
    """One worker's products with all parts; see `kernels.base.Products`.

    Args:
        parts: The products of each part, and its number of raw features.
    """

    def __init__(self, parts: Sequence[tuple[Products, int]]) -> None:
        self._parts = [products for products, _ in parts]
        self._sizes = [size for _, size in parts]
        self._n_columns = 0

    def use(self, weight: Tensor, offset: Tensor) -> None:
        """See `Products.use`: the first part adds the offset."""
        self._n_columns = len(weight)
        for products, own in zip(self._parts, weight.split(self._sizes, dim=1), strict=True):
            products.use(own.contiguous(), offset)
            offset = torch.zeros_like(offset)

    def load(self, start: int, stop: int) -> None:
        """See `Products.load`."""
        for products in self._parts:
            products.load(start, stop)

    def scores(self) -> Tensor:
        """See `Products.scores`."""
        first, *others = (products.scores()[:, : self._n_columns] for products in self._parts)
        total = first.clone()
        for scores in others:
            total += scores
        return total

    def add_gradient(self, A: Tensor) -> None:
        """See `Products.add_gradient`; `use` may not have been called."""
        self._n_columns = A.shape[1]
        for products in self._parts:
            wider = products.width(A.shape[1]) - A.shape[1]
            products.add_gradient(torch.nn.functional.pad(A, (0, wider)) if wider else A)

    def take(self) -> Tensor:
        """See `Products.take`."""
        return torch.cat([products.take()[: self._n_columns] for products in self._parts], dim=1)


def _check_parts(parts: Sequence[Design]) -> None:
    """Raise `InputError` where parts are none, or not of the same rows."""
    found = {(part.n_samples, str(part.device)) for part in parts}
    if len(found) != 1:
        described = ", ".join(f"{rows} rows on {device}" for rows, device in sorted(found)) or "nothing"
        what = f"columns side by side must be of the same rows, and there are parts of {described}"
        mend = "give designs with as many rows as one another, on one device"
        raise InputError("design-parts-differ", what, mend=mend)
