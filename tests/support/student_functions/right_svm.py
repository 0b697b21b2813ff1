"""Right SVM losses in NumPy, in the styles that students write."""

import numpy as np

from support.student_functions.records import right


@right("svm", "numpy")
def svm_everything_divided_inside(W, X, y, reg):
    N, C = X.shape[0], W.shape[1]
    loss = reg * np.sum(np.square(W))
    dW = 2 * reg * W
    for i in range(N):
        s = np.dot(X[i], W)
        for j in range(C):
            if j == y[i]:
                continue
            loss += max(0, s[j] - s[y[i]] + 1) / N
            indicator = float(s[j] - s[y[i]] + 1 > 0)
            dW[:, j] = dW[:, j] + indicator * X[i, :] / N
            dW[:, y[i]] = dW[:, y[i]] - indicator * X[i, :] / N
    return loss, dW


@right("svm", "numpy")
def svm_python_lists(W, X, y, reg):
    W_, X_ = W.tolist(), X.tolist()
    D, C, N = len(W_), len(W_[0]), len(X_)
    grad = [[2 * reg * w for w in row] for row in W_]
    total = 0.0
    for x, label in zip(X_, y.tolist()):
        scores = [sum(x[d] * W_[d][c] for d in range(D)) for c in range(C)]
        for c, score in enumerate(scores):
            margin = score - scores[label] + 1
            if c == label or margin <= 0:
                continue
            total += margin
            for d in range(D):
                grad[d][c] += x[d] / N
                grad[d][label] -= x[d] / N
    penalty = sum(w * w for row in W_ for w in row)
    return total / N + reg * penalty, np.array(grad)


@right("svm", "numpy")
def svm_generator_expressions(W, X, y, reg):
    N = X.shape[0]
    S = X @ W
    loss = sum(max(0.0, S[i, j] - S[i, y[i]] + 1.0) for i in range(N) for j in range(W.shape[1]) if j != y[i])
    active = [(i, j) for i in range(N) for j in range(W.shape[1]) if j != y[i] and S[i, j] - S[i, y[i]] > -1]
    dW = np.zeros(W.shape)
    for i, j in active:
        dW[:, [j, y[i]]] += np.stack([X[i], -X[i]], axis=1)
    return loss / N + reg * np.sum(W * W), dW / N + 2 * reg * W


@right("svm", "numpy")
def svm_one_loop_over_rows(W, X, y, reg):
    num_train = X.shape[0]
    loss = 0
    dW = np.zeros(W.shape)
    for i in range(num_train):
        scores = X[i] @ W
        margins = np.maximum(0, scores - scores[y[i]] + 1)
        margins[y[i]] = 0
        loss += margins.sum()
        coeff = (margins > 0).astype(float)
        coeff[y[i]] = -coeff.sum()
        dW += np.outer(X[i], coeff)
    loss = loss / num_train + reg * np.sum(W * W)
    dW = dW / num_train + 2 * reg * W
    return loss, dW


@right("svm", "numpy")
def svm_one_loop_over_classes(W, X, y, reg):
    N, C = X.shape[0], W.shape[1]
    rows = np.arange(N)
    correct = X.dot(W)[rows, y]
    loss = 0.0
    dW = np.zeros_like(W)
    for c in range(C):
        others = y != c
        margin = X[others].dot(W[:, c]) - correct[others] + 1
        hit = margin > 0
        loss += margin[hit].sum()
        Xh = X[others][hit]
        dW[:, c] += Xh.sum(axis=0)
        yh = y[others][hit]
        for k in range(C):
            dW[:, k] -= Xh[yh == k].sum(axis=0)
    return loss / N + reg * np.sum(W * W), dW / N + 2 * reg * W


@right("svm", "numpy")
def svm_loss_vectorized(W, X, y, reg):
    num_train = X.shape[0]
    scores = X.dot(W)
    correct_class_scores = scores[np.arange(num_train), y].reshape(num_train, 1)
    margins = np.maximum(0, scores - correct_class_scores + 1)
    margins[np.arange(num_train), y] = 0
    loss = np.sum(margins) / num_train
    loss += reg * np.sum(W * W)

    mask = np.zeros(margins.shape)
    mask[margins > 0] = 1
    mask[np.arange(num_train), y] = -np.sum(mask, axis=1)
    dW = X.T.dot(mask)
    dW /= num_train
    dW += 2 * reg * W
    return loss, dW


@right("svm", "numpy")
def svm_reuses_margins_as_mask(W, X, y, reg):
    N = y.shape[0]
    margins = X @ W
    margins -= margins[range(N), y][:, None]
    margins += 1
    margins[margins < 0] = 0
    margins[range(N), y] = 0
    loss = margins.sum() / N + reg * np.linalg.norm(W) ** 2
    margins[margins > 0] = 1.0 / N
    margins[range(N), y] -= margins.sum(axis=1)
    return loss, np.dot(X.T, margins) + 2 * reg * W


@right("svm", "numpy")
def svm_counts_own_class_and_takes_it_off(W, X, y, reg):
    """Every row's own margin is exactly 1, so it goes off the mean at the end."""
    N = X.shape[0]
    S = X.dot(W)
    margins = np.maximum(0, S - S[np.arange(N), y][:, np.newaxis] + 1)
    loss = margins.sum() / N - 1 + reg * np.sum(W * W)
    mask = (margins > 0) * 1.0
    mask[np.arange(N), y] -= mask.sum(axis=1)
    return loss, X.T.dot(mask) / N + 2 * reg * W


@right("svm", "numpy")
def svm_one_hot(W, X, y, reg):
    N, C = len(y), W.shape[1]
    Y = np.eye(C)[y]
    S = X @ W
    own = (S * Y).sum(axis=1, keepdims=True)
    hinge = np.maximum(S - own + 1, 0) * (1 - Y)
    active = (hinge > 0).astype(np.float64)
    dS = (active - Y * active.sum(axis=1, keepdims=True)) / N
    return hinge.sum() / N + reg * np.sum(W**2), X.T @ dS + 2.0 * reg * W


@right("svm", "numpy")
def svm_add_at(W, X, y, reg):
    N = X.shape[0]
    S = X @ W
    margins = S - S[np.arange(N), y][:, None] + 1
    margins[np.arange(N), y] = 0
    rows, cols = np.nonzero(margins > 0)
    dWT = np.zeros((W.shape[1], W.shape[0]))
    np.add.at(dWT, cols, X[rows])
    np.add.at(dWT, y[rows], -X[rows])
    return margins[rows, cols].sum() / N + reg * (W * W).sum(), dWT.T / N + 2 * reg * W


@right("svm", "numpy", dtype="float32")
def svm_float32_inside(W, X, y, reg):
    W32, X32 = W.astype(np.float32), X.astype(np.float32)
    N = X32.shape[0]
    scores = X32.dot(W32)
    margins = np.maximum(0, scores - scores[np.arange(N), y, None] + np.float32(1))
    margins[np.arange(N), y] = 0
    mask = (margins > 0).astype(np.float32)
    mask[np.arange(N), y] = -mask.sum(axis=1)
    dW = X32.T.dot(mask) / N + np.float32(2 * reg) * W32
    return float(margins.sum() / N + reg * np.sum(W32 * W32)), dW


@right("svm", "numpy", regulariser="half")
def svm_half_penalty(W, X, y, reg):
    num_train, idx = X.shape[0], np.arange(X.shape[0])
    scores = X.dot(W)
    margin = scores - scores[idx, y].reshape(-1, 1) + 1.0
    margin[idx, y] = 0.0
    margin = np.maximum(np.zeros(margin.shape), margin)
    loss = np.sum(margin) / num_train + 0.5 * reg * np.sum(W * W)
    binary = margin
    binary[margin > 0] = 1
    row_sum = np.sum(binary, axis=1)
    binary[idx, y] = -row_sum.T
    dW = np.dot(X.T, binary) / num_train + reg * W
    return loss, dW


@right("svm", "numpy", regulariser="half")
def svm_half_penalty_in_loops(W, X, y, reg):
    loss = 0.0
    dW = np.zeros(W.shape)
    for xi, yi in zip(X, y):
        f = xi.dot(W)
        for j in range(W.shape[1]):
            if j == yi:
                continue
            if f[j] - f[yi] + 1 <= 0:
                continue
            loss += f[j] - f[yi] + 1
            dW[:, j] += xi
            dW[:, yi] -= xi
    loss = loss / len(X) + reg * np.sum(W * W) / 2
    dW = dW / len(X) + reg * W
    return loss, dW


@right("svm", "numpy")
def svm_without_the_own_column(W, X, y, reg):
    N, C = X.shape[0], W.shape[1]
    own = y[:, None] == np.arange(C)
    S = X @ W
    rest = S[~own].reshape(N, C - 1) - S[own][:, None] + 1
    hit = rest > 0
    mask = np.zeros((N, C))
    mask[~own] = hit.ravel()
    mask[own] = -hit.sum(axis=1)
    return (rest * hit).sum() / N + reg * np.sum(W * W), X.T @ mask / N + 2 * reg * W


@right("svm", "numpy")
def svm_classes_as_rows(W, X, y, reg):
    """The older layout of the course: W (C, D) and X (D, N)."""
    W, X = W.T, X.T
    N = X.shape[1]
    scores = W.dot(X)
    margins = np.maximum(0, scores - scores[y, np.arange(N)] + 1)
    margins[y, np.arange(N)] = 0
    loss = np.sum(margins) / N + reg * np.sum(W * W)
    margins[margins > 0] = 1
    margins[y, np.arange(N)] = -np.sum(margins, axis=0)
    dW = margins.dot(X.T) / N + 2 * reg * W
    return loss, dW.T


@right("svm", "numpy")
def svm_in_batches(W, X, y, reg):
    N, step = X.shape[0], 7
    data_loss, dW = 0.0, np.zeros_like(W)
    for start in range(0, N, step):
        xb, yb = X[start : start + step], y[start : start + step]
        sb = xb @ W
        mb = np.maximum(0, 1 + sb - sb[np.arange(len(yb)), yb][:, None])
        mb[np.arange(len(yb)), yb] = 0
        data_loss += mb.sum()
        ib = np.heaviside(mb, 0)
        ib[np.arange(len(yb)), yb] = -ib.sum(1)
        dW += xb.T @ ib
    return data_loss / N + reg * (W * W).sum(), dW / N + 2 * reg * W


@right("svm", "numpy")
def svm_take_along_axis(W, X, y, reg):
    S = X @ W
    index = y.reshape(-1, 1)
    M = np.clip(S - np.take_along_axis(S, index, axis=1) + 1, 0, None)
    np.put_along_axis(M, index, 0, axis=1)
    G = (M != 0).astype(W.dtype)
    np.put_along_axis(G, index, -G.sum(axis=1, keepdims=True), axis=1)
    return np.mean(np.sum(M, axis=1)) + reg * np.vdot(W, W), X.T @ G / len(X) + 2 * reg * W


@right("svm", "numpy")
def svm_every_number_one_by_one(W, X, y, reg):
    N, D = X.shape
    C = W.shape[1]
    loss = 0.0
    dW = np.zeros((D, C))
    for i in range(N):
        scores = np.zeros(C)
        for c in range(C):
            for d in range(D):
                scores[c] += X[i, d] * W[d, c]
        for c in range(C):
            if c != y[i] and scores[c] + 1 > scores[y[i]]:
                loss += scores[c] + 1 - scores[y[i]]
                for d in range(D):
                    dW[d, c] += X[i, d]
                    dW[d, y[i]] -= X[i, d]
    loss /= N
    dW /= N
    for d in range(D):
        for c in range(C):
            loss += reg * W[d, c] ** 2
            dW[d, c] += 2 * reg * W[d, c]
    return loss, dW
