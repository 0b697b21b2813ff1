"""Wrong values and gradients, held back: whoever changes the gradient check does not read them."""

import numpy as np
import torch
import torch.nn.functional as F

from support.student_functions.records import wrong


@wrong("svm", "numpy", "gradient-sign")
def svm_adds_to_the_correct_class(W, X, y, reg):
    loss = 0.0
    dW = np.zeros(W.shape)
    N = X.shape[0]
    for i in range(N):
        scores = X[i].dot(W)
        for j in range(W.shape[1]):
            if j == y[i]:
                continue
            margin = scores[j] - scores[y[i]] + 1
            if margin > 0:
                loss += margin
                dW[:, j] -= X[i]
                dW[:, y[i]] += X[i]
    return loss / N + reg * np.sum(W * W), dW / N + 2 * reg * W


@wrong("svm", "torch", "missing-division-by-n")
def torch_svm_value_is_a_sum(W, X, y, reg):
    N = X.shape[0]
    S = X @ W
    M = torch.clamp(S - S[torch.arange(N), y][:, None] + 1, min=0)
    M[torch.arange(N), y] = 0
    loss = M.sum() + reg * torch.sum(W * W)
    K = (M > 0).to(W.dtype)
    K[torch.arange(N), y] = -K.sum(1)
    return loss, X.t().mm(K) / N + 2 * reg * W


@wrong("svm", "torch", "missing-regulariser-gradient", regulariser="half")
def torch_svm_without_penalty_gradient(W, X, y, reg):
    S = X.mm(W)
    m = (S - S.gather(1, y.view(-1, 1)) + 1).clamp(min=0).scatter(1, y.view(-1, 1), 0)
    k = m.sign().scatter(1, y.view(-1, 1), -m.sign().sum(1, keepdim=True))
    return m.sum() / len(y) + 0.5 * reg * W.pow(2).sum(), X.t().mm(k / len(y))


@wrong("softmax", "numpy", "missing-regulariser-value")
def softmax_penalty_in_the_gradient_only(W, X, y, reg):
    loss, dW, N = 0.0, np.zeros_like(W), len(y)
    for i in range(N):
        s = X[i].dot(W)
        s -= s.max()
        loss += np.log(np.exp(s).sum()) - s[y[i]]
        for j in range(W.shape[1]):
            dW[:, j] += (np.exp(s[j]) / np.exp(s).sum() - (j == y[i])) * X[i]
    return loss / N, dW / N + 2 * reg * W


@wrong("svm", "numpy", "half-regulariser-gradient")
def svm_two_is_missing(W, X, y, reg):
    N = X.shape[0]
    S = X.dot(W)
    M = np.maximum(0, S - S[np.arange(N), y][:, None] + 1)
    M[np.arange(N), y] = 0
    loss = M.sum() / N + reg * np.sum(W * W)
    B = (M > 0).astype(float)
    B[np.arange(N), y] -= B.sum(1)
    return loss, X.T.dot(B) / N + reg * W


@wrong("svm", "numpy", "half-regulariser-value", regulariser="half")
def svm_half_in_the_value_only(W, X, y, reg):
    loss, dW, N = 0.0, np.zeros_like(W), X.shape[0]
    for i in range(N):
        s = X[i].dot(W)
        m = np.maximum(0, s - s[y[i]] + 1)
        m[y[i]] = 0
        loss += np.sum(m)
        dW[:, m > 0] += X[i][:, None]
        dW[:, y[i]] -= np.sum(m > 0) * X[i]
    loss = loss / N + reg * np.sum(W * W) / 2
    return loss, dW / N + 2 * reg * W


@wrong("svm", "numpy", "divided-by-classes")
def svm_mean_of_the_margins(W, X, y, reg):
    S = X @ W
    M = np.maximum(0, S - S[np.arange(len(y)), y][:, None] + 1)
    M[np.arange(len(y)), y] = 0
    loss = np.mean(M) + reg * np.sum(W * W)
    B = 1.0 * (M > 0)
    B[np.arange(len(y)), y] = -B.sum(1)
    return loss, X.T @ B / M.size + 2 * reg * W


@wrong("softmax", "torch", "divided-by-classes")
def torch_softmax_value_over_classes(W, X, y, reg):
    logp = F.log_softmax(X.mm(W), 1)
    onehot = torch.zeros_like(logp)
    onehot[range(len(y)), y] = 1
    loss = -(onehot * logp).mean() + reg * (W * W).sum()
    return loss, X.t().mm(logp.exp() - onehot) / len(y) + 2 * reg * W


@wrong("softmax", "numpy", "one-over-n-per-class")
def softmax_column_mean_over_its_class(W, X, y, reg):
    N = X.shape[0]
    S = X.dot(W)
    S -= np.max(S, axis=1, keepdims=True)
    P = np.exp(S) / np.sum(np.exp(S), axis=1, keepdims=True)
    loss = -np.log(P[np.arange(N), y]).mean() + reg * np.sum(W * W)
    P[np.arange(N), y] -= 1
    dW = np.zeros(W.shape)
    for c in range(W.shape[1]):
        dW[:, c] = X.T.dot(P[:, c]) / max(np.sum(y == c), 1)
    return loss, dW + 2 * reg * W


@wrong("softmax", "torch", "l1-penalty")
def torch_softmax_norm_one(W, X, y, reg):
    V = W.clone().requires_grad_()
    loss = F.cross_entropy(X.mm(V), y) + reg * torch.norm(V, p=1)
    loss.backward()
    return loss.item(), V.grad


@wrong("svm", "numpy", "no-maximum-with-zero")
def svm_adds_every_margin(W, X, y, reg):
    loss = 0.0
    dW = np.zeros(W.shape)
    for i in range(X.shape[0]):
        scores = X[i].dot(W)
        for j in range(W.shape[1]):
            if j == y[i]:
                continue
            loss += scores[j] - scores[y[i]] + 1
            dW[:, j] += X[i]
            dW[:, y[i]] -= X[i]
    loss /= X.shape[0]
    dW /= X.shape[0]
    return loss + reg * np.sum(W * W), dW + 2 * reg * W


@wrong("svm", "torch", "wrong-margin")
def torch_svm_margin_of_ten(W, X, y, reg):
    delta = 10.0
    S = X.mm(W)
    M = F.relu(S - S.gather(1, y[:, None]) + delta)
    M = M.scatter(1, y[:, None], 0.0)
    A = (M > 0).to(W.dtype)
    A = A.scatter(1, y[:, None], -A.sum(1, keepdim=True))
    return M.sum(1).mean() + reg * torch.sum(W * W), X.t().mm(A) / len(y) + 2 * reg * W


@wrong("svm", "numpy", "squared-hinge")
def svm_squared_in_the_value_only(W, X, y, reg):
    N = X.shape[0]
    S = X.dot(W)
    M = np.maximum(0, S - S[np.arange(N), y][:, None] + 1)
    M[np.arange(N), y] = 0
    loss = np.sum(M**2) / N + reg * np.sum(W**2)
    M[M > 0] = 1
    M[np.arange(N), y] = -M.sum(axis=1)
    return loss, X.T.dot(M) / N + 2 * reg * W


@wrong("svm", "numpy", "correct-class-counted")
def svm_without_continue(W, X, y, reg):
    loss = 0.0
    dW = np.zeros(W.shape)
    num_train = X.shape[0]
    for i in range(num_train):
        scores = X[i].dot(W)
        for j in range(W.shape[1]):
            margin = scores[j] - scores[y[i]] + 1
            if margin > 0:
                loss += margin
                dW[:, j] += X[i]
                dW[:, y[i]] -= X[i]
    return loss / num_train + reg * np.sum(W * W), dW / num_train + 2 * reg * W


@wrong("svm", "numpy", "count-over-whole-matrix")
def svm_count_without_an_axis(W, X, y, reg):
    N = X.shape[0]
    scores = X.dot(W)
    margins = np.maximum(0, scores - scores[np.arange(N), y].reshape(N, 1) + 1)
    margins[np.arange(N), y] = 0
    loss = np.sum(margins) / N + reg * np.sum(W * W)
    mask = np.zeros(margins.shape)
    mask[margins > 0] = 1
    mask[np.arange(N), y] = -np.sum(mask)
    return loss, X.T.dot(mask) / N + 2 * reg * W


@wrong("svm", "numpy", "correct-class-gradient-missing")
def svm_only_the_other_classes(W, X, y, reg):
    dW = np.zeros(W.shape)
    loss = 0.0
    for i in range(X.shape[0]):
        scores = X[i].dot(W)
        for j in range(W.shape[1]):
            if j == y[i]:
                continue
            margin = scores[j] - scores[y[i]] + 1
            if margin > 0:
                loss += margin
                dW[:, j] += X[i]
    loss /= X.shape[0]
    dW /= X.shape[0]
    loss += reg * np.sum(W * W)
    dW += 2 * reg * W
    return loss, dW


@wrong("svm", "torch", "correct-class-gradient-once")
def torch_svm_minus_one(W, X, y, reg):
    N = X.shape[0]
    S = X.mm(W)
    M = torch.clamp(S - S[torch.arange(N), y].view(N, 1) + 1, min=0)
    M[torch.arange(N), y] = 0
    loss = M.sum() / N + reg * torch.sum(W * W)
    M[M > 0] = 1
    M[torch.arange(N), y] = -1
    return loss, X.t().mm(M) / N + 2 * reg * W


@wrong("softmax", "numpy", "probability-times-one-minus")
def softmax_derivative_of_the_sigmoid(W, X, y, reg):
    N = X.shape[0]
    S = X.dot(W)
    S -= np.max(S, axis=1, keepdims=True)
    P = np.exp(S) / np.sum(np.exp(S), axis=1, keepdims=True)
    loss = -np.mean(np.log(P[np.arange(N), y])) + reg * np.sum(W * W)
    dS = P * (1 - P)
    return loss, X.T.dot(dS) / N + 2 * reg * W


@wrong("softmax", "numpy", "missing-minus-one", regulariser="half")
def softmax_loops_without_minus_one(W, X, y, reg):
    loss = 0.0
    dW = np.zeros_like(W)
    for x, k in zip(X, y):
        f = x @ W
        f = f - f.max()
        Z = np.exp(f).sum()
        loss += np.log(Z) - f[k]
        for j in range(W.shape[1]):
            dW[:, j] += np.exp(f[j]) / Z * x
    return loss / len(X) + 0.5 * reg * np.sum(W * W), dW / len(X) + reg * W


@wrong("softmax", "numpy", "maximum-not-subtracted")
def softmax_vectorized_without_shift(W, X, y, reg):
    exp_scores = np.exp(X @ W)
    probs = exp_scores / exp_scores.sum(axis=1, keepdims=True)
    loss = -np.log(probs[range(len(y)), y]).mean() + reg * np.sum(W * W)
    probs[range(len(y)), y] -= 1
    return loss, X.T @ probs / len(y) + 2 * reg * W
