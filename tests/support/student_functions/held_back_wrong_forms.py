"""Wrong forms, held back: whoever changes the gradient check does not read them."""

import numpy as np
import torch
import torch.nn.functional as F

from support.student_functions.records import wrong


@wrong("svm", "numpy", "raises")
def svm_not_written_yet(W, X, y, reg):
    loss, dW = 0.0, np.zeros(W.shape)
    # TODO: vectorize the loss
    raise NotImplementedError
    return loss, dW


@wrong("svm", "torch", "loss-has-shape")
def torch_svm_loss_in_a_vector(W, X, y, reg):
    loss = torch.zeros(1, dtype=W.dtype)
    dW = torch.zeros_like(W)
    N = X.shape[0]
    for i in range(N):
        s = X[i] @ W
        m = (s - s[y[i]] + 1).clamp(min=0)
        m[y[i]] = 0
        loss += m.sum()
        c = (m > 0).to(W.dtype)
        c[y[i]] = -c.sum()
        dW += torch.outer(X[i], c)
    loss = loss / N + reg * torch.sum(W * W)
    return loss, dW / N + 2 * reg * W


@wrong("svm", "numpy", "returns-a-list")
def svm_gradient_as_nested_lists(W, X, y, reg):
    N, (D, C) = len(X), W.shape
    loss = 0.0
    dW = [[float(2 * reg * W[d, c]) for c in range(C)] for d in range(D)]
    for i in range(N):
        s = X[i].dot(W)
        for c in range(C):
            m = s[c] - s[y[i]] + 1
            if c != y[i] and m > 0:
                loss += m / N
                for d in range(D):
                    dW[d][c] += float(X[i, d]) / N
                    dW[d][y[i]] -= float(X[i, d]) / N
    return loss + reg * np.sum(W * W), dW


@wrong("softmax", "numpy", "stub")
def softmax_returns_nothing(W, X, y, reg):
    """Softmax loss function, vectorized version."""
    scores = X.dot(W)
    scores -= scores.max(axis=1, keepdims=True)


@wrong("svm", "numpy", "integer-gradient")
def svm_gradient_starts_as_integers(W, X, y, reg):
    N, C = X.shape[0], W.shape[1]
    dW = np.array([[0] * C] * W.shape[0])
    loss = 0.0
    for i in range(N):
        s = X[i].dot(W)
        for j in range(C):
            if j == y[i]:
                continue
            if s[j] - s[y[i]] + 1 > 0:
                loss += s[j] - s[y[i]] + 1
                dW[:, j] = dW[:, j] + X[i] / N
                dW[:, y[i]] = dW[:, y[i]] - X[i] / N
    dW[:] = dW + 2 * reg * W
    return loss / N + reg * np.sum(W * W), dW


@wrong("softmax", "numpy", "accumulates-between-calls")
def softmax_gradient_in_a_default_argument(W, X, y, reg, cache={}):
    dW = cache.setdefault(W.shape, np.zeros(W.shape))
    loss = 0.0
    for i in range(len(X)):
        s = X[i].dot(W)
        s -= s.max()
        p = np.exp(s) / np.exp(s).sum()
        loss -= np.log(p[y[i]]) / len(X)
        p[y[i]] -= 1
        dW += np.outer(X[i], p) / len(X)
    dW += 2 * reg * W
    return loss + reg * np.sum(W * W), dW.copy()


@wrong("svm", "numpy", "changes-arguments")
def svm_takes_the_step_itself(W, X, y, reg):
    N = X.shape[0]
    S = X.dot(W)
    M = np.maximum(0, S - S[np.arange(N), y][:, None] + 1)
    M[np.arange(N), y] = 0
    loss = M.sum() / N + reg * np.sum(W * W)
    M[M > 0] = 1
    M[np.arange(N), y] = -M.sum(axis=1)
    dW = X.T.dot(M) / N + 2 * reg * W
    W -= 1e-3 * dW
    return loss, dW


@wrong("svm", "numpy", "changes-arguments")
def svm_labels_become_flat_indices(W, X, y, reg):
    N, C = X.shape[0], W.shape[1]
    labels = y.copy()
    S = X.dot(W)
    y += np.arange(N) * C
    M = S - S.ravel()[y].reshape(-1, 1) + 1
    M.ravel()[y] = 0
    A = (M > 0).astype(float)
    loss = np.sum(A * M) / N + reg * np.sum(W * W)
    A[np.arange(N), labels] = -A.sum(axis=1)
    return loss, X.T.dot(A) / N + 2 * reg * W


@wrong("softmax", "torch", "gradient-shape")
def torch_softmax_flat_gradient(W, X, y, reg):
    logits = X @ W
    loss = F.cross_entropy(logits, y) + reg * torch.sum(W * W)
    d = logits.softmax(dim=1) - F.one_hot(y, W.shape[1])
    return loss, (X.t() @ d / len(y) + 2 * reg * W).reshape(-1)


@wrong("softmax", "numpy", "weights-and-bias-apart")
def softmax_bias_is_the_last_row(W, X, y, reg):
    w, b, x = W[:-1], W[-1], X[:, :-1]
    S = x.dot(w) + b
    S -= S.max(axis=1, keepdims=True)
    P = np.exp(S) / np.exp(S).sum(axis=1, keepdims=True)
    loss = -np.log(P[np.arange(len(y)), y]).mean() + reg * np.sum(w * w)
    P[np.arange(len(y)), y] -= 1
    P /= len(y)
    return loss, (x.T.dot(P) + 2 * reg * w, P.sum(axis=0))
