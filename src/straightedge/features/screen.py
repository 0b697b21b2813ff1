"""The progress bar of an extraction: images done, images a second, time left; nothing where no terminal is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(label: str, total: int, *, enabled: bool = True) -> Iterator[Callable[[int], None]]:
    """Give a function that moves the bar on by a number of images.

    Args:
        label: What is being made.
        total: Number of images.
        enabled: Whether to show anything; a stream that is no terminal shows nothing in any case.
    """
    if not enabled or not sys.stderr.isatty():
        yield lambda images: None
        return
    from rich import progress
    from rich.console import Console
    from rich.text import Text

    class Rate(progress.ProgressColumn):
        def render(self, task: progress.Task) -> Text:
            """Show images a second over the last half minute."""
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.0f} images/s" if speed else "", style="progress.data.speed")

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        Rate(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(label, total=total)
        yield lambda images: shown.advance(task, images)
