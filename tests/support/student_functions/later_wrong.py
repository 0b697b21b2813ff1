"""Wrong functions in further styles, written after the first corpus was finished and tried once before any change."""

import numpy as np
import torch
import torch.nn.functional as F

from support.student_functions.records import wrong


@wrong("softmax", "numpy", "missing-division-by-n")
def softmax_divides_the_penalty_only_in_value(W, X, y, reg):
    """The value is a mean over the rows, the gradient was left a sum by einsum."""
    S = X @ W
    S = S - S.max(1, keepdims=True)
    logs = S - np.log(np.exp(S).sum(1, keepdims=True))
    G = np.exp(logs) - (y[:, None] == np.arange(W.shape[1]))
    return -np.mean(logs[np.arange(len(y)), y]) + reg * np.sum(W**2), np.einsum("nd,nc->dc", X, G) + 2 * reg * W


@wrong("svm", "numpy", "gradient-sign")
def svm_returns_minus_the_whole_gradient(W, X, y, reg):
    N = len(X)
    S = X @ W
    M = np.maximum(0, S - S[np.arange(N), y][:, None] + 1)
    M[np.arange(N), y] = 0
    A = np.where(M > 0, 1.0, 0.0)
    A[np.arange(N), y] -= A.sum(1)
    return M.sum() / N + reg * (W * W).sum(), -(X.T @ A / N + 2 * reg * W)


@wrong("svm", "numpy", "missing-regulariser-gradient")
def svm_penalty_added_after_the_gradient_was_taken(W, X, y, reg):
    N = X.shape[0]
    own = (X * W.T[y]).sum(axis=1)
    M = X @ W - own[:, np.newaxis] + 1
    M[np.arange(N), y] = -1
    A = (M > 0) * 1.0
    loss = (M * A).sum() / N
    A[np.arange(N), y] = -np.count_nonzero(A, axis=1)
    dW = X.T.dot(A) / N
    loss = loss + reg * np.einsum("ij,ij", W, W)
    return loss, dW


@wrong("softmax", "torch", "maximum-not-subtracted")
def torch_softmax_log_of_the_sum_of_exponentials(W, X, y, reg):
    S = X.matmul(W)
    E = torch.exp(S)
    loss = (torch.log(E.sum(dim=1)) - S.gather(1, y.unsqueeze(1)).squeeze(1)).mean() + reg * (W**2).sum()
    G = E / E.sum(dim=1).unsqueeze(1) - F.one_hot(y, W.shape[1]).to(W.dtype)
    return loss, torch.einsum("nd,nc->dc", X, G) / X.shape[0] + 2 * reg * W


@wrong("softmax", "numpy", "half-regulariser-value", regulariser="half")
def softmax_penalty_through_a_helper(W, X, y, reg):
    def penalty(weights):
        return 0.5 * reg * np.sum(weights**2), 2 * reg * weights

    N = X.shape[0]
    S = X @ W
    P = np.exp(S - S.max(axis=1)[:, None])
    P = P / P.sum(axis=1)[:, None]
    value, gradient = penalty(W)
    loss = -np.log(P[np.arange(N), y]).mean() + value
    P[np.arange(N), y] -= 1.0
    return loss, X.T @ P / N + gradient


@wrong("svm", "torch", "correct-class-gradient-once")
def torch_svm_any_open_margin(W, X, y, reg):
    N = X.shape[0]
    S = X @ W
    M = F.relu(S - S[torch.arange(N), y].reshape(N, 1) + 1)
    M = M.index_put((torch.arange(N), y), torch.zeros(N, dtype=M.dtype))
    A = M.gt(0).type_as(X)
    A[torch.arange(N), y] = -(A.amax(dim=1))
    return M.sum() / N + reg * W.norm() ** 2, X.T @ A / N + 2 * reg * W


@wrong("svm", "numpy", "wrong-margin")
def svm_delta_is_ten(W, X, y, reg, delta=10.0):
    N = X.shape[0]
    loss, dW = 0.0, np.zeros_like(W)
    for i, (x, c) in enumerate(zip(X, y, strict=True)):
        margins = x @ W - x @ W[:, c] + delta
        margins[c] = 0
        open_ones = margins > 0
        loss += margins[open_ones].sum()
        dW += np.outer(x, open_ones)
        dW[:, c] -= open_ones.sum() * x
    return loss / N + reg * np.sum(W * W), dW / N + 2 * reg * W


@wrong("softmax", "torch", "loss-has-shape")
def torch_softmax_forgets_the_reduction(W, X, y, reg):
    weights = W.detach().clone().requires_grad_(True)
    losses = F.cross_entropy(X @ weights, y, reduction="none") + reg * (weights**2).sum()
    losses.mean().backward()
    return losses.detach(), weights.grad


@wrong("softmax", "numpy", "gradient-shape")
def softmax_gradient_for_each_row(W, X, y, reg):
    N = X.shape[0]
    S = X @ W
    S -= S.max(axis=1, keepdims=True)
    P = np.exp(S) / np.exp(S).sum(axis=1, keepdims=True)
    loss = -np.log(P[np.arange(N), y]).mean() + reg * np.sum(W * W)
    P[np.arange(N), y] -= 1
    return loss, X[:, :, None] * P[:, None, :] + 2 * reg * W


@wrong("svm", "numpy", "raises")
def svm_index_out_of_bounds(W, X, y, reg):
    """Labels are thought to begin at 1."""
    N, C = X.shape[0], W.shape[1]
    S = X @ W
    loss, dW = 0.0, np.zeros_like(W)
    for i in range(N):
        for j in range(1, C + 1):
            if j != y[i]:
                margin = S[i, j] - S[i, y[i]] + 1
                if margin > 0:
                    loss += margin
                    dW[:, j] += X[i]
                    dW[:, y[i]] -= X[i]
    return loss / N + reg * np.sum(W * W), dW / N + 2 * reg * W


@wrong("softmax", "numpy", "one-over-n-per-class")
def softmax_mean_image_of_each_class(W, X, y, reg):
    N, C = X.shape[0], W.shape[1]
    S = X @ W
    S -= S.max(axis=1, keepdims=True)
    P = np.exp(S) / np.exp(S).sum(axis=1, keepdims=True)
    loss = np.mean(-np.log(P[np.arange(N), y])) + reg * np.sum(W * W)
    G = P - np.eye(C)[y]
    dW = np.stack([X.T @ G[:, c] / max((y == c).sum(), 1) for c in range(C)], axis=1)
    return loss, dW + 2 * reg * W


@wrong("svm", "torch", "accumulates-between-calls")
def torch_svm_keeps_its_gradient_on_the_function(W, X, y, reg):
    N = len(y)
    S = X @ W
    M = (S - S[range(N), y][:, None] + 1).clamp_min(0)
    M[range(N), y] = 0
    A = (M > 0).double()
    A[range(N), y] = -A.sum(1)
    this = torch_svm_keeps_its_gradient_on_the_function
    if getattr(this, "dW", W[:0]).shape != W.shape:
        this.dW = torch.zeros_like(W)
    this.dW = this.dW + X.T @ A / N + 2 * reg * W
    return M.sum() / N + reg * (W * W).sum(), this.dW


@wrong("softmax", "numpy", "l1-penalty")
def softmax_lasso(W, X, y, reg):
    N = X.shape[0]
    S = X @ W
    S = S - S.max(axis=1, keepdims=True)
    P = np.exp(S)
    P /= P.sum(axis=1, keepdims=True)
    loss = -np.log(P[np.arange(N), y]).sum() / N + reg * np.abs(W).sum()
    P[np.arange(N), y] -= 1
    return loss, X.T @ P / N + reg * np.sign(W)
