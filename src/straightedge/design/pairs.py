"""Products of pairs of a row and a difference of two columns, where most of a product would be zeros.

Pairs of the same two columns are worked on together, so that the difference, and the sum of what it collects, stay
in cache. With ten classes a pair takes a fifth of the multiplications of its row in a dense product.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from straightedge.design.weights import RowWeights
from straightedge.workers import block_spans

if TYPE_CHECKING:
    from straightedge.design.base import Design

SPAN_PAIRS = 1024  # pairs that a worker takes at a time


class PairProducts:
    """Pairs ordered by their difference of columns.

    Args:
        design: Of the rows; sums are plain ones, over all ranks.
        table: (M, R) all rows as they lie in memory.
        places: (P,) the pairs' rows in it.
        plus: (P,) int64 column that is added; −1 for none.
        minus: (P,) int64 column that is subtracted; −1 for none.
    """

    def __init__(
        self, design: Design, table: np.ndarray, places: np.ndarray, plus: np.ndarray, minus: np.ndarray
    ) -> None:
        self.design, self.table, self.places, self.plus, self.minus = design, table, places, plus, minus

    def products(self, W: Tensor) -> Tensor:
        """Return (P,) the differences of scores x̂ᵀ(w_plus − w_minus) for W (C, D + 1), on this rank's pairs."""
        t = torch.ones(len(self.places), dtype=self.design.dtype)
        self._visit(W, t, read=True, write=False)
        return t

    def adjoint(self, t: Tensor, like: Tensor) -> Tensor:
        """Return Σ t x̂ (e_plus − e_minus)ᵀ (C, D + 1) float64 over the pairs of all ranks.

        Args:
            t: (P,).
            like: (C, D + 1) what t comes from: ranks must agree on it, those that go over whole rows too.
        """
        return self._summed(like, t, read=False)

    def curve(self, W: Tensor, weights: Tensor) -> Tensor:
        """Return `adjoint` of the weights (P,) times `products`; each row is read once."""
        return self._summed(W, weights.clone(), read=True)

    def _summed(self, W: Tensor, t: Tensor, *, read: bool) -> Tensor:
        each = RowWeights(None, torch.zeros(1, dtype=torch.int64), 1.0)
        return self.design.all_summed(lambda: self._visit(W, t, read=read, write=True), W[None], each)[1][0]

    def _visit(self, W: Tensor, t: Tensor, *, read: bool, write: bool) -> Tensor:
        """Go over the pairs on all workers; return the sums for `Design.all_summed`."""
        from straightedge.kernels import cpu_loops

        columns = self.design.columns(W[None])
        weight, offset = (a.contiguous().numpy() for a in (columns.weight, columns.offset))
        loops, values = cpu_loops().visit_pairs, t.numpy()

        def work(share: Iterator[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
            G, sums = np.zeros(weight.shape), np.zeros(len(weight))
            spans = list(share)
            if spans:
                part = slice(spans[0][0], spans[-1][1])
                places, plus, minus = self.places[part], self.plus[part], self.minus[part]
                loops(self.table, places, plus, minus, weight, offset, values[part], G, sums, read, write)
            return G, sums

        flat = self.design.zero_sums(W[None])
        raw = self.design.split_sums(flat, W[None])[1]
        for G, sums in self.design.pool.run(block_spans(len(t), SPAN_PAIRS), work):
            raw[:, :-1] += torch.from_numpy(G)
            raw[:, -1] += torch.from_numpy(sums)
        return flat
