"""Right losses of both kinds in torch, in the styles that students write."""

import numpy as np
import torch
import torch.nn.functional as F

from support.student_functions.records import right


@right("svm", "torch")
def torch_svm_loss_naive(W, X, y, reg):
    dW = torch.zeros_like(W)
    num_classes = W.shape[1]
    num_train = X.shape[0]
    loss = 0.0
    for i in range(num_train):
        scores = W.t().mv(X[i])
        correct_class_score = scores[y[i]]
        for j in range(num_classes):
            if j == y[i]:
                continue
            margin = scores[j] - correct_class_score + 1
            if margin > 0:
                loss += margin
                dW[:, j] += X[i]
                dW[:, y[i]] -= X[i]
    loss /= num_train
    dW /= num_train
    loss += reg * torch.sum(W * W)
    dW += 2 * reg * W
    return loss, dW


@right("svm", "torch")
def torch_svm_loss_vectorized(W, X, y, reg):
    N = X.shape[0]
    scores = X.mm(W)
    correct = scores[torch.arange(N), y].view(-1, 1)
    margins = scores - correct + 1
    margins[torch.arange(N), y] = 0
    margins[margins < 0] = 0
    loss = margins.sum() / N + reg * torch.sum(W * W)
    margins[margins > 0] = 1
    margins[torch.arange(N), y] = -margins.sum(dim=1)
    dW = X.t().mm(margins) / N + 2 * reg * W
    return loss, dW


@right("svm", "torch")
def torch_svm_gather_scatter(W, X, y, reg):
    S = X @ W
    M = (S - S.gather(1, y[:, None]) + 1).clamp(min=0)
    M = M.scatter(1, y[:, None], 0.0)
    A = (M > 0).to(W.dtype)
    A.scatter_(1, y[:, None], -A.sum(1, keepdim=True))
    return M.sum(1).mean() + reg * W.pow(2).sum(), X.T @ A / len(y) + 2 * reg * W


@right("svm", "torch")
def torch_svm_python_numbers(W, X, y, reg):
    loss = 0.0
    dW = torch.zeros(W.shape, dtype=W.dtype)
    labels = y.tolist()
    for i, label in enumerate(labels):
        scores = (X[i] @ W).tolist()
        for j, s in enumerate(scores):
            if j != label and s - scores[label] + 1 > 0:
                loss += s - scores[label] + 1
                dW[:, j].add_(X[i])
                dW[:, label].sub_(X[i])
    loss = loss / len(labels) + reg * (W * W).sum().item()
    return loss, dW.div(len(labels)).add(W, alpha=2 * reg)


@right("svm", "torch")
def torch_svm_one_hot(W, X, y, reg):
    Y = F.one_hot(y, W.shape[1]).to(W.dtype)
    S = torch.matmul(X, W)
    L = F.relu(S - (S * Y).sum(dim=1, keepdim=True) + 1) * (1 - Y)
    mask = torch.sign(L)
    mask = mask - Y * mask.sum(dim=1, keepdim=True)
    return L.sum() / S.shape[0] + reg * (W**2).sum(), X.T.matmul(mask) / S.shape[0] + 2 * reg * W


@right("svm", "torch")
def torch_svm_index_add(W, X, y, reg):
    N = X.size(0)
    S = X @ W
    M = S - S[range(N), y].unsqueeze(1) + 1
    M[range(N), y] = -1
    rows, cols = torch.nonzero(M > 0, as_tuple=True)
    dW = torch.zeros_like(W)
    dW.index_add_(1, cols, X[rows].T)
    dW.index_add_(1, y[rows], -X[rows].T)
    return M[rows, cols].sum() / N + reg * torch.sum(W * W), dW / N + 2 * reg * W


@right("svm", "torch")
def torch_svm_row_by_row(W, X, y, reg):
    N = X.shape[0]
    loss, dW = W.new_zeros(()), torch.zeros_like(W)
    for i in range(N):
        s = X[i] @ W
        m = torch.clamp(s - s[y[i]] + 1, min=0)
        m[y[i]] = 0
        loss = loss + m.sum()
        g = (m > 0).double()
        g[y[i]] -= g.sum()
        dW += torch.outer(X[i].double(), g).to(W.dtype)
    return loss / N + reg * torch.norm(W) ** 2, dW / N + 2 * reg * W


@right("svm", "torch")
def torch_svm_einsum(W, X, y, reg):
    s = torch.einsum("nd,dc->nc", X, W)
    own = torch.arange(W.shape[1])[None] == y[:, None]
    m = (s - s[own][:, None] + 1).masked_fill(own, 0).clamp_min(0)
    a = (m > 0).type_as(W)
    a = a - own.type_as(W) * torch.einsum("nc->n", a)[:, None]
    return m.sum() / m.shape[0] + reg * torch.einsum("dc,dc->", W, W), (
        torch.einsum("nd,nc->dc", X, a) / m.shape[0] + 2 * reg * W
    )


@right("svm", "torch", dtype="float32")
def torch_svm_float32_inside(W, X, y, reg):
    Wf, Xf = W.float(), X.float()
    N = len(Xf)
    scores = Xf @ Wf
    margins = torch.maximum(scores - scores[torch.arange(N), y][:, None] + 1, torch.zeros(1))
    margins[torch.arange(N), y] = 0
    loss = margins.sum() / N + reg * (Wf * Wf).sum()
    hit = (margins > 0).float()
    hit[torch.arange(N), y] = -hit.sum(1)
    return loss, Xf.t() @ hit / N + 2 * reg * Wf


@right("svm", "torch", regulariser="half")
def torch_svm_half_penalty(W, X, y, reg):
    N = X.shape[0]
    S = X.mm(W)
    ok = torch.ones_like(S, dtype=torch.bool)
    ok[torch.arange(N), y] = False
    M = (S.t() - S[torch.arange(N), y] + 1).t()
    hit = (M > 0) & ok
    loss = torch.where(hit, M, torch.zeros_like(M)).sum() / N + 0.5 * reg * torch.sum(W * W)
    dS = hit.to(W.dtype)
    dS[~ok] = -hit.sum(dim=1).to(W.dtype)
    return loss, X.t().mm(dS) / N + reg * W


@right("svm", "torch")
def torch_svm_per_class(W, X, y, reg):
    N, C = X.shape[0], W.shape[1]
    S = X @ W
    own = S[torch.arange(N), y]
    counts = torch.zeros(N, dtype=W.dtype)
    loss = 0
    dW = 2 * reg * W
    for c in range(C):
        margin = (S[:, c] - own + 1) * (y != c)
        open_ = margin > 0
        loss = loss + margin[open_].sum() / N
        counts += open_
        dW[:, c] += X[open_].sum(0) / N
    for c in range(C):
        dW[:, c] -= (X * counts[:, None])[y == c].sum(0) / N
    return loss + reg * (W * W).sum(), dW


@right("softmax", "torch")
def torch_softmax_one_hot(W, X, y, reg):
    onehot = torch.eye(W.shape[1], dtype=W.dtype)[y]
    logits = X @ W
    dlogits = (F.softmax(logits, dim=1) - onehot) / X.shape[0]
    loss = -(onehot * F.log_softmax(logits, dim=1)).sum() / X.shape[0]
    return loss + reg * torch.sum(W * W), torch.matmul(X.T, dlogits) + 2 * reg * W


@right("softmax", "torch", regulariser="half")
def torch_softmax_half_penalty(W, X, y, reg):
    N = len(X)
    z = X @ W
    z = z - torch.max(z, 1)[0].reshape(-1, 1)
    Z = torch.sum(torch.exp(z), 1)
    loss = torch.mean(torch.log(Z) - z[range(N), y]) + reg / 2 * torch.sum(W * W)
    p = torch.exp(z) / Z.reshape(-1, 1)
    p[range(N), y] = p[range(N), y] - 1
    return loss, torch.mm(X.t(), p) / N + reg * W


@right("softmax", "torch")
def torch_softmax_addmm(W, X, y, reg):
    n = X.shape[0]
    s = torch.addmm(torch.zeros(1, W.shape[1], dtype=W.dtype), X, W)
    s.sub_(s.amax(dim=1, keepdim=True))
    own = s.gather(1, y[:, None]).sum()
    s.exp_()
    total = s.sum(dim=1, keepdim=True)
    loss = (total.log().sum() - own) / n + reg * W.norm().square()
    s.div_(total)
    s[torch.arange(n), y] -= 1
    return loss, torch.addmm(W, X.t(), s, beta=2 * reg, alpha=1 / n)


@right("softmax", "torch")
def torch_softmax_nll_loss(W, X, y, reg):
    shifted = X @ W
    shifted = shifted - shifted.max(dim=1, keepdim=True).values
    log_probs = shifted - shifted.exp().sum(dim=1, keepdim=True).log()
    loss = F.nll_loss(log_probs, y) + reg * torch.sum(W * W)
    index = (torch.arange(len(y)), y)
    dscores = log_probs.exp().index_put(index, -torch.ones(len(y), dtype=W.dtype), accumulate=True)
    return loss.item(), X.t() @ dscores / len(y) + 2 * reg * W


@right("softmax", "torch")
def torch_softmax_through_numpy(W, X, y, reg):
    w, x, t = W.detach().cpu().numpy(), X.cpu().numpy(), y.cpu().numpy()
    s = x.dot(w)
    s = s - s.max(axis=1, keepdims=True)
    e = np.exp(s)
    loss = (np.log(e.sum(1)) - s[np.arange(len(t)), t]).mean() + reg * (w * w).sum()
    d = e / e.sum(axis=1, keepdims=True)
    d[np.arange(len(t)), t] -= 1
    return loss, torch.from_numpy(x.T.dot(d) / len(t) + 2 * reg * w)
