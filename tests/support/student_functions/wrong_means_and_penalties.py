"""Wrong losses: signs, means and penalties, which either kind can get wrong."""

import numpy as np
import torch
import torch.nn.functional as F

from support.student_functions.records import wrong


@wrong("softmax", "numpy", "gradient-sign", regulariser="half")
def softmax_forgets_the_minus(W, X, y, reg):
    m = X.shape[0]
    z = X @ W
    z -= z.max(axis=1, keepdims=True)
    h = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    T = np.eye(W.shape[1])[y]
    J = -np.sum(T * np.log(h)) / m + 0.5 * reg * np.sum(W * W)
    return J, X.T.dot(T - h) / m + reg * W


@wrong("softmax", "torch", "gradient-sign")
def torch_softmax_returns_the_step(W, X, y, reg):
    S = X @ W
    logp = torch.log_softmax(S, dim=1)
    loss = -logp.gather(1, y[:, None]).mean() + reg * (W * W).sum()
    G = logp.exp()
    G[torch.arange(len(y)), y] -= 1
    return loss, -(X.T @ G / len(y) + 2 * reg * W)


@wrong("svm", "numpy", "missing-division-by-n")
def svm_gradient_is_a_sum(W, X, y, reg):
    num_train = X.shape[0]
    loss, dW = 0.0, np.zeros(W.shape)
    for i in range(num_train):
        scores = X[i].dot(W)
        for j in range(W.shape[1]):
            if j == y[i]:
                continue
            margin = scores[j] - scores[y[i]] + 1
            if margin > 0:
                loss += margin
                dW[:, j] += X[i]
                dW[:, y[i]] -= X[i]
    loss /= num_train
    loss += reg * np.sum(W * W)
    dW += 2 * reg * W
    return loss, dW


@wrong("softmax", "numpy", "missing-division-by-n")
def softmax_value_and_gradient_are_sums(W, X, y, reg):
    S = X.dot(W)
    S -= S.max(1)[:, None]
    P = np.exp(S) / np.exp(S).sum(1)[:, None]
    loss = -np.log(P[np.arange(len(y)), y]).sum() + reg * np.sum(W * W)
    P[np.arange(len(y)), y] -= 1
    return loss, X.T.dot(P) + 2 * reg * W


@wrong("softmax", "torch", "missing-division-by-n", regulariser="half")
def torch_softmax_gradient_is_a_sum(W, X, y, reg):
    loss = F.cross_entropy(X @ W, y) + 0.5 * reg * torch.sum(W * W)
    p = F.softmax(X @ W, dim=1)
    p[range(len(y)), y] -= 1
    return loss, X.t() @ p + reg * W


@wrong("svm", "numpy", "missing-regulariser-gradient")
def svm_loops_without_penalty_gradient(W, X, y, reg):
    loss = 0.0
    dW = np.zeros(W.shape)
    n = X.shape[0]
    for i in range(n):
        s = X[i] @ W
        for j in range(W.shape[1]):
            if j != y[i] and s[j] - s[y[i]] + 1 > 0:
                loss += s[j] - s[y[i]] + 1
                dW[:, j] += X[i] / n
                dW[:, y[i]] -= X[i] / n
    loss /= n
    loss += reg * np.sum(W * W)
    return loss, dW


@wrong("softmax", "numpy", "missing-regulariser-gradient")
def softmax_without_penalty_gradient(W, X, y, reg):
    f = X @ W
    f -= np.max(f, axis=1, keepdims=True)
    logp = f - np.log(np.sum(np.exp(f), axis=1, keepdims=True))
    p = np.exp(logp)
    p[np.arange(X.shape[0]), y] -= 1
    loss = -np.mean(logp[np.arange(X.shape[0]), y]) + reg * np.sum(W * W)
    return loss, X.T @ p / X.shape[0]


@wrong("svm", "numpy", "missing-regulariser-value")
def svm_penalty_in_the_gradient_only(W, X, y, reg):
    N = X.shape[0]
    S = X.dot(W)
    M = np.maximum(0, S - S[np.arange(N), y].reshape(N, 1) + 1)
    M[np.arange(N), y] = 0
    loss = np.sum(M) / N
    M[M > 0] = 1
    M[np.arange(N), y] = -np.sum(M, axis=1)
    return loss, X.T.dot(M) / N + 2 * reg * W


@wrong("softmax", "torch", "missing-regulariser-value")
def torch_softmax_penalty_in_the_gradient_only(W, X, y, reg):
    S = X @ W
    lse = torch.logsumexp(S, dim=1)
    P = torch.exp(S - lse[:, None])
    P[torch.arange(len(y)), y] -= 1
    return (lse - S[torch.arange(len(y)), y]).mean(), X.t() @ P / len(y) + 2 * reg * W


@wrong("softmax", "numpy", "half-regulariser-gradient")
def softmax_two_is_missing(W, X, y, reg):
    num_train = X.shape[0]
    loss, dW = 0.0, np.zeros(W.shape)
    for i in range(num_train):
        scores = X[i].dot(W)
        scores -= np.max(scores)
        p = np.exp(scores)
        p /= p.sum()
        loss -= np.log(p)[y[i]]
        p[y[i]] -= 1
        dW += np.outer(X[i], p)
    loss = loss / num_train + reg * np.sum(W * W)
    dW = dW / num_train + reg * W
    return loss, dW


@wrong("softmax", "torch", "half-regulariser-gradient")
def torch_softmax_two_is_missing(W, X, y, reg):
    onehot = F.one_hot(y, W.shape[1]).to(W.dtype)
    logp = F.log_softmax(X @ W, dim=1)
    loss = -(onehot * logp).sum(1).mean() + reg * torch.sum(W * W)
    dW = X.t() @ (logp.exp() - onehot)
    dW /= X.shape[0]
    dW += reg * W
    return loss, dW


@wrong("softmax", "numpy", "half-regulariser-value", regulariser="half")
def softmax_half_in_the_value_only(W, X, y, reg):
    N = X.shape[0]
    S = X.dot(W)
    S = S - S.max(axis=1, keepdims=True)
    E = np.exp(S)
    loss = np.mean(np.log(E.sum(1)) - S[range(N), y]) + 0.5 * reg * np.sum(W * W)
    P = E / E.sum(1)[:, None]
    P[range(N), y] -= 1
    return loss, X.T.dot(P) / N + 2 * reg * W


@wrong("svm", "torch", "half-regulariser-value", regulariser="half")
def torch_svm_half_in_the_value_only(W, X, y, reg):
    V = W.clone().requires_grad_()
    S = X @ V
    M = F.relu(S - S.gather(1, y[:, None]) + 1)
    loss = M.sum() / len(y) - 1
    loss.backward()
    return loss.detach() + 0.5 * reg * (W * W).sum(), V.grad + 2 * reg * W


@wrong("softmax", "numpy", "divided-by-classes")
def softmax_mean_of_the_whole_matrix(W, X, y, reg):
    N, C = X.shape[0], W.shape[1]
    Z = X @ W
    Z -= Z.max(axis=1, keepdims=True)
    P = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
    T = np.eye(C)[y]
    loss = np.mean(-T * np.log(P)) + reg * np.sum(W * W)
    return loss, X.T @ (P - T) / (N * C) + 2 * reg * W


@wrong("svm", "torch", "divided-by-classes")
def torch_svm_multi_margin_as_it_is(W, X, y, reg):
    V = W.detach().clone().requires_grad_(True)
    loss = F.multi_margin_loss(X @ V, y) + reg * torch.sum(V * V)
    loss.backward()
    return loss.detach(), V.grad


@wrong("svm", "numpy", "one-over-n-per-class")
def svm_divides_by_the_class_count(W, X, y, reg):
    N = X.shape[0]
    S = X.dot(W)
    M = np.maximum(0, S - S[np.arange(N), y][:, None] + 1)
    M[np.arange(N), y] = 0
    loss = M.sum() / N + reg * np.sum(W * W)
    B = (M > 0).astype(float)
    B[np.arange(N), y] = -B.sum(1)
    n_per_class = np.maximum(np.bincount(y, minlength=W.shape[1]), 1)
    return loss, X.T.dot(B) / n_per_class + 2 * reg * W


@wrong("softmax", "torch", "one-over-n-per-class")
def torch_softmax_divides_by_the_class_count(W, X, y, reg):
    logits = X @ W
    loss = F.cross_entropy(logits, y) + reg * torch.sum(W * W)
    G = torch.softmax(logits, 1) - F.one_hot(y, W.shape[1])
    counts = torch.stack([(y == k).sum() for k in range(W.shape[1])]).clamp(min=1)
    return loss, (X.t() @ G) / counts + 2 * reg * W


@wrong("svm", "numpy", "l1-penalty")
def svm_absolute_values(W, X, y, reg):
    N = X.shape[0]
    loss, dW = 0.0, np.zeros_like(W)
    for i in range(N):
        s = X[i] @ W
        for j in range(W.shape[1]):
            if j == y[i]:
                continue
            if s[j] - s[y[i]] + 1 > 0:
                loss += s[j] - s[y[i]] + 1
                dW[:, j] += X[i]
                dW[:, y[i]] -= X[i]
    return loss / N + reg * np.sum(np.abs(W)), dW / N + reg * np.sign(W)


@wrong("softmax", "numpy", "l1-penalty")
def softmax_absolute_values_in_the_value(W, X, y, reg):
    N = X.shape[0]
    S = X.dot(W)
    S -= S.max(axis=1).reshape(-1, 1)
    P = np.exp(S) / np.exp(S).sum(axis=1).reshape(-1, 1)
    loss = -np.log(P[range(N), y]).sum() / N + reg * np.abs(W).sum()
    P[range(N), y] -= 1
    return loss, np.dot(X.T, P) / N + 2 * reg * W
