"""Bars keep their promises: they move, never back, and the time that they say is left is about right."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from straightedge.cli.fit_screen import FitScreen
from straightedge.data import bar as bars
from straightedge.data import load_dataset
from test_report_pictures import split_of

Step = tuple[float, int]


class Clock:
    """A clock that stands until it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("time.monotonic", made)
    monkeypatch.setattr("rich.console.monotonic", made)
    monkeypatch.setattr("rich.progress.Progress.start", lambda progress: None)  # no thread of another clock
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    return made


def steady(n: int, seconds: float) -> Iterator[Step]:
    yield from ((seconds, 100) for _ in range(n))


def pool(n: int, seconds: float) -> Iterator[Step]:
    """A first block that is read at once, then a pool of workers that takes 5 s to start."""
    yield (seconds, 100)
    yield (5 + seconds, 100)
    yield from steady(n - 2, seconds)


def uneven(n: int, seconds: float) -> Iterator[Step]:
    """Blocks of other sizes, whose images are larger and smaller."""
    draw = np.random.default_rng(0)
    for factor, units in zip(draw.uniform(0.5, 1.5, n), draw.integers(50, 150, n), strict=True):
        yield float(seconds * factor * units / 100), int(units)


def resumed(n: int, seconds: float) -> Iterator[Step]:
    """An extraction of which the larger part was there."""
    yield (0.0, 200 * n)
    yield from steady(n, seconds)


@pytest.mark.parametrize("steps", [steady, pool, uneven, resumed])
@pytest.mark.parametrize(("n", "seconds"), [(40, 0.3), (200, 2.0), (12, 60.0)])
def test_after_a_tenth_of_the_work_the_time_left_is_within_a_factor_of_two(
    clock: Clock, steps: Callable[[int, float], Iterator[Step]], n: int, seconds: float
) -> None:
    works = list(steps(n, seconds))
    total, whole = sum(units for _, units in works), sum(took for took, _ in works)
    kept = works[0][1] if not works[0][0] else 0
    pace, done, spent, judged = bars.Pace(total), 0, 0.0, 0
    for took, units in works:
        clock.now += took
        pace.advance(units)
        done, spent = done + units, spent + took
        if 0.1 <= (done - kept) / (total - kept) <= 0.9 and done > units:
            left = pace.left()
            assert left is not None and 0.5 <= left / (whole - spent) <= 2
            judged += 1
    assert judged > n / 2


def line_of(progress: Any) -> str:
    from rich.console import Console

    console = Console(width=120, file=open("/dev/null", "w"), record=True)  # noqa: SIM115
    console.print(progress.get_renderable())
    console.file.close()
    return console.export_text()


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every progress that is made."""
    made: list[Any] = []
    plain = bars._progress

    def kept(*arguments: Any) -> Any:
        made.append(plain(*arguments))
        return made[-1]

    monkeypatch.setattr(bars, "_progress", kept)
    return made


def test_a_line_says_rate_and_time_left_and_changes_while_no_step_ends(clock: Clock, shown: list[Any]) -> None:
    with bars.bar("decoding", 1000) as advance:
        for _ in range(4):
            clock.now += 10
            advance(100)
        first = line_of(shown[0])
        assert re.search(r"400/1000\s+10 images/s, 0:01:00 left", first), first
        lines = {first}
        for _ in range(5):  # a step of 10 s: no two seconds show one line
            clock.now += 2
            lines.add(line_of(shown[0]))
        assert len(lines) == 6
        assert "0:00:50 left" in line_of(shown[0])


@pytest.mark.long
def test_reading_moves_the_bar_forwards_in_small_steps_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    for row, image in enumerate(split_of(600, (3, 8, 8)).X):
        folder = tmp_path / "images" / "ab"[row % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{row}.png")
    seen: list[int] = []
    monkeypatch.setattr(bars.Pace, "advance", lambda pace, units: seen.append(units))
    monkeypatch.setattr("rich.progress.Progress.start", lambda progress: None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    load_dataset(str(tmp_path / "images"), cache=False)
    assert sum(seen) == 600 and min(seen) > 0
    assert max(seen) <= 256


def test_the_bar_of_a_solve_never_goes_back_and_tells_the_trend_of_the_gap(clock: Clock) -> None:
    screen = FitScreen(1e-4, enabled=True)
    task = screen._progress.tasks[0]
    screen.say("fitting")
    places = []
    for reg in (1e-1, 1e-2):  # the second value begins when the first is certified
        for step in range(9):
            screen.row({"reg": reg, "solver": "newton", "gap": 10.0 ** (-step / 2), "n_passes": 4 * step + 1})
            places.append(task.completed)
    assert places == sorted(places) and 0.99 < places[-1] < 1
    assert task.fields["note"] == "33 passes, gap 1.0e-04, tenfold less in 8 passes, 2 of 2 certified"
    screen.row({"reg": 1e-2, "solver": "newton", "gap": 1.0, "n_passes": 50})
    assert ", not falling" in task.fields["note"]
    before = line_of(screen._progress)
    clock.now += 2
    assert line_of(screen._progress) != before  # its sign turns and its seconds run while a pass is long
