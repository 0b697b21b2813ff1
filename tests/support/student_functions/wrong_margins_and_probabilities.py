"""Wrong losses: margins and counts of the SVM, probabilities of softmax."""

import numpy as np
import torch
import torch.nn.functional as F

from support.student_functions.records import wrong


@wrong("svm", "numpy", "no-maximum-with-zero")
def svm_maximum_in_the_gradient_only(W, X, y, reg):
    N = X.shape[0]
    S = X.dot(W)
    margins = S - S[np.arange(N), y].reshape(-1, 1) + 1
    margins[np.arange(N), y] = 0
    loss = margins.sum() / N + reg * np.sum(W * W)
    mask = np.zeros_like(margins)
    mask[margins > 0] = 1
    mask[np.arange(N), y] = -mask.sum(axis=1)
    return loss, X.T.dot(mask) / N + 2 * reg * W


@wrong("svm", "torch", "no-maximum-with-zero", regulariser="half")
def torch_svm_adds_every_margin(W, X, y, reg):
    N, C = X.shape[0], W.shape[1]
    S = X @ W
    loss = (S - S.gather(1, y[:, None]) + 1).sum() / N - 1 + 0.5 * reg * torch.sum(W * W)
    A = torch.ones_like(S)
    A[torch.arange(N), y] -= C
    return loss, X.t() @ A / N + reg * W


@wrong("svm", "numpy", "wrong-margin")
def svm_margin_of_one_half(W, X, y, reg, delta=0.5):
    N = X.shape[0]
    S = X @ W
    M = np.maximum(0, S - S[np.arange(N), y][:, np.newaxis] + delta)
    M[np.arange(N), y] = 0
    B = (M > 0).astype(float)
    B[np.arange(N), y] = -B.sum(axis=1)
    return M.sum() / N + reg * np.sum(W * W), X.T @ B / N + 2 * reg * W


@wrong("svm", "numpy", "wrong-margin")
def svm_margin_forgotten(W, X, y, reg):
    loss, dW, n = 0.0, np.zeros(W.shape), X.shape[0]
    for i in range(n):
        scores = X[i].dot(W)
        for j in range(W.shape[1]):
            if j == y[i]:
                continue
            margin = scores[j] - scores[y[i]]
            if margin > 0:
                loss += margin
                dW[:, j] += X[i]
                dW[:, y[i]] -= X[i]
    return loss / n + reg * np.sum(W * W), dW / n + 2 * reg * W


@wrong("svm", "numpy", "squared-hinge")
def svm_squared_in_loops(W, X, y, reg):
    loss = 0.0
    dW = np.zeros(W.shape)
    N = len(y)
    for i in range(N):
        s = X[i].dot(W)
        for j in range(W.shape[1]):
            margin = s[j] - s[y[i]] + 1
            if j != y[i] and margin > 0:
                loss += margin**2
                dW[:, j] += 2 * margin * X[i]
                dW[:, y[i]] -= 2 * margin * X[i]
    return loss / N + reg * np.sum(W * W), dW / N + 2 * reg * W


@wrong("svm", "torch", "squared-hinge", regulariser="half")
def torch_svm_squared(W, X, y, reg):
    own = F.one_hot(y, W.shape[1]).bool()
    S = X @ W
    M = (S - S[own].view(-1, 1) + 1).clamp(min=0).masked_fill(own, 0)
    G = 2 * M
    G[own] = -G.sum(dim=1)
    return M.pow(2).sum() / len(y) + reg * (W * W).sum() / 2, X.t() @ G / len(y) + reg * W


@wrong("svm", "numpy", "correct-class-counted")
def svm_own_margin_not_zeroed(W, X, y, reg):
    N, rows = X.shape[0], np.arange(X.shape[0])
    S = X @ W
    margins = np.maximum(0, S - S[rows, y].reshape(N, 1) + 1)
    loss = margins.sum() / N + reg * np.sum(W * W)
    mask = (margins > 0).astype(float)
    mask[rows, y] -= mask.sum(axis=1)
    return loss, X.T @ mask / N + 2 * reg * W


@wrong("svm", "torch", "correct-class-counted")
def torch_svm_own_margin_in_the_count(W, X, y, reg):
    S = X.mm(W)
    M = (S - S[torch.arange(len(y)), y].unsqueeze(1) + 1).clamp(min=0)
    loss = M.sum() / len(y) + reg * torch.sum(W * W)
    A = (M > 0).to(W.dtype)
    A[torch.arange(len(y)), y] = -A.sum(dim=1)  # the own margin is in this count as well
    return loss, X.t().mm(A) / len(y) + 2 * reg * W


@wrong("svm", "numpy", "count-over-whole-matrix", regulariser="half")
def svm_counter_never_reset(W, X, y, reg):
    N, C = X.shape[0], W.shape[1]
    S = X @ W
    loss, dW = 0.0, np.zeros_like(W)
    count = 0
    for i in range(N):
        for j in range(C):
            m = S[i, j] - S[i, y[i]] + 1
            if j != y[i] and m > 0:
                loss += m
                count += 1
                dW[:, j] += X[i]
    for i in range(N):
        dW[:, y[i]] -= count * X[i]
    return loss / N + 0.5 * reg * np.sum(W * W), dW / N + reg * W


@wrong("svm", "torch", "count-over-whole-matrix")
def torch_svm_count_without_a_dim(W, X, y, reg):
    idx = torch.arange(X.shape[0])
    S = X @ W
    M = torch.clamp(S - S[idx, y].view(-1, 1) + 1, min=0)
    M[idx, y] = 0
    loss = M.sum() / X.shape[0] + reg * torch.sum(W * W)
    M[M > 0] = 1
    M[idx, y] = -M.sum()
    return loss, X.t().mm(M) / X.shape[0] + 2 * reg * W


@wrong("svm", "numpy", "correct-class-gradient-missing")
def svm_mask_without_the_correct_class(W, X, y, reg):
    n = len(X)
    S = X @ W
    M = np.maximum(S - np.take_along_axis(S, y[:, None], 1) + 1, 0)
    np.put_along_axis(M, y[:, None], 0, 1)
    return M.sum() / n + reg * (W**2).sum(), X.T @ (M > 0) / n + 2 * reg * W


@wrong("svm", "torch", "correct-class-gradient-missing", regulariser="half")
def torch_svm_mask_without_the_correct_class(W, X, y, reg):
    scores = X @ W
    margins = F.relu(scores - scores.gather(1, y.view(-1, 1)) + 1)
    margins.scatter_(1, y.view(-1, 1), 0)
    loss = margins.sum() / len(y) + 0.5 * reg * torch.sum(W * W)
    return loss, X.t() @ (margins > 0).to(W.dtype) / len(y) + reg * W


@wrong("svm", "numpy", "correct-class-gradient-once")
def svm_subtracts_after_the_inner_loop(W, X, y, reg):
    N = X.shape[0]
    loss, dW = 0.0, np.zeros(W.shape)
    for i in range(N):
        scores = X[i].dot(W)
        for j in range(W.shape[1]):
            if j == y[i]:
                continue
            margin = scores[j] - scores[y[i]] + 1
            if margin > 0:
                loss += margin
                dW[:, j] += X[i]
        dW[:, y[i]] -= X[i]
    return loss / N + reg * np.sum(W * W), dW / N + 2 * reg * W


@wrong("svm", "numpy", "correct-class-gradient-once")
def svm_minus_one_where_any_margin_is_open(W, X, y, reg):
    rows = np.arange(X.shape[0])
    S = X @ W
    M = np.maximum(0, S - S[rows, y][:, None] + 1)
    M[rows, y] = 0
    B = np.where(M > 0, 1.0, 0.0)
    B[rows, y] = -np.any(M > 0, axis=1).astype(float)
    return np.sum(M) / len(rows) + reg * np.sum(W * W), X.T @ B / len(rows) + 2 * reg * W


@wrong("softmax", "numpy", "probability-times-one-minus")
def softmax_derivative_of_the_own_probability(W, X, y, reg):
    loss, dW, N = 0.0, np.zeros(W.shape), len(y)
    for i in range(N):
        s = X[i].dot(W)
        s -= np.max(s)
        p = np.exp(s) / np.sum(np.exp(s))
        loss -= np.log(p[y[i]])
        for j in range(W.shape[1]):
            if j == y[i]:
                dW[:, j] -= p[j] * (1 - p[j]) * X[i]
            else:
                dW[:, j] += p[j] * p[y[i]] * X[i]
    return loss / N + reg * np.sum(W * W), dW / N + 2 * reg * W


@wrong("softmax", "torch", "probability-times-one-minus", regulariser="half")
def torch_softmax_derivative_of_the_sigmoid(W, X, y, reg):
    p = torch.softmax(X @ W, dim=1)
    loss = F.cross_entropy(X @ W, y) + 0.5 * reg * torch.sum(W * W)
    d = p * (1 - p)
    d[torch.arange(len(y)), y] *= -1
    return loss, X.t() @ d / len(y) + reg * W


@wrong("softmax", "numpy", "missing-minus-one")
def softmax_probabilities_as_gradient(W, X, y, reg):
    num_train = X.shape[0]
    scores = X.dot(W)
    scores -= scores.max(axis=1).reshape(num_train, 1)
    probs = np.exp(scores) / np.exp(scores).sum(axis=1).reshape(num_train, 1)
    loss = -np.log(probs[range(num_train), y]).sum() / num_train + reg * np.sum(W * W)
    dW = X.T.dot(probs) / num_train + 2 * reg * W
    return loss, dW


@wrong("softmax", "torch", "missing-minus-one")
def torch_softmax_probabilities_as_gradient(W, X, y, reg):
    S = X.mm(W)
    lse = S.logsumexp(dim=1, keepdim=True)
    loss = (lse - S.gather(1, y[:, None])).mean() + reg * (W**2).sum()
    return loss, torch.mm(X.t(), (S - lse).exp()) / X.shape[0] + 2 * reg * W


@wrong("softmax", "numpy", "maximum-not-subtracted")
def softmax_naive_without_shift(W, X, y, reg):
    loss = 0.0
    dW = np.zeros(W.shape)
    N = X.shape[0]
    for i in range(N):
        scores = X[i].dot(W)
        p = np.exp(scores) / np.sum(np.exp(scores))
        loss += -np.log(p[y[i]])
        for j in range(W.shape[1]):
            dW[:, j] += (p[j] - (j == y[i])) * X[i]
    return loss / N + reg * np.sum(W * W), dW / N + 2 * reg * W


@wrong("softmax", "numpy", "maximum-not-subtracted", regulariser="half")
def softmax_log_of_the_sum_without_shift(W, X, y, reg):
    S = X.dot(W)
    log_sum = np.log(np.sum(np.exp(S), axis=1))
    loss = np.mean(log_sum - S[np.arange(len(y)), y]) + 0.5 * reg * np.sum(W * W)
    P = np.exp(S - log_sum[:, None]) - np.eye(W.shape[1])[y]
    return loss, X.T.dot(P) / len(y) + reg * W


@wrong("softmax", "torch", "maximum-not-subtracted")
def torch_softmax_without_shift(W, X, y, reg):
    N = X.shape[0]
    e = torch.exp(X.mm(W))
    p = e / e.sum(dim=1, keepdim=True)
    loss = -torch.log(p[torch.arange(N), y]).sum() / N + reg * torch.sum(W * W)
    p[torch.arange(N), y] -= 1
    return loss, X.t().mm(p) / N + 2 * reg * W
