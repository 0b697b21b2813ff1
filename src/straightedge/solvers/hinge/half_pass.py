"""The two halves of a pass on their own, for an objective of one configuration.

A step along cached scores needs X̂Δ before it knows how far to go, and X̂ᵀA once it does: two halves, one pass.
"""

from torch import Tensor

from straightedge.objective import Objective


def row_weights(objective: Objective) -> Tensor:
    """Return (N,) float64: the weight of each row in the one configuration of ``objective``; they sum to 1."""
    return objective.row_weights.of_one(objective.n_samples, objective.device)


def scores(objective: Objective, W: Tensor) -> Tensor:
    """Return X̂W (N, 1, C) for W (C, D + 1): half a pass."""
    return objective.design.scores(W[None])


def adjoint(objective: Objective, A: Tensor, weights: Tensor) -> Tensor:
    """Return Σ_i w_i x̂_i a_iᵀ (C, D + 1) float64 over all ranks, A (N, 1, C) and weights (N,): half a pass."""
    return objective.design.adjoint(A, weights)
