"""``straightedge check-gradients``: is a student's function right, or are ours on these data, entry by entry?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from straightedge.errors import InputError

if TYPE_CHECKING:
    from straightedge.data import Dataset
    from straightedge.gradcheck import GradCheckReport
    from straightedge.gradcheck.function import LossFunction

LOOP_PAIRS = 150  # rows × classes that the versions with loops get: about a second


def command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FUNCTION|SOURCE",
            help="your function, such as mine.py:svm_loss (its file is run); or data for the library's own: "
            "digits, cifar10, a folder, a zip, an .npz, …",
        ),
    ] = "digits",
    loss: Annotated[str, typer.Option(help="of the library: softmax, svm, another by name, or all")] = "all",
    expected: Annotated[
        str | None, typer.Option(help="what your function must be: svm, softmax or any; else its name says so")
    ] = None,
    data: Annotated[str | None, typer.Option(help="data for your function; digits without")] = None,
    rows: Annotated[int, typer.Option(min=2, help="samples to check on, drawn at random")] = 60,
    entries: Annotated[int, typer.Option(min=4, help="entries of W to check, a quarter in the bias row")] = 24,
    size: Annotated[int | None, typer.Option(help="resize images to this many pixels a side")] = None,
    root: Annotated[str | None, typer.Option(help="folder with a copy of the data")] = None,
    seed: Annotated[int, typer.Option(help="seed of the samples, weights and entries")] = 0,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="show every entry")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the result alone, as JSON")] = False,
) -> None:
    """Check value and gradient of a function ``loss(W, X, y, reg) -> (loss, dW)``, of NumPy or torch.

    Data term and regulariser are checked apart, the bias row on purpose; kinks of a hinge are reported as
    kinks; the likely mistake is named. The exit status is 1 when something is wrong.
    """
    from straightedge.data import load_dataset
    from straightedge.gradcheck.finding import names_a_function

    is_function = names_a_function(source)
    _check_options(loss, expected, data, is_function=is_function)
    dataset = load_dataset(
        (data or "digits") if is_function else source, size=size, root=root, progress=not as_json
    )
    if is_function:
        report = _student(source, expected, dataset, data or "digits", rows, entries, seed, verbose, as_json)
        raise typer.Exit(0 if report.ok else 1)
    functions = _functions(loss)
    reports = {
        name: _check(function, expected, dataset, rows, entries, seed, has_loops="naive" in name)
        for name, (function, expected) in functions.items()
    }
    ok = all(report.ok for report in reports.values())
    if as_json:
        checks = [{"function": name, **report.to_dict()} for name, report in reports.items()]
        _print_checks(source, checks, ok)
    else:
        _print_tables(reports, verbose)
    raise typer.Exit(0 if ok else 1)


def _check_options(loss: str, expected: str | None, data: str | None, *, is_function: bool) -> None:
    """Refuse options that mean nothing with what is checked."""
    if expected not in (None, "svm", "softmax", "any"):
        raise InputError("gradcheck-loss", f"--expected is {expected!r}", mend="one of: svm, softmax, any")
    if is_function and loss != "all":
        raise InputError("option-unused", "--loss is about the library's losses", mend="use --expected instead")
    if not is_function and (expected or data):
        name = "--expected" if expected else "--data"
        mend = "such as: straightedge check-gradients mine.py:svm_loss"
        raise InputError("option-unused", f"{name} is about a function, and none was named", mend=mend)


def _student(
    word: str,
    expected: str | None,
    dataset: Dataset,
    data: str,
    n_rows: int,
    n_entries: int,
    seed: int,
    verbose: bool,
    as_json: bool,
) -> GradCheckReport:
    """Check the function that the user named, and print what was found."""
    from straightedge.cli.function_screen import check_function, print_report
    from straightedge.gradcheck.finding import expected_by_name
    from straightedge.gradcheck.reference import title

    by_name = expected_by_name(word.rpartition(":")[2]) if expected is None else None
    held_against = by_name or (expected if expected != "any" else None)
    report, framework = check_function(word, held_against, dataset, n_rows, n_entries, seed)
    if as_json:
        facts = {"function": word, "expected": held_against, "framework": framework, **report.to_dict()}
        _print_checks(data, [facts], report.ok)
        return report
    against = title(held_against) if held_against else "all known losses"
    why = " (by its name; --expected says otherwise)" if by_name else ""
    given = f"at a random W, on {min(n_rows, dataset.train.n)} rows of {data}"
    about = f"against {against}{why}, {given}, called with {framework}"
    print_report(word, about, report, is_verbose=verbose)
    return report


def _functions(choice: str) -> dict[str, tuple[LossFunction, str | None]]:
    """Name to function and the loss of the notes that it must be, None where the notes have none."""
    from straightedge import course
    from straightedge.gradcheck import with_rows
    from straightedge.losses import LOSSES

    notes: dict[str, tuple[LossFunction, str | None]] = {}
    for name in ("softmax", "svm"):
        for version in ("naive", "vectorized"):
            function = f"{name}_loss_{version}"
            notes[function] = (getattr(course, function), name)
    fast: dict[str, tuple[LossFunction, str | None]] = {
        f"losses.{name}": (with_rows(item), name if item.in_notes else None) for name, item in LOSSES.items()
    }
    known = {"all", *LOSSES}
    if choice not in known:
        what = f"there is no loss called {choice!r}"
        raise InputError("loss-unknown", what, "--loss", f"one of: {', '.join(sorted(known))}")
    every = notes | fast
    if choice == "all":
        return every
    return {name: item for name, item in every.items() if item[1] == choice or name == f"losses.{choice}"}


def _check(
    function: LossFunction,
    expected: str | None,
    dataset: Dataset,
    n_rows: int,
    n_entries: int,
    seed: int,
    *,
    has_loops: bool,
) -> GradCheckReport:
    import torch

    from straightedge.gradcheck import check_gradient
    from straightedge.gradcheck.samples import draw_problem

    if has_loops:
        n_rows, n_entries = min(n_rows, max(2, LOOP_PAIRS // len(dataset.classes))), min(n_entries, 12)
    W, X, y = draw_problem(dataset, n_rows, seed)
    rows = torch.from_numpy(X), torch.from_numpy(y)
    return check_gradient(function, W, *rows, expected=expected, n_entries=n_entries, seed=seed)


def _print_checks(source: str, checks: list[dict[str, Any]], ok: bool) -> None:
    from straightedge.atomic import to_json

    print(to_json({"ok": ok, "source": source, "checks": checks}))


def _print_tables(reports: dict[str, GradCheckReport], verbose: bool) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title="dW beside central differences, float64: largest relative error", box=box.SIMPLE)
    table.add_column("function", no_wrap=True)
    for heading in ("entries", "kinks", "data", "regulariser"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for name, report in reports.items():
        verdict = "ok" if report.ok else "mistake: " + (", ".join(report.mistakes) or "see below")
        errors = [_largest_error(report, part) for part in ("data", "regulariser")]
        table.add_row(name, str(len(report.rows)), str(report.n_kinks), *errors, verdict)
    console.print(table)
    for name, report in reports.items():
        if verbose or not report.ok:
            console.print(f"\n{name}\n{report}", markup=False, highlight=False, soft_wrap=True)


def _largest_error(report: GradCheckReport, part: str) -> str:
    """The largest relative error away from kinks."""
    errors = [row.relative_error for row in report.rows if row.part == part and row.verdict != "kink"]
    return f"{max(errors):.1e}" if errors else "–"
