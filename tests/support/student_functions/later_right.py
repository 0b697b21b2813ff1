"""Right functions in further styles, written after the first corpus was finished and tried once before any change."""

import functools

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import logsumexp, softmax

from support.student_functions.records import right


@right("softmax", "numpy")
def softmax_by_scipy(W, X, y, reg):
    N = len(X)
    S = X @ W
    data = (logsumexp(S, axis=1) - S[np.arange(N), y]).mean()
    onehot = np.eye(W.shape[1])[y]
    return data + reg * np.linalg.norm(W) ** 2, X.T @ (softmax(S, axis=1) - onehot) / N + 2 * reg * W


@right("softmax", "numpy", regulariser="half")
def softmax_column_per_example(W, X, y, reg):
    """The older form of the course's notes: images are columns, W is (C, D)."""
    Wt, Xt = W.T, X.T
    f = Wt.dot(Xt)
    f = f - np.amax(f, axis=0)
    expf = np.exp(f)
    p = expf / expf.sum(0)
    N = Xt.shape[1]
    logs = np.log(np.choose(y, p)) if p.shape[0] < 32 else np.log(p[y, range(N)])
    loss = -logs.sum() / N + 0.5 * reg * np.square(Wt).sum()
    p[y, range(N)] -= 1
    return loss, (p.dot(Xt.T) / N + reg * Wt).T


@right("softmax", "numpy")
def softmax_clips_the_probability(W, X, y, reg):
    N = X.shape[0]
    S = X.dot(W)
    S = S - S.max(axis=1).reshape(-1, 1)
    P = np.exp(S) / np.exp(S).sum(axis=1).reshape(-1, 1)
    right_class = np.clip(np.take_along_axis(P, y[:, None], axis=1), 1e-300, 1.0)
    loss = -np.mean(np.log(right_class)) + reg * np.vdot(W, W)
    G = P.copy()
    np.subtract.at(G, (np.arange(N), y), 1.0)
    return loss, np.tensordot(X, G, axes=(0, 0)) / N + 2.0 * reg * W


@right("svm", "numpy")
def svm_adds_outer_products_by_class(W, X, y, reg):
    """One class after another, all rows at once: a loop over the columns of W."""
    N, C = X.shape[0], W.shape[1]
    own = np.einsum("nd,dn->n", X, W[:, y])
    loss, dW = 0.0, np.zeros_like(W)
    for c in range(C):
        margin = X @ W[:, c] - own + 1.0
        hit = (margin > 0) & (y != c)
        loss += margin[hit].sum()
        dW[:, c] += X[hit].sum(axis=0)
        for row in np.flatnonzero(hit):
            dW[:, y[row]] -= X[row]
    return loss / N + reg * (W**2).sum(), dW / N + 2 * reg * W


@right("svm", "numpy")
def svm_subtracts_delta_afterwards(W, X, y, reg):
    """The correct class's margin of 1 is summed and taken off again."""
    N = X.shape[0]
    S = X.dot(W)
    M = (S.T - S[range(N), y] + 1).T
    M = M.clip(min=0)
    loss = M.sum() / N - 1.0 + reg * np.sum(W * W)
    A = (M > 0).astype(X.dtype)
    A[range(N), y] = 1 - A.sum(axis=1)
    return loss, np.matmul(X.transpose(), A) / N + reg * 2 * W


@right("svm", "numpy", regulariser="half")
def svm_by_reduce(W, X, y, reg):
    def one(total, pair):
        x, label = pair
        s = x @ W
        m = np.maximum(s - s[label] + 1, 0) * (np.arange(len(s)) != label)
        g = np.zeros_like(W)
        g[:, m > 0] = x[:, None]
        g[:, label] = -x * np.count_nonzero(m > 0)
        return total[0] + m.sum(), total[1] + g

    loss, dW = functools.reduce(one, zip(X, y, strict=True), (0.0, np.zeros_like(W)))
    return loss / len(X) + reg / 2 * np.sum(W**2), dW / len(X) + reg * W


@right("svm", "torch")
def torch_svm_gathers_and_scatters(W, X, y, reg):
    S = X.mm(W)
    own = S.gather(1, y.view(-1, 1))
    M = (S - own + 1).clamp(min=0).scatter(1, y.view(-1, 1), 0.0)
    A = (M > 0).to(X.dtype)
    A = A.scatter_add(1, y.view(-1, 1), -A.sum(1, keepdim=True))
    return M.sum().div(len(y)) + reg * W.pow(2).sum(), X.t().mm(A).div(len(y)) + 2 * reg * W


@right("softmax", "torch")
def torch_softmax_function_of_autograd(W, X, y, reg):
    class Loss(torch.autograd.Function):
        @staticmethod
        def forward(ctx, scores):
            logs = scores - torch.logsumexp(scores, dim=1, keepdim=True)
            ctx.save_for_backward(logs)
            return -logs[torch.arange(len(y)), y].mean()

        @staticmethod
        def backward(ctx, upstream):
            (logs,) = ctx.saved_tensors
            return upstream * (logs.exp() - F.one_hot(y, logs.shape[1])) / len(y)

    weights = W.clone().requires_grad_()
    loss = Loss.apply(X @ weights) + reg * torch.sum(weights * weights)
    (dW,) = torch.autograd.grad(loss, weights)
    return loss.detach(), dW


@right("softmax", "torch", regulariser="half")
def torch_softmax_by_functional_grad(W, X, y, reg):
    def objective(weights):
        return F.nll_loss(F.log_softmax(X @ weights, dim=-1), y) + 0.5 * reg * weights.square().sum()

    dW, loss = torch.func.grad_and_value(objective)(W)
    return loss, dW


@right("svm", "torch", dtype="float32")
def torch_svm_in_batches_of_float32(W, X, y, reg):
    W, X = W.float(), X.float()
    loss, dW = torch.zeros(()), torch.zeros_like(W)
    for rows, labels in zip(X.split(4), y.split(4), strict=True):
        S = rows @ W
        M = torch.relu(S - S[range(len(labels)), labels].unsqueeze(1) + 1)
        M[range(len(labels)), labels] = 0
        A = torch.sign(M)
        A[range(len(labels)), labels] = -A.sum(dim=1)
        loss = loss + M.sum() / len(y)
        dW = dW + rows.T @ A / len(y)
    return loss + reg * (W * W).sum(), dW + 2 * reg * W
