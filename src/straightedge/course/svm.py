"""The multiclass SVM loss of the notes: items ③ to ⑦ with loops, the second item ④ without."""

import torch
from torch import Tensor

from straightedge.course.checks import check_arguments
from straightedge.course.kinds import same_kind


@same_kind
def svm_loss_naive(W: Tensor, X: Tensor, y: Tensor, reg: float) -> tuple[Tensor, Tensor]:
    """Return SVM loss and gradient with loops: items ③ to ⑦ of the notes, and the two lines below them.

    Every class j other than the right one pays max(0, s_j − s_y + 1). Where it pays, the margin grows with
    s_j and shrinks with s_y, so x is added to column j of the gradient and taken from column y.

    Args:
        W: (D, C) weights, the bias as last row, float32 or float64.
        X: (N, D) samples, the last column 1, of W's type and device.
        y: (N,) labels 0 to C − 1, integers.
        reg: Weight of the penalty reg · ΣW², 0 or more.

    Returns:
        The loss (one number) and its gradient dW (D, C), tensors for tensors and arrays for arrays.

    Numerics:
        At a tie, a margin of exactly 0, the gradient counts nothing: 0 is one of the subgradients there.
    """
    check_arguments(W, X, y, reg)
    n_samples, n_classes = X.shape[0], W.shape[1]
    loss = torch.zeros((), dtype=W.dtype, device=W.device)
    dW = torch.zeros_like(W)
    for i in range(n_samples):
        scores = X[i] @ W
        right = int(y[i])
        correct = scores[right]
        for j in range(n_classes):
            if j != right:
                margin = scores[j] - correct + 1
                if margin > 0:
                    loss = loss + margin
                    dW[:, j] += X[i]  # item ⑥: ∂scores[j]/∂W[:, j] = X[i]
                    dW[:, right] -= X[i]  # item ⑦: ∂correct/∂W[:, y[i]] = X[i], with the minus of the margin
    loss = loss / n_samples + reg * torch.sum(W * W)
    dW = dW / n_samples + reg * 2 * W
    return loss, dW


@same_kind
def svm_loss_vectorized(W: Tensor, X: Tensor, y: Tensor, reg: float) -> tuple[Tensor, Tensor]:
    """Return SVM loss and gradient without loops: the second item ④ of the notes (SVM_loss without `for`).

    Args:
        W: (D, C) weights, the bias as last row, float32 or float64.
        X: (N, D) samples, the last column 1, of W's type and device.
        y: (N,) labels 0 to C − 1, integers.
        reg: Weight of the penalty reg · ΣW², 0 or more.

    Returns:
        The loss (one number) and its gradient dW (D, C), tensors for tensors and arrays for arrays.

    Numerics:
        At a tie, a margin of exactly 0, the mask is 0, as in `svm_loss_naive`.
    """
    check_arguments(W, X, y, reg)
    n_samples = X.shape[0]
    Z = torch.mm(X, W)
    correct_label = (torch.arange(n_samples, device=y.device), y.long())  # picks one score a row
    margin = torch.clamp(Z - Z[correct_label].unsqueeze(1) + 1, min=0)
    margin[correct_label] = 0
    loss = torch.sum(margin) / n_samples + reg * torch.sum(W * W)

    mask = torch.zeros_like(margin)
    mask[margin > 0] = 1
    count = torch.sum(mask, dim=1)
    mask[correct_label] = -count  # the right class is in every margin that is open, each time with a minus
    dW = torch.mm(X.T, mask) / n_samples + reg * 2 * W
    return loss, dW
