"""The progress bar of reading and extraction: a bar with rate and time left on a terminal, otherwise nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress


class Pace:
    """How fast a work goes: of all steps so far but the slowest one, for a pool of workers starts once.

    Args:
        total: Units of the work, None where it is not known.
    """

    def __init__(self, total: int | None) -> None:
        self.total, self._done = total, 0
        self._last = time.monotonic()
        self._seconds = 0.0
        self._units = self._steps = 0
        self._slowest = (0.0, 1)

    def advance(self, units: int) -> None:
        """Count a step; what is there at once, such as rows of an earlier run, tells nothing of the pace."""
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        self._done += units
        if units > 0 and (self._done > units or seconds > 0.01):
            self._seconds += seconds
            self._units += units
            self._steps += 1
            slowest, count = self._slowest
            if seconds * count > slowest * units:
                self._slowest = seconds, units

    def rate(self) -> float | None:
        """Return units a second, None before the first step."""
        seconds, units = self._slowest if self._steps > 2 else (0.0, 0)
        units, seconds = self._units - units, self._seconds - seconds
        return units / seconds if units > 0 and seconds > 0 else None

    def left(self) -> float | None:
        """Return the seconds that are left, counted down between steps; None where nothing tells them."""
        rate = self.rate()
        if rate is None or self.total is None:
            return None
        return max(0.0, (self.total - self._done) / rate - (time.monotonic() - self._last))


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
    pace = Pace(total)
    with _progress(pace, unit) as shown:
        task = shown.add_task(label, total=total)

        def advance(steps: int) -> None:
            pace.advance(steps)
            shown.advance(task, steps)

        yield advance


def _progress(pace: Pace, unit: str) -> Progress:
    """Return a line that moves while no step ends: its sign turns, and the time left is counted down."""
    from rich import progress
    from rich.console import Console

    class Told(progress.ProgressColumn):
        max_refresh = 0.5

        def render(self, task: Any) -> Any:
            """Show the rate and the time left."""
            return _told(pace, unit)

    return progress.Progress(
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn() if unit == "bytes" else progress.MofNCompleteColumn(),
        Told(),
        console=Console(stderr=True),
        transient=True,
    )


def _told(pace: Pace, unit: str) -> str:
    rate, left = pace.rate(), pace.left()
    if rate is None:
        return ""
    speed = f"{rate / 2**20:,.1f} MiB/s" if unit == "bytes" else f"{rate:,.0f} {unit}/s"
    if left is None:
        return speed
    minutes, seconds = divmod(round(left), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{speed}, {hours}:{minutes:02}:{seconds:02} left"
