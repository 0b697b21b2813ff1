"""Right losses in torch, held back: whoever changes the gradient check does not read them."""

import torch
import torch.nn.functional as F

from support.student_functions.records import right


@right("svm", "torch")
def torch_svm_autograd_inside(W, X, y, reg):
    V = W.detach().clone().requires_grad_(True)
    scores = X @ V
    margins = torch.clamp(scores - scores.gather(1, y.unsqueeze(1)) + 1, min=0)
    loss = (margins.sum() - len(y)) / len(y) + reg * (V * V).sum()
    loss.backward()
    return loss.detach(), V.grad


@right("svm", "torch")
def torch_svm_multi_margin_loss(W, X, y, reg):
    V = W.clone().requires_grad_()
    C = W.shape[1]
    loss = C * F.multi_margin_loss(X @ V, y) + reg * torch.sum(V * V)  # torch divides by C
    (dW,) = torch.autograd.grad(loss, V)
    return loss.item(), dW


@right("softmax", "torch")
def torch_softmax_loss_naive(W, X, y, reg):
    loss = 0.0
    dW = torch.zeros_like(W)
    N, C = X.shape[0], W.shape[1]
    for i in range(N):
        scores = X[i].matmul(W)
        scores = scores - scores.max()
        exp = torch.exp(scores)
        probs = exp / exp.sum()
        loss += -torch.log(probs[y[i]])
        for j in range(C):
            if j == y[i]:
                dW[:, j] += (probs[j] - 1) * X[i]
            else:
                dW[:, j] += probs[j] * X[i]
    loss = loss / N + reg * torch.sum(W * W)
    dW = dW / N + 2 * reg * W
    return loss, dW


@right("softmax", "torch")
def torch_softmax_loss_vectorized(W, X, y, reg):
    num_train = X.shape[0]
    scores = X.mm(W)
    scores -= scores.max(dim=1, keepdim=True).values
    p = scores.exp()
    p /= p.sum(dim=1, keepdim=True)
    loss = -p[torch.arange(num_train), y].log().sum()
    p[torch.arange(num_train), y] -= 1
    dW = X.t().mm(p)
    loss /= num_train
    dW /= num_train
    loss += reg * torch.sum(W * W)
    dW += 2 * reg * W
    return loss, dW


@right("softmax", "torch")
def torch_softmax_logsumexp(W, X, y, reg):
    S = X @ W
    lse = S.logsumexp(1)
    loss = (lse - S.gather(1, y.view(-1, 1)).squeeze(1)).mean() + reg * W.square().sum()
    P = (S - lse[:, None]).exp()
    P.scatter_add_(1, y.view(-1, 1), -torch.ones(len(y), 1, dtype=P.dtype))
    return loss, X.T @ P / len(y) + 2 * reg * W


@right("softmax", "torch")
def torch_softmax_log_softmax(W, X, y, reg):
    logp = torch.log_softmax(X @ W, dim=-1)
    loss = -logp[torch.arange(len(y)), y].mean()
    G = logp.exp()
    G[torch.arange(len(y)), y] -= 1.0
    return loss + reg * torch.sum(W**2), (G.T @ X).T / len(y) + 2 * reg * W


@right("softmax", "torch")
def torch_softmax_cross_entropy_autograd(W, X, y, reg):
    W = W.detach().clone()
    W.requires_grad = True
    loss = F.cross_entropy(torch.mm(X, W), y) + reg * torch.sum(W * W)
    grad = torch.autograd.grad(loss, W)[0]
    return loss.detach(), grad


@right("softmax", "torch")
def torch_softmax_per_class(W, X, y, reg):
    N = X.shape[0]
    s = X @ W
    s = s - s.max(1).values[:, None]
    Z = s.exp().sum(1)
    columns = []
    loss = Z.log().sum()
    for k in range(W.shape[1]):
        is_k = (y == k).to(W.dtype)
        loss = loss - (s[:, k] * is_k).sum()
        columns.append(X.t() @ (s[:, k].exp() / Z - is_k))
    dW = torch.stack(columns, dim=1) / N
    return loss / N + reg * torch.sum(W * W), dW + 2 * reg * W


@right("softmax", "torch", dtype="float32")
def torch_softmax_float32_inside(W, X, y, reg):
    w, x = W.to(torch.float32), X.to(torch.float32)
    logits = x @ w
    logits = logits - logits.max(dim=1, keepdim=True)[0]
    probs = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    loss = -torch.log(probs[torch.arange(len(y)), y]).mean()
    probs[torch.arange(len(y)), y] -= 1
    return (loss + reg * (w * w).sum()).item(), x.t() @ probs / len(y) + 2 * reg * w


@right("softmax", "torch")
def torch_softmax_row_by_row(W, X, y, reg):
    loss, dW = 0.0, torch.zeros_like(W)
    for x, label in zip(X, y):
        s = x @ W
        c = s.max()
        log_sum = c + torch.log(torch.exp(s - c).sum())
        loss += (log_sum - s[label]).item()
        p = torch.exp(s - log_sum)
        p[label] -= 1
        dW.addr_(x, p)
    loss /= X.shape[0]
    dW.div_(X.shape[0])
    return loss + reg * torch.sum(W * W).item(), dW + 2 * reg * W
