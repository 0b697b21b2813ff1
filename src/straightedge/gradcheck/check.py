"""`check_gradient`: form, value, gradient and regulariser of a student's loss, mistakes by name."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from straightedge.errors import InputError
from straightedge.gradcheck.answers import FormError, to_array
from straightedge.gradcheck.data_term import DataTerm, Matcher, diagnose_data
from straightedge.gradcheck.differences import SINGLE_STEP, SINGLE_TOLERANCE, EntryCheck
from straightedge.gradcheck.function import LossFunction, LossUnderTest
from straightedge.gradcheck.mistakes import mistake, remark
from straightedge.gradcheck.probes import (
    Precision,
    Probe,
    examine_form,
    measure_precision,
    moderate_weights,
    take_probes,
)
from straightedge.gradcheck.reference import VALUES, Floats, softmax_value
from straightedge.gradcheck.regulariser import Added, diagnose_regulariser, penalty_row
from straightedge.gradcheck.report import Diagnosis, GradCheckReport, GradCheckRow, Part, Place, ValueRow

Entry = tuple[int, int]
# Times the usual strength at which the penalty of a function in float32 is looked at: its digits are then those of
# the penalty and not of the data term, which is taken away.
SINGLE_STRENGTH = 1e3
# exp overflows beyond 709 in float64 and beyond 88 in float32; a score of this size is beyond both.
LARGE_SCORE = 1e4
# Share by which a value may change when all scores move by LARGE_SCORE: float32's digits at 1e4 are 1e-3 apart.
OFFSET_TOLERANCE = 0.1


@dataclass(frozen=True)
class Settings:
    """How entries are compared with differences; see `check_gradient`."""

    entries: Sequence[Entry]
    step: float
    tolerance: float
    precision: Precision

    @property
    def data_step(self) -> float:
        """How far h moves the largest score, float32's rounding considered."""
        return max(self.step, SINGLE_STEP) if self.is_single_value else self.step

    @property
    def row_tolerance(self) -> float:
        """Largest relative error of a right entry, float32's rounding considered."""
        lowest = SINGLE_TOLERANCE if self.is_single_value else self.precision.gradient_tolerance
        return max(self.tolerance, lowest) if self.precision.is_single else self.tolerance

    @property
    def is_single_value(self) -> bool:
        """Whether the values, not dW alone, have float32's digits."""
        return self.precision.value_epsilon > float(np.finfo(np.float64).eps)


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
    """Check value and gradient of ``loss(W, X, y, reg) -> (loss, dW)``: item ② of the notes, and more.

    The form comes first: what the function raises, returns, keeps and changes. Then the value is compared with
    the known losses, at W and at weights where some margins are closed and some open, and dW with differences.
    The data term is checked with reg = 0; the regulariser, what reg adds, at random weights where it does not
    drown in the data term. The function is called with float64 copies of the kind of X, torch (on X's device)
    or NumPy, so nothing of the caller's is changed.

    Args:
        loss: The function under test.
        W: (D, C) weights, the bias as last row.
        X: (N, D) samples, the last column 1.
        y: (N,) labels 0 to C − 1.
        reg: Weight of reg · ΣW²; the regulariser is checked at this size or larger.
        expected: ``svm`` or ``softmax`` when it should be that of the notes; None finds out by the value, and
            any loss of `straightedge.losses` is then right.
        entries: Entries (row, column) of W to check; None takes random ones, a quarter in the bias row. The
            entry that differs most from the known gradient is checked besides.
        n_entries: How many random entries.
        step: How far h moves the largest score; the step in W is that over the largest |X| of the row.
        tolerance: Largest relative error of a right entry.
        seed: Seed of the entries and of the random weights.

    Returns:
        The report: `ok`, the rows, the values, and the diagnosis with the likely mistakes by name.

    Raises:
        InputError: ``gradcheck-shapes``, ``gradcheck-numbers``, ``gradcheck-loss`` when the other arguments
            cannot be checked with. What the function does wrong is in the report and never raises.

    Numerics:
        All differences are taken in float64. An entry that fails is looked at again with a longer step and
        Richardson's extrapolation, because a small one can drown in rounding. Where the loss has a kink
        between W − hM and W + hM the quotient proves nothing: the entry is a ``kink`` if it lies between the
        slopes of both sides. For the SVM a kink is seen in the signs of the margins, otherwise in the bend.
        A function that computes in float32 is recognised by its rounding; steps and tolerances are then longer.

    References:
        The notes, item ②; W. H. Press et al., Numerical Recipes, section 5.7.
    """
    weights = to_array(W).astype(np.float64)
    function = LossUnderTest(loss, X, y)
    _check_arguments(function, weights, reg, expected)
    generator = np.random.default_rng(seed)
    chosen = list(entries) if entries is not None else _choose_entries(function.X, weights, n_entries, generator)
    moderate = moderate_weights(weights.shape, function.X, generator)
    try:
        examine_form(function, moderate, _strength(reg, moderate))
        settings = Settings(chosen, step, tolerance, measure_precision(function, moderate, generator))
        return _examine(function, (weights, moderate), reg, expected, settings)
    except FormError as found:
        return GradCheckReport(expected, (), (found.diagnosis,))


def _examine(
    function: LossUnderTest, weights: tuple[Floats, Floats], reg: float, expected: str | None, settings: Settings
) -> GradCheckReport:
    """Data term, regulariser and stability of a function whose form is right."""
    given, moderate = weights
    matcher = Matcher(function.X, take_probes(function, given, moderate), settings.precision)
    if not any(not probe.is_given for probe in matcher.probes):
        value = function.attempt(moderate)[0]
        what = "dW has entries that are not" if math.isfinite(value) else f"the loss is {value:.4g}"
        return GradCheckReport(expected, (), (mistake("not-finite", found=what),))
    term = matcher.data_term(expected)
    data_rows = _check_data(function, matcher, term, settings)
    diagnosis = diagnose_data(term, data_rows, len(function.y))
    regulariser_rows, added = _check_regulariser(function, moderate, reg, settings)
    has_wrong_rows = any(row.verdict == "mistake" for row in regulariser_rows)
    found = diagnose_regulariser(added, is_told=expected is not None, has_wrong_rows=has_wrong_rows)
    diagnosis += _not_told_twice(found, diagnosis)
    unstable, at_offsets = _diagnose_stability(term, function, moderate)
    diagnosis += unstable
    diagnosis += [remark("single-precision")] if settings.precision.is_single else []
    ordered = sorted(dict.fromkeys(diagnosis), key=lambda item: not item.is_mistake)
    values = (
        *matcher.value_rows(expected or term.name),
        penalty_row(added, is_told=expected is not None),
        *at_offsets,
    )
    return GradCheckReport(term.name, (*data_rows, *regulariser_rows), tuple(ordered), values)


def _not_told_twice(found: Sequence[Diagnosis], before: Sequence[Diagnosis]) -> list[Diagnosis]:
    """A dW that is turned or 0 as a whole has that mistake once, and not in its regulariser again."""
    same = {"regulariser-sign": "sign", "regulariser-missing-in-gradient": "gradient-missing"}
    details = {item.detail for item in before}
    if "regulariser-without-reg" in details:  # seen at reg = 0 already
        return []
    return [item for item in found if same.get(item.detail) not in details]


def _check_data(
    function: LossUnderTest, matcher: Matcher, term: DataTerm, settings: Settings
) -> list[GradCheckRow]:
    """The mean loss alone, at the caller's W if the loss is finite there."""
    probe, precision = matcher.probes[0], settings.precision
    scores = (function.X, function.y) if term.name == "svm" and not term.value_slips else None
    is_smooth = term.name == "softmax" and not term.value_slips
    largest = np.abs(function.X).max(axis=0)
    rows = []
    for entry in _with_deviating(settings.entries, matcher, term, probe):
        size = float(largest[entry[0]]) or 1.0
        check = EntryCheck(
            lambda V: function.value(V, 0.0),
            probe.W,
            probe.value,
            entry,
            settings.data_step / size,
            settings.row_tolerance,
            scores,
            is_smooth,
            precision.value_epsilon,
            16 * precision.gradient_epsilon * size,
        )
        rows.append(_row("data", check, probe.gradient))
    return rows


def _with_deviating(entries: Sequence[Entry], matcher: Matcher, term: DataTerm, probe: Probe) -> list[Entry]:
    """The entries, and the one where dW differs most from the known gradient: a mistake is shown there."""
    if term.name is None or term.gradient_slips == () or probe.has_ties:
        return list(entries)
    worst = matcher.deviating_entry(term.name, probe)
    return list(dict.fromkeys([*entries, *([worst] if worst else [])]))


def _check_regulariser(
    function: LossUnderTest, W: Floats, reg: float, settings: Settings
) -> tuple[list[GradCheckRow], Added]:
    """What reg adds to loss and gradient, and its differences."""
    precision = settings.precision
    strength = _strength(reg, W) * (SINGLE_STRENGTH if precision.is_single else 1)

    def added(V: Floats) -> float:
        return function.value(V, strength) - function.value(V, 0.0)

    data_gradient = function(W, 0.0)[1]
    gradient = function(W, strength)[1] - data_gradient
    size = float(np.sqrt(np.mean(W**2)))  # the quotient of a square is exact for any h; this one fits W
    rounding = 64 * precision.gradient_epsilon * float(np.linalg.norm(data_gradient))
    amount = added(W)
    rows = []
    for entry in settings.entries:
        check = EntryCheck(
            added,
            W,
            amount,
            entry,
            1e-2 * size,
            settings.row_tolerance,
            epsilon=precision.value_epsilon,
            slack=rounding if precision.is_single else 0.0,
        )
        rows.append(_row("regulariser", check, gradient))
    return rows, Added(W, strength, len(function.y), amount, gradient, _tolerance(precision), rounding)


def _tolerance(precision: Precision) -> float:
    """The penalty is a difference of two losses, which costs a digit or two."""
    return 100 * precision.gradient_tolerance if not precision.is_single else 1e-3


def _row(part: Part, check: EntryCheck, gradient: Floats) -> GradCheckRow:
    row, column = check.entry
    analytic = float(gradient[row, column])
    numeric, error, verdict = check.verdict(analytic)
    is_bias = row == gradient.shape[0] - 1
    return GradCheckRow(part, row, column, is_bias, analytic, numeric, error, verdict)


def _choose_entries(X: Floats, W: Floats, n_entries: int, generator: np.random.Generator) -> list[Entry]:
    """Random entries, the first quarter in the bias row; rows of W that no sample reaches tell nothing."""
    alive = np.flatnonzero(np.abs(X[:, :-1]).max(axis=0) > 0) if W.shape[0] > 1 else np.zeros(0, dtype=np.int64)
    n_bias = math.ceil(n_entries / 4) if len(alive) else n_entries
    rows = np.full(n_entries, W.shape[0] - 1)
    if len(alive):
        rows[n_bias:] = generator.choice(alive, n_entries - n_bias)
    columns = generator.permutation(np.arange(n_entries) % W.shape[1])
    return list(dict.fromkeys(zip(rows.tolist(), columns.tolist(), strict=True)))


def _strength(reg: float, W: Floats) -> float:
    """Enough that the penalty is about 1, whatever reg is; √2, because reg = 1 would hide that it is missing."""
    return math.sqrt(2) * max(reg, 1 / float(np.sum(W * W)))


def _check_arguments(function: LossUnderTest, W: Floats, reg: float, expected: str | None) -> None:
    X, y = function.X, function.y
    shapes_fit = W.ndim == 2 and X.ndim == 2 and X.shape[1] == W.shape[0] and y.shape == X.shape[:1] and y.size > 0
    if not shapes_fit:
        found = f"W {W.shape}, X {X.shape}, y {y.shape}"
        raise InputError("gradcheck-shapes", found, "W, X, y", "expected (D, C), (N, D) and (N,), N > 0")
    if not (np.isfinite(W).all() and np.isfinite(X).all() and math.isfinite(reg) and reg >= 0):
        raise InputError("gradcheck-numbers", "W, X or reg is not finite, or reg is negative", "W, X, reg")
    if y.min() < 0 or y.max() >= W.shape[1]:
        found = f"labels from {y.min()} to {y.max()}"
        raise InputError("gradcheck-numbers", found, "y", f"expected 0 to {W.shape[1] - 1}")
    if expected not in (None, *VALUES):
        raise InputError("gradcheck-loss", f"expected is {expected!r}", "expected", f"one of {', '.join(VALUES)}")


def _diagnose_stability(
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
