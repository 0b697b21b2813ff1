"""Many fits in one process: memory and threads stay where they were, and processes that it starts can fit too."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from straightedge import SoftmaxClassifier, SVMClassifier
from straightedge.data import load_dataset
from straightedge.workflow import FitOptions, run_fit
from support.kill_runs import write_data

WARM_UP = 8
LARGEST_GROWTH = 0.05


def resident() -> int:
    """Return this process's resident memory, bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def growth(folder: Path, fits: int) -> float:
    """Fit many times, every kind in turn; return how much memory grew after the warm-up, as a share."""
    write_data(folder / "data.npz")
    options = FitOptions(str(folder / "data.npz"), str(folder / "run"), tol=1e-3, progress=False, overwrite=True)
    train = load_dataset(folder / "data.npz", progress=False).train
    kinds = [{}, {"loss": "svm"}, {"regs": [1e-3, 1e-2]}, {"solver": "sgd", "epochs": 2}]
    before = 0
    for number in range(fits):
        run_fit(replace(options, **kinds[number % len(kinds)]))
        SoftmaxClassifier(reg=1e-2).fit(train.X, train.y)
        SVMClassifier(reg=1e-2).fit(train.X, train.y)
        if number == WARM_UP:
            gc.collect()
            before, threads = resident(), threading.active_count()
    gc.collect()
    assert threading.active_count() <= threads + 2
    return resident() / before - 1


@pytest.mark.long
def test_twenty_fits_leave_memory_and_threads_as_they_were(tmp_path: Path) -> None:
    assert growth(tmp_path, 20) < LARGEST_GROWTH


@pytest.mark.slow
def test_two_hundred_fits_leave_memory_and_threads_as_they_were(tmp_path: Path) -> None:
    assert growth(tmp_path, 200) < LARGEST_GROWTH


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize(
    "counts",
    [pytest.param((10, 3, 1, 3), marks=pytest.mark.long), pytest.param((100, 40, 20, 40), marks=pytest.mark.slow)],
    ids=str,
)
def test_no_process_that_a_used_one_starts_waits_for_ever(counts: tuple[int, int, int, int]) -> None:
    program = Path(__file__).parent / "support" / "start_methods.py"
    words = [sys.executable, program, *map(str, counts)]
    ended = subprocess.run(words, check=True, capture_output=True, text=True, timeout=1200)
    expected = zip(("fork", "forkserver", "spawn", "loader"), counts, strict=True)
    assert json.loads(ended.stdout) == {way: {"right": count} for way, count in expected}
