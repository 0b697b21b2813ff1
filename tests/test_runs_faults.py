"""Disk full at every write, kill -9 at any moment: the former run or the new one, never a broken one."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from straightedge import atomic
from straightedge.errors import MachineError
from straightedge.model import LinearModel
from straightedge.runs import RunFolder
from support.failing_disk import FailingDisk


def write_run(path: Path, value: float) -> None:
    """A whole run, every kind of file, all with the same number in them."""
    with RunFolder.create(path, {"value": value}, overwrite=True) as run:
        run.save_checkpoint({"W": torch.full((4,), value)}, {})
        run.write_trace({"iteration": i, "objective": value} for i in range(5))
        names, none = [str(i) for i in range(5)], [None] * 5
        run.write_predictions([(names, none, none, np.full(5, value), none, none)])
        run.save_path([(value, torch.full((3, 2), value), torch.zeros(2))])
        run.write_bytes("report.html", str(value).encode())
        bias = torch.full((2,), value)
        run.save_model(LinearModel(weight=torch.ones(3, 2), bias=bias, classes=("a", "b")))
        run.write_json("metrics.json", {"value": value})


def value_of(path: Path) -> float:
    """The number of the run at `path`, which all of its files must agree on."""
    run = RunFolder.open(path)
    found = {float(run.config["value"]), float(run.metrics["value"]), float(run.load_model().bias[0])}
    found |= {float(row["objective"]) for row in run.read_trace()} | {run.load_path()[0][0]}
    found |= {float(row["score"]) for row in run.read_predictions()} | {float(run.read_bytes("report.html"))}
    assert len(found) == 1, found
    assert len(run.read_trace()) == len(run.read_predictions()) == 5
    return found.pop()


@pytest.fixture
def _quick(monkeypatch) -> None:
    """Leave fsync out: it costs time and changes nothing that a process can see."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("swap", [True, False], ids=["names swapped", "names taken in two steps"])
@pytest.mark.parametrize(
    ("number", "short", "broken", "code"),
    [
        pytest.param(errno.ENOSPC, False, False, "disk-full", id="disk full"),
        pytest.param(errno.ENOSPC, True, False, "disk-full", id="disk full after half a write"),
        pytest.param(errno.ENOSPC, True, True, "disk-full", id="disk full and stays full"),
        pytest.param(errno.EROFS, False, True, "read-only", id="becomes read-only"),
        pytest.param(errno.EIO, False, True, "write-failed", id="disk dies"),
    ],
)
def test_a_failure_at_every_write_of_a_run_leaves_the_former_run(
    tmp_path: Path, monkeypatch, swap: bool, number: int, short: bool, broken: bool, code: str
) -> None:
    if not swap:
        monkeypatch.setattr(atomic.Disk, "exchange", lambda self, first, second: False)
    path, whole_disk = tmp_path / "run", atomic.disk
    write_run(path, 1.0)
    outcomes = []
    for fails_at in range(1, 200):
        monkeypatch.setattr(atomic, "disk", FailingDisk(fails_at, number, short=short, broken=broken))
        try:
            write_run(path, 2.0)
        except MachineError as error:
            assert error.code == code
        else:
            break
        finally:
            monkeypatch.setattr(atomic, "disk", whole_disk)
        if not path.exists():  # between the two steps: whoever comes next settles it
            assert not swap
            with pytest.raises(Exception, match="nothing-to-resume"):
                RunFolder.resume(path)
        outcomes.append(value_of(path))
        write_run(path, 1.0)
        assert [entry.name for entry in tmp_path.iterdir()] == ["run"]
    assert len(outcomes) > 30
    assert outcomes.index(2.0) >= len(outcomes) - 3  # only after the step that takes the name
    assert value_of(path) == 2.0


def test_output_folder_read_only(tmp_path: Path, monkeypatch) -> None:
    class ReadOnly(atomic.Disk):
        def make_folder(self, path: Path) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(atomic, "disk", ReadOnly())
    with pytest.raises(MachineError) as caught:
        RunFolder.create(tmp_path / "run", {})
    assert caught.value.code == "read-only"
    assert str(tmp_path) in str(caught.value)


KILLER = """
import os, random, signal, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
from test_runs_faults import value_of, write_run

torch.set_num_threads(1)
os.fsync = lambda descriptor: None  # a kill cannot tell, and more runs are met in the middle
path, tries = Path(sys.argv[2]), int(sys.argv[3])
random.seed(int(sys.argv[4]))
write_run(path, 0.0)
last = 0.0
for attempt in range(tries):
    pid = os.fork()
    if pid == 0:
        for number in range(1, 10**6):
            write_run(path, last + number)
    time.sleep(random.uniform(0.0, 0.06))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    found = value_of(path)
    assert found >= last, (found, last)
    last = found
write_run(path, last + 1)
assert value_of(path) == last + 1
print(int(last), sorted(entry.name for entry in path.parent.iterdir()))
"""


def _kill_in_a_loop(tmp_path: Path, tries: int) -> int:
    """Kill a process that writes runs over and over at random moments; return how many runs it finished."""
    command = [sys.executable, "-c", KILLER, str(Path(__file__).parent), str(tmp_path / "run"), str(tries), "5"]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    finished, _, names = result.stdout.strip().partition(" ")
    assert names == "['run']"
    return int(finished)


@pytest.mark.long
def test_kill_9_during_saves_leaves_the_old_run_or_the_new_one(tmp_path: Path) -> None:
    assert _kill_in_a_loop(tmp_path, 30) >= 5


@pytest.mark.slow
def test_kill_9_five_hundred_times(tmp_path: Path) -> None:
    assert _kill_in_a_loop(tmp_path, 500) >= 50


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize(
    "command",
    [
        pytest.param("evaluate", marks=pytest.mark.long),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("predict", "features", "export")),
    ],
)
def test_a_kill_at_every_call_of_the_disk_leaves_all_outputs_old_or_all_new(tmp_path: Path, command: str) -> None:
    tests = Path(__file__).parent
    path = os.pathsep.join([str(tests), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, tests / "support" / "kill_outputs.py", tmp_path, command],
        env={**os.environ, "PYTHONPATH": path},
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for words, counts in json.loads(done.stdout).items():
        assert "mixed" not in counts, words
        assert counts["old"] > 2 and counts["new"] > 1 and counts["left something"] > 1, words
