"""``straightedge runs [FOLDER]``: what was fitted so far, read from two small JSON files of each run.

A list needs no torch and comes at once.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from straightedge.errors import InputError, visible

SPLITS = ("test", "validation", "train")  # splits in the order in which one is believed
PARTIAL = ".partial"  # ending of the hidden folder that a run lies in until it is whole, with a dot before its name


def command(
    folder: Annotated[Path, typer.Argument(help="The folder that holds run folders.")] = Path("runs"),
    open_page: Annotated[bool, typer.Option("--open", help="Open the page of the newest run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list alone, as JSON.")] = False,
) -> None:
    """List the runs of a folder, the newest first: source, loss, reg, accuracy, gap, date."""
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


@dataclass(frozen=True)
class ListedRun:
    """One run, as a list shows it.

    Attributes:
        run: Its folder.
        state: ``finished``, ``unfinished`` (it can be resumed or was stopped) or ``damaged``.
        source: What was fitted.
        loss: Name of the loss.
        reg: The fitted value, or None.
        split: What the accuracy is of: ``test``, ``validation`` or ``train``.
        accuracy: Share that is right, or None.
        interval: Its 95 % interval, or None.
        gap: Relative duality gap, or None.
        status: Why the fit ended.
        created: When it began, in ISO 8601, UTC.
        report: Its page, or None where there is none.
    """

    run: str
    state: str
    source: str = ""
    loss: str = ""
    reg: float | None = None
    split: str = ""
    accuracy: float | None = None
    interval: tuple[float, float] | None = None
    gap: float | None = None
    status: str = ""
    created: str = ""
    report: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def runs_of(folder: Path) -> list[ListedRun]:
    """Return the runs in a folder, the newest first."""
    folders = (path.parent for path in folder.glob("*/config.json"))
    found = [_listed(run) for run in folders if run.name[0] != "." or run.name.endswith(PARTIAL)]
    return sorted(found, key=lambda run: (run.created, run.run), reverse=True)


def _listed(run: Path) -> ListedRun:
    """Return one run; its files may be anybody's."""
    finished = (run / "metrics.json").exists()
    try:
        config = _object(run / "config.json")
        metrics = _object(run / "metrics.json") if finished else {}
        return _of(run, config, metrics, "finished" if finished else "unfinished")
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return ListedRun(str(_target(run)), "damaged")


def _target(run: Path) -> Path:
    """Return the name that a run has, or will have once it is whole."""
    return run.with_name(run.name[1:].removesuffix(PARTIAL)) if run.name.endswith(PARTIAL) else run


def _object(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_bytes())
    if not isinstance(found, dict):
        raise TypeError(f"{path} holds no object")
    return found


def _of(run: Path, config: dict[str, Any], metrics: dict[str, Any], state: str) -> ListedRun:
    split = next((name for name in SPLITS if metrics.get(name)), "")
    judged = metrics.get(split) or {}
    interval = judged.get("interval")
    page = run / "report.html"
    return ListedRun(
        str(_target(run)),
        state,
        str(config.get("source", "")),
        str(config.get("loss", "")),
        _number(metrics.get("reg", config.get("reg"))),
        split,
        _number(judged.get("accuracy")),
        None if interval is None else (float(interval[0]), float(interval[1])),
        _number(metrics.get("gap")),
        str(metrics.get("status", "")),
        str(config.get("created", "")),
        str(page) if page.exists() else None,
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
