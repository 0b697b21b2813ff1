"""The parts of the benchmark. Each takes a `Problem` and `Options` and yields (key, entry) for the results file."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.machine import conditions, timed
from benchmarks.ours import fit_once, median_of, warm_up
from benchmarks.peers import PEERS, Peer, run_peer
from benchmarks.problem import Judge, Problem
from benchmarks.watch import Watch
from straightedge.fitting import FitSettings
from straightedge.losses import get_loss
from straightedge.objective import Objective
from straightedge.selection import cross_validate, fit_path
from straightedge.splits import fold_of_rows
from straightedge.training import TrainingRows

Entry = tuple[str, dict[str, Any]]
SAMPLED = 4  # values of the path that the single fits are timed at
PATH_ENDS = (-6, 0)  # decimal logarithms of the path's least and largest reg
COARSER = 10  # times the gap on the path of the SVM below
COARSER_BELOW = 1e-5  # this reg
PATH_CAP = 40.0  # longest time of one peer fit of the path, s
REFERENCE = {True: 0.01, False: 0.2}  # share of the asked gap the optimum is known to, for smooth losses or not


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line.

    Attributes:
        reg: Values, or None for those of each part.
        peers: Names, or None for all.
        tol: Relative gap, or None for that of each part.
        repeat: Times a short measurement is repeated.
        cap: Longest time of any one peer fit, s; None leaves each its own.
        path_size: Values of reg of the path.
        folds: Number of folds.
        say: Called with a line on what is being done.
    """

    reg: tuple[float, ...] | None = None
    peers: tuple[str, ...] | None = None
    tol: float | None = None
    repeat: int = 3
    cap: float | None = None
    path_size: int = 16
    folds: int = 5
    say: Callable[[str], None] = lambda line: None


# ---------------------------------------------------------------- one fit, one gap


def softmax(problem: Problem, options: Options) -> Iterator[Entry]:
    """Softmax to the same gap: ours against every peer."""
    yield from _fits("softmax", problem, options, options.reg or (1e-2, 1e-3, 1e-4, 1e-5), options.tol or 1e-4)


def svm(problem: Problem, options: Options) -> Iterator[Entry]:
    """The SVM of Weston and Watkins (no peer minimises it), and that of Crammer and Singer against LIBLINEAR."""
    yield from _fits("svm", problem, options, options.reg or (1e-1, 1e-2, 1e-3, 1e-4), options.tol or 1e-3)
    yield from _fits("crammer_singer", problem, options, options.reg or (1e-2,), options.tol or 1e-3)


def _fits(loss: str, problem: Problem, options: Options, values: tuple[float, ...], tol: float) -> Iterator[Entry]:
    warmed = warm_up(problem, loss)
    for reg in values:
        entry = _race(loss, problem, options, reg, tol)
        yield f"{loss} reg={reg:g}", entry | {"warm_up_seconds": warmed}


def _race(loss: str, problem: Problem, options: Options, reg: float, tol: float) -> dict[str, Any]:
    """Run ours, a peer, ours, a peer, …: a drift of the machine shows in our own times."""
    entry: dict[str, Any] = {"loss": loss, "reg": reg, "tol": tol} | conditions(problem.table)
    own: dict[str, list[dict[str, Any]]] = {"uint8": [], "float32": []}
    peers = [peer for peer in PEERS if peer.loss == loss and _wanted(peer, options)]
    if peers or get_loss(loss).smooth:  # a race of ours alone needs no finer bound on the optimum
        options.say(f"{loss} reg {reg:g}: the optimum")
        finer = REFERENCE[get_loss(loss).smooth] * tol
        entry["best_dual"] = fit_once(problem, loss, reg, finer)["dual"]
    results = []
    for turn in range(max(options.repeat, len(peers))):
        if turn < options.repeat:
            for kind, entries in own.items():
                options.say(f"{loss} reg {reg:g}: straightedge, {kind}")
                entries.append(fit_once(problem, loss, reg, tol, kind))
        if turn < len(peers):
            options.say(f"{loss} reg {reg:g}: {peers[turn].name}")
            watch = Watch(Judge(problem, loss, reg, entry.get("best_dual")), tol, options.cap or peers[turn].cap)
            results.append(run_peer(peers[turn], problem, reg, watch))
    entry["solvers"] = [median_of(entries) for entries in own.values()] + results
    return entry | {"yardstick_after": conditions(problem.table)["yardstick"]}


def _wanted(peer: Peer, options: Options) -> bool:
    named = options.peers is None or peer.name in options.peers
    return named and find_spec(peer.package) is not None


# ---------------------------------------------------------------- one pass


def one_pass(problem: Problem, options: Options) -> Iterator[Entry]:
    """One loss-and-gradient pass against the plain torch idiom, interleaved; 1 value of reg, and a path."""
    for K in (1, options.path_size):
        yield f"pass K={K}", _pass(problem, options, K)


def _pass(problem: Problem, options: Options, K: int) -> dict[str, Any]:
    options.say(f"one pass, {K} configurations")
    objectives = {
        kind: problem.objective("softmax", [1e-4] * K, torch.float32, table=kind == "float32")
        for kind in ("uint8", "float32")
    }
    W = torch.randn(objectives["uint8"].shape, generator=torch.Generator().manual_seed(0)) * 1e-3
    works: dict[str, Callable[[], object]] = {
        f"straightedge-{kind}": _evaluation(objective, W) for kind, objective in objectives.items()
    }
    works["torch idiom"] = _idiom(problem, W)
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(2 * options.repeat + 2):
        for name, work in works.items():
            seconds = timed(work)
            if turn > 1:  # the first two fill caches and thread pools
                times[name].append(1000 * seconds)
    entry: dict[str, Any] = conditions(problem.table) | {"K": K, "n_classes": problem.n_classes}
    if K == 1:
        times["torch idiom, fresh process"] = _fresh_idiom(problem, options)
    return entry | {"ms": {name: median(of) for name, of in times.items()}, "all_ms": times}


def _fresh_idiom(problem: Problem, options: Options) -> list[float]:
    """Time the idiom as a program that has just imported torch runs it."""
    sizes = *problem.table.shape, problem.n_classes, options.repeat
    words = [sys.executable, "-m", "benchmarks.idiom", *map(str, sizes)]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=root)
    found: list[float] = json.loads(done.stdout)["ms"]
    return found


def _evaluation(objective: Objective, W: torch.Tensor) -> Callable[[], object]:
    return lambda: objective.evaluate(W)


def _idiom(problem: Problem, W: torch.Tensor) -> Callable[[], object]:
    """The obvious way: S = X W; A = softmax(S) − onehot(y); G = XᵀA, in torch with its own threads."""
    X, y = torch.from_numpy(problem.table), torch.from_numpy(problem.labels)
    K, C, width = W.shape
    wide = W.reshape(K * C, width).t().contiguous()
    index = torch.arange(len(y))

    def work() -> object:
        scores = (X @ wide).view(len(y), K, C)
        log = scores.log_softmax(dim=2)
        loss = -log[index, :, y].mean(dim=0)
        A = log.exp()
        A[index, :, y] -= 1
        gradient = X.t() @ A.view(len(y), K * C)
        return loss, gradient

    return work


# ---------------------------------------------------------------- the path and the folds


def path(problem: Problem, options: Options) -> Iterator[Entry]:
    """A path of values of reg in one run, against single fits: our own and scikit-learn's."""
    tol = options.tol or 1e-3
    warm_up(problem, "softmax")
    whole = _path(problem, options, "softmax", tol)
    places = np.linspace(0, options.path_size - 1, SAMPLED).round().astype(int)
    entry: dict[str, Any] = conditions(problem.table) | whole | {"tol": tol}
    entry["singles"] = [_single(problem, options, whole["reg"][place], tol) for place in places]
    scale = options.path_size / SAMPLED
    for who in ("straightedge-uint8", "sklearn-lbfgs"):
        found = [single[who] for single in entry["singles"] if who in single]
        if found:
            entry[f"seconds_single_fits {who}"] = scale * sum(one["seconds"] for one in found)
            entry[f"all_reached {who}"] = all(one["status"] == "reached" for one in found)
    yield "path", entry


def svm_path(problem: Problem, options: Options) -> Iterator[Entry]:
    """The same path of the SVM, its least values of reg to a coarser gap, against our own single fits of each."""
    tol = options.tol or 1e-3
    warm_up(problem, "svm")
    values = np.logspace(*PATH_ENDS, options.path_size)
    tols = [tol * (COARSER if reg < COARSER_BELOW else 1) for reg in values]
    entry: dict[str, Any] = conditions(problem.table) | _path(problem, options, "svm", tols) | {"tol": tol}
    entry["tols"] = tols
    entry["singles"] = []
    for reg, own in zip(values, tols, strict=True):
        options.say(f"single fit at reg {reg:g}")
        entry["singles"].append({"reg": float(reg), "straightedge-uint8": fit_once(problem, "svm", reg, own)})
    found = [single["straightedge-uint8"] for single in entry["singles"]]
    entry["seconds_single_fits straightedge-uint8"] = sum(one["seconds"] for one in found)
    entry["all_reached straightedge-uint8"] = all(one["status"] == "reached" for one in found)
    yield "svm_path", entry | {"yardstick_after": conditions(problem.table)["yardstick"]}


def _path(problem: Problem, options: Options, loss: str, tol: float | list[float]) -> dict[str, Any]:
    values = np.logspace(*PATH_ENDS, options.path_size)
    options.say(f"{loss} path of {options.path_size} values")
    found: list[Any] = []

    def work() -> None:
        found.append(fit_path(problem.images, problem.labels, values, loss=loss, preprocess="pixels", tol=tol))

    seconds = timed(work)
    solution = found[0].solution
    return {
        "reg": found[0].reg,
        "seconds": seconds,
        "gaps": solution.gap.tolist(),
        "n_passes": solution.n_passes.tolist(),
        "status": [status.value for status in solution.status],
    }


def _single(problem: Problem, options: Options, reg: float, tol: float) -> dict[str, Any]:
    options.say(f"single fits at reg {reg:g}")
    entry: dict[str, Any] = {"reg": reg, "straightedge-uint8": fit_once(problem, "softmax", reg, tol)}
    peer = PEERS[0]
    if _wanted(peer, options):
        watch = Watch(Judge(problem, "softmax", reg), tol, options.cap or PATH_CAP)
        entry[peer.name] = run_peer(peer, problem, reg, watch)
    return entry


def folds(problem: Problem, options: Options) -> Iterator[Entry]:
    """Folds of a path of values, each fitted by itself, against the path alone."""
    tol = options.tol or 1e-3
    warm_up(problem, "softmax")
    alone = _path(problem, options, "softmax", tol)
    options.say(f"{options.folds} folds of {options.path_size} values")
    training = TrainingRows(
        problem.images,
        problem.labels,
        problem.n_classes,
        FitSettings(tol=tol),
        problem.affine.kind,
        tuple(problem.images.shape[1:]),
    )
    fold = fold_of_rows(problem.labels, options.folds)
    found: list[Any] = []

    def work() -> None:
        found.extend(cross_validate(training, alone["reg"], fold).fits)

    seconds = timed(work)
    entry: dict[str, Any] = {"folds": options.folds, "seconds": seconds, "tol": tol}
    entry["seconds_path"] = alone["seconds"]
    entry |= conditions(problem.table)
    entry["status"] = [status.value for fit in found for status in fit.status]
    entry["n_passes"] = [n for fit in found for n in fit.n_passes.tolist()]
    yield "folds", entry | {"gaps": [gap for fit in found for gap in fit.gap.tolist()]}


# ---------------------------------------------------------------- memory


def memory(problem: Problem, options: Options) -> Iterator[Entry]:
    """Peak resident memory of a process that reads raw uint8 and fits it."""
    options.say("memory of a uint8 fit")
    reg, tol = (options.reg or (1e-4,))[0], options.tol or 1e-4
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "X.npy", problem.images)
        np.save(Path(folder) / "y.npy", problem.labels)
        words = [sys.executable, "-m", "benchmarks.memory", folder, str(reg), str(tol)]
        root = Path(__file__).parents[1]
        done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=root)
    yield ("memory", json.loads(done.stdout) | {"reg": reg, "tol": tol, "raw_mib": problem.images.nbytes / 2**20})


PARTS: dict[str, Callable[[Problem, Options], Iterator[Entry]]] = {
    "pass": one_pass,
    "softmax": softmax,
    "svm": svm,
    "path": path,
    "svm_path": svm_path,
    "folds": folds,
    "memory": memory,
}
