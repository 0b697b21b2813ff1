"""Losses with a known slip: the value and the score gradient that it leads to."""

from collections.abc import Iterator

import numpy as np

from straightedge.gradcheck.mistakes import mistake
from straightedge.gradcheck.reference import (
    SCORE_GRADIENTS,
    VALUES,
    Floats,
    Labels,
    balanced,
    margins,
    one_hot,
    probabilities,
)
from straightedge.gradcheck.report import Diagnosis

Found = tuple[Diagnosis, ...]
# Margins that students write: forgotten, a half, and the Δ of other courses' examples.
USUAL_DELTAS = (0.0, 0.5, 2.0, 5.0, 10.0, 100.0)


def wrong_margin(delta: float) -> Diagnosis:
    """Return the diagnosis of a margin that is not 1."""
    return mistake("wrong-margin", delta=delta) if delta else mistake("margin-one-missing")


def value_slips(name: str, S: Floats, y: Labels, delta: float | None) -> Iterator[tuple[Found, float]]:
    """Yield the values of a loss of the notes with no slip, then with one, always in the same order.

    Args:
        name: ``svm`` or ``softmax``.
        S: (N, C) scores.
        y: (N,) labels.
        delta: A margin beside the usual ones to be tried for the SVM.
    """
    yield (), VALUES[name](S, y)
    yield from (_svm_values(S, y, delta) if name == "svm" else _softmax_values(S, y))
    for labels in wrong_labels(S, y):
        yield (mistake("class-index"),), VALUES[name](S, labels)


def _svm_values(S: Floats, y: Labels, delta: float | None) -> Iterator[tuple[Found, float]]:
    Z, n_samples = margins(S, y), len(y)
    yield (mistake("right-class-counted"),), float(np.maximum(Z, 0).sum() / n_samples) + 1
    yield (mistake("no-maximum-with-zero"),), float(Z.sum() / n_samples)
    yield (mistake("squared-hinge"),), float((np.maximum(Z, 0) ** 2).sum() / n_samples)
    for other in deltas(delta):
        yield (wrong_margin(other),), margin_value(S, y, other)
    both = (mistake("no-maximum-with-zero"), mistake("right-class-counted"))
    yield both, float(Z.sum() / n_samples) + 1


def _softmax_values(S: Floats, y: Labels) -> Iterator[tuple[Found, float]]:
    own = probabilities(S)[np.arange(len(y)), y]
    yield (mistake("log-missing"),), -float(own.mean())
    yield (mistake("log-missing"),), float((1 - own).mean())


def deltas(found: float | None) -> tuple[float, ...]:
    """Return the margins to be tried, the one found by the value last."""
    return USUAL_DELTAS if found is None else (*USUAL_DELTAS, found)


def margin_value(S: Floats, y: Labels, delta: float) -> float:
    """Return the SVM loss with another Δ."""
    return float(np.maximum(margins(S, y, delta), 0).sum() / len(y))


def margin_of(value: float, S: Floats, y: Labels) -> float | None:
    """Return the Δ at which the SVM loss of scores S (N, C) is ``value`` > 0, by bisection: it grows with Δ."""
    reach = float(np.abs(margins(S, y, 0.0)).max()) + abs(value) + 1.0
    low, high = -reach, reach
    if not margin_value(S, y, low) < value < margin_value(S, y, high):
        return None
    for _ in range(100):  # halves the interval to float64's last digit
        middle = (low + high) / 2
        low, high = (middle, high) if margin_value(S, y, middle) < value else (low, middle)
    return high


def gradient_slips(name: str, S: Floats, y: Labels, delta: float | None) -> Iterator[tuple[Found, Floats]]:
    """Yield score gradients (N, C) with no slip, then with one, always in the same order; see `value_slips`."""
    A = SCORE_GRADIENTS[name](S, y)
    yield (), A
    yield from (_svm_gradients(S, y, delta) if name == "svm" else _softmax_gradients(S, y))
    for labels in wrong_labels(S, y):
        yield (mistake("class-index"),), SCORE_GRADIENTS[name](S, labels)
    own_share = len(y) / np.bincount(y, minlength=S.shape[1])[y]
    yield (mistake("one-over-n-per-class"),), A * own_share[:, None]


def _svm_gradients(S: Floats, y: Labels, delta: float | None) -> Iterator[tuple[Found, Floats]]:
    A, opened = SCORE_GRADIENTS["svm"](S, y), np.maximum(margins(S, y), 0)
    for detail, column in _right_class_columns(A, y):
        yield (mistake(detail),), _with_right_class(A, y, column)
    yield (mistake("squared-hinge-in-gradient"),), balanced(2 * opened, y)
    yield (mistake("mask-margins"),), balanced(opened, y)
    yield (mistake("no-maximum-with-zero"),), balanced(np.ones_like(S), y)
    for other in deltas(delta):
        yield (wrong_margin(other),), balanced((margins(S, y, other) > 0).astype(np.float64), y)
    for labels in wrong_labels(S, y):
        yield (mistake("class-index"),), _moved_right_class(A, y, labels)


def _right_class_columns(A: Floats, y: Labels) -> Iterator[tuple[str, Floats]]:
    """What else than minus the row's count may stand on the right class."""
    count = -A[np.arange(len(y)), y]
    ones = np.ones_like(count)
    yield "mask-count", -ones
    yield "mask-count", -(count > 0).astype(np.float64)
    yield "mask-count", ones - A.shape[1]
    yield "mask-count-missing", 0 * ones
    yield "mask-count-missing", ones
    yield "mask-count-sign", count
    yield "mask-right-class", -count - 1
    yield "count-over-whole-matrix", -ones * count.sum()
    yield "count-over-whole-matrix", -ones * (count.sum() + len(y))
    yield "count-over-whole-matrix", -np.cumsum(count)
    yield "count-over-samples", -(A > 0).sum(axis=0)[y].astype(np.float64)


def _softmax_gradients(S: Floats, y: Labels) -> Iterator[tuple[Found, Floats]]:
    P, Y = probabilities(S), one_hot(S, y)
    own = (P * Y).sum(axis=1, keepdims=True)
    yield (mistake("minus-one-missing"),), P
    yield (mistake("minus-one-sign"),), P + Y
    yield (mistake("minus-one-everywhere"),), P - 1
    yield (mistake("other-classes-missing"),), (P - Y) * Y
    slope = P * (1 - P)
    for A in (slope, slope * (1 - 2 * Y), own * (P - Y), P - Y * (P + slope), slope * (1 - Y) + (P - 1) * Y):
        yield (mistake("probability-times-one-minus"),), A
        yield (mistake("probability-times-one-minus"),), -A
    for shift in (0.0, S.max(axis=1, keepdims=True)):
        yield (mistake("not-normalised"),), np.exp(np.minimum(S - shift, 700)) - Y


def wrong_labels(S: Floats, y: Labels) -> list[Labels]:
    """Return the next and previous class, those of neighbouring samples, of the first one, and the best guess."""
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
