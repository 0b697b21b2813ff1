"""A loss of `straightedge.losses`, which sees only scores, as ``loss(W, X, y, reg) -> (loss, dW)``."""

from __future__ import annotations

import torch
from torch import Tensor

from straightedge.gradcheck.function import LossFunction
from straightedge.losses import Loss


def with_rows(loss: Loss) -> LossFunction:
    """Compose a loss of scores with X and the regulariser of the notes, so that `check_gradient` takes it.

    Args:
        loss: A loss of the registry `straightedge.losses.LOSSES`.

    Returns:
        ``(W, X, y, reg) -> (loss, dW)``: P(W) = mean loss + reg · ΣW² and Xᵀ A / N + 2 reg W.
    """

    def objective(W: Tensor, X: Tensor, y: Tensor, reg: float) -> tuple[Tensor, Tensor]:
        S = torch.mm(X, W).unsqueeze(1)  # (N, 1, C): one configuration
        values = loss.value_and_gradient(S, y)  # S holds A from here on
        gradient = torch.mm(X.T, S.squeeze(1)) / X.shape[0] + 2 * reg * W
        return values.mean() + reg * torch.sum(W * W), gradient

    return objective
