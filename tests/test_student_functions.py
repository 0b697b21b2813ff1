"""The corpus of student functions is what it says, judged by plain loops and without the gradient check."""

from __future__ import annotations

import ast
import inspect
import random
import textwrap
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from support.student_functions import DRAW_SEED, FORM_MISTAKES, STUDENT_FUNCTIONS, VALUE_MISTAKES, StudentFunction
from support.student_references import (
    CASES,
    ORDINARY,
    OUTCOMES,
    Case,
    parts_of,
    right_outcome,
    score_gradients,
    unfold,
)

RIGHT = [student for student in STUDENT_FUNCTIONS if student.mistake is None]
WRONG_VALUE = [student for student in STUDENT_FUNCTIONS if student.mistake in VALUE_MISTAKES]
WRONG_FORM = [student for student in STUDENT_FUNCTIONS if student.mistake in FORM_MISTAKES]

by_name = {"ids": lambda student: student.name}


# Calls and comparisons.


def _arguments(student: StudentFunction, case: Case) -> tuple[Any, ...]:
    arrays = [case.W.copy(), case.X.copy(), case.y.copy()]
    return (*(map(torch.from_numpy, arrays) if student.framework == "torch" else arrays), case.reg)


def _array(part: Any) -> np.ndarray:
    """A copy as an array; torch's tensors hand theirs over themselves."""
    return np.array(part.detach().numpy() if isinstance(part, torch.Tensor) else part)


def _call(student: StudentFunction, arguments: tuple[Any, ...]) -> Any:
    """What the function returns; np.matrix and overflow may warn, which is the student's affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return student.function(*arguments)


def _equal(found: Sequence[Any], expected: Sequence[Any]) -> bool:
    pairs = zip(found, expected, strict=True)
    return all(np.array_equal(_array(one), _array(other), equal_nan=True) for one, other in pairs)


def _result(student: StudentFunction, case: Case) -> tuple[float, np.ndarray]:
    """Loss and gradient of a function whose form is right, and that its form is right."""
    arguments = _arguments(student, case)
    loss, dW = _call(student, arguments)
    assert isinstance(loss, (float, np.floating, torch.Tensor)) and np.shape(loss) == ()
    assert isinstance(dW, torch.Tensor if student.framework == "torch" else np.ndarray)
    assert dW.shape == case.W.shape
    assert str(dW.dtype).removeprefix("torch.") == student.dtype
    first = (_array(loss), _array(dW))
    second = _call(student, arguments)
    assert _equal(arguments, _arguments(student, case)), "an argument was changed"
    assert _equal(first, second), "a second call answers otherwise"
    return float(loss), first[1]


def _tolerance(student: StudentFunction, case: Case) -> float:
    """32 roundings of the largest score, in the function's own dtype; scores below 1 count as 1."""
    return 32 * float(np.finfo(student.dtype).eps) * max(1.0, float(np.abs(case.X @ case.W).max()))


def _same(found: Any, expected: Any, tolerance: float) -> bool:
    size = max(float(np.abs(expected).max()), float(np.finfo(float).tiny))
    return bool(np.abs(_array(found) - _array(expected)).max() <= tolerance * size)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("student", RIGHT, **by_name)
def test_a_right_function_has_the_value_and_the_gradient_of_plain_loops(
    student: StudentFunction, case: Case
) -> None:
    loss, dW = _result(student, case)
    value, gradient = right_outcome(student, case)
    tolerance = _tolerance(student, case)
    assert _same(loss, value, tolerance)
    assert _same(dW, gradient, tolerance)


def test_the_ordinary_case_tells_mistakes_apart() -> None:
    S = ORDINARY.X @ ORDINARY.W
    margins = S - S[np.arange(len(S)), ORDINARY.y][:, None] + 1
    others = np.arange(4)[None] != ORDINARY.y[:, None]
    assert 5 <= (margins[others] > 0).sum() <= others.sum() - 5, "both open and closed margins"
    assert np.abs(margins[others]).min() > 1e-3, "no margin at a kink"
    assert len(set(np.bincount(ORDINARY.y).tolist())) > 1, "classes of unequal size"


def _predicts(mistake: str, student: StudentFunction, loss: float, dW: np.ndarray) -> bool:
    outcomes = OUTCOMES[mistake](parts_of(student, ORDINARY))
    return any(_same(loss, value, 1e-12) and _same(dW, gradient, 1e-12) for value, gradient in outcomes)


@pytest.mark.parametrize("student", [s for s in WRONG_VALUE if s.mistake != "maximum-not-subtracted"], **by_name)
def test_a_wrong_function_returns_what_its_mistake_alone_predicts(student: StudentFunction) -> None:
    loss, dW = _result(student, ORDINARY)
    right = right_outcome(student, ORDINARY)
    assert not (_same(loss, right[0], 1e-3) and _same(dW, right[1], 1e-3))
    assert [mistake for mistake in OUTCOMES if _predicts(mistake, student, loss, dW)] == [student.mistake]


@pytest.mark.parametrize("student", [s for s in WRONG_VALUE if s.mistake == "maximum-not-subtracted"], **by_name)
def test_without_the_maximum_a_function_is_right_until_it_overflows(student: StudentFunction) -> None:
    loss, dW = _result(student, ORDINARY)
    value, gradient = right_outcome(student, ORDINARY)
    assert _same(loss, value, 1e-12)
    assert _same(dW, gradient, 1e-12)
    loss, dW = _result(student, CASES["scores 1e4 higher"])
    assert not np.isfinite(loss)
    assert not _same(dW, right_outcome(student, CASES["scores 1e4 higher"])[1], 1e-3)


# Wrong forms.


def _check_raises(student: StudentFunction) -> None:
    with pytest.raises((AttributeError, IndexError, NameError, NotImplementedError, ValueError)):
        _call(student, _arguments(student, ORDINARY))


def _check_loss_has_shape(student: StudentFunction) -> None:
    loss, dW = _call(student, _arguments(student, ORDINARY))
    assert np.ndim(loss) > 0
    value, gradient = right_outcome(student, ORDINARY)
    assert _same(np.mean(_array(loss)), value, 1e-12)
    assert _same(dW, gradient, 1e-12)


def _check_list(student: StudentFunction) -> None:
    loss, dW = _call(student, _arguments(student, ORDINARY))
    assert isinstance(loss, list) != isinstance(dW, list)
    value, gradient = right_outcome(student, ORDINARY)
    assert _same(np.mean(_array(loss)), value, 1e-12)
    by_columns = isinstance(dW, list) and isinstance(dW[0], torch.Tensor)
    assert _same(torch.stack(dW, dim=1) if by_columns else dW, gradient, 1e-12)


def _check_stub(student: StudentFunction) -> None:
    found = _call(student, _arguments(student, ORDINARY))
    if found is not None:
        loss, dW = found
        assert loss in (None, 0.0)
        assert dW is None or not np.any(_array(dW))


def _check_integers(student: StudentFunction) -> None:
    loss, dW = _call(student, _arguments(student, ORDINARY))
    value, gradient = right_outcome(student, ORDINARY)
    assert _array(dW).dtype == np.int64
    assert dW.shape == gradient.shape
    assert _same(loss, value, 1e-12)
    assert not _same(dW, gradient, 0.1)


def _check_accumulates(student: StudentFunction) -> None:
    first, second = (_call(student, _arguments(student, ORDINARY)) for _ in range(2))
    third = [_array(part) for part in _call(student, _arguments(student, ORDINARY))]
    fourth = [_array(part) for part in _call(student, _arguments(student, ORDINARY))]
    value, gradient = right_outcome(student, ORDINARY)
    assert all(_same(found[0], value, 1e-12) for found in (first, second, third, fourth))
    assert _same(fourth[1] - third[1], gradient, 1e-10)


def _check_arguments(student: StudentFunction) -> None:
    given, before = _arguments(student, ORDINARY), _arguments(student, ORDINARY)
    _call(student, given)
    assert not _equal(given, before)


def _check_gradient_shape(student: StudentFunction) -> None:
    loss, dW = _call(student, _arguments(student, ORDINARY))
    assert dW.shape != ORDINARY.W.shape
    assert _same(loss, right_outcome(student, ORDINARY)[0], 1e-12)


def _check_bias_apart(student: StudentFunction) -> None:
    loss, *gradients = _call(student, _arguments(student, ORDINARY))
    assert np.shape(loss) == ()
    if len(gradients) == 1:  # a tuple or a dictionary of both
        gradients = list(gradients[0].values() if isinstance(gradients[0], dict) else gradients[0])
    weights, bias = gradients
    assert weights.ndim == 2
    expected = unfold(ORDINARY, score_gradients(student.kind, ORDINARY)[1])[-1]
    assert _same(bias, expected, 1e-12), "the constant column's gradient, without penalty"


FORMS: dict[str, Callable[[StudentFunction], None]] = {
    "raises": _check_raises,
    "loss-has-shape": _check_loss_has_shape,
    "returns-a-list": _check_list,
    "stub": _check_stub,
    "integer-gradient": _check_integers,
    "accumulates-between-calls": _check_accumulates,
    "changes-arguments": _check_arguments,
    "gradient-shape": _check_gradient_shape,
    "weights-and-bias-apart": _check_bias_apart,
}


@pytest.mark.parametrize("student", WRONG_FORM, **by_name)
def test_a_wrong_form_is_as_its_name_says(student: StudentFunction) -> None:
    FORMS[str(student.mistake)](student)


# The corpus as a whole.


def test_there_are_at_least_63_right_and_63_wrong_ones_and_names_are_unique() -> None:
    assert len(RIGHT) >= 63
    assert len(WRONG_VALUE) + len(WRONG_FORM) >= 63
    assert len(RIGHT) + len(WRONG_VALUE) + len(WRONG_FORM) == len(STUDENT_FUNCTIONS)
    assert len({student.name for student in STUDENT_FUNCTIONS}) == len(STUDENT_FUNCTIONS)


def _first_round(group: list[StudentFunction]) -> list[StudentFunction]:
    """Those that the draw was made from."""
    return [student for student in group if student.part != "later"]


def _held_back_names(group: list[StudentFunction]) -> list[str]:
    """The draw: one of every mistake, then others up to a third of the group."""
    generator = random.Random(DRAW_SEED)
    mistakes = {student.name: student.mistake or "" for student in group}
    names = sorted(mistakes)
    drawn = [
        generator.choice([name for name in names if mistakes[name] == mistake])
        for mistake in sorted(set(mistakes.values()))
    ]
    rest = [name for name in names if name not in drawn]
    return sorted(drawn + generator.sample(rest, len(names) // 3 - len(drawn)))


@pytest.mark.parametrize("group", [RIGHT, WRONG_VALUE + WRONG_FORM], ids=["right", "wrong"])
def test_a_third_is_held_back_as_the_seed_draws(group: list[StudentFunction]) -> None:
    held_back = sorted(student.name for student in group if student.part == "held back")
    assert 3 * len(held_back) == len(_first_round(group))
    assert held_back == _held_back_names(_first_round(group))


def test_ten_right_and_ten_wrong_ones_were_written_later() -> None:
    for group in (RIGHT, WRONG_VALUE + WRONG_FORM):
        assert len(group) - len(_first_round(group)) >= 10


def test_every_mistake_occurs_at_least_three_times() -> None:
    counts = Counter(student.mistake for student in WRONG_VALUE + WRONG_FORM)
    assert set(counts) == set(VALUE_MISTAKES) | set(FORM_MISTAKES)
    assert min(counts.values()) >= 3


def test_right_ones_are_of_both_kinds_frameworks_and_conventions() -> None:
    counts = Counter((student.kind, student.framework, student.regulariser) for student in RIGHT)
    assert len(counts) == 8
    assert {student.dtype for student in RIGHT} == {"float64", "float32"}


def _shape_of_code(student: StudentFunction) -> str:
    """The function's syntax tree with its names numbered in order, so that renaming changes nothing."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(student.function))).body[0]
    assert isinstance(tree, ast.FunctionDef)
    body = ast.Module(tree.body[1:] if ast.get_docstring(tree) else tree.body, [])
    numbers: dict[str, str] = {}
    for node in ast.walk(body):
        if isinstance(node, ast.Name):
            node.id = numbers.setdefault(node.id, f"name{len(numbers)}")
    return ast.dump(body)


def test_no_two_functions_are_the_same_but_for_names() -> None:
    codes = Counter(_shape_of_code(student) for student in STUDENT_FUNCTIONS)
    assert max(codes.values()) == 1
