"""scikit-learn's solvers of the same problems, each at the loosest tolerance whose W is near enough."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from benchmarks.field_judge import Judge, gap_for
from benchmarks.peers import in_child

TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
LONGEST = 40.0  # CPU seconds after which a peer is given no tighter tolerance
STARTING = 5.0  # seconds that a process of its own may take to start and to send its W
ONCE = 2.0  # CPU seconds of a peer's fit that is not repeated
LARGE = 1e6  # entries of the table times classes: of fewer no fit takes long
MOST_UNKNOWNS = 6000  # newton-cholesky's Hessian beyond would take gigabytes
SOLVERS = ("lbfgs", "newton-cg", "newton-cholesky")


def timed(fit: Callable[[], np.ndarray], repeat: int) -> tuple[float, np.ndarray]:
    """Return the median of CPU seconds of some fits, of one where it takes over 5, and the last W."""
    seconds: list[float] = []
    while len(seconds) < (repeat if not seconds or seconds[0] < 5 else 1):
        start = time.process_time()
        W = fit()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds), W


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


def peer_seconds(solver: str, judge: Judge, n_classes: int, repeat: int, longest: float = LONGEST) -> float | None:
    """Return a peer's median at the loosest tolerance whose W is near enough, None where there is none."""
    for tol in TOLERANCES:

        def fit(tol: float = tol) -> np.ndarray:
            return theirs(solver, judge, n_classes, tol)

        found = tried(fit, judge.table.size * n_classes, longest)
        if found is None:
            return None
        seconds, W = found
        if judge.gap(W) <= gap_for(judge.loss):
            return seconds if seconds > ONCE else timed(fit, repeat)[0]
        if seconds > longest:
            break
    return None


def tried(fit: Callable[[], np.ndarray], work: float, longest: float) -> tuple[float, np.ndarray] | None:
    """Return CPU seconds and W of one fit, None where it takes too long.

    Args:
        fit: What is timed.
        work: Entries of the table times classes: a fit of many is done in a process that can be ended.
        longest: CPU seconds that are waited for; another machine's load may double them.
    """
    if work < LARGE:
        return timed(fit, 1)
    return in_child(lambda: timed(fit, 1), 2 * longest + STARTING)


def peers_of(loss: str, n_unknowns: int) -> list[str]:
    """Return the peers that minimise a loss."""
    if loss != "softmax":
        return ["liblinear"]
    return [name for name in SOLVERS if n_unknowns <= MOST_UNKNOWNS or name != "newton-cholesky"]
