"""Right softmax losses in NumPy, in the styles that students write."""

import math

import numpy as np

from support.student_functions.records import right


@right("softmax", "numpy")
def softmax_loss_naive(W, X, y, reg):
    loss = 0.0
    dW = np.zeros_like(W)
    num_train = X.shape[0]
    num_classes = W.shape[1]
    for i in range(num_train):
        scores = X[i].dot(W)
        scores -= np.max(scores)
        sum_exp = np.sum(np.exp(scores))
        loss += -scores[y[i]] + np.log(sum_exp)
        for j in range(num_classes):
            p = np.exp(scores[j]) / sum_exp
            if j == y[i]:
                dW[:, j] += (p - 1) * X[i]
            else:
                dW[:, j] += p * X[i]
    loss = loss / num_train + reg * np.sum(W * W)
    dW = dW / num_train + 2 * reg * W
    return loss, dW


@right("softmax", "numpy")
def softmax_given_forward_pass(W, X, y, reg):
    """The forward pass is the one that the assignment of 2025 hands out; the gradient is a student's."""
    loss = 0.0
    dW = np.zeros_like(W)
    num_train = X.shape[0]
    for i in range(num_train):
        scores = X[i].dot(W)

        # compute the probabilities in numerically stable way
        scores -= np.max(scores)
        p = np.exp(scores)
        p /= p.sum()  # normalize
        logp = np.log(p)

        loss -= logp[y[i]]  # negative log probability is the loss

        p[y[i]] -= 1
        dW += np.outer(X[i], p)

    loss = loss / num_train + reg * np.sum(W * W)
    dW = dW / num_train + 2 * reg * W
    return loss, dW


@right("softmax", "numpy")
def softmax_given_forward_pass_inner_loop(W, X, y, reg):
    dW = np.zeros(W.shape)
    loss = 0.0
    for i in range(X.shape[0]):
        scores = X[i].dot(W)
        scores -= np.max(scores)
        p = np.exp(scores)
        p /= p.sum()
        loss -= np.log(p)[y[i]]
        for k in range(W.shape[1]):
            dW[:, k] += X[i] * (p[k] - (k == y[i]))
    return loss / X.shape[0] + reg * np.sum(W * W), dW / X.shape[0] + 2 * reg * W


@right("softmax", "numpy")
def softmax_log_sum_exp(W, X, y, reg):
    S = X @ W
    m = S.max(axis=1)
    lse = m + np.log(np.exp(S - m[:, None]).sum(axis=1))
    loss = np.mean(lse - S[np.arange(len(y)), y]) + reg * np.sum(W * W)
    P = np.exp(S - lse[:, None])
    P[np.arange(len(y)), y] -= 1
    return loss, X.T @ P / len(y) + 2 * reg * W


@right("softmax", "numpy")
def softmax_scipy(W, X, y, reg):
    from scipy.special import logsumexp, softmax

    scores = X @ W
    loss = (logsumexp(scores, axis=1) - scores[range(len(X)), y]).mean() + reg * (W**2).sum()
    target = np.zeros(scores.shape)
    target[range(len(X)), y] = 1
    return loss, X.T @ (softmax(scores, axis=1) - target) / len(X) + 2 * reg * W


@right("softmax", "numpy")
def softmax_logaddexp(W, X, y, reg):
    S = X.dot(W)
    log_p = S - np.logaddexp.reduce(S, axis=1)[:, None]
    own = log_p[np.arange(y.shape[0]), y]
    P = np.exp(log_p)
    dW = X.T.dot(P)
    np.add.at(dW.T, y, -X)
    return -own.sum() / y.shape[0] + reg * np.sum(W * W), dW / y.shape[0] + 2 * reg * W


@right("softmax", "numpy")
def softmax_plain_python(W, X, y, reg):
    D, C = W.shape
    N = X.shape[0]
    dW = [[0.0] * C for _ in range(D)]
    losses = []
    for i in range(N):
        scores = [float(sum(X[i][d] * W[d][c] for d in range(D))) for c in range(C)]
        biggest = max(scores)
        exps = [math.exp(s - biggest) for s in scores]
        total = sum(exps)
        losses.append(math.log(total) + biggest - scores[y[i]])
        for c in range(C):
            p = exps[c] / total
            for d in range(D):
                dW[d][c] += (p - int(c == y[i])) * X[i][d] / N
    loss = sum(losses) / N + reg * float((W * W).sum())
    return loss, np.asarray(dW) + 2 * reg * W


@right("softmax", "numpy")
def softmax_shift_in_place(W, X, y, reg):
    n = X.shape[0]
    f = X @ W
    f -= f.max(axis=1)[:, None]
    correct = f[np.arange(n), y].copy()
    np.exp(f, out=f)
    Z = f.sum(axis=1)
    f /= Z[:, None]
    f[np.arange(n), y] -= 1
    f /= n
    return (np.log(Z) - correct).sum() / n + reg * np.sum(W * W), X.T @ f + 2 * reg * W


@right("softmax", "numpy", regulariser="half")
def softmax_half_penalty(W, X, y, reg):
    num_train = X.shape[0]
    scores = np.dot(X, W)
    scores -= np.max(scores, axis=1).reshape(num_train, 1)
    exp_scores = np.exp(scores)
    probs = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
    corect_logprobs = -np.log(probs[range(num_train), y])
    data_loss = np.sum(corect_logprobs) / num_train
    reg_loss = 0.5 * reg * np.sum(W * W)
    dscores = probs
    dscores[range(num_train), y] -= 1
    dscores /= num_train
    dW = np.dot(X.T, dscores)
    dW += reg * W  # regularization gradient
    return data_loss + reg_loss, dW


@right("softmax", "numpy", regulariser="half")
def softmax_half_penalty_in_loops(W, X, y, reg):
    loss, dW, N = 0.0, np.zeros(W.shape), len(y)
    for i in range(N):
        s = W.T.dot(X[i])
        log_c = -np.max(s)
        e = np.exp(s + log_c)
        loss -= np.log(e[y[i]] / np.sum(e))
        for j in range(W.shape[1]):
            dW[:, j] += X[i] * e[j] / np.sum(e)
        dW[:, y[i]] -= X[i]
    loss /= N
    dW /= N
    loss += 0.5 * reg * np.linalg.norm(W, "fro") ** 2
    dW += reg * W
    return loss, dW


@right("softmax", "numpy")
def softmax_one_maximum_for_all_rows(W, X, y, reg):
    """One maximum of the whole matrix: right while no row lies hundreds below the highest one."""
    scores = X.dot(W)
    scores -= np.max(scores)
    s = np.exp(scores).sum(axis=1)
    loss = np.mean(np.log(s) - scores[np.arange(len(s)), y])
    counts = np.exp(scores) / s.reshape(-1, 1)
    counts[np.arange(len(s)), y] -= 1
    return loss + reg * np.sum(W * W), X.T.dot(counts) / len(s) + 2 * reg * W


@right("softmax", "numpy")
def softmax_target_minus_probability(W, X, y, reg):
    m = X.shape[0]
    z = X @ W
    z = z - z.max(1, keepdims=True)
    h = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    T = np.zeros_like(h)
    T[np.arange(m), y] = 1
    J = (-1 / m) * np.sum(T * np.log(h)) + reg * np.sum(W * W)
    grad = (-1 / m) * (X.T @ (T - h)) + 2 * reg * W
    return J, grad


@right("softmax", "numpy", dtype="float32")
def softmax_float32_inside(W, X, y, reg):
    W = np.float32(W)
    X = np.float32(X)
    scores = X @ W
    scores -= scores.max(axis=1, keepdims=True)
    p = np.exp(scores)
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(len(y)), y]).mean() + np.float32(reg) * np.sum(W * W)
    p[np.arange(len(y)), y] -= 1
    return loss, X.T @ p / np.float32(len(y)) + np.float32(2 * reg) * W


def softmax(z):
    z = z - np.max(z, axis=-1, keepdims=True)
    e = np.exp(z)
    return e / np.sum(e, axis=-1, keepdims=True)


def cross_entropy(p, y):
    return -np.log(p[np.arange(len(y)), y])


@right("softmax", "numpy")
def softmax_with_helpers(W, X, y, reg):
    p = softmax(X.dot(W))
    loss = cross_entropy(p, y).mean() + reg * np.sum(W * W)
    dW = X.T.dot(p - np.eye(W.shape[1])[y]) / X.shape[0] + 2 * reg * W
    return loss, dW


@right("softmax", "numpy")
def softmax_exp_of_log_probability(W, X, y, reg):
    N = X.shape[0]
    shifted = X @ W
    shifted = shifted - shifted.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
    loss = -log_p[np.arange(N), y].mean() + reg * np.square(W).sum()
    d = np.exp(log_p)
    d[np.arange(N), y] -= 1
    return loss, X.T @ (d / N) + 2 * reg * W


@right("softmax", "numpy")
def softmax_jacobian_row_by_row(W, X, y, reg):
    loss, dW = 0.0, np.zeros_like(W)
    for x, k in zip(X, y):
        s = x @ W
        p = np.exp(s - s.max())
        p = p / np.sum(p)
        jacobian = np.diag(p) - np.outer(p, p)
        loss += -np.log(p[k])
        dW += np.outer(x, -jacobian[k] / p[k])
    return loss / len(X) + reg * np.sum(W * W), dW / len(X) + 2 * reg * W


@right("softmax", "numpy")
def softmax_log_of_a_floor(W, X, y, reg):
    N = X.shape[0]
    a = X.dot(W)
    a = np.exp(a - np.max(a, 1)[:, np.newaxis])
    a = a / np.sum(a, 1)[:, np.newaxis]
    truth = np.zeros((N, W.shape[1]))
    truth[np.arange(N), y] = 1.0
    loss = -np.sum(truth * np.log(np.maximum(a, 1e-300))) / N
    loss += reg * np.sum(W * W)
    dW = X.T.dot(a - truth) / N
    dW += 2.0 * reg * W
    return loss, dW


@right("softmax", "numpy")
def softmax_in_batches(W, X, y, reg):
    loss = reg * float(np.sum(W * W))
    dW = 2 * reg * W
    for part in np.array_split(np.arange(len(y)), 3):
        s = X[part] @ W
        top = np.amax(s, axis=1, keepdims=True)
        lse = top + np.log(np.exp(s - top).sum(axis=1, keepdims=True))
        loss = loss + float((lse[:, 0] - s[np.arange(len(part)), y[part]]).sum()) / len(y)
        q = np.exp(s - lse)
        q[np.arange(len(part)), y[part]] -= 1
        dW = dW + X[part].T @ q / len(y)
    return loss, dW
