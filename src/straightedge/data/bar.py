"""One progress bar for reading: on a terminal a bar with rate and ETA, otherwise nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(
    label: str, total: int | None, *, enabled: bool = True, unit: str = "images"
) -> Iterator[Callable[[int], None]]:
    """Give a function that moves the bar on by a number of steps.

    Args:
        label: What is being done.
        total: Number of steps, None where it is not known.
        enabled: Whether to show anything; a stream that is no terminal shows nothing in any case.
        unit: ``images`` or ``bytes``.
    """
    if not enabled or not sys.stderr.isatty():
        yield lambda steps: None
        return
    from rich import progress
    from rich.console import Console

    amount = progress.DownloadColumn() if unit == "bytes" else progress.MofNCompleteColumn()
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        amount,
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(label, total=total)
        yield lambda steps: shown.advance(task, steps)
