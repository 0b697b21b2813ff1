"""What `fit` shows: a bar from the first pass to the proof, and a short table at the end."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from straightedge.errors import StraightedgeError, StraightedgeWarning, visible

SHOWN_COLUMNS = 30  # columns of a table that the terminal lists
SHOWN_CLASSES, SHOWN_WORDS = 20, 6  # classes, and words of each side, that the terminal lists
SIDES = ("for", "against")
TREND_ROWS = 9  # rows of the trace over which the trend of the gap is told
NEARLY_FULL = 0.999
"""Where a bar stays until its stage ends: the line of a full one stands still, and more values may follow."""
SAME_SIGNAL = 3.0  # seconds within which a second signal is the first one again


@contextmanager
def interruptible() -> Iterator[None]:
    """Make the first Ctrl-C end the pass after its block, or the reading at once; the second one ends the process.

    A scheduler's SIGTERM is taken as the first Ctrl-C: the run saves its state and can be resumed.
    """
    from straightedge.workers import NOTHING_BEGUN, STOP_REQUESTED

    began = 0.0

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal began
        # torchrun passes on to its ranks the Ctrl-C that the terminal has sent them already
        again = STOP_REQUESTED.is_set() and not (_one_of_many() and time.monotonic() - began < SAME_SIGNAL)
        if again:
            sys.stderr.write("\nleaving at once\n")
            raise SystemExit(130)
        began = began if STOP_REQUESTED.is_set() else time.monotonic()
        STOP_REQUESTED.set()
        if NOTHING_BEGUN.is_set() and not _one_of_many():  # ranks agree on it when they have read
            raise KeyboardInterrupt

    try:
        former = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: signals are not ours to handle
        yield
        return
    try:
        yield
    finally:
        for number, action in former.items():
            signal.signal(number, action)
        STOP_REQUESTED.clear()


def _one_of_many() -> bool:
    return os.environ.get("WORLD_SIZE", "1") != "1"


@contextmanager
def quiet_ranks() -> Iterator[bool]:
    """Give whether this process speaks for all ranks; the others warn of nothing, and of errors of their own."""
    from straightedge.distributed import is_shared

    if os.environ.get("RANK", "0") == "0":
        yield True
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StraightedgeWarning)
        try:
            yield False
        except StraightedgeError as error:
            if is_shared(error):  # rank 0 prints it
                raise typer.Exit(error.exit_status) from None
            raise


class FitScreen:
    """A bar whose length is the logarithm of the gap, full when the worst configuration is certified."""

    def __init__(self, tol: float, *, enabled: bool) -> None:
        self.tol = tol
        console = Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not (enabled and console.is_terminal),
        )
        self._task = self._progress.add_task("reading", total=None, note="")
        self._gaps: dict[tuple[float, str], float] = {}
        self._recent: deque[tuple[float, float]] = deque(maxlen=TREND_ROWS)
        self._done = 0.0

    def __enter__(self) -> FitScreen:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._progress.disable:  # one that was never shown ends in an empty line before Rich 14
            self._progress.stop()

    def say(self, what: str) -> None:
        """Begin a stage; reading draws bars of its own, so ours steps aside."""
        self._gaps.clear()
        self._recent.clear()
        self._done = 0.0
        self._progress.update(
            self._task, description=what, total=None, completed=0, note="", visible=what != "reading"
        )

    def row(self, row: dict[str, Any]) -> None:
        """Show one trace row; the bar stays where it is when another value of reg begins."""
        configuration = (row["reg"], row["solver"])
        if configuration not in self._gaps:
            self._recent.clear()
        self._gaps[configuration] = row["gap"]
        worst = max(self._gaps.values())
        self._recent.append((row["n_passes"], worst))
        reached = 0.0 if not 0 < worst < 1 else min(1.0, math.log(worst) / math.log(min(self.tol, 0.5)))
        self._done = max(self._done, min(reached, NEARLY_FULL))
        note = f"{row['n_passes']:.0f} passes, gap {worst:.1e}{self._trend()}{self._ready()}"
        self._progress.update(self._task, total=1.0, completed=self._done, note=note)

    def _ready(self) -> str:
        ready = sum(gap <= self.tol for gap in self._gaps.values())
        return f", {ready} of {len(self._gaps)} certified" if len(self._gaps) > 1 else ""

    def _trend(self) -> str:
        """In words, how fast the worst gap falls over the last rows."""
        (began, first), (ends, last) = self._recent[0], self._recent[-1]
        if ends <= began or min(first, last) <= 0:
            return ""
        if last >= first:
            return ", not falling"
        return f", tenfold less in {max(1, round((ends - began) / math.log10(first / last)))} passes"


def print_result(result: dict[str, Any], as_json: bool) -> None:
    """Print the short table, or the JSON object alone."""
    if as_json:
        from straightedge.atomic import to_json

        print(to_json(result))
        return
    console = Console()
    if "columns" in result:
        console.print(visible(result["notes"][0]), markup=False)
        console.print(_columns(result["columns"]))
    console.print(_table(result))
    if "terms" in result:
        console.print(_terms(result["terms"]))
    for note in result.get("notes", [])["columns" in result :]:
        console.print(f"note: {visible(note)}", style="yellow", markup=False)
    console.print(f"run:    {visible(result['run'])}", markup=False, soft_wrap=True)
    console.print(f"report: {visible(result['report'])}", markup=False, soft_wrap=True)


def _table(result: dict[str, Any]) -> Table:
    from straightedge.report import headline

    table = Table(show_header=False, title=f"{result['loss']}, reg {result['reg']:.3g}", title_justify="left")
    table.add_column(style="dim")
    table.add_column()
    for split in ("test", "validation", "train"):
        if split in result:
            low, high = result[split]["interval"]
            beside = [f"n = {result[split]['n']:,.0f}", *headline.beside(result[split])]
            beside += filter(None, [headline.best_of(result, split)])
            table.add_row(
                f"{split} accuracy",
                f"{result[split]['accuracy']:.4f}  [{low:.4f}, {high:.4f}]  {', '.join(beside)}".replace(
                    "\u00a0", " "
                ),
            )
    if threshold := result.get("threshold"):
        table.add_row("threshold", visible(f"{headline.threshold_in_words(result)} ({threshold['rule']})"))
    if "selection" in result:
        table.add_row(
            "reg chosen by",
            f"{result['selection']['rule']} ({result['selection']['splits']}, {len(result['path'])} values)",
        )
    table.add_row("proof", result["message"])
    if path := headline.of_the_path(result):
        table.add_row("path", path)
    table.add_row("objective", f"{result['objective']:.8f} (no W is below {result['dual']:.8f})")
    table.add_row("work", f"{result['n_passes']:.0f} passes, {result['seconds']:.1f} s")
    return table


def _columns(columns: list[dict[str, Any]]) -> Table:
    """Return what the fit saw of a table: name, kind, missing values and what each column became."""
    table = Table(box=box.SIMPLE, title="what the fit saw", title_justify="left")
    for heading in ("column", "kind", "missing", "became"):
        table.add_column(heading, justify="right" if heading == "missing" else "left")
    for row in columns[:SHOWN_COLUMNS]:
        missing = f"{row['missing']:,}" if row["missing"] else ""
        table.add_row(Text(visible(row["name"])), row["kind"], missing, Text(visible(row["became"])))
    if len(columns) > SHOWN_COLUMNS:
        table.add_row(f"and {len(columns) - SHOWN_COLUMNS} more", "", "", "all are in metrics.json")
    return table


def _terms(terms: list[dict[str, Any]]) -> Table:
    """Return the words that speak most for and against each class."""
    table = Table(box=box.SIMPLE, title="words that speak", title_justify="left")
    for heading in ("class", "for it", "against it"):
        table.add_column(heading)
    for entry in terms[:SHOWN_CLASSES]:
        sides = (", ".join(visible(one["term"]) for one in entry[side][:SHOWN_WORDS]) for side in SIDES)
        table.add_row(Text(visible(entry["class"])), *map(Text, sides))
    if len(terms) > SHOWN_CLASSES:
        table.add_row(f"and {len(terms) - SHOWN_CLASSES} more", "all are in terms.csv", "")
    return table


def print_stopped(solution: Any, out: str, features: str | None = None) -> None:
    """Say where an interrupted run stands and how to go on."""
    gap = float(solution.gap.max())
    print(f"stopped: best W so far has gap {gap:.1e}, not certified", file=sys.stderr)
    from straightedge.runs.checkpoint import CHECKPOINT_FILE
    from straightedge.runs.publish import neighbour

    if (neighbour(Path(os.path.realpath(out)), "partial") / CHECKPOINT_FILE).exists():
        named = f" --features {features}" if features and features.startswith("module:") else ""
        print(visible(f"go on with: straightedge fit --resume {out}{named}"), file=sys.stderr)
