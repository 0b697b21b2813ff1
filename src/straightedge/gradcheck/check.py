"""`check_gradient`: data term and regulariser apart, the bias row on purpose, mistakes by name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from straightedge.errors import InputError
from straightedge.gradcheck.data_term import diagnose_data, recognise
from straightedge.gradcheck.differences import EntryCheck
from straightedge.gradcheck.function import LossFunction, LossUnderTest, to_array
from straightedge.gradcheck.mistakes import mistake, wrong_shape
from straightedge.gradcheck.reference import VALUES, Floats
from straightedge.gradcheck.regulariser import diagnose_regulariser
from straightedge.gradcheck.report import Diagnosis, GradCheckReport, GradCheckRow, Part

Entry = tuple[int, int]
LARGE_SCORE = 1e4


def check_gradient(
    loss: LossFunction,
    W: Any,
    X: Any,
    y: Any,
    reg: float = 0.1,
    *,
    expected: str | None = None,
    entries: Sequence[Entry] | None = None,
    n_entries: int = 24,
    step: float = 1e-5,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> GradCheckReport:
    """Check the gradient of ``loss(W, X, y, reg) -> (loss, dW)`` by central differences: item ② of the notes.

    The data term is checked at W with reg = 0; the regulariser, what reg adds, at random weights where it
    does not drown in the data term. The function is called with float64 copies of the kind of X, torch (on
    X's device) or NumPy, so nothing of the caller's is changed.

    Args:
        loss: The function under test.
        W: (D, C) weights, the bias as last row.
        X: (N, D) samples, the last column 1.
        y: (N,) labels 0 to C − 1.
        reg: Weight of reg · ΣW²; the regulariser is checked at this size or larger.
        expected: ``svm`` or ``softmax`` when it should be that of the notes; None finds out by the value.
        entries: Entries (row, column) of W to check; None takes random ones, a quarter in the bias row.
        n_entries: How many random entries.
        step: How far h moves the largest score; the step in W is that over the largest |X| of the row.
        tolerance: Largest relative error of a right entry.
        seed: Seed of the entries and of the random weights.

    Returns:
        The report: `ok`, the rows, and the diagnosis with the likely mistakes by name.

    Raises:
        InputError: ``gradcheck-shapes``, ``gradcheck-numbers``, ``gradcheck-answer``, ``gradcheck-loss`` when
            the arguments cannot be checked.

    Numerics:
        All differences are taken in float64. An entry that fails is looked at again with a longer step and
        Richardson's extrapolation, because a small one can drown in rounding. Where the loss has a kink
        between W − hM and W + hM the quotient proves nothing: the entry is a ``kink`` if it lies between the
        slopes of both sides. For the SVM a kink is seen in the signs of the margins, otherwise in the bend.

    References:
        The notes, item ②; W. H. Press et al., Numerical Recipes, section 5.7.
    """
    weights = to_array(W).astype(np.float64)
    function = LossUnderTest(loss, X, y)
    _check_arguments(function, weights, reg, expected)
    generator = np.random.default_rng(seed)
    value, gradient = function(weights, 0.0)
    if gradient.shape != weights.shape:
        return GradCheckReport(expected, (), (wrong_shape(gradient.shape, weights.shape),))
    name = expected or recognise(value, weights, function)
    chosen = (
        list(entries) if entries is not None else _choose_entries(function.X, weights, n_entries, generator)
    )

    data_rows = _check_data(function, weights, name, chosen, step, tolerance)
    diagnosis = diagnose_data(name, expected, value, gradient, weights, function, data_rows)
    elsewhere = _moderate_weights(weights, function.X, generator)
    strength = _strength(reg, elsewhere)
    regulariser_rows, amount = _check_regulariser(function, elsewhere, strength, chosen, tolerance)
    if mistake("regulariser-without-reg") not in diagnosis:
        diagnosis += diagnose_regulariser(regulariser_rows, amount, elsewhere, strength, len(function.y))
    diagnosis += _watch(function, elsewhere)
    ordered = sorted(dict.fromkeys(diagnosis), key=lambda item: not item.is_mistake)
    return GradCheckReport(name, (*data_rows, *regulariser_rows), tuple(ordered))


def _check_data(
    function: LossUnderTest,
    W: Floats,
    name: str | None,
    entries: Sequence[Entry],
    step: float,
    tolerance: float,
) -> list[GradCheckRow]:
    """The mean loss alone, reg = 0."""
    here, gradient = function(W, 0.0)
    scores = (function.X, function.y) if name == "svm" else None
    largest = np.abs(function.X).max(axis=0)
    rows = []
    for entry in entries:
        reach = step / (float(largest[entry[0]]) or 1.0)
        check = EntryCheck(
            lambda V: function.value(V, 0.0), W, here, entry, reach, tolerance, scores, name == "softmax"
        )
        rows.append(_row("data", check, gradient))
    return rows


def _check_regulariser(
    function: LossUnderTest, W: Floats, reg: float, entries: Sequence[Entry], tolerance: float
) -> tuple[list[GradCheckRow], float]:
    """What reg adds to loss and gradient; also its amount at W."""

    def added(V: Floats) -> float:
        return function.value(V, reg) - function.value(V, 0.0)

    amount, gradient = added(W), function(W, reg)[1] - function(W, 0.0)[1]
    size = float(np.sqrt(np.mean(W**2)))  # the quotient of a square is exact for any h; this one fits W
    checks = [EntryCheck(added, W, amount, entry, 1e-2 * size, tolerance) for entry in entries]
    return [_row("regulariser", check, gradient) for check in checks], amount


def _row(part: Part, check: EntryCheck, gradient: Floats) -> GradCheckRow:
    row, column = check.entry
    analytic = float(gradient[row, column])
    numeric, error, verdict = check.verdict(analytic)
    is_bias = row == gradient.shape[0] - 1
    return GradCheckRow(part, row, column, is_bias, analytic, numeric, error, verdict)


def _choose_entries(X: Floats, W: Floats, n_entries: int, generator: np.random.Generator) -> list[Entry]:
    """Random entries, the first quarter in the bias row; rows of W that no sample reaches tell nothing."""
    alive = (
        np.flatnonzero(np.abs(X[:, :-1]).max(axis=0) > 0) if W.shape[0] > 1 else np.zeros(0, dtype=np.int64)
    )
    n_bias = math.ceil(n_entries / 4) if len(alive) else n_entries
    rows = np.full(n_entries, W.shape[0] - 1)
    if len(alive):
        rows[n_bias:] = generator.choice(alive, n_entries - n_bias)
    columns = generator.permutation(np.arange(n_entries) % W.shape[1])
    return list(dict.fromkeys(zip(rows.tolist(), columns.tolist(), strict=True)))


def _moderate_weights(W: Floats, X: Floats, generator: np.random.Generator) -> Floats:
    """Random weights, no entry near 0, whose scores are about 1."""
    size = 1 / max(float(np.sqrt(np.mean(np.sum(X**2, axis=1)))), 1.0)
    return np.asarray(size * generator.choice((-1, 1), W.shape) * generator.uniform(0.5, 1.5, W.shape))


def _strength(reg: float, W: Floats) -> float:
    """Enough that the penalty is about 1, whatever reg is; √2, because reg = 1 would hide that it is missing."""
    return math.sqrt(2) * max(reg, 1 / float(np.sum(W * W)))


def _watch(function: LossUnderTest, W: Floats) -> list[Diagnosis]:
    """Scores of ±1e4, arguments written to, single precision."""
    scale = LARGE_SCORE / max(float(np.abs(function.X @ W).max()), 1e-30)
    value, gradient = function(scale * W, 0.0)
    found = {
        "maximum-not-subtracted": not (math.isfinite(value) and bool(np.isfinite(gradient).all())),
        "argument-changed": function.changes_arguments,
        "single-precision": function.single_precision,
    }
    return [mistake(code) for code, is_so in found.items() if is_so]


def _check_arguments(function: LossUnderTest, W: Floats, reg: float, expected: str | None) -> None:
    X, y = function.X, function.y
    shapes_fit = (
        W.ndim == 2 and X.ndim == 2 and X.shape[1] == W.shape[0] and y.shape == X.shape[:1] and y.size > 0
    )
    if not shapes_fit:
        found = f"W {W.shape}, X {X.shape}, y {y.shape}"
        raise InputError("gradcheck-shapes", found, "W, X, y", "expected (D, C), (N, D) and (N,), N > 0")
    if not (np.isfinite(W).all() and np.isfinite(X).all() and math.isfinite(reg) and reg >= 0):
        raise InputError("gradcheck-numbers", "W, X or reg is not finite, or reg is negative", "W, X, reg")
    if y.min() < 0 or y.max() >= W.shape[1]:
        found = f"labels from {y.min()} to {y.max()}"
        raise InputError("gradcheck-numbers", found, "y", f"expected 0 to {W.shape[1] - 1}")
    if expected not in (None, *VALUES):
        raise InputError(
            "gradcheck-loss", f"expected is {expected!r}", "expected", f"one of {', '.join(VALUES)}"
        )
