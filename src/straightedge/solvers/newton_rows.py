"""What Newton's method asks of an objective: its size, the weights of its rows, and many rows as they lie."""

import numpy as np
import torch
from torch import Tensor

from straightedge.design import DenseDesign
from straightedge.newton import column
from straightedge.newton.blocks import RowBlocks
from straightedge.newton.free_bias import best_bias
from straightedge.newton.work import Size
from straightedge.objective import Objective

LARGEST_SCORES = 2**25  # scores whose best bias is looked for: 256 MB in float64
LEFT_OF_BIAS = 0.01  # of the gap asked for, that the bias's gradient may cost a bound
BIAS_STEPS = 2  # of Newton on the bias before a proof; each doubles the digits


def row_weights(objective: Objective, k: int) -> np.ndarray:
    """Return the weights (N,) of configuration k's rows, of sum 1."""
    chosen = objective.row_weights.select(torch.tensor([k]))
    return chosen.of_one(objective.n_samples, objective.device).numpy()


def has_best_bias(objective: Objective) -> bool:
    """Return whether the best free bias of one configuration on the CPU can be had, and proves a bound."""
    loss, penalty = objective.loss.second_order, objective.penalty
    plain = penalty.free_bias and penalty.plain
    near = objective.n_configs == 1 and objective.device.type == "cpu" and objective.communicator.size == 1
    small = objective.n_samples * objective.n_classes <= LARGEST_SCORES
    return loss is not None and loss.likely and plain and near and small


def with_best_bias(objective: Objective, W: Tensor, tol: float) -> Tensor:
    """Return W (1, C, D + 1) with the free bias that is the best for the rest of it, by scores of its own type."""
    loss, y = objective.loss.second_order, objective.y.numpy()
    assert loss is not None
    S = np.ascontiguousarray(objective.scores(W)[:, 0].t().numpy())
    weights = row_weights(objective, 0).astype(S.dtype)
    still = LEFT_OF_BIAS * tol * float(np.bincount(y, weights, objective.n_classes).min())
    shift, _ = best_bias(loss, S, y, weights, loss.at(S, y), BIAS_STEPS, still)
    moved = W.to(torch.float64, copy=True)
    moved[0, :, -1] += torch.from_numpy(shift)
    return moved


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
