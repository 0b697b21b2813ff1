"""Wrong losses whose form is at fault: what they return, raise, keep or change."""

import numpy as np
import torch
import torch.nn.functional as F

from support.student_functions.records import wrong


@wrong("svm", "numpy", "raises")
def svm_misspelt_name(W, X, y, reg):
    num_train = X.shape[0]
    scores = X.dot(W)
    margins = np.maximum(0, scores - scores[np.arange(num_train), y][:, None] + 1)
    margins[np.arange(num_train), y] = 0
    loss = np.sum(margins) / num_trian + reg * np.sum(W * W)
    margins[margins > 0] = 1
    margins[np.arange(num_train), y] = -margins.sum(axis=1)
    return loss, X.T.dot(margins) / num_train + 2 * reg * W


@wrong("softmax", "numpy", "raises")
def softmax_shapes_do_not_meet(W, X, y, reg):
    scores = X.dot(W)
    scores -= np.max(scores, axis=1)  # (N,) against (N, C)
    p = np.exp(scores) / np.sum(np.exp(scores), axis=1)
    loss = -np.log(p[np.arange(len(y)), y]).mean() + reg * np.sum(W * W)
    p[np.arange(len(y)), y] -= 1
    return loss, X.T.dot(p) / len(y) + 2 * reg * W


@wrong("softmax", "torch", "raises")
def torch_softmax_numpy_keyword(W, X, y, reg):
    S = X @ W
    P = torch.exp(S - S.max(dim=1, keepdims=True).astype(torch.float64))
    P /= P.sum(dim=1, keepdim=True)
    loss = -P[range(len(y)), y].log().mean() + reg * (W * W).sum()
    P[range(len(y)), y] -= 1
    return loss, X.t() @ P / len(y) + 2 * reg * W


@wrong("softmax", "numpy", "loss-has-shape")
def softmax_one_loss_a_row(W, X, y, reg):
    N = X.shape[0]
    S = X.dot(W)
    S -= S.max(axis=1, keepdims=True)
    P = np.exp(S) / np.exp(S).sum(axis=1, keepdims=True)
    loss = -np.log(P[np.arange(N), y]) + reg * np.sum(W * W)
    P[np.arange(N), y] -= 1
    return loss, X.T.dot(P) / N + 2 * reg * W


@wrong("svm", "numpy", "loss-has-shape")
def svm_loss_keeps_two_axes(W, X, y, reg):
    N = X.shape[0]
    S = X.dot(W)
    M = np.maximum(0, S - S[np.arange(N), y][:, None] + 1)
    M[np.arange(N), y] = 0
    loss = np.sum(M, axis=(0, 1), keepdims=True) / N + reg * np.sum(W * W)
    A = np.sign(M)
    A[np.arange(N), y] = -A.sum(1)
    return loss, X.T.dot(A) / N + 2 * reg * W


@wrong("softmax", "numpy", "returns-a-list")
def softmax_losses_in_a_list(W, X, y, reg):
    losses = []
    dW = np.zeros_like(W)
    for i in range(X.shape[0]):
        f = X[i].dot(W)
        f -= f.max()
        p = np.exp(f) / np.sum(np.exp(f))
        losses.append(-np.log(p[y[i]]) + reg * np.sum(W * W))
        p[y[i]] -= 1
        dW += X[i][:, None] * p / X.shape[0]
    return losses, dW + 2 * reg * W


@wrong("softmax", "torch", "returns-a-list")
def torch_softmax_list_of_columns(W, X, y, reg):
    p = F.softmax(X @ W, dim=1)
    loss = F.cross_entropy(X @ W, y) + reg * torch.sum(W * W)
    dW = [X.t() @ (p[:, c] - (y == c).to(W.dtype)) / len(y) + 2 * reg * W[:, c] for c in range(W.shape[1])]
    return loss, dW


@wrong("svm", "numpy", "stub")
def svm_as_handed_out(W, X, y, reg):
    loss = 0.0
    dW = np.zeros(W.shape)  # initialize the gradient as zero

    #############################################################################
    # TODO:                                                                     #
    # Implement a vectorized version of the structured SVM loss, storing the    #
    # result in loss.                                                           #
    #############################################################################
    pass
    return loss, dW


@wrong("softmax", "torch", "stub")
def torch_softmax_as_handed_out(W, X, y, reg):
    # Initialize the loss and gradient to zero.
    loss = 0.0
    dW = torch.zeros_like(W)
    # Replace "pass" statement with your code
    pass
    return loss, dW


@wrong("svm", "numpy", "stub")
def svm_returns_none_twice(W, X, y, reg):
    loss = None
    dW = None
    # your code here
    return loss, dW


@wrong("softmax", "numpy", "integer-gradient")
def softmax_gradient_cast_to_int(W, X, y, reg):
    S = X.dot(W)
    S -= S.max(axis=1, keepdims=True)
    P = np.exp(S) / np.exp(S).sum(axis=1, keepdims=True)
    loss = -np.log(P[np.arange(len(y)), y]).mean() + reg * np.sum(W * W)
    P[np.arange(len(y)), y] -= 1
    dW = X.T.dot(P) / len(y) + 2 * reg * W
    return loss, dW.astype(int)


@wrong("svm", "torch", "integer-gradient")
def torch_svm_gradient_shaped_like_labels(W, X, y, reg):
    N, C = X.shape[0], W.shape[1]
    dW = y.new_zeros(W.shape)
    S = X @ W
    M = F.relu(S - S.gather(1, y[:, None]) + 1).scatter(1, y[:, None], 0)
    A = (M > 0).to(W.dtype)
    A[torch.arange(N), y] = -A.sum(1)
    for c in range(C):
        dW[:, c] = X.t() @ A[:, c] / N + 2 * reg * W[:, c]
    return M.sum() / N + reg * torch.sum(W * W), dW


svm_gradient_kept = None


@wrong("svm", "numpy", "accumulates-between-calls")
def svm_gradient_in_a_global(W, X, y, reg):
    global svm_gradient_kept
    if svm_gradient_kept is None or svm_gradient_kept.shape != W.shape:
        svm_gradient_kept = np.zeros(W.shape)
    N = X.shape[0]
    S = X.dot(W)
    M = np.maximum(0, S - S[np.arange(N), y][:, None] + 1)
    M[np.arange(N), y] = 0
    A = (M > 0) * 1.0
    A[np.arange(N), y] = -A.sum(axis=1)
    svm_gradient_kept += X.T.dot(A) / N + 2 * reg * W
    return M.sum() / N + reg * np.sum(W * W), svm_gradient_kept


torch_parameters = {}


@wrong("softmax", "torch", "accumulates-between-calls")
def torch_softmax_without_zero_grad(W, X, y, reg):
    V = torch_parameters.setdefault(W.shape, W.detach().clone().requires_grad_())
    with torch.no_grad():
        V.copy_(W)
    loss = F.cross_entropy(X @ V, y) + reg * torch.sum(V * V)
    loss.backward()
    return loss.detach(), V.grad.clone()


@wrong("softmax", "numpy", "changes-arguments")
def softmax_centres_the_data_in_place(W, X, y, reg):
    X -= X.mean(axis=0)
    S = X.dot(W)
    S -= S.max(axis=1, keepdims=True)
    P = np.exp(S) / np.exp(S).sum(axis=1, keepdims=True)
    loss = -np.log(P[np.arange(len(y)), y]).mean() + reg * np.sum(W * W)
    P[np.arange(len(y)), y] -= 1
    return loss, X.T.dot(P) / len(y) + 2 * reg * W


@wrong("softmax", "torch", "changes-arguments")
def torch_softmax_doubles_the_weights(W, X, y, reg):
    logp = F.log_softmax(X @ W, dim=1)
    loss = F.nll_loss(logp, y) + reg * torch.sum(W * W)
    G = logp.exp()
    G[torch.arange(len(y)), y] -= 1
    penalty = W.mul_(2 * reg)
    return loss, X.t() @ G / len(y) + penalty


@wrong("svm", "numpy", "gradient-shape")
def svm_gradient_of_classes_by_features(W, X, y, reg):
    N = X.shape[0]
    S = W.T.dot(X.T)
    M = np.maximum(0, S - S[y, np.arange(N)] + 1)
    M[y, np.arange(N)] = 0
    loss = M.sum() / N + reg * np.sum(W * W)
    A = (M > 0).astype(float)
    A[y, np.arange(N)] = -A.sum(axis=0)
    return loss, A.dot(X) / N + 2 * reg * W.T


@wrong("softmax", "numpy", "gradient-shape")
def softmax_gradient_summed_over_classes(W, X, y, reg):
    loss = 0.0
    dW = np.zeros(W.shape[0])
    for i in range(len(y)):
        s = X[i].dot(W)
        s -= np.max(s)
        p = np.exp(s) / np.sum(np.exp(s))
        loss -= np.log(p[y[i]])
        dW += (p[y[i]] - 1) * X[i]
    return loss / len(y) + reg * np.sum(W * W), dW / len(y) + 2 * reg * W.sum(axis=1)


@wrong("svm", "numpy", "weights-and-bias-apart")
def svm_returns_three_things(W, X, y, reg):
    b = np.zeros(W.shape[1])
    N = X.shape[0]
    S = X.dot(W) + b
    M = np.maximum(0, S - S[np.arange(N), y][:, None] + 1)
    M[np.arange(N), y] = 0
    A = (M > 0).astype(float)
    A[np.arange(N), y] = -A.sum(axis=1)
    dW = X.T.dot(A) / N + 2 * reg * W
    db = A.sum(axis=0) / N
    return M.sum() / N + reg * np.sum(W * W), dW, db


@wrong("softmax", "torch", "weights-and-bias-apart")
def torch_softmax_dictionary_of_gradients(W, X, y, reg):
    b = torch.zeros(W.shape[1], dtype=W.dtype)
    scores = X @ W + b
    loss = F.cross_entropy(scores, y) + reg * torch.sum(W * W)
    d = (torch.softmax(scores, dim=1) - F.one_hot(y, W.shape[1])) / len(y)
    return loss, {"W": X.t() @ d + 2 * reg * W, "b": d.sum(dim=0)}
