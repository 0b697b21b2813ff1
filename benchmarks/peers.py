"""The peers, each at its fastest settings for the same objective, watched until its W has the gap.

All minimise mean loss + reg ‖W‖² over the table with the constant column: ``fit_intercept=False``,
C = 1/(2 reg N) for scikit-learn and LIBLINEAR, λ = 2 reg for cyanure (whose penalty is λ/2 ‖W‖²).
"""

from __future__ import annotations

import contextlib
import multiprocessing
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar
from unittest.mock import patch

import numpy as np

from benchmarks.problem import Problem
from benchmarks.watch import Stopped, Watch
from straightedge.cores import available_cores

Result = TypeVar("Result")

NEVER = 1e-14  # a tolerance that no peer meets before the watch stops it
MANY = 1_000_000
RUNGS = 14


def strength(problem: Problem, reg: float) -> float:
    """Return scikit-learn's C for a reg."""
    return 1 / (2 * reg * len(problem.labels))


def sklearn_lbfgs(problem: Problem, reg: float, watch: Watch) -> None:
    """scikit-learn's default solver."""
    from sklearn.linear_model import LogisticRegression

    _lbfgs(LogisticRegression, problem, reg, watch, order="F")


def intelex_lbfgs(problem: Problem, reg: float, watch: Watch) -> None:
    """The same through scikit-learn-intelex, whose coefficients carry an unused intercept in front."""
    from sklearnex.linear_model import LogisticRegression

    _lbfgs(LogisticRegression, problem, reg, watch, order="C")


def _lbfgs(estimator: Any, problem: Problem, reg: float, watch: Watch, order: str) -> None:
    from scipy import optimize

    plain, width = optimize.minimize, problem.table.shape[1]

    def minimize(*words: Any, **named: Any) -> Any:
        def callback(w: np.ndarray) -> None:
            watch.look(lambda: w.reshape((problem.n_classes, -1), order=order)[:, -width:])  # type: ignore[call-overload]

        return plain(*words, **(named | {"callback": callback}))

    with patch.object(optimize, "minimize", minimize):
        _fit(estimator(**_sklearn(problem, reg, "lbfgs")), problem, watch)


def sklearn_newton_cg(problem: Problem, reg: float, watch: Watch) -> None:
    """scikit-learn's Newton-CG; it is looked at once an outer iteration."""
    from sklearn.linear_model import LogisticRegression, _logistic

    plain = _logistic._newton_cg

    def newton(grad_hess: Any, *words: Any, **named: Any) -> Any:
        def watched(w: np.ndarray, *args: Any) -> Any:
            watch.look(lambda: w.reshape((problem.n_classes, -1), order="F"))
            gradient, product = grad_hess(w, *args)

            def timed_product(vector: np.ndarray) -> np.ndarray:
                watch.check_time()
                return product(vector)

            return gradient, timed_product

        return plain(watched, *words, **named)

    with patch.object(_logistic, "_newton_cg", newton):
        _fit(LogisticRegression(**_sklearn(problem, reg, "newton-cg")), problem, watch)


def _sklearn(problem: Problem, reg: float, solver: str) -> dict[str, Any]:
    C = strength(problem, reg)
    return {"C": C, "fit_intercept": False, "solver": solver, "tol": NEVER, "max_iter": MANY}


def _fit(estimator: Any, problem: Problem, watch: Watch) -> None:
    with _quiet():
        watch.begin()
        estimator.fit(problem.table, problem.labels)
    watch.finish(estimator.coef_)


def sklearn_saga(problem: Problem, reg: float, watch: Watch) -> None:
    """scikit-learn's SAGA: fresh runs of 1, 2, 4, … epochs."""
    from sklearn.linear_model import LogisticRegression

    def fit(n_epochs: int) -> np.ndarray:
        settings = _sklearn(problem, reg, "saga") | {"max_iter": n_epochs, "random_state": 0}
        return LogisticRegression(**settings).fit(problem.table, problem.labels).coef_

    _ladder([2**i for i in range(RUNGS)], fit, watch)


def liblinear_crammer_singer(problem: Problem, reg: float, watch: Watch) -> None:
    """LinearSVC's multiclass SVM: fresh runs at tolerances 1, 1/4, 1/16, … (it heeds no limit on iterations)."""
    from sklearn.svm import LinearSVC

    def fit(tol: float) -> np.ndarray | None:
        settings = {"C": strength(problem, reg), "fit_intercept": False, "random_state": 0}
        machine = LinearSVC(multi_class="crammer_singer", tol=tol, **settings)
        return in_child(lambda: machine.fit(problem.table, problem.labels).coef_, watch.cap)

    _ladder([4.0**-i for i in range(RUNGS)], fit, watch)


def in_child(work: Callable[[], Result], seconds: float) -> Result | None:
    """Return what ``work()`` gives, or None when it takes longer: nothing but a kill stops compiled code."""
    context = multiprocessing.get_context("fork")  # the child shares the table's memory
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send(work()), daemon=True)
    child.start()
    try:
        return receiver.recv() if receiver.poll(seconds) else None
    finally:
        child.kill()
        child.join()


def cyanure(problem: Problem, reg: float, watch: Watch) -> None:
    """Cyanure's automatic solver, which certifies by itself: its tolerance is tightened until W has the gap."""
    from cyanure.estimators import Classifier

    def fit(tol: float) -> np.ndarray:
        settings = {"loss": "logistic", "penalty": "l2", "lambda_1": 2 * reg, "fit_intercept": False}
        machine = Classifier(**settings, tol=tol, max_iter=MANY, n_threads=available_cores(), verbose=False)
        machine.fit(problem.table, problem.labels)
        info = np.asarray(machine.optimization_info_)[0]
        watch.curve = [(info[5][i], info[1][i], info[3][i]) for i in range(info.shape[1])]
        return np.asarray(machine.coef_).T

    import logging

    logging.disable(logging.INFO)  # its remark on every multiclass fit
    try:
        _ladder([watch.tol / 2**i for i in range(6)], fit, watch)
    finally:
        logging.disable(logging.NOTSET)


def _ladder(settings: list[Any], fit: Callable[[Any], np.ndarray | None], watch: Watch) -> None:
    """Run afresh at each setting; the clock runs for the present one alone. None from ``fit``: out of time."""
    for setting in settings:
        with _quiet():
            watch.begin()
            W = fit(setting)
        seconds = watch.seconds
        if W is not None:
            watch.finish(W)
        if W is None or 1.5 * seconds > watch.cap:
            watch.status = "cap"
            return


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the peers' warnings: that a run is cut short is the point of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@dataclass(frozen=True)
class Peer:
    """A way to fit the same objective.

    Attributes:
        name: The word for it in results and in ``--peers``.
        package: What has to be installed.
        loss: The objective it minimises.
        cap: Longest time it is given, s.
        run: Fits until the watch stops it.
    """

    name: str
    package: str
    loss: str
    cap: float
    run: Callable[[Problem, float, Watch], None]


PEERS = (
    Peer("sklearn-lbfgs", "sklearn", "softmax", 130.0, sklearn_lbfgs),
    Peer("cyanure", "cyanure", "softmax", 90.0, cyanure),
    Peer("intelex-lbfgs", "sklearnex", "softmax", 75.0, intelex_lbfgs),
    Peer("sklearn-newton-cg", "sklearn", "softmax", 40.0, sklearn_newton_cg),
    Peer("sklearn-saga", "sklearn", "softmax", 30.0, sklearn_saga),
    Peer("liblinear", "sklearn", "crammer_singer", 60.0, liblinear_crammer_singer),
)


def run_peer(peer: Peer, problem: Problem, reg: float, watch: Watch) -> dict[str, object]:
    """Run a peer to the gap or its cap and return its entry."""
    with contextlib.suppress(Stopped):
        peer.run(problem, reg, watch)
    return {"name": peer.name} | watch.result()
