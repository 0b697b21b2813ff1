"""Names for what is wrong in the data term: its value and gradient against those that known mistakes give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from straightedge.gradcheck.function import LossUnderTest
from straightedge.gradcheck.mistakes import mistake, remark
from straightedge.gradcheck.reference import SCORE_GRADIENTS, VALUES, Floats, Labels, margins
from straightedge.gradcheck.report import Diagnosis, GradCheckRow

CLOSE = 1e-7
RIGHT = "right"
Change = Callable[[Floats], Floats]


def recognise(value: float, W: Floats, function: LossUnderTest) -> str | None:
    """Return the loss of the notes that has this value at W and reg = 0, right or with a known mistake."""
    for exactly in (True, False):
        for name in VALUES:
            variants = _value_variants(name, W, function)
            if _matching(value, {RIGHT: variants[RIGHT]} if exactly else variants):
                return name
    return None


def diagnose_data(
    name: str | None,
    expected: str | None,
    value: float,
    gradient: Floats,
    W: Floats,
    function: LossUnderTest,
    rows: Sequence[GradCheckRow],
) -> list[Diagnosis]:
    """Return the likely mistakes of the data term.

    Args:
        name: The loss it is, if known.
        expected: The loss that the caller says it is.
        value: Loss at W and reg = 0.
        gradient: dW there, (D, C).
        W: (D, C).
        function: The function under test, for X and y.
        rows: The rows of the data term.
    """
    if name is None:
        unknown = mistake("value-differs") if expected else remark("unknown-loss")
        return [unknown, *_by_ratio(rows, len(function.y))]
    code = _matching(value, _value_variants(name, W, function))
    found = _name_value(code)
    has_wrong_rows = any(row.verdict == "mistake" for row in rows)
    if code in (RIGHT, "class-mean") or has_wrong_rows:
        scale = W.shape[1] if code == "class-mean" else 1
        found += _name_gradient(name, scale * gradient, W, function, rows)
    return list(dict.fromkeys(found))


def _name_value(code: str | None) -> list[Diagnosis]:
    if code == RIGHT:
        return []
    if code == "class-mean":
        return [remark(code)]
    return [mistake(code or "value-differs")]


def _name_gradient(
    name: str, gradient: Floats, W: Floats, function: LossUnderTest, rows: Sequence[GradCheckRow]
) -> list[Diagnosis]:
    for codes, candidate in _gradient_variants(name, W, function):
        if np.linalg.norm(gradient - candidate) <= CLOSE * np.linalg.norm(candidate):
            return [mistake(code) for code in codes]
    if any(row.verdict == "mistake" for row in rows):
        return _by_ratio(rows, len(function.y))
    return [] if _has_ties(function.X @ W, function.y) else [mistake("gradient-differs")]


def _by_ratio(rows: Sequence[GradCheckRow], n_samples: int) -> list[Diagnosis]:
    """Without the formula at hand: one factor between analytic and numeric in every row has a name."""
    wrong = [row for row in rows if row.verdict == "mistake" and row.numeric]
    if not wrong:
        return []
    if all(row.is_bias == (row.verdict == "mistake") or not row.numeric for row in rows):
        return [mistake("bias-row")] if all(row.analytic == 0 for row in wrong) else []
    ratios = np.array([row.analytic / row.numeric for row in wrong])
    factors = {
        "sign": -1.0,
        "gradient-missing": 0.0,
        "mean-missing": n_samples,
        "mean-twice": 1 / n_samples,
        "factor": 2.0,
    }
    names = [code for code, factor in factors.items() if np.allclose(ratios, factor, rtol=1e-4, atol=1e-12)]
    return [mistake(names[0])] if names else []


def _value_variants(name: str, W: Floats, function: LossUnderTest) -> dict[str, list[float]]:
    """Values at reg = 0 by code, the right one first."""
    S, y = function.X @ W, function.y
    n_samples, n_classes = S.shape
    value = VALUES[name](S, y)
    variants = {
        RIGHT: [value],
        "loss-mean-missing": [value * n_samples],
        "loss-mean-twice": [value / n_samples],
        "loss-sign": [-value],
        "reg-added": [value + float(np.sum(W * W))],
        "class-index": [VALUES[name](S, labels) for labels in _wrong_labels(S, y)],
    }
    if name == "svm":
        variants["class-mean"] = [value / n_classes]
        variants["right-class-counted"] = [value + 1]
        variants["margin-one-missing"] = [float(np.maximum(_without_one(S, y), 0).sum() / n_samples)]
    return variants


def _matching(value: float, variants: dict[str, list[float]]) -> str | None:
    for code, values in variants.items():
        if any(abs(value - one) <= CLOSE * abs(one) for one in values):
            return code
    return None


def _gradient_variants(name: str, W: Floats, function: LossUnderTest) -> Iterator[tuple[list[str], Floats]]:
    """Gradients at reg = 0 with the codes of the mistakes in them: none first, then one, then two."""
    X, S, y = function.X, function.X @ W, function.y
    gradients = [([], SCORE_GRADIENTS[name](S, y)), *(([code], A) for code, A in VARIANTS[name](S, y))]
    changes = _changes(W, len(y))
    for codes, A in gradients:
        G = X.T @ A / len(y)
        yield codes, G
        for code, change in changes:
            yield [*codes, code], change(G)


def _changes(W: Floats, n_samples: int) -> list[tuple[str, Change]]:
    """What can go wrong after XᵀA / N, whatever the loss."""
    changes: list[tuple[str, Change]] = [
        ("mean-missing", lambda G: G * n_samples),
        ("mean-twice", lambda G: G / n_samples),
        ("sign", lambda G: -G),
        ("factor", lambda G: G * 2),
        ("factor", lambda G: G / 2),
        ("gradient-missing", lambda G: G * 0),
        ("bias-row", lambda G: np.vstack([G[:-1], np.zeros_like(G[:1])])),
        ("regulariser-without-reg", lambda G: G + 2 * W),
    ]
    if W.shape[0] == W.shape[1]:
        changes.append(("transposed", lambda G: G.T))
    return changes


def _svm_variants(S: Floats, y: Labels) -> Iterator[tuple[str, Floats]]:
    sample, Z = np.arange(len(y)), margins(S, y)
    A = SCORE_GRADIENTS["svm"](S, y)
    count = -A[sample, y]
    on_the_right_class = {
        "mask-count": (-np.ones_like(count), np.full_like(count, 1 - S.shape[1])),
        "mask-count-missing": (np.zeros_like(count), np.ones_like(count)),
        "mask-count-sign": (count,),
        "mask-right-class": (-count - 1,),
    }
    for code, columns in on_the_right_class.items():
        for column in columns:
            yield code, _with_right_class(A, y, column)
    opened = np.maximum(Z, 0)
    yield "mask-margins", _with_right_class(opened, y, -opened.sum(axis=1))
    mask = (_without_one(S, y) > 0).astype(np.float64)
    yield "margin-one-missing", _with_right_class(mask, y, -mask.sum(axis=1))
    for labels in _wrong_labels(S, y):
        yield "class-index", SCORE_GRADIENTS["svm"](S, labels)
        yield "class-index", _moved_right_class(A, y, labels)


def _softmax_variants(S: Floats, y: Labels) -> Iterator[tuple[str, Floats]]:
    A = SCORE_GRADIENTS["softmax"](S, y)
    Y = np.zeros_like(A)
    Y[np.arange(len(y)), y] = 1
    yield "minus-one-missing", A + Y
    yield "minus-one-sign", A + 2 * Y
    yield "minus-one-everywhere", A + Y - 1
    yield "other-classes-missing", A * Y
    for shift in (0.0, S.max(axis=1, keepdims=True)):
        yield "not-normalised", np.exp(np.minimum(S - shift, 700)) - Y
    for labels in _wrong_labels(S, y):
        yield "class-index", SCORE_GRADIENTS["softmax"](S, labels)


def _wrong_labels(S: Floats, y: Labels) -> list[Labels]:
    """The next and previous class, those of neighbouring samples, of the first one, and the best guess."""
    n_classes = S.shape[1]
    shifted = [(y + 1) % n_classes, (y - 1) % n_classes, np.roll(y, 1), np.roll(y, -1)]
    return [*shifted, np.full_like(y, y[0]), S.argmax(axis=1), np.zeros_like(y)]


def _with_right_class(A: Floats, y: Labels, column: Floats) -> Floats:
    changed = A.copy()
    changed[np.arange(len(y)), y] = column
    return changed


def _moved_right_class(A: Floats, y: Labels, labels: Labels) -> Floats:
    """The count is taken from another class than the right one."""
    sample = np.arange(len(y))
    moved = _with_right_class(A, y, np.zeros(len(y)))
    moved[sample, labels] += A[sample, y]
    return moved


def _without_one(S: Floats, y: Labels) -> Floats:
    return S - S[np.arange(len(y)), y][:, None]


def _has_ties(S: Floats, y: Labels) -> bool:
    """A margin of exactly 0: any subgradient is right there, so gradients may differ."""
    away = np.abs(_without_one(S, y) + 1)
    return bool((away < 1e-12).any())


VARIANTS = {"svm": _svm_variants, "softmax": _softmax_variants}
