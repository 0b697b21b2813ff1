"""``straightedge check-gradients SOURCE``: are the gradients right on these data, entry by entry?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from straightedge.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from straightedge.data import Dataset
    from straightedge.gradcheck import GradCheckReport
    from straightedge.gradcheck.function import LossFunction

LOOP_PAIRS = 150  # rows × classes that the versions with loops get: about a second


def command(
    source: Annotated[str, typer.Argument(help="digits, cifar10, a folder, a zip, an .npz, …")] = "digits",
    loss: Annotated[str, typer.Option(help="softmax, svm, another loss by name, or all")] = "all",
    rows: Annotated[int, typer.Option(min=2, help="samples to check on, drawn at random")] = 60,
    entries: Annotated[
        int, typer.Option(min=4, help="entries of W to check, a quarter in the bias row")
    ] = 24,
    size: Annotated[int | None, typer.Option(help="resize images to this many pixels a side")] = None,
    root: Annotated[str | None, typer.Option(help="folder with a copy of the data")] = None,
    seed: Annotated[int, typer.Option(help="seed of the samples, weights and entries")] = 0,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="show every entry")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the result alone, as JSON")] = False,
) -> None:
    """Check the gradients of the losses by central differences, on samples of SOURCE.

    Data term and regulariser are checked apart, the bias row on purpose; kinks of a hinge are reported as
    kinks. The exit status is 1 when a gradient is wrong.
    """
    from straightedge.data import load_dataset

    dataset = load_dataset(source, size=size, root=root, progress=not as_json)
    functions = _functions(loss)
    reports = {
        name: _check(function, expected, dataset, rows, entries, seed, has_loops="naive" in name)
        for name, (function, expected) in functions.items()
    }
    ok = all(report.ok for report in reports.values())
    if as_json:
        _print_json(source, reports, ok)
    else:
        _print_tables(reports, verbose)
    raise typer.Exit(0 if ok else 1)


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
        raise InputError(
            "loss-unknown",
            f"there is no loss called {choice!r}",
            "--loss",
            f"one of: {', '.join(sorted(known))}",
        )
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
    import numpy as np
    import torch

    from straightedge.gradcheck import check_gradient

    n_classes = len(dataset.classes)
    if has_loops:
        n_rows, n_entries = min(n_rows, max(2, LOOP_PAIRS // n_classes)), min(n_entries, 12)
    generator = np.random.default_rng(seed)
    X, y = _sample(dataset, n_rows, generator)
    size = 1 / max(float(np.sqrt((X**2).sum(axis=1).mean())), 1e-30)  # scores of about 1
    W = size * generator.standard_normal((X.shape[1], n_classes))
    X_tensor, y_tensor = torch.from_numpy(X), torch.from_numpy(y)
    return check_gradient(function, W, X_tensor, y_tensor, expected=expected, n_entries=n_entries, seed=seed)


def _sample(dataset: Dataset, n_rows: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Random training rows as the notes prepare them (item ①): centred, flat, a constant 1 appended."""
    import numpy as np

    train = dataset.train
    index = np.sort(generator.choice(train.n, min(n_rows, train.n), replace=False))
    if hasattr(train.X, "read"):  # rows that are not in memory
        picked = np.concatenate([train.X.read(int(i), int(i) + 1) for i in index])
    else:
        picked = np.asarray(train.X[index])
    picked = picked.astype(np.float64) / (255.0 if picked.dtype == np.uint8 else 1.0)
    axes = (0, 2, 3) if picked.ndim == 4 else (0,)
    flat = (picked - picked.mean(axis=axes, keepdims=True)).reshape(len(index), -1)
    return np.hstack([flat, np.ones((len(index), 1))]), np.asarray(train.y)[index]


def _print_json(source: str, reports: dict[str, GradCheckReport], ok: bool) -> None:
    from straightedge.atomic import to_json

    checks = [{"function": name, **report.to_dict()} for name, report in reports.items()]
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
