"""Kill commands that write files at each of their calls of the disk, and look at what stands there then.

Run by test_runs_faults.py in a process of its own: everything is imported once, and every command is a fork.

    python tests/support/kill_outputs.py FOLDER COMMAND...
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from straightedge import atomic
from straightedge.leftovers import settle
from support.failing_disk import FailingDisk
from support.troubles.run import say

COMMANDS = {
    "predict": ("predict run {data} --out here/answers.csv",),
    "evaluate": ("evaluate run {data} --out here/result.json --predictions here/predictions.csv",),
    "features": ("features {data} --out here/f.npy", "features {data} --out here/g.svm"),
    "export": ("export {run} --to onnx --out here", "export {run} --to torch --out here"),
}


class KillingDisk(FailingDisk):
    """Kills the process at the k-th call, before it or after it."""

    def __init__(self, kills_at: int, after: bool) -> None:
        super().__init__(kills_at)
        self._after = after

    def _count(self) -> None:
        self.calls += 1
        if self.calls == self.fails_at + self._after:
            os.kill(os.getpid(), signal.SIGKILL)


def run(words: str, disk: atomic.Disk, told: Path) -> int:
    """Run a command in a fork with a disk of its own, and return its status."""
    child = os.fork()
    if child == 0:
        atomic.disk = disk
        os._exit(say([*words.split(), "--quiet"], told))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def which_of(seen: dict[str, bytes], old: dict[str, bytes], new: dict[str, bytes]) -> str:
    """Return which outputs these are; some libraries write the same values in an order of their own."""
    if seen.keys() != old.keys():
        return "mixed"
    telling = [name for name in old if old[name] != new[name]]
    former = {seen[name] == old[name] for name in telling}
    if former == {False} and all(len(seen[name]) == len(new[name]) for name in telling):
        return "new"
    return "old" if former == {True} and seen == old else "mixed"


def killed_everywhere(words: str, place: Path) -> Counter[str]:
    """Kill a command at each call over the outputs of another one; return how often which outputs stood there."""
    here, told, whole = place / "here", place / "told", atomic.Disk()
    sets = []
    for which in ("old", "new"):
        shutil.rmtree(here, ignore_errors=True)
        here.mkdir()
        assert run(words.format(data=f"{which}.npz", run=which), whole, told) == 0, told.read_text()
        sets.append(contents(here))
    old, new = sets
    assert old.keys() == new.keys() and sum(old[name] != new[name] for name in old) > (len(old) > 1)
    counts: Counter[str] = Counter()
    for kills_at in range(1, 500):
        for name in here.iterdir():
            name.unlink()
        for name, content in old.items():
            (here / name).write_bytes(content)
        status = run(words.format(data="new.npz", run="new"), KillingDisk(kills_at, False), told)
        half = len([name for name in here.iterdir() if name.name.startswith(".")])
        settle(here)
        seen = {name: content for name, content in contents(here).items() if not name.startswith(".")}
        counts[which_of(seen, old, new)] += 1
        counts["left something"] += half > 0
        assert run(words.format(data="new.npz", run="new"), whole, told) == 0, told.read_text()
        assert which_of(contents(here), old, new) == "new", (kills_at, sorted(contents(here)))
        if status == 0:
            return counts
        assert status == -signal.SIGKILL, (status, told.read_text())
    raise AssertionError("the command never ended")


def prepare(place: Path) -> None:
    """Write two data sets and fit a run on each; everything that the commands need is imported by that."""
    for seed, name in enumerate(("old", "new")):
        random = np.random.default_rng(seed)
        y = np.arange(60) % 3
        X = (random.normal(size=(60, 4)) + 2 * np.eye(3, 4)[y]).astype(np.float32)
        np.savez(place / f"{name}.npz", X_train=X[:40], y_train=y[:40], X_test=X[40:], y_test=y[40:])
        assert say(f"fit {name}.npz --out {name} --reg 0.01 --no-suspects --quiet".split(), place / "told") == 0
    shutil.copytree(place / "old", place / "run")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    os.fsync = lambda descriptor: None  # a kill cannot tell
    folder, streams = Path(sys.argv[1]).absolute(), os.dup(1)
    os.chdir(folder)
    asked = sys.argv[2:]
    prepare(folder)
    found = {words: dict(killed_everywhere(words, folder)) for name in asked for words in COMMANDS[name]}
    os.write(streams, json.dumps(found).encode())
