"""The softmax loss of the notes, with loops by the two cases ① and ②, and without loops by Xᵀ(P − Y)."""

import torch
from torch import Tensor

from straightedge.course.checks import check_arguments
from straightedge.course.kinds import same_kind


@same_kind
def softmax_loss_naive(W: Tensor, X: Tensor, y: Tensor, reg: float) -> tuple[Tensor, Tensor]:
    """Return softmax loss and gradient with loops: the part "Softmax" of the notes, cases ① and ②.

    L_i = −log(exp f_y / Σ_j exp f_j). The gradient in f_j is p_j − 1 for the right class (case ①) and p_j for
    every other one (case ②); times X[i] it lands in column j of dW.

    Args:
        W: (D, C) weights, the bias as last row, float32 or float64.
        X: (N, D) samples, the last column 1, of W's type and device.
        y: (N,) labels 0 to C − 1, integers.
        reg: Weight of the penalty reg · ΣW², 0 or more.

    Returns:
        The loss in nats (one number) and its gradient dW (D, C), tensors for tensors and arrays for arrays.

    Numerics:
        max(f) is subtracted first, which changes nothing in the quotient and keeps every exponential at 1 or
        below; the logarithm is taken of the sum, which is at least 1, never of a quotient that can be 0.
    """
    check_arguments(W, X, y, reg)
    n_samples, n_classes = X.shape[0], W.shape[1]
    loss = torch.zeros((), dtype=W.dtype, device=W.device)
    dW = torch.zeros_like(W)
    for i in range(n_samples):
        scores = X[i] @ W
        scores = scores - scores.max()
        right = int(y[i])
        exponentials = torch.exp(scores)
        loss = loss + torch.log(exponentials.sum()) - scores[right]
        for j in range(n_classes):
            probability = exponentials[j] / exponentials.sum()
            if j == right:
                dW[:, j] += (probability - 1) * X[i]  # case ①
            else:
                dW[:, j] += probability * X[i]  # case ②
    loss = loss / n_samples + reg * torch.sum(W * W)
    dW = dW / n_samples + reg * 2 * W
    return loss, dW


@same_kind
def softmax_loss_vectorized(W: Tensor, X: Tensor, y: Tensor, reg: float) -> tuple[Tensor, Tensor]:
    """Return softmax loss and gradient without loops: the end of the part "Softmax", Xᵀ(P − Y).

    Args:
        W: (D, C) weights, the bias as last row, float32 or float64.
        X: (N, D) samples, the last column 1, of W's type and device.
        y: (N,) labels 0 to C − 1, integers.
        reg: Weight of the penalty reg · ΣW², 0 or more.

    Returns:
        The loss in nats (one number) and its gradient dW (D, C), tensors for tensors and arrays for arrays.

    Numerics:
        The maximum of each row is subtracted first, as in `softmax_loss_naive`.
    """
    check_arguments(W, X, y, reg)
    n_samples = X.shape[0]
    Z = torch.mm(X, W)
    Z = Z - Z.max(dim=1, keepdim=True).values
    correct_label = (torch.arange(n_samples, device=y.device), y.long())  # picks one score a row
    exponentials = torch.exp(Z)
    sums = exponentials.sum(dim=1, keepdim=True)
    loss = torch.sum(torch.log(sums).squeeze(1) - Z[correct_label]) / n_samples + reg * torch.sum(W * W)

    P_minus_Y = exponentials / sums
    P_minus_Y[correct_label] -= 1  # case ① has a −1 that case ② lacks
    dW = torch.mm(X.T, P_minus_Y) / n_samples + reg * 2 * W
    return loss, dW
