"""Mistakes planted in the losses of the notes, each with the codes that the gradient check must name.

Every function is what a student might hand in: NumPy, ``(W, X, y, reg) -> (loss, dW)``, right but for one slip.
"""

import numpy as np


def parts(W, X, y):
    S = X @ W
    sample = np.arange(len(y))
    return S, sample, len(y)


def svm(W, X, y, reg):
    S, sample, n_samples = parts(W, X, y)
    margin = np.maximum(0, S - S[sample, y][:, None] + 1)
    margin[sample, y] = 0
    mask = (margin > 0).astype(float)
    mask[sample, y] = -mask.sum(axis=1)
    return margin.sum() / n_samples + reg * np.sum(W * W), X.T @ mask / n_samples + 2 * reg * W


def softmax(W, X, y, reg):
    S, sample, n_samples = parts(W, X, y)
    S = S - S.max(axis=1, keepdims=True)
    P = np.exp(S)
    loss = (np.log(P.sum(axis=1)) - S[sample, y]).mean()
    P /= P.sum(axis=1, keepdims=True)
    P[sample, y] -= 1
    return loss + reg * np.sum(W * W), X.T @ P / n_samples + 2 * reg * W


def data(right, change_loss=None, change_gradient=None):
    """Plant a mistake in the data term of `right`; the changes get the value and what is known."""

    def wrong(W, X, y, reg):
        loss, dW = right(W, X, y, 0.0)
        loss = loss if change_loss is None else change_loss(loss, W, X, y)
        dW = dW if change_gradient is None else change_gradient(dW, W, X, y)
        return loss + reg * np.sum(W * W), dW + 2 * reg * W

    return wrong


def regulariser(right, value, gradient):
    """Plant a mistake in the regulariser of `right`."""

    def wrong(W, X, y, reg):
        loss, dW = right(W, X, y, 0.0)
        return value(loss, W, reg), gradient(dW, W, reg, len(y))

    return wrong


def square(loss, W, reg):
    return loss + reg * np.sum(W * W)


def without_bias(dW, W, reg, n_samples):
    dW[:-1] += 2 * reg * W[:-1]
    return dW


def svm_mask(change):
    """The SVM whose mask on the right class is what `change` makes of (mask, margins, sample, y)."""

    def gradient(dW, W, X, y):
        S, sample, n_samples = parts(W, X, y)
        margin = S - S[sample, y][:, None] + 1
        margin[sample, y] = 0
        mask = (margin > 0).astype(float)
        return X.T @ change(mask, np.maximum(margin, 0), sample, y) / n_samples

    return data(svm, change_gradient=gradient)


def put(mask, sample, columns, values):
    mask[sample, columns] = values
    return mask


def of_margins(mask, margin, sample, y):
    return put(margin, sample, y, -margin.sum(axis=1))


def no_maximum(W, X, y, reg):
    S, sample, n_samples = parts(W, X, y)
    P = np.exp(S) / np.exp(S).sum(axis=1, keepdims=True)
    loss = -np.log(P[sample, y]).mean()
    P[sample, y] -= 1
    return loss + reg * np.sum(W * W), X.T @ P / n_samples + 2 * reg * W


def softmax_gradient(make):
    """The softmax whose score gradient is what `make` makes of (P, Y)."""

    def gradient(dW, W, X, y):
        S, sample, n_samples = parts(W, X, y)
        P = np.exp(S - S.max(axis=1, keepdims=True))
        P /= P.sum(axis=1, keepdims=True)
        Y = np.zeros_like(P)
        Y[sample, y] = 1
        return X.T @ make(P, Y) / n_samples

    return data(softmax, change_gradient=gradient)


def next_class(right):
    def wrong(W, X, y, reg):
        return right(W, X, (y + 1) % W.shape[1], reg)

    return wrong


def gradient_of_next_class(right):
    return data(right, change_gradient=lambda dW, W, X, y: right(W, X, (y + 1) % W.shape[1], 0.0)[1])


def in_place(W, X, y, reg):
    answer = svm(W, X, y, reg)
    W -= 0.1 * answer[1]
    return answer


def no_bias_row(dW, W, X, y):
    dW[-1] = 0
    return dW


def table():
    """Yield (name of the mistake, loss of the notes it is in, function, codes it must get)."""
    shared = {
        "regulariser missing": (lambda right: lambda W, X, y, reg: right(W, X, y, 0.0), {"regulariser-missing"}),
        "regulariser missing in dW": (
            lambda right: regulariser(right, square, lambda dW, W, reg, n: dW),
            {"regulariser-missing-in-gradient"},
        ),
        "regulariser missing in the loss": (
            lambda right: regulariser(right, lambda loss, W, reg: loss, lambda dW, W, reg, n: dW + 2 * reg * W),
            {"regulariser-missing-in-loss"},
        ),
        "2 of the regulariser missing": (
            lambda right: regulariser(right, square, lambda dW, W, reg, n: dW + reg * W),
            {"regulariser-two-missing"},
        ),
        "regulariser with a minus": (
            lambda right: regulariser(right, square, lambda dW, W, reg, n: dW - 2 * reg * W),
            {"regulariser-sign"},
        ),
        "2 * W without reg": (
            lambda right: regulariser(right, square, lambda dW, W, reg, n: dW + 2 * W),
            {"regulariser-without-reg"},
        ),
        "regulariser divided by N": (
            lambda right: regulariser(right, square, lambda dW, W, reg, n: dW + 2 * reg * W / n),
            {"regulariser-divided"},
        ),
        "regulariser without the bias row in dW": (
            lambda right: regulariser(right, square, without_bias),
            {"regulariser-bias-row"},
        ),
        "reg + sum(W*W), as the scan reads": (
            lambda right: regulariser(
                right, lambda loss, W, reg: loss + reg + np.sum(W * W), lambda dW, W, reg, n: dW + 2 * reg * W
            ),
            {"reg-added"},
        ),
        "1/N missing in dW": (
            lambda right: data(right, change_gradient=lambda dW, W, X, y: dW * len(y)),
            {"mean-missing"},
        ),
        "1/N missing in the loss": (
            lambda right: data(right, change_loss=lambda loss, W, X, y: loss * len(y)),
            {"loss-mean-missing"},
        ),
        "1/N missing in both": (
            lambda right: data(right, lambda loss, W, X, y: loss * len(y), lambda dW, W, X, y: dW * len(y)),
            {"loss-mean-missing", "mean-missing"},
        ),
        "1/N twice in dW": (
            lambda right: data(right, change_gradient=lambda dW, W, X, y: dW / len(y)),
            {"mean-twice"},
        ),
        "sign of dW": (lambda right: data(right, change_gradient=lambda dW, W, X, y: -dW), {"sign"}),
        "sign of the loss": (lambda right: data(right, change_loss=lambda loss, W, X, y: -loss), {"loss-sign"}),
        "bias row left out of dW": (lambda right: data(right, change_gradient=no_bias_row), {"bias-row"}),
        "transposed dW": (
            lambda right: lambda W, X, y, reg: (right(W, X, y, reg)[0], right(W, X, y, reg)[1].T),
            {"transposed"},
        ),
        "wrong class index in loss and dW": (next_class, {"class-index"}),
        "wrong class index in dW": (gradient_of_next_class, {"class-index"}),
    }
    for name, (plant, codes) in shared.items():
        yield name, "svm", plant(svm), codes
        yield name, "softmax", plant(softmax), codes
    yield (
        "margin of the right class counted",
        "svm",
        data(svm, change_loss=lambda loss, W, X, y: loss + 1),
        {"right-class-counted"},
    )
    masks = {
        "mask −1 and not minus the count": (lambda m, z, i, y: put(m, i, y, -1), "mask-count"),
        "mask 0 on the right class": (lambda m, z, i, y: m, "mask-count-missing"),
        "mask plus the count": (lambda m, z, i, y: put(m, i, y, m.sum(axis=1)), "mask-count-sign"),
        "mask counts the right class": (lambda m, z, i, y: put(m, i, y, -m.sum(axis=1) - 1), "mask-right-class"),
        "mask holds the margins": (of_margins, "mask-margins"),
    }
    for name, (change, code) in masks.items():
        yield name, "svm", svm_mask(change), {code}
    yield "maximum not subtracted", "softmax", no_maximum, {"maximum-not-subtracted"}
    made = {
        "−1 of the right class missing": (lambda P, Y: P, "minus-one-missing"),
        "p + 1 on the right class": (lambda P, Y: P + Y, "minus-one-sign"),
        "−1 in every class": (lambda P, Y: P - 1, "minus-one-everywhere"),
        "only the right class": (lambda P, Y: (P - Y) * Y, "other-classes-missing"),
    }
    for name, (make, code) in made.items():
        yield name, "softmax", softmax_gradient(make), {code}
    yield "W changed in place", "svm", in_place, {"argument-changed"}
