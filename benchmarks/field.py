"""Races at every shape of problem: softmax and the hinges, against scikit-learn's solvers of the same problem.

    python -m benchmarks.field [--only NAME] [--loss softmax,svm,...] [--reg 1e-2,1e-4] [--bias free]
                               [--tables FOLDER] [--repeat 5] [--out FILE]

Everybody's W is judged alone, in float64: (P(W) − D)/P(W) with D the best lower bound that anybody proved. A peer
gets the loosest tolerance at which its W is near enough, and is given up after 20 times our own time. Times are CPU
seconds of this process, medians, since other work on the machine disturbs them least; OPENBLAS_NUM_THREADS=1 gives
everybody one thread.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from benchmarks.field_problems import problems
from benchmarks.machine import commit, machine, versions
from straightedge import LinearClassifier
from straightedge.atomic import write_json

GAP = 1e-4
HINGE_GAP = 1e-3
TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
LONGEST = 40.0  # CPU seconds after which a peer is given no tighter tolerance
TIMES_OURS = 20  # the same, in times of our own fit
MOST_UNKNOWNS = 6000  # newton-cholesky's Hessian beyond would take gigabytes
SOLVERS = ("lbfgs", "newton-cg", "newton-cholesky")
LOSSES = ("softmax", "svm", "squared_hinge", "crammer_singer")
SHARPER = 1e-3  # of the gap: what the judge's own bound is worth
PROFILE = (1.0, 1.25, 2.0, 5.0, 20.0)
"""Times of the fastest, for the share of races within."""


def gap_for(loss: str) -> float:
    """Return the relative gap that W is held to."""
    return GAP if loss == "softmax" else HINGE_GAP


@dataclass
class Judge:
    """Knows the best lower bound of one problem at one reg.

    Attributes:
        table: (N, D + 1) rows with the constant.
        y: (N,) labels.
        reg: Strength of the penalty.
        loss: Name of the loss.
        free: Whether the constant's weights are not penalised.
        lower: The best lower bound so far.
    """

    table: np.ndarray
    y: np.ndarray
    reg: float
    loss: str = "softmax"
    free: bool = False
    lower: float = -np.inf

    def gap(self, W: np.ndarray) -> float:
        """Return by how much of itself P(W) is above the best bound, W (D + 1, C)."""
        value, gradient = self._value_and_gradient(W.astype(np.float64))
        if gradient is not None:
            self.lower = max(self.lower, value - (gradient**2).sum() / (4 * self.reg))
        return float((value - self.lower) / value)

    def _value_and_gradient(self, W: np.ndarray) -> tuple[float, np.ndarray | None]:
        N, total, V = len(self.y), 0.0, np.zeros(W.shape)
        proves = self.loss == "softmax" and not self.free
        for start in range(0, N, 20_000):
            rows, y = self.table[start : start + 20_000].astype(np.float64), self.y[start : start + 20_000]
            S = rows @ W
            values, A = _loss_of(self.loss, S, y)
            total += float(values.sum())
            if proves and A is not None:
                V += rows.T @ A
        own = W[:-1] if self.free else W
        gradient = V / N + 2 * self.reg * W if proves else None
        return total / N + self.reg * float((own**2).sum()), gradient


def _loss_of(loss: str, S: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the losses of some rows from the formula, and softmax's gradient in the scores."""
    own = (np.arange(len(y)), y)
    if loss == "softmax":
        S = S - S.max(axis=1, keepdims=True)
        P = np.exp(S)
        sums = P.sum(axis=1)
        values = np.log(sums) - S[own]
        P /= sums[:, None]
        P[own] -= 1
        return values, P
    margins = np.maximum(0, 1 + S - S[own][:, None])
    margins[own] = 0
    if loss == "crammer_singer":
        return margins.max(axis=1), None
    return (margins**2 if loss == "squared_hinge" else margins).sum(axis=1), None


def timed(fit: Callable[[], np.ndarray], repeat: int) -> tuple[float, np.ndarray]:
    """Return the median of CPU seconds of some fits, of one where it takes over 5, and the last W."""
    seconds: list[float] = []
    while len(seconds) < (repeat if not seconds or seconds[0] < 5 else 1):
        start = time.process_time()
        W = fit()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds), W


def ours(
    X: np.ndarray, y: np.ndarray, reg: float, loss: str = "softmax", *, free: bool = False
) -> np.ndarray:
    """Return our W (D + 1, C) at the gap that W is held to."""
    bias = "free" if free else "penalized"
    W: np.ndarray = LinearClassifier(loss, reg=reg, tol=gap_for(loss), bias=bias).fit(X, y).W_
    return W


def theirs(solver: str, judge: Judge, n_classes: int, tol: float) -> np.ndarray:
    """Return scikit-learn's W (D + 1, C)."""
    C = (1 if n_classes == 2 else 0.5) / (judge.reg * len(judge.y))
    table = judge.table[:, :-1] if judge.free else judge.table
    if judge.loss == "softmax":
        model: Any = LogisticRegression(C=C, fit_intercept=judge.free, tol=tol, max_iter=5000, solver=solver)
    elif judge.loss == "crammer_singer":
        model = LinearSVC(multi_class="crammer_singer", C=C, fit_intercept=False, tol=tol, max_iter=20_000)
    else:
        name = "hinge" if judge.loss == "svm" else "squared_hinge"
        model = LinearSVC(loss=name, C=C, fit_intercept=False, tol=tol, max_iter=20_000)
    model.fit(table, judge.y)
    W = np.hstack([model.coef_, model.intercept_[:, None]]) if judge.free else model.coef_
    return np.vstack([-W / 2, W / 2]).T if len(W) == 1 else W.T


def peer_seconds(
    solver: str, judge: Judge, n_classes: int, repeat: int, longest: float = LONGEST
) -> float | None:
    """Return a peer's median at the loosest tolerance whose W is near enough, None where there is none."""
    for tol in TOLERANCES:
        seconds, W = timed(lambda tol=tol: theirs(solver, judge, n_classes, tol), 1)
        if judge.gap(W) <= gap_for(judge.loss):
            return timed(lambda tol=tol: theirs(solver, judge, n_classes, tol), repeat)[0]
        if seconds > longest:
            break
    return None


def peers_of(loss: str, n_unknowns: int) -> list[str]:
    """Return the peers that minimise a loss."""
    if loss != "softmax":
        return ["liblinear"]
    return [name for name in SOLVERS if n_unknowns <= MOST_UNKNOWNS or name != "newton-cholesky"]


def race(
    name: str,
    problem: tuple[np.ndarray, np.ndarray],
    reg: float,
    loss: str,
    repeat: int,
    *,
    free: bool = False,
) -> dict[str, Any]:
    """Return the result of one problem at one reg."""
    X, y = problem
    n_classes = int(y.max()) + 1
    table = np.ascontiguousarray(np.hstack([X, np.ones((len(X), 1), X.dtype)]))
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
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def line(result: dict[str, Any]) -> str:
    """Return a result as a line to read."""
    peers = ", ".join(f"{name} {seconds * 1e3:.1f}" for name, seconds in result["peers"].items())
    ratio = (
        "no peer arrives" if result["ratio"] is None else f"{result['ratio']:.2f} times the best peer's speed"
    )
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
    parser.add_argument("--out", type=Path, help="a file for the results, JSON")
    options = parser.parse_args(words)
    warnings.simplefilter("ignore")  # peers that are stopped by their tolerance say so
    results: list[dict[str, Any]] = []
    for name, make in problems(options.tables).items():
        if not any(part in name for part in options.only.split("|")):
            continue
        problem = make()
        for loss in options.loss.split(","):
            if fits_loss(loss, int(problem[1].max()) + 1, free=options.bias == "free"):
                results += _races(name, problem, loss, options, results)
    print(json.dumps(summary(results)))
    return results


def _races(
    name: str, problem: tuple[np.ndarray, np.ndarray], loss: str, options: Any, former: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the races of one problem and loss; the file is whole after each."""
    found: list[dict[str, Any]] = []
    for reg in map(float, options.reg.split(",")):
        found.append(race(name, problem, reg, loss, options.repeat, free=options.bias == "free"))
        print(line(found[-1]), flush=True)
        if options.out:
            write_results(options.out, [*former, *found])
    return found


def write_results(out: Path, results: list[dict[str, Any]]) -> None:
    """Write races with what they were measured on; those that a file holds of other races stay."""
    held = json.loads(out.read_text(encoding="utf-8"))["results"] if out.exists() else []
    fresh = {_key(one) for one in results}
    merged = [one for one in held if _key(one) not in fresh] + results
    facts = {"machine": machine(), "versions": versions(), "commit": commit()}
    write_json(out, facts | {"summary": summary(merged), "results": merged})


def _key(result: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(result[name] for name in ("problem", "loss", "bias", "reg"))


if __name__ == "__main__":
    main()
