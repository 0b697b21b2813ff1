"""Races at every shape of problem: softmax and the hinges, against scikit-learn's solvers of the same problem.

    python -m benchmarks.field [--only NAME] [--loss softmax,svm,...] [--reg 1e-2,1e-4] [--bias free]
                               [--tables FOLDER] [--repeat 5] [--out FILE] [--missing] [--minutes 8]

The whole field takes an hour on two cores. It can be run in parts: with --missing, races that the file has of this
commit are left out, and with --minutes no race is begun later, so the same command is repeated until none is left.

Everybody's W is judged alone, in float64: (P(W) − D)/P(W) with D the best lower bound that anybody proved. A peer
gets the loosest tolerance at which its W is near enough, and is given up after 20 times our own time. Times are CPU
seconds of this process, medians, since other work on the machine disturbs them least; OPENBLAS_NUM_THREADS=1 gives
everybody one thread.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import issparse

from benchmarks.field_judge import GAP, HINGE_GAP, Judge, gap_for
from benchmarks.field_peers import LONGEST, SOLVERS, peer_seconds, peers_of, timed
from benchmarks.field_problems import problems
from benchmarks.machine import commit, machine, versions
from benchmarks.sparse_problems import with_constant
from straightedge import LinearClassifier
from straightedge.atomic import write_json

TIMES_OURS = 20  # of our own fit, after which a peer is given up
LOSSES = ("softmax", "svm", "squared_hinge", "crammer_singer")
SHARPER = 1e-3  # of the gap: what the judge's own bound is worth
PROFILE = (1.0, 1.25, 2.0, 5.0, 20.0)
"""Times of the fastest, for the share of races within."""
__all__ = ["GAP", "HINGE_GAP", "LOSSES", "SOLVERS", "Judge", "fits_loss", "line", "main", "ours", "race", "summary"]


def ours(X: np.ndarray, y: np.ndarray, reg: float, loss: str = "softmax", *, free: bool = False) -> np.ndarray:
    """Return our W (D + 1, C) at the gap that W is held to."""
    bias = "free" if free else "penalized"
    W: np.ndarray = LinearClassifier(loss, reg=reg, tol=gap_for(loss), bias=bias).fit(X, y).W_
    return W


def race(
    name: str, problem: tuple[np.ndarray, np.ndarray], reg: float, loss: str, repeat: int, *, free: bool = False
) -> dict[str, Any]:
    """Return the result of one problem at one reg."""
    X, y = problem
    n_classes = int(y.max()) + 1
    table = _with_constant(X)
    judge = Judge(table, y, reg, loss, free)
    ours(X, y, reg, loss, free=free)  # compiled loops and caches are warm before the clock starts
    seconds, W = timed(lambda: ours(X, y, reg, loss, free=free), repeat)
    bias = "free" if free else "penalized"
    sharp = LinearClassifier(loss, reg=reg, tol=SHARPER * gap_for(loss), bias=bias).fit(X, y)
    judge.lower = max(judge.lower, sharp.dual_)
    judge.gap(sharp.W_)
    gap = judge.gap(W)
    longest = min(LONGEST, max(0.3, TIMES_OURS * seconds))
    names = peers_of(loss, table.shape[1] * n_classes)
    found = {solver: peer_seconds(solver, judge, n_classes, repeat, longest) for solver in names}
    peers = {solver: value for solver, value in found.items() if value is not None}
    best = min(peers.values(), default=None)
    return {
        "problem": name,
        "loss": loss,
        "bias": bias,
        "reg": reg,
        "ours": seconds,
        "gap": gap,
        "peers": peers,
        "ratio": None if best is None else best / seconds,
        "commit": commit(),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _with_constant(X: Any) -> Any:
    """Return rows with a constant column at the end; sparse ones stay sparse."""
    if issparse(X):
        return with_constant(X)
    return np.ascontiguousarray(np.hstack([X, np.ones((len(X), 1), X.dtype)]))


def line(result: dict[str, Any]) -> str:
    """Return a result as a line to read."""
    peers = ", ".join(f"{name} {seconds * 1e3:.1f}" for name, seconds in result["peers"].items())
    ratio = "no peer arrives" if result["ratio"] is None else f"{result['ratio']:.2f} times the best peer's speed"
    what = f"{result['problem']}, {result['loss']}, {result['bias']} bias, reg {result['reg']:g}"
    near = "" if result["gap"] <= gap_for(result["loss"]) else " NOT THERE"
    return f"{what}: {result['ours'] * 1e3:.1f} ms{near} ({peers}): {ratio}"


def summary(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what the races say together: how many are won, by how much, and the performance profile."""
    known = [one for one in results if one["ratio"] is not None]
    ratios = np.array([one["ratio"] for one in known])
    if not len(ratios):
        return {"races": len(results)}
    return {
        "races": len(results),
        "without_a_peer": len(results) - len(known),
        "not_there": sum(one["gap"] > gap_for(one["loss"]) for one in results),
        "first": float((ratios >= 1).mean()),
        "worst": float(ratios.min()),
        "geometric_mean": float(np.exp(np.log(ratios).mean())),
        "within_times_the_fastest": {str(t): float((np.maximum(1 / ratios, 1) <= t).mean()) for t in PROFILE},
    }


def fits_loss(loss: str, n_classes: int, *, free: bool) -> bool:
    """Return whether a loss has a peer for so many classes: LIBLINEAR's hinges are those of two."""
    if loss == "softmax":
        return True
    return not free and (n_classes > 2) == (loss == "crammer_singer")


def main(words: list[str] | None = None) -> list[dict[str, Any]]:
    """Run the races that the command line asks for, print each, and return all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="parts of the problems' names, with | between")
    parser.add_argument("--loss", default="softmax", help=f"with commas: {', '.join(LOSSES)}")
    parser.add_argument("--reg", default="1e-2,1e-4,1e-6", help="values, with commas")
    parser.add_argument("--bias", default="penalized", choices=["penalized", "free"])
    parser.add_argument("--tables", type=Path, help="a folder with the tables of other people")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--out", type=Path, help="a file for the results, JSON; those of other races stay")
    parser.add_argument("--missing", action="store_true", help="leave out what the file has of this commit")
    parser.add_argument("--minutes", type=float, default=np.inf, help="begin no race later than this")
    options = parser.parse_args(words)
    warnings.simplefilter("ignore")  # peers that are stopped by their tolerance say so
    end, results = time.monotonic() + 60 * options.minutes, []
    present = _present(options.out) if options.missing else set()
    for name, make in problems(options.tables).items():
        asked = _asked(name, options, present)
        problem = make() if asked and time.monotonic() < end else None
        for loss, reg in asked if problem is not None else []:
            free = options.bias == "free"
            if time.monotonic() < end and fits_loss(loss, int(problem[1].max()) + 1, free=free):
                results.append(race(name, problem, reg, loss, options.repeat, free=free))
                print(line(results[-1]), flush=True)
                if options.out:  # the file is whole after each race
                    write_results(options.out, results)
    print(json.dumps(summary(results)))
    return results


def _asked(name: str, options: argparse.Namespace, present: set[tuple[Any, ...]]) -> list[tuple[str, float]]:
    """Return the losses and values of reg that are to be raced for on a problem."""
    if not any(part in name for part in options.only.split("|")):
        return []
    pairs = [(loss, float(reg)) for loss in options.loss.split(",") for reg in options.reg.split(",")]
    return [(loss, reg) for loss, reg in pairs if (name, loss, options.bias, reg) not in present]


def _held(out: Path | None) -> list[dict[str, Any]]:
    """Return the races that a file has."""
    return json.loads(out.read_text(encoding="utf-8"))["results"] if out is not None and out.exists() else []


def _present(out: Path | None) -> set[tuple[Any, ...]]:
    """Return the keys of the races that a file has of this commit."""
    now = commit()
    return {_key(one) for one in _held(out) if one.get("commit") == now}


def write_results(out: Path, results: list[dict[str, Any]]) -> None:
    """Write races with what they were measured on; those that a file holds of other races stay."""
    fresh = {_key(one) for one in results}
    merged = [one for one in _held(out) if _key(one) not in fresh] + results
    facts = {"machine": machine(), "versions": versions(), "commit": commit()}
    by_loss = {loss: summary([one for one in merged if one["loss"] == loss]) for loss in LOSSES}
    write_json(out, facts | {"summary": summary(merged), "by_loss": by_loss, "results": merged})


def _key(result: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(result[name] for name in ("problem", "loss", "bias", "reg"))


if __name__ == "__main__":
    main()
