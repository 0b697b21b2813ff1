"""``straightedge runs [FOLDER]``: what was fitted so far."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from straightedge.errors import InputError, visible

if TYPE_CHECKING:
    from straightedge.cli.run_list import ListedRun


def command(
    folder: Annotated[Path, typer.Argument(help="The folder that holds run folders.")] = Path("runs"),
    open_page: Annotated[bool, typer.Option("--open", help="Open the page of the newest run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list alone, as JSON.")] = False,
) -> None:
    """List the runs of a folder, the newest first: source, loss, reg, accuracy, gap, date."""
    from straightedge.cli.run_list import runs_of

    if not folder.is_dir():
        raise InputError("runs-missing", "there is no such folder", str(folder), "straightedge fit digits")
    runs = runs_of(folder)
    if as_json:
        from straightedge.atomic import to_json

        print(to_json([run.to_dict() for run in runs]))
    elif runs:
        _print(runs)
    else:
        print(f"no runs in {visible(folder)}; straightedge fit SOURCE makes one")
    if open_page:
        _open(runs, folder)


def _print(runs: list[ListedRun]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    table.add_column("run", overflow="fold")
    table.add_column("source", overflow="fold")
    for name in ("loss", "reg", "accuracy", "proof", "begun"):
        table.add_column(name, justify="right" if name == "reg" else "left")
    for run in runs:
        table.add_row(*map(visible, _cells(run)))
    Console().print(table)


def _cells(run: ListedRun) -> tuple[str, ...]:
    begun = run.created[:16].replace("T", " ")
    proof = run.state if run.gap is None else f"gap {run.gap:.0e}, {run.status}"
    reg = "" if run.reg is None else f"{run.reg:.3g}"
    return Path(run.run).name, run.source, run.loss, reg, _accuracy(run), proof, begun


def _accuracy(run: ListedRun) -> str:
    """The accuracy with its interval, and which samples it is of unless they are the test split's."""
    if run.accuracy is None:
        return ""
    around = "" if run.interval is None else f" [{run.interval[0]:.4f}, {run.interval[1]:.4f}]"
    return f"{run.accuracy:.4f}{around}{'' if run.split == 'test' else f' {run.split}'}"


def _open(runs: list[ListedRun], folder: Path) -> None:
    import webbrowser

    pages = [run.report for run in runs if run.report]
    if not pages:
        raise InputError("report-missing", "no run here has a page", str(folder), "straightedge report RUN")
    webbrowser.open(Path(pages[0]).resolve().as_uri())
