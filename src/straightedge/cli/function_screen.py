"""``straightedge check-gradients mine.py:svm_loss``: a student's function, checked and shown."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

from straightedge.errors import visible

if TYPE_CHECKING:
    from rich.table import Table

    from straightedge.data import Dataset
    from straightedge.gradcheck import GradCheckReport, GradCheckRow
    from straightedge.gradcheck.function import LossFunction

SHOWN_ROWS = 6  # wrong entries a table lists; --verbose lists all


def check_function(
    word: str, expected: str | None, dataset: Dataset, rows: int, entries: int, seed: int
) -> tuple[GradCheckReport, str]:
    """Import and check a function without what it prints; return the report, and whether it took torch or numpy."""
    from straightedge.gradcheck import GradCheckReport
    from straightedge.gradcheck.answers import FormError
    from straightedge.gradcheck.finding import find_function, takes_torch
    from straightedge.gradcheck.samples import draw_problem

    problem = draw_problem(dataset, rows, seed)
    with redirect_stdout(io.StringIO()):
        try:
            function = find_function(word)
        except FormError as found:
            return GradCheckReport(expected, (), (found.diagnosis,)), "numpy"
        kinds = ["torch", "numpy"] if takes_torch(function) else ["numpy", "torch"]
        reports = {kinds[0]: _check(function, problem, kinds[0], expected, entries, seed)}
        if reports[kinds[0]].mistakes == ("raises",):  # of the other kind, if that one runs
            reports[kinds[1]] = _check(function, problem, kinds[1], expected, entries, seed)
    runs = [kind for kind, report in reports.items() if report.mistakes != ("raises",)]
    taken = runs[0] if runs else kinds[0]
    return reports[taken], taken


def _check(
    function: LossFunction, problem: tuple, kind: str, expected: str | None, n_entries: int, seed: int
) -> GradCheckReport:
    import torch

    from straightedge.gradcheck import check_gradient

    W, X, y = problem
    arguments = (torch.from_numpy(X), torch.from_numpy(y)) if kind == "torch" else (X, y)
    return check_gradient(function, W, *arguments, expected=expected, n_entries=n_entries, seed=seed)


def print_report(name: str, about: str, report: GradCheckReport, *, is_verbose: bool) -> None:
    """Print one function's report: values, entries, the mistakes in words, and where they show."""
    from rich.console import Console

    console = Console()
    console.print(f"{visible(name)}\n{visible(about)}", markup=False, highlight=False, soft_wrap=True)
    if report.rows:
        console.print(_table(report, is_verbose=is_verbose))
    for item in report.diagnosis:
        style = "bold red" if item.is_mistake else "yellow"
        head = "mistake" if item.is_mistake else "remark"
        text = f"{head}: {item.text} [{item.code}]"
        console.print(text, markup=False, highlight=False, soft_wrap=True, style=style)
    if report.where:
        console.print(f"where: {report.where}", markup=False, highlight=False, soft_wrap=True)
    console.print(report.verdict, style="bold green" if report.ok else "bold red", highlight=False)


def _table(report: GradCheckReport, *, is_verbose: bool) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    table.add_column("what", no_wrap=True)
    for heading in ("yours", "right", "rel. error"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for value in report.values:
        right = "finite" if value.expected is None else f"{value.expected:.8g}"
        table.add_row(f"value, {value.place}", f"{value.value:.8g}", right, "", _verdict(is_ok=value.is_ok))
    for part in ("data", "regulariser"):
        rows = [row for row in report.rows if row.part == part]
        wrong = [row for row in rows if row.verdict != "ok"]
        for row in rows if is_verbose else wrong[:SHOWN_ROWS]:
            table.add_row(*_entry(row))
        largest = max((row.relative_error for row in rows if row.verdict != "kink"), default=0.0)
        n_right = f"{len(rows) - len(wrong)} of {len(rows)} right"
        is_ok = all(row.verdict == "kink" for row in wrong)
        table.add_row(f"dW, {part} term", n_right, "", f"{largest:.1e}", _verdict(is_ok=is_ok))
    return table


def _verdict(*, is_ok: bool) -> str:
    return "ok" if is_ok else "mistake"


def _entry(row: GradCheckRow) -> tuple[str, ...]:
    bias = ", bias" if row.is_bias else ""
    numbers = f"{row.analytic:.8g}", f"{row.numeric:.8g}", f"{row.relative_error:.1e}"
    return f"dW[{row.row}, {row.column}]{bias}", *numbers, row.verdict
