"""Plain loops in float64 that judge the student functions: the right answer and each mistake's answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from support.student_functions import StudentFunction

Outcome = tuple[float, np.ndarray]  # a value and a gradient


@dataclass(frozen=True)
class Case:
    W: np.ndarray
    X: np.ndarray
    y: np.ndarray
    reg: float


def _draw(N: int, D: int, C: int, *, weights: float, data: float, reg: float = 0.1, seed: int = 3) -> Case:
    """Every class has a row where N ≥ C; the last column of X is the constant 1, times the data's scale."""
    rng = np.random.default_rng(seed)
    X = data * np.hstack([rng.standard_normal((N, D - 1)), np.ones((N, 1))])
    return Case(weights * rng.standard_normal((D, C)), X, rng.permutation(np.arange(N) % C), reg)


def _high_scores() -> Case:
    """All scores lie 10,000 higher; no penalty, as its value would drown the loss."""
    case = _draw(11, 6, 4, weights=1.0, data=1.0, reg=0.0)
    W = case.W.copy()
    W[-1] += 1e4
    return replace(case, W=W)


ORDINARY = _draw(11, 6, 4, weights=1.0, data=1.0)
CASES = {
    "ordinary": ORDINARY,
    "no penalty": replace(ORDINARY, reg=0.0),
    "strong penalty": replace(ORDINARY, reg=1e3),
    "weights of 1e-6": _draw(12, 5, 3, weights=1e-6, data=1.0),
    "weights of 1e-3 and pixels": _draw(12, 7, 10, weights=1e-3, data=100.0, reg=5e-6),
    "data of 1e-4": _draw(9, 4, 3, weights=1.0, data=1e-4),
    "weights of zero": _draw(9, 4, 3, weights=0.0, data=1.0),
    "two classes": _draw(8, 3, 2, weights=1.0, data=1.0),
    "one row": _draw(1, 4, 3, weights=1.0, data=1.0),
    "scores 1e4 higher": _high_scores(),
}


def _row_loss(kind: str, scores: list[float], label: int, delta: float, power: int) -> tuple[float, np.ndarray]:
    """Loss of one row and its derivative by the scores."""
    derivative = np.zeros(len(scores))
    if kind == "softmax":
        exponentials = np.array([np.exp(score - max(scores)) for score in scores])
        derivative = exponentials / exponentials.sum()
        derivative[label] -= 1
        return float(np.log(exponentials.sum()) + max(scores) - scores[label]), derivative
    loss = 0.0
    for c, score in enumerate(scores):
        margin = score - scores[label] + delta
        if c != label and margin > 0:
            loss += margin**power
            derivative[c] += power * margin ** (power - 1)
            derivative[label] -= power * margin ** (power - 1)
    return loss, derivative


def score_gradients(kind: str, case: Case, delta: float = 1.0, power: int = 1) -> tuple[float, np.ndarray]:
    """The mean loss and, row by row, the derivative of each row's own loss by its scores."""
    rows = [
        _row_loss(kind, [float(s) for s in x @ case.W], int(label), delta, power)
        for x, label in zip(case.X, case.y, strict=True)
    ]
    return sum(loss for loss, _ in rows) / len(rows), np.array([derivative for _, derivative in rows])


def unfold(case: Case, score_gradients: np.ndarray) -> np.ndarray:
    """The mean over the rows of X[i] ⊗ its score gradient."""
    products = (np.outer(x, a) for x, a in zip(case.X, score_gradients, strict=True))
    return sum(products, np.zeros(case.W.shape)) / len(case.y)


def _penalty(student: StudentFunction, case: Case) -> tuple[float, np.ndarray]:
    reg = case.reg / 2 if student.regulariser == "half" else case.reg
    return reg * float(np.sum(case.W**2)), 2 * reg * case.W


def right_outcome(student: StudentFunction, case: Case) -> Outcome:
    loss, A = score_gradients(student.kind, case)
    value, gradient = _penalty(student, case)
    return loss + value, unfold(case, A) + gradient


# Wrong values and gradients: each mistake says what must come out instead.


@dataclass(frozen=True)
class Parts:
    """What a mistake is described by: the mean loss L, its gradient G, the penalty R and its gradient P."""

    student: StudentFunction
    case: Case
    L: float
    G: np.ndarray
    A: np.ndarray
    R: float
    P: np.ndarray


def parts_of(student: StudentFunction, case: Case) -> Parts:
    L, A = score_gradients(student.kind, case)
    return Parts(student, case, L, unfold(case, A), A, *_penalty(student, case))


def _correct_class(parts: Parts, coefficients: Any) -> list[Outcome]:
    """The SVM with other coefficients for the correct class."""
    A = parts.A.copy()
    A[np.arange(len(A)), parts.case.y] = coefficients
    return [(parts.L + parts.R, unfold(parts.case, A) + parts.P)]


def _every_margin(parts: Parts) -> list[Outcome]:
    S, y = parts.case.X @ parts.case.W, parts.case.y
    own = np.eye(S.shape[1])[y]
    value = float(((S - S[own == 1][:, None] + 1) * (1 - own)).sum()) / len(y) + parts.R
    return [(value, unfold(parts.case, 1 - own * S.shape[1]) + parts.P), (value, parts.G + parts.P)]


def _other_margin(parts: Parts) -> list[Outcome]:
    found = [score_gradients("svm", parts.case, delta) for delta in (0.0, 0.5, 10.0)]
    return [(L + parts.R, unfold(parts.case, A) + parts.P) for L, A in found]


def _squared(parts: Parts) -> list[Outcome]:
    L, A = score_gradients("svm", parts.case, power=2)
    return [(L + parts.R, unfold(parts.case, A) + parts.P), (L + parts.R, parts.G + parts.P)]


def _own_counted(parts: Parts) -> list[Outcome]:
    """The value is Δ too high; the gradient is right or takes X[i] once too often."""
    value, own = parts.L + 1 + parts.R, np.eye(parts.A.shape[1])[parts.case.y]
    return [(value, parts.G + parts.P), (value, unfold(parts.case, parts.A - own) + parts.P)]


def _per_class(parts: Parts) -> list[Outcome]:
    counts = np.bincount(parts.case.y, minlength=parts.G.shape[1])
    return [(parts.L + parts.R, parts.G * len(parts.case.y) / counts + parts.P)]


def _times_one_minus(parts: Parts) -> list[Outcome]:
    """∂p_j/∂s_j for every class, the same with the correct class's sign turned, and ∂(−p_y)/∂s."""
    own = np.eye(parts.A.shape[1])[parts.case.y]
    p = parts.A + own
    p_own = (p * own).sum(axis=1, keepdims=True)
    slopes = [p * (1 - p), p * (1 - p) * (1 - 2 * own), p_own * (p - own)]
    return [(parts.L + parts.R, unfold(parts.case, slope) + parts.P) for slope in slopes]


def _absolute(parts: Parts) -> list[Outcome]:
    W, reg = parts.case.W, parts.case.reg
    value = parts.L + reg * float(np.abs(W).sum())
    return [(value, parts.G + reg * np.sign(W)), (value, parts.G + parts.P)]


def _sums(parts: Parts) -> list[Outcome]:
    N = len(parts.case.y)
    wholes = [(N, N), (1, N), (N, 1)]
    return [(v * parts.L + parts.R, g * parts.G + parts.P) for v, g in wholes]


def _over_classes(parts: Parts) -> list[Outcome]:
    C = parts.G.shape[1]
    return [(parts.L / C + parts.R, parts.G / by + parts.P) for by in (1, C)]


def _value(parts: Parts) -> float:
    return parts.L + parts.R


OUTCOMES: dict[str, Callable[[Parts], list[Outcome]]] = {
    "gradient-sign": lambda p: [(_value(p), -p.G + p.P), (_value(p), -p.G - p.P)],
    "missing-division-by-n": _sums,
    "missing-regulariser-gradient": lambda p: [(_value(p), p.G)],
    "missing-regulariser-value": lambda p: [(p.L, p.G + p.P)],
    "half-regulariser-gradient": lambda p: [(_value(p), p.G + p.case.reg * p.case.W)],
    "half-regulariser-value": lambda p: [(_value(p), p.G + 2 * p.case.reg * p.case.W)],
    "no-maximum-with-zero": _every_margin,
    "wrong-margin": _other_margin,
    "squared-hinge": _squared,
    "divided-by-classes": _over_classes,
    "correct-class-counted": _own_counted,
    "count-over-whole-matrix": lambda p: _correct_class(p, -(p.A == 1).sum()),
    "correct-class-gradient-missing": lambda p: _correct_class(p, 0),
    "correct-class-gradient-once": lambda p: [
        *_correct_class(p, -1),
        *_correct_class(p, -(p.A == 1).any(axis=1).astype(float)),
    ],
    "one-over-n-per-class": _per_class,
    "probability-times-one-minus": _times_one_minus,
    "missing-minus-one": lambda p: [(_value(p), unfold(p.case, p.A + np.eye(p.A.shape[1])[p.case.y]) + p.P)],
    "l1-penalty": _absolute,
}
