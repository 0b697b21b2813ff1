"""The gradient check on the corpus of student functions: the innocent pass, the others get their mistake's name.

A third of the corpus was held back while the check was made, and some was written later by somebody who had not
read the check; both are counted apart.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from straightedge.gradcheck import GradCheckReport, check_gradient
from straightedge.gradcheck.mistakes import CODES, MISTAKES, REMARKS
from support.student_functions import FORM_MISTAKES, STUDENT_FUNCTIONS, VALUE_MISTAKES, StudentFunction

PARTS = ("seen", "held back", "later")
SEEDS = (0, pytest.param(1, marks=pytest.mark.slow))


def problem(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    X = np.hstack([generator.standard_normal((12, 5)), np.ones((12, 1))])
    return generator.standard_normal((6, 5)), X, generator.integers(0, 5, 12)


def check(student: StudentFunction, seed: int, expected: str | None) -> GradCheckReport:
    W, X, y = problem(seed)
    rows = (torch.from_numpy(X), torch.from_numpy(y)) if student.framework == "torch" else (X, y)
    return check_gradient(student.function, W, *rows, expected=expected)


def students_of(part: str, *, is_right: bool) -> Sequence[StudentFunction]:
    return [
        student for student in STUDENT_FUNCTIONS if student.part == part and (student.mistake is None) == is_right
    ]


@pytest.mark.long
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("is_told", [True, False], ids=["told the loss", "finds the loss"])
def test_no_right_function_is_rejected_and_its_loss_is_named(part: str, is_told: bool) -> None:
    rejected = {}
    for student in students_of(part, is_right=True):
        report = check(student, 0, student.kind if is_told else None)
        if not report.ok or report.loss != student.kind or "gradient and value are right" not in report.verdict:
            rejected[student.name] = str(report)
    assert rejected == {}


@pytest.mark.long
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_wrong_function_is_rejected_and_nine_of_ten_are_named_exactly(part: str, seed: int) -> None:
    students = students_of(part, is_right=False)
    reports = {student.name: check(student, seed, student.kind) for student in students}
    accepted = [name for name, report in reports.items() if report.ok or not report.mistakes]
    misnamed = {
        student.name: (student.mistake, reports[student.name].mistakes)
        for student in students
        if reports[student.name].mistakes != (student.mistake,)
    }
    assert accepted == []
    assert len(misnamed) <= 0.1 * len(reports), misnamed
    told = [report.where for name, report in reports.items() if report.rows]
    assert all(told), "where a mistake shows is said"


def test_every_mistake_of_the_corpus_is_a_name_of_the_check() -> None:
    names = {CODES.get(detail, detail) for detail in MISTAKES}
    assert set(VALUE_MISTAKES) | set(FORM_MISTAKES) <= names
    assert set(CODES) <= set(MISTAKES)


def test_every_name_stands_in_the_guide() -> None:
    page = (Path(__file__).parents[1] / "docs" / "guides" / "check-gradients.md").read_text(encoding="utf-8")
    table = page[page.index("## The names") :]
    codes = {CODES.get(detail, detail) for detail in MISTAKES} | set(REMARKS)
    assert set(re.findall(r"`([a-z0-9-]+)`[,\s|]", table.partition("| remarks")[0])) >= codes - set(REMARKS)
    assert all(f"`{code}`" in table for code in codes)
