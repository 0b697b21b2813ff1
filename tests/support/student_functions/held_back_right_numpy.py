"""Right losses in NumPy, held back: whoever changes the gradient check does not read them."""

import numpy as np

from support.student_functions.records import right


@right("svm", "numpy")
def svm_loss_naive(W, X, y, reg):
    dW = np.zeros(W.shape)  # initialize the gradient as zero

    # compute the loss and the gradient
    num_classes = W.shape[1]
    num_train = X.shape[0]
    loss = 0.0
    for i in range(num_train):
        scores = X[i].dot(W)
        correct_class_score = scores[y[i]]
        for j in range(num_classes):
            if j == y[i]:
                continue
            margin = scores[j] - correct_class_score + 1  # note delta = 1
            if margin > 0:
                loss += margin
                dW[:, j] += X[i]
                dW[:, y[i]] -= X[i]

    loss /= num_train
    dW /= num_train
    loss += reg * np.sum(W * W)
    dW += 2 * reg * W
    return loss, dW


@right("svm", "numpy")
def svm_naive_with_a_counter(W, X, y, reg):
    loss, dW = 0.0, np.zeros_like(W)
    N = len(X)
    for i in range(N):
        scores = W.T @ X[i]
        n_violations = 0
        for j in range(len(scores)):
            if j != y[i]:
                m = scores[j] - scores[y[i]] + 1.0
                if m > 0:
                    n_violations += 1
                    loss += m
                    dW[:, j] += X[i] / N
        dW[:, y[i]] += -n_violations * X[i] / N
    return loss / N + reg * (W**2).sum(), dW + reg * 2 * W


@right("svm", "numpy")
def svm_einsum(W, X, y, reg):
    n = X.shape[0]
    s = np.einsum("nd,dc->nc", X, W)
    t = np.einsum("nd,nd->n", X, W[:, y].T)
    m = np.where(np.arange(W.shape[1]) == y[:, None], 0.0, s - t[:, None] + 1)
    a = np.where(m > 0, 1.0, 0.0)
    loss = np.einsum("nc,nc->", a, m) / n + reg * np.einsum("dc,dc->", W, W)
    dW = np.einsum("nd,nc->dc", X, a)
    np.subtract.at(dW, (slice(None), y), np.einsum("nd,n->dn", X, a.sum(1)))
    return loss, dW / n + 2 * reg * W


@right("svm", "numpy")
def svm_np_matrix(W, X, y, reg):
    Xm, Wm = np.matrix(X), np.matrix(W)
    N = Xm.shape[0]
    S = Xm * Wm
    own = S[np.arange(N), y].T  # a matrix stays two-dimensional
    M = np.maximum(S - own + 1, 0)
    M[np.arange(N), y] = 0
    loss = np.sum(M) / N + reg * np.sum(np.multiply(Wm, Wm))
    B = np.matrix((np.asarray(M) > 0) * 1.0)
    B[np.arange(N), y] = -np.sum(B, axis=1).T
    return loss, np.asarray(Xm.T * B / N + 2 * reg * Wm)


@right("svm", "numpy")
def svm_choose_and_where(W, X, y, reg):
    S = np.matmul(X, W)
    own = np.choose(y, S.T)
    L = S - np.expand_dims(own, 1) + 1
    L = np.where(L >= 0, L, 0)
    L[np.indices(y.shape)[0], y] = 0
    g = np.sign(L)
    g[np.indices(y.shape)[0], y] = -np.count_nonzero(L, axis=1)
    return L.sum(1).mean() + reg * np.sum(W * W), np.matmul(X.T, g) / y.size + 2 * reg * W


def _scores(W, X):
    return X.dot(W)


def _margins(scores, y, delta=1.0):
    rows = np.arange(len(y))
    margins = scores - scores[rows, y].reshape(-1, 1) + delta
    margins[rows, y] = 0
    return margins.clip(min=0)


def _l2(W, reg):
    return reg * np.sum(W * W), 2 * reg * W


@right("svm", "numpy")
def svm_with_helpers(W, X, y, reg):
    margins = _margins(_scores(W, X), y)
    wrong = (margins > 0).astype(int)
    wrong[np.arange(len(y)), y] = -wrong.sum(axis=1)
    penalty, d_penalty = _l2(W, reg)
    return margins.sum() / len(y) + penalty, X.T.dot(wrong) / len(y) + d_penalty


@right("svm", "numpy")
def svm_three_dimensional(W, X, y, reg):
    N, C = X.shape[0], W.shape[1]
    difference = W[:, None, :] - W[:, :, None]  # (D, correct, other)
    margins = np.tensordot(X, difference, axes=1)[np.arange(N), y] + 1
    active = (margins > 0) & (np.arange(C)[None, :] != y[:, None])
    loss = margins[active].sum() / N + reg * np.sum(W * W)
    coefficient = active - active.sum(1, keepdims=True) * (np.arange(C)[None, :] == y[:, None])
    return loss, (X[:, :, None] * coefficient[:, None, :]).mean(axis=0) + 2 * reg * W


@right("svm", "numpy")
def svm_minus_outer_products(W, X, y, reg):
    N, C = X.shape[0], W.shape[1]
    loss, dW = 0.0, np.zeros_like(W)
    for i in range(N):
        e = np.zeros(C)
        e[y[i]] = 1
        s = X[i] @ W
        z = (1 - e) + s - s @ e
        a = (z > 0) & (e == 0)
        loss += z[a].sum()
        dW += X[i][:, None] * (a - a.sum() * e)[None, :]
    loss = 1.0 / N * loss + reg * np.sum(W * W)
    dW = 1.0 / N * dW + 2 * reg * W
    return loss, dW


@right("softmax", "numpy")
def softmax_loss_vectorized(W, X, y, reg):
    num_train = X.shape[0]
    scores = X.dot(W)
    scores -= np.max(scores, axis=1, keepdims=True)
    exp_scores = np.exp(scores)
    probs = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
    loss = np.sum(-np.log(probs[np.arange(num_train), y])) / num_train
    loss += reg * np.sum(W * W)
    dscores = probs
    dscores[np.arange(num_train), y] -= 1
    dscores /= num_train
    dW = np.dot(X.T, dscores)
    dW += 2 * reg * W
    return loss, dW


@right("softmax", "numpy")
def softmax_einsum(W, X, y, reg):
    N, C = X.shape[0], W.shape[1]
    onehot = (y[:, None] == np.arange(C)[None, :]).astype(float)
    z = np.einsum("ij,jk->ik", X, W)
    z = z - np.amax(z, axis=1, keepdims=True)
    e = np.exp(z)
    a = np.einsum("ik,i->ik", e, 1 / e.sum(1))
    loss = -np.einsum("ik,ik->", onehot, np.log(a)) / N + reg * np.einsum("jk,jk", W, W)
    return loss, np.einsum("ij,ik->jk", X, a - onehot) / N + 2 * reg * W


@right("softmax", "numpy")
def softmax_np_matrix(W, X, y, reg):
    X, W = np.asmatrix(X), np.asmatrix(W)
    N = X.shape[0]
    S = X * W
    S = S - S.max(axis=1)
    E = np.exp(S)
    P = E / E.sum(axis=1)
    loss = -np.log(P[range(N), y]).sum() / N + reg * np.power(W, 2).sum()
    P[range(N), y] -= 1
    return loss, X.T * P / N + 2 * reg * W  # the gradient stays a matrix


@right("softmax", "numpy")
def softmax_classes_as_rows(W, X, y, reg):
    Wt, Xt = W.T, X.T  # (C, D), (D, N)
    N = Xt.shape[1]
    f = Wt.dot(Xt)
    f -= np.max(f, axis=0)
    p = np.exp(f) / np.sum(np.exp(f), axis=0)
    ind = np.zeros(p.shape)
    ind[y, range(N)] = 1
    loss = -np.sum(np.log(p[y, range(N)])) / N + reg * np.sum(Wt * Wt)
    dWt = -(ind - p).dot(Xt.T) / N + 2 * reg * Wt
    return loss, dWt.T


@right("softmax", "numpy")
def softmax_one_loop_over_classes(W, X, y, reg):
    S = X.dot(W)
    S = (S.T - S.max(axis=1)).T
    E = np.exp(S)
    Z = E.sum(axis=1)
    dW = np.empty(W.shape)
    loss = np.log(Z).mean()
    for c in range(W.shape[1]):
        loss -= S[y == c, c].sum() / len(y)
        dW[:, c] = X.T.dot(E[:, c] / Z - (y == c)) / len(y) + 2 * reg * W[:, c]
        loss += reg * W[:, c].dot(W[:, c])
    return loss, dW


@right("softmax", "numpy")
def softmax_add_at(W, X, y, reg):
    N, D = X.shape
    Z = X @ W
    Z = Z - Z.max(axis=1)[:, None]
    lse = np.log(np.exp(Z).sum(axis=1))
    grad = (np.exp(Z - lse[:, None]).T @ X) / N
    np.subtract.at(grad, y, X / N)
    return lse.mean() - Z[np.arange(N), y].mean() + reg * np.sum(W**2), grad.T + 2 * reg * W


@right("softmax", "numpy")
def softmax_staged_backpropagation(W, X, y, reg):
    N, rows = X.shape[0], np.arange(X.shape[0])
    scores = X.dot(W)
    scores = scores - scores.max(axis=1, keepdims=True)
    num = np.exp(scores)
    den = num.sum(axis=1)
    inv = 1.0 / den
    picked = num[rows, y] * inv
    loss = -np.log(picked).sum() / N + reg * np.sum(W * W)

    dpicked = -1.0 / picked / N
    dinv = dpicked * num[rows, y]
    dnum = np.zeros_like(num)
    dnum[rows, y] += dpicked * inv
    dden = dinv * (-1.0 / den**2)
    dnum += dden[:, None]
    dscores = dnum * num
    return loss, X.T.dot(dscores) + 2 * reg * W


@right("softmax", "numpy")
def softmax_list_of_losses(W, X, y, reg):
    losses, grads = [], []
    for i in range(len(X)):
        logits = X[i : i + 1] @ W
        logits -= logits.max()
        prob = np.exp(logits) / np.exp(logits).sum()
        losses.append(np.log(np.exp(logits).sum()) - logits[0, y[i]])
        prob[0, y[i]] -= 1
        grads.append(X[i : i + 1].T @ prob)
    return np.mean(losses) + reg * np.sum(W * W), np.mean(grads, axis=0) + 2 * reg * W
