"""Sparse rows: softmax against its peers, hinges against LIBLINEAR and our softmax, a path against its hardest fit.

    python -m benchmarks.sparse --tables FOLDER --out benchmarks/results/sparse.json [--only softmax,path]

FOLDER, or the one above it, has a1a.t and 20news.zip; parts whose file is missing are left out. News are the
training texts of 20 newsgroups as TF-IDF (float64, sublinear, words of two documents and more), with a constant
column whose weight is penalised for everybody. Times are CPU seconds. A peer's tolerance is tightened until the P
of its W is within the gap of our proven bound, and the time of that one run counts: where it is short as the
median of three, ours and the peer's by turns in this process. A peer is given up when its tries have taken 20 times
our own time, or a minute, and is not asked at a smaller reg then. ``--only`` names parts, whose answers are put
beside those of the file.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.field_peers import tried
from benchmarks.machine import commit, machine, versions
from benchmarks.sparse_peers import SOFTMAX, Peer, liblinear, value
from benchmarks.sparse_problems import Rows, sparse_problems, with_constant
from straightedge import LinearClassifier
from straightedge.atomic import write_json
from straightedge.selection.path import fit_path

Fit = Callable[[], Any]
Entry = dict[str, Any]
REGS = (1e-3, 1e-4, 1e-5, 1e-6)
WESTON_WATKINS_BARS = (1, 2, 8, 60)
TIMES_OURS, LONGEST, LEAST = 20, 60.0, 5.0  # of our time, and CPU seconds, after which a peer is given up
SHORT = 3.0  # CPU seconds of a peer's fit that is repeated
CRAMMER_SINGER = (0.03, 0.01, 3e-3)
TWO_CLASSES = (1, 0.3, 0.1, 0.03, 1e-2, 1e-3, 1e-4, 1e-5)


def ours(loss: str, rows: Rows, reg: float, tol: float) -> Any:
    """Return our fit."""
    return LinearClassifier(loss, reg=reg, tol=tol, max_passes=5000).fit(*rows)


def cpu(fit: Fit) -> tuple[float, Any]:
    """Return the CPU seconds of a fit, and what it returned."""
    began = time.process_time()
    found = fit()
    return time.process_time() - began, found


def by_turns(*fits: Fit, turns: int = 3) -> list[float]:
    """Return the median CPU seconds of each of some fits, run by turns."""
    seconds = [[cpu(fit)[0] for fit in fits] for _ in range(turns)]
    return [median(column) for column in zip(*seconds, strict=True)]


class Race:
    """Peers against us on one problem.

    Args:
        loss: Name of the loss.
        rows: Without the constant column.
        reg: Strength of the penalty.
        tol: Relative gap that is asked for.
    """

    def __init__(self, loss: str, rows: Rows, reg: float, tol: float) -> None:
        self.loss, self.rows, self.reg, self.tol = loss, rows, reg, tol
        self.whole = with_constant(rows[0]), rows[1]
        self.bound = ours(loss, rows, reg, tol / 20).dual_
        (self.own,) = by_turns(self.fit)

    def fit(self) -> Any:
        """Return our fit."""
        return ours(self.loss, self.rows, self.reg, self.tol)

    def against(self, name: str, peer: Peer, tolerances: Sequence[float]) -> Entry:
        """Return both sides' seconds to the gap, and the peer's over ours; of a peer that is given up, at least."""
        own, left = self.own, min(LONGEST, max(LEAST, TIMES_OURS * self.own))
        spent, gap, there = 0.0, float("inf"), False
        size = self.whole[0].size * len(np.unique(self.whole[1]))
        for tolerance in tolerances:
            work = _bound(peer, self.loss, self.whole, self.reg, tolerance)
            found = tried(work, size, left - spent)
            if found is None:
                spent = left
                break
            seconds, W = found
            spent += seconds
            gap = (achieved := value(self.loss, self.whole, W, self.reg)) / achieved - self.bound / achieved
            if there := gap <= self.tol:
                spent = seconds
                break
            if spent >= left:
                break
        if there and spent < SHORT:
            own, spent = by_turns(self.fit, work)
        entry = {"loss": self.loss, "reg": self.reg, "tol": self.tol, "ours_s": own, "peer_s": spent}
        reached = {"peer": name, "peer_tol": tolerance, "peer_gap": gap, "peer_there": there}
        return entry | {"ratio": spent / own} | reached


def _bound(peer: Peer, *how: Any) -> Fit:
    return lambda: peer(*how)


def softmax(rows: Rows) -> Iterator[Entry]:
    """Yield softmax's races, of all peers that are installed."""
    given_up: set[str] = set() if find_spec("cyanure") else {"cyanure"}
    for reg in REGS:
        race = Race("softmax", rows, reg, 1e-4)
        for name, (peer, tolerances) in SOFTMAX.items():
            if name not in given_up:
                entry = race.against(name, peer, tolerances)
                yield entry
                if not entry["peer_there"]:
                    given_up.add(name)


def weston_watkins(rows: Rows) -> Iterator[Entry]:
    """Yield our SVM's times over those of our softmax."""
    for reg, bar in zip(REGS, WESTON_WATKINS_BARS, strict=True):
        base, own = by_turns(
            lambda: ours("softmax", rows, 1e-3, 1e-4),
            _bound(ours, "svm", rows, reg, 1e-3),
            turns=3 if bar < 60 else 1,
        )
        yield {"loss": "svm", "reg": reg, "ours_s": own, "softmax_s": base, "ratio": own / base, "bar": bar}


def crammer_singer(rows: Rows) -> Iterator[Entry]:
    """Yield Crammer–Singer's races."""
    for reg in REGS[:3]:
        yield Race("crammer_singer", rows, reg, 1e-3).against("liblinear", liblinear, CRAMMER_SINGER)


def two_classes(name: str, rows: Rows, regs: Sequence[float]) -> Iterator[Entry]:
    """Yield the races of both hinges."""
    for loss in ("svm", "squared_hinge"):
        for reg in regs:
            race = Race(loss, rows, reg, 1e-3)
            yield {"data": name} | race.against("liblinear", liblinear, TWO_CLASSES)


def path(rows: Rows) -> Iterator[Entry]:
    """Yield the time of a path over that of its hardest fit."""
    grid = np.logspace(-6, -2, 16)
    whole, hardest = by_turns(
        lambda: fit_path(*rows, grid, tol=1e-4, max_passes=5000), lambda: ours("softmax", rows, 1e-6, 1e-4)
    )
    yield {"path_s": whole, "hardest_s": hardest, "ratio": whole / hardest, "bar": 5}


TWO_CLASS_REGS = {"a1a.t": (1e-2, 1e-3, 1e-4, 1e-6), "20 newsgroups, two largest": (1e-2, 1e-4, 1e-6)}
PARTS: dict[str, Callable[[Rows], Iterator[Entry]]] = {
    "softmax": softmax,
    "weston_watkins": weston_watkins,
    "crammer_singer": crammer_singer,
    "path": path,
}
"""Those of all classes of 20 newsgroups."""


def entries(part: str, held: dict[str, Callable[[], Rows]]) -> list[Entry]:
    """Return the entries of one part, of the data that are there."""
    found: list[Entry] = []
    if part == "two_classes":
        for name, regs in TWO_CLASS_REGS.items():
            found += two_classes(name, held[name](), regs) if name in held else []
    elif "20 newsgroups" in held:
        for entry in PARTS[part](held["20 newsgroups"]()):
            print(json.dumps(entry), flush=True)
            found.append(entry)
    return found


def main(words: list[str] | None = None) -> None:
    """Run the parts that are asked for; the file is whole after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, required=True, help="the folder of a1a.t and 20news.zip")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default=",".join(["two_classes", *PARTS]))
    asked = parser.parse_args(words)
    warnings.simplefilter("ignore")
    held = sparse_problems(asked.tables)
    found = json.loads(asked.out.read_text(encoding="utf-8")) if asked.out.exists() else {}
    found |= {"machine": machine(), "versions": versions()}
    for part in asked.only.split(","):
        began = time.monotonic()
        if fresh := entries(part, held):
            found[part] = {"commit": commit(), "entries": fresh}
            write_json(asked.out, found)
        print(f"{part}: {len(fresh)} entries in {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
