"""Races at every shape of problem: small, tall, wide, standardised, softmax against scikit-learn's solvers.

    python -m benchmarks.field [--only NAME] [--reg 1e-2,1e-4] [--repeat 5] [--out FILE]

Everybody's W is judged alone, in float64: (P(W) − D)/P(W) with D the best lower bound that a gradient proves.
A peer gets the loosest tolerance at which its W is within 1e-4. Times are CPU seconds of this process, medians,
since other work on the machine disturbs them least; OPENBLAS_NUM_THREADS=1 gives everybody one thread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn import datasets
from sklearn.linear_model import LogisticRegression

from straightedge import SoftmaxClassifier

GAP = 1e-4
TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
LONGEST = 40.0  # CPU seconds after which a peer is given no tighter tolerance
MOST_UNKNOWNS = 6000  # newton-cholesky's Hessian beyond would take gigabytes
SOLVERS = ("lbfgs", "newton-cg", "newton-cholesky")


def standardised(X: np.ndarray) -> np.ndarray:
    """Return columns of mean 0 and standard deviation 1, constant ones as they are."""
    spread = X.std(axis=0)
    return (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1)


def drawn(N: int, D: int, C: int, decay: float) -> tuple[np.ndarray, np.ndarray]:
    """Return N float32 rows of D features whose spread falls like a power, and C classes drawn from a softmax."""
    rng = np.random.default_rng(0)
    spread = np.arange(1, D + 1) ** -decay
    X = (rng.standard_normal((N, D)) * spread).astype(np.float32)
    W = rng.standard_normal((D, C)) / spread[:, None] * (2 / np.sqrt(D))
    return X, (X @ W + rng.gumbel(size=(N, C))).argmax(axis=1)


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return 1,797 digits of 64 pixels in [0, 1]."""
    X, y = datasets.load_digits(return_X_y=True)
    return X / 16, y


def cancer_standardised() -> tuple[np.ndarray, np.ndarray]:
    """Return 569 standardised rows of two classes."""
    X, y = datasets.load_breast_cancer(return_X_y=True)
    return standardised(X), y


PROBLEMS: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
    "iris": lambda: datasets.load_iris(return_X_y=True),
    "wine, raw columns": lambda: datasets.load_wine(return_X_y=True),
    "breast cancer, raw columns": lambda: datasets.load_breast_cancer(return_X_y=True),
    "breast cancer, standardised": cancer_standardised,
    "digits": digits,
    "500,000 x 50, 7 classes": lambda: drawn(500_000, 50, 7, 0.0),
    "1,000,000 x 20, 2 classes": lambda: drawn(1_000_000, 20, 2, 0.5),
    "200 x 20,000, 3 classes": lambda: drawn(200, 20_000, 3, 0.0),
    "2,000 x 5,000, 10 classes": lambda: drawn(2000, 5000, 10, 0.0),
}


@dataclass
class Judge:
    """Knows the best lower bound of one problem at one reg.

    Attributes:
        table: (N, D + 1) rows with the constant.
        y: (N,) labels.
        reg: Strength of the penalty.
        lower: The best lower bound so far.
    """

    table: np.ndarray
    y: np.ndarray
    reg: float
    lower: float = -np.inf

    def gap(self, W: np.ndarray) -> float:
        """Return by how much of itself P(W) is above the best bound, W (D + 1, C)."""
        value, gradient = self._value_and_gradient(W.astype(np.float64))
        self.lower = max(self.lower, value - (gradient**2).sum() / (4 * self.reg))
        return float((value - self.lower) / value)

    def _value_and_gradient(self, W: np.ndarray) -> tuple[float, np.ndarray]:
        N, total, V = len(self.y), 0.0, np.zeros(W.shape)
        for start in range(0, N, 20_000):
            rows, y = self.table[start : start + 20_000].astype(np.float64), self.y[start : start + 20_000]
            S = rows @ W
            S -= S.max(axis=1, keepdims=True)
            own = (np.arange(len(y)), y)
            P = np.exp(S)
            sums = P.sum(axis=1)
            total += float((np.log(sums) - S[own]).sum())
            P /= sums[:, None]
            P[own] -= 1
            V += rows.T @ P
        return total / N + self.reg * float((W**2).sum()), V / N + 2 * self.reg * W


def timed(fit: Callable[[], np.ndarray], repeat: int) -> tuple[float, np.ndarray]:
    """Return the median of CPU seconds of some fits, of one where it takes over 5, and the last W."""
    seconds: list[float] = []
    while len(seconds) < (repeat if not seconds or seconds[0] < 5 else 1):
        start = time.process_time()
        W = fit()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds), W


def ours(X: np.ndarray, y: np.ndarray, reg: float) -> np.ndarray:
    """Return our W (D + 1, C) at the default gap."""
    W: np.ndarray = SoftmaxClassifier(reg=reg, tol=GAP).fit(X, y).W_
    return W


def theirs(solver: str, judge: Judge, n_classes: int, tol: float) -> np.ndarray:
    """Return scikit-learn's W (D + 1, C)."""
    C = (1 if n_classes == 2 else 0.5) / (judge.reg * len(judge.y))
    model = LogisticRegression(C=C, fit_intercept=False, tol=tol, max_iter=5000, solver=solver)
    coefficients = model.fit(judge.table, judge.y).coef_
    return np.vstack([-coefficients / 2, coefficients / 2]).T if n_classes == 2 else coefficients.T


def peer_seconds(solver: str, judge: Judge, n_classes: int, repeat: int) -> float | None:
    """Return a peer's median at the loosest tolerance whose W is near enough, None where there is none."""
    for tol in TOLERANCES:
        seconds, W = timed(lambda tol=tol: theirs(solver, judge, n_classes, tol), 1)
        if judge.gap(W) <= GAP:
            return timed(lambda tol=tol: theirs(solver, judge, n_classes, tol), repeat)[0]
        if seconds > LONGEST:
            break
    return None


def race(name: str, reg: float, repeat: int) -> dict[str, object]:
    """Return the result of one problem at one reg."""
    X, y = PROBLEMS[name]()
    n_classes = len(np.unique(y))
    table = np.ascontiguousarray(np.hstack([X, np.ones((len(X), 1), X.dtype)]))
    judge = Judge(table, y, reg)
    ours(X, y, reg)  # compiled loops and caches are warm before the clock starts
    seconds, W = timed(lambda: ours(X, y, reg), repeat)
    gap = judge.gap(W)
    fits = table.shape[1] * n_classes <= MOST_UNKNOWNS
    solvers = [solver for solver in SOLVERS if fits or solver != "newton-cholesky"]
    found = {solver: peer_seconds(solver, judge, n_classes, repeat) for solver in solvers}
    peers = {solver: value for solver, value in found.items() if value is not None}
    best = min(peers.values(), default=None)
    return {
        "problem": name,
        "reg": reg,
        "ours": seconds,
        "gap": gap,
        "peers": peers,
        "ratio": None if best is None else best / seconds,
    }


def line(result: dict[str, object]) -> str:
    """Return a result as a line to read."""
    peers = ", ".join(f"{name} {seconds * 1e3:.1f}" for name, seconds in result["peers"].items())  # type: ignore[attr-defined]
    ratio = (
        "no peer arrives" if result["ratio"] is None else f"{result['ratio']:.2f} times the best peer's speed"
    )
    return f"{result['problem']}, reg {result['reg']:g}: {result['ours'] * 1e3:.1f} ms ({peers}): {ratio}"  # type: ignore[operator]


def main(words: list[str] | None = None) -> list[dict[str, object]]:
    """Run the races that the command line asks for, print each, and return all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="a part of the problem's name")
    parser.add_argument("--reg", default="1e-2,1e-4,1e-6", help="values, with commas")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--out", type=Path, help="a file for the results, JSON")
    options = parser.parse_args(words)
    warnings.simplefilter("ignore")  # peers that are stopped by their tolerance say so
    results = []
    for name in [name for name in PROBLEMS if options.only in name]:
        for reg in map(float, options.reg.split(",")):
            results.append(race(name, reg, options.repeat))
            print(line(results[-1]), flush=True)
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")
    return results


if __name__ == "__main__":
    main()
