"""What Newton's method asks of an objective: its size, the weights of its rows, and many rows as they lie."""

import numpy as np
import torch

from straightedge.design import DenseDesign
from straightedge.newton import column
from straightedge.newton.blocks import RowBlocks
from straightedge.newton.work import Size
from straightedge.objective import Objective


def row_weights(objective: Objective, k: int) -> np.ndarray:
    """Return the weights (N,) of configuration k's rows, of sum 1."""
    chosen = objective.row_weights.select(torch.tensor([k]))
    return chosen.of_one(objective.n_samples, objective.device).numpy()


def tall_rows(objective: Objective) -> RowBlocks | None:
    """Return all rows of a problem with a plain ridge, equal weights, many rows and few columns; else None."""
    loss, design, penalty = objective.loss.second_order, objective.design, objective.penalty
    if loss is None or objective.weights is not None or not penalty.plain:
        return None
    size = size_of(objective)
    if not size.is_tall or column.fits(size):  # two classes of which float32 knows the whole Hessian
        return None
    found = None
    if isinstance(design, DenseDesign) and design.affine.is_identity and design.rows.order is None:
        found = design.rows.table(torch.arange(0))
    X = design.to(torch.float64).table().numpy()[:, :-1] if found is None else found[0]
    rows = RowBlocks(X, objective.y.numpy(), objective.n_classes, loss, penalty.free_bias)
    return rows if rows.is_bounded else None


def size_of(objective: Objective) -> Size:
    """Return the size of an objective's problem."""
    _, C, D = objective.shape
    loss = objective.loss.second_order
    free = C - 1 if loss is not None and loss.shift_invariant else C
    return Size(objective.n_samples, D, C, free, loss is None or loss.curved)
