"""Two probes for stability: all scores of a row higher by the same, and scores far apart."""

import math

import numpy as np

from straightedge.gradcheck.data_term import DataTerm
from straightedge.gradcheck.function import LossUnderTest
from straightedge.gradcheck.mistakes import mistake, remark
from straightedge.gradcheck.reference import Floats, softmax_value
from straightedge.gradcheck.report import Diagnosis, Place, ValueRow

# exp overflows beyond 709 in float64 and beyond 88 in float32; a score of this size is beyond both.
LARGE_SCORE = 1e4
# Share by which a value may change when all scores move by LARGE_SCORE: float32's digits at 1e4 are 1e-3 apart.
OFFSET_TOLERANCE = 0.1


def diagnose_stability(
    term: DataTerm, function: LossUnderTest, W: Floats
) -> tuple[list[Diagnosis], list[ValueRow]]:
    """Return whether softmax subtracts the maximum and keeps the log of a rounded probability; the values, too.

    Args:
        term: What the loss is; the hinges have no exponentials to overflow.
        function: The function under test.
        W: (D, C) weights whose scores are about 1.
    """
    if term.name not in ("softmax", None):
        return [], []
    is_right = term.name == "softmax" and not term.value_slips  # else there is nothing to compare with
    rows = _at_offsets(function, W, is_right=is_right)
    if not all(row.is_ok for row in rows):
        return [mistake("maximum-not-subtracted")], rows
    return [remark("log-of-zero")] if _loses_the_log(function, W, is_right=is_right) else [], rows


def _at_offsets(function: LossUnderTest, W: Floats, *, is_right: bool) -> list[ValueRow]:
    """The value where every score is 1e4 higher or lower: the last column of X, a constant, carries it."""
    X = function.X
    if not (X[:, -1] == X[0, -1]).all() or X[0, -1] == 0:
        X = np.hstack([X[:, :-1], np.ones((len(X), 1))])
    before = function.attempt(W, X)[0]
    rows = []
    offsets: dict[Place, float] = {"scores + 1e4": LARGE_SCORE, "scores - 1e4": -LARGE_SCORE}
    for place, offset in offsets.items():
        moved = W.copy()
        moved[-1] += offset / X[0, -1]
        value, gradient = function.attempt(moved, X)
        is_same = abs(value - before) <= OFFSET_TOLERANCE * max(1.0, abs(before))
        is_ok = _is_finite(value, gradient) and (is_same or not is_right)
        rows.append(ValueRow(place, value, before if is_right else None, is_ok))
    return rows


def _loses_the_log(function: LossUnderTest, W: Floats, *, is_right: bool) -> bool:
    """Scores of up to ±1e4: the loss of a sample is as large, and finite."""
    spread = W * LARGE_SCORE / max(float(np.abs(function.X @ W).max()), 1e-30)
    value, gradient = function.attempt(spread)
    if not is_right or not _is_finite(value, gradient):
        return not _is_finite(value, gradient)
    right = softmax_value(function.X @ spread, function.y)
    return abs(value - right) > 1e-3 * max(1.0, right)


def _is_finite(value: float, gradient: Floats) -> bool:
    return math.isfinite(value) and bool(np.isfinite(gradient).all())
