"""The margins that move: pairs of a row and a class instead of whole rows of scores.

Near a solution most variables b of a hinge are at a bound. What moves are one or two classes of a third of the
rows, and of a product with the Hessian, or of a change of V = X̂ᵀA, the rest is zeros. A margin z_j = s_j − s_y
needs one product with the difference of two columns (see `design.pairs`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from straightedge.design import PairProducts
from straightedge.losses import piecewise
from straightedge.objective import Objective

PAIR_COLUMNS = 2.5  # columns of a dense product, whose loops share more, that cost as much as a pair
DIFFERENCE_PAIRS = 8  # pairs that cost as much as to begin with another difference


@dataclass
class ActiveMargins:
    """Pairs of a row and a class, ordered by the difference of columns that their margin depends on.

    Attributes:
        products: With the rows.
        shape: (n, C) rows and classes they are a part of.
        row: (P,) the pairs' rows.
        column: (P,) their classes.
    """

    products: PairProducts
    shape: tuple[int, int]
    row: Tensor
    column: Tensor

    @classmethod
    def of(cls, objective: Objective, mask: Tensor) -> ActiveMargins | None:
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
        products = objective.design.pairs(row, plus[order], minus[order])
        return None if products is None else cls(products, (n, C), row, column)

    def select(self, dense: Tensor) -> Tensor:
        """Return the pairs' entries (P,) of an array (n, 1, C), copied."""
        return dense[self.row, 0, self.column]

    def spread(self, t: Tensor) -> Tensor:
        """Return an array (n, 1, C) with the pairs' entries t (P,), and 0 elsewhere."""
        n, C = self.shape
        dense = t.new_zeros(n, 1, C)
        dense[self.row, 0, self.column] = t
        return dense


def _loops_reach(objective: Objective) -> bool:
    """Return whether compiled loops are worth while, and see the rows as they lie in memory."""
    design, nothing = objective.design, torch.zeros(0, dtype=torch.int64)
    return design.loops(objective.n_classes) is not None and design.pairs(nothing, nothing, nothing) is not None


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
        pairs = ActiveMargins.of(objective.subset(rows), changed[rows])
    none = torch.tensor([float(pairs is None)], dtype=torch.float64)
    if float(objective.communicator.all_reduce(none)) > 0 or pairs is None:
        return None
    steps = pairs.select(after[rows].to(torch.float64) - before[rows]) * weights[rows[pairs.row]]
    return pairs.products.adjoint(
        steps.to(objective.dtype), torch.zeros(objective.shape[1:], dtype=objective.dtype)
    )
