"""Products of the few margins that move: pairs of a row and a class instead of whole rows of scores.

Near a solution most variables b of a hinge are at a bound. What moves are one or two classes of a third of the
rows, and of a product with the Hessian, or of a change of V = X̂ᵀA, the rest is zeros. A margin z_j = s_j − s_y
needs one product with the difference of two columns; pairs of the same two are worked on together, so that the
difference, and the sum of what it collects, stay in cache. With ten classes that is a fifth of a dense product's
multiplications.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from straightedge.kernels import cpu_loops, worth_compiling
from straightedge.losses import piecewise
from straightedge.objective import Objective
from straightedge.rows import block_spans

PAIR_COLUMNS = 2.5  # columns of a dense product, whose loops share more, that cost as much as a pair
DIFFERENCE_PAIRS = 8  # pairs that cost as much as to begin with another difference
SPAN_PAIRS = 1024  # pairs that a worker takes at a time


@dataclass
class Pairs:
    """Pairs of a row and a class, ordered by the difference of columns that their margin depends on.

    Attributes:
        objective: One configuration, over a subset of rows with weights of 1.
        table: (M, D) all rows as they lie in memory.
        places: (P,) the pairs' rows in it.
        plus: (P,) int64 class whose score the margin rises with; −1 for none.
        minus: (P,) int64 class whose score it falls with; −1 for none.
        row: (P,) the pairs' rows in ``objective``.
        column: (P,) their classes.
    """

    objective: Objective
    table: np.ndarray
    places: np.ndarray
    plus: np.ndarray
    minus: np.ndarray
    row: Tensor
    column: Tensor

    @classmethod
    def of(cls, objective: Objective, mask: Tensor) -> Pairs | None:
        """Return the pairs where ``mask`` (n, 1, C) is not 0; None where dense products are faster or all there is.

        Args:
            objective: One configuration over n rows of this rank, `Objective.subset` of another.
            mask: (n, 1, C).
        """
        if not _loops_reach(objective):
            return None
        n, C = len(mask), objective.n_classes
        row, column = mask[:, 0].nonzero(as_tuple=True)
        if len(row) * PAIR_COLUMNS >= n * C:
            return None
        y = objective.y[row]
        plus, minus = piecewise(objective.loss).differences(column, y)
        key = ((plus + 1) * (C + 1) + minus + 1).numpy()
        order = torch.from_numpy(np.argsort(key.astype(np.int16) if C < 180 else key, kind="stable"))
        n_differences = len(np.unique(key))
        if (len(row) + DIFFERENCE_PAIRS * n_differences) * PAIR_COLUMNS >= n * C:
            return None
        row, column = row[order], column[order]
        found = objective.rows.table(row)
        assert found is not None
        return cls(objective, *found, plus[order].numpy(), minus[order].numpy(), row, column)

    def select(self, dense: Tensor) -> Tensor:
        """Return the pairs' entries (P,) of an array (n, 1, C), copied."""
        return dense[self.row, 0, self.column]

    def spread(self, t: Tensor) -> Tensor:
        """Return an array (n, 1, C) with the pairs' entries t (P,), and 0 elsewhere."""
        dense = t.new_zeros(len(self.objective.y), 1, self.objective.n_classes)
        dense[self.row, 0, self.column] = t
        return dense

    def margins(self, direction: Tensor) -> Tensor:
        """Return the change (P,) of the margins along a direction (C, D + 1): J X̂Δ, on this rank's pairs."""
        t = torch.ones(len(self.places), dtype=self.objective.dtype)
        self._visit(direction, t, read=True, write=False)
        return t

    def adjoint(self, t: Tensor, direction: Tensor) -> Tensor:
        """Return Σ t x̂ (Jᵀe)ᵀ (C, D + 1) float64 over the pairs of all ranks.

        Args:
            t: (P,).
            direction: (C, D + 1) what t comes from: ranks must agree on it, those that go over whole rows too.
        """

        def own_sums() -> Tensor:
            return self._visit(direction, t, read=False, write=True)

        return self.objective.summed(own_sums, direction[None])[1][0]

    def curve(self, direction: Tensor, weights: Tensor) -> Tensor:
        """Return `adjoint` of the weights (P,) times `margins`; each row is read once."""

        def own_sums() -> Tensor:
            return self._visit(direction, weights.clone(), read=True, write=True)

        return self.objective.summed(own_sums, direction[None])[1][0]

    def _visit(self, direction: Tensor, t: Tensor, *, read: bool, write: bool) -> Tensor:
        """Go over the pairs on all workers; return the sums for `Objective.summed`."""
        objective = self.objective
        weight, offset = (a.contiguous().numpy() for a in objective.folded(direction[None]))
        loops, values = cpu_loops().visit_pairs, t.numpy()

        def work(share: Iterator[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
            G, sums = np.zeros(weight.shape), np.zeros(len(weight))
            spans = list(share)
            if spans:
                part = slice(spans[0][0], spans[-1][1])
                places, plus, minus = self.places[part], self.plus[part], self.minus[part]
                loops(self.table, places, plus, minus, weight, offset, values[part], G, sums, read, write)
            return G, sums

        flat = objective.no_sums()
        raw = objective.sums_of(flat)[1]
        for G, sums in objective.pool.run(block_spans(len(t), SPAN_PAIRS), work):
            raw[:, :-1] += torch.from_numpy(G)
            raw[:, -1] += torch.from_numpy(sums)
        return flat


def _loops_reach(objective: Objective) -> bool:
    """Return whether compiled loops are worth while, and see the rows as they lie in memory."""
    nothing = torch.zeros(0, dtype=torch.int64)
    return worth_compiling(objective.rows, objective.n_classes) and objective.rows.table(nothing) is not None


def adjoint_of_change(objective: Objective, before: Tensor, after: Tensor, weights: Tensor) -> Tensor | None:
    """Return how Σ w_i x̂_i (Jᵀb_i)ᵀ (C, D + 1) differs between two b, float64 over all ranks.

    None, on all ranks, where so much has changed that the sum itself costs no more.

    Args:
        objective: One configuration.
        before: (N, 1, C).
        after: (N, 1, C).
        weights: (N,) float64.
    """
    pairs = None
    if _loops_reach(objective):
        changed = before != after
        rows = changed.flatten(1).any(dim=1).nonzero().flatten()
        pairs = Pairs.of(objective.subset(rows), changed[rows])
    none = torch.tensor([float(pairs is None)], dtype=torch.float64)
    if float(objective.communicator.all_reduce(none)) > 0 or pairs is None:
        return None
    steps = pairs.select(after[rows].to(torch.float64) - before[rows]) * weights[rows[pairs.row]]
    return pairs.adjoint(steps.to(objective.dtype), torch.zeros(objective.shape[1:], dtype=objective.dtype))
