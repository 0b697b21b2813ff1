"""Peers that fit sparse rows with a constant column, whose weights are penalised, and what their W is worth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.sparse_problems import Rows

Peer = Callable[[str, Rows, float, float], np.ndarray]


def value(loss: str, whole: Rows, W: np.ndarray, reg: float) -> float:
    """Return P of W (D + 1, C), the constant's weights last; of w (D + 1, 1) with reg/2 ‖w‖² for two classes."""
    X, y = whole
    S = X @ W
    if W.shape[1] == 1:
        margins = np.maximum(0.0, 1.0 - (2 * y - 1) * S[:, 0])
        return float((margins ** (2 if loss == "squared_hinge" else 1)).mean() + reg / 2 * (W**2).sum())
    right = S[np.arange(len(y)), y][:, None]
    if loss == "softmax":
        losses = np.logaddexp.reduce(S - right, axis=1)
    else:
        margins = 1.0 + S - right
        margins[np.arange(len(y)), y] = 0.0
        losses = margins.max(axis=1)
    return float(losses.mean() + reg * (W**2).sum())


def liblinear(loss: str, rows: Rows, reg: float, tol: float) -> np.ndarray:
    """Return LIBLINEAR's W (D + 1, C or 1)."""
    from sklearn.svm import LinearSVC

    share = 2 if loss == "crammer_singer" else 1
    how: dict[str, Any] = {"C": 1 / (share * reg * len(rows[1])), "tol": tol, "fit_intercept": False}
    if loss == "crammer_singer":
        how["multi_class"] = loss
    else:
        how |= {"loss": "hinge" if loss == "svm" else loss, "dual": True}
    return np.asarray(LinearSVC(**how, max_iter=100_000, random_state=0).fit(*rows).coef_.T)


def cyanure(loss: str, rows: Rows, reg: float, tol: float) -> np.ndarray:
    """Return cyanure's W."""
    from cyanure.estimators import Classifier

    machine = Classifier(
        loss="logistic", penalty="l2", lambda_1=2 * reg, fit_intercept=False, tol=tol, max_iter=500, n_threads=1,
        verbose=False,
    )  # fmt: skip
    X, y = rows
    machine.fit(X.copy(), y)
    coefficients = np.asarray(machine.coef_)
    return coefficients if len(coefficients) == X.shape[1] else coefficients.T  # its versions differ


def logistic(solver: str) -> Peer:
    """Return one of scikit-learn's solvers of the softmax."""

    def fit(loss: str, rows: Rows, reg: float, tol: float) -> np.ndarray:
        from sklearn.linear_model import LogisticRegression

        strength = 1 / (2 * reg * len(rows[1]))
        how = LogisticRegression(C=strength, fit_intercept=False, solver=solver, tol=tol, max_iter=5000)
        return np.asarray(how.fit(*rows).coef_.T)

    return fit


SOFTMAX: dict[str, tuple[Peer, tuple[float, ...]]] = {
    "cyanure": (cyanure, (3e-4, 1e-4, 3e-5, 1e-5)),
    "saga": (logistic("saga"), (0.1, 0.03, 0.01, 3e-3, 1e-3)),
    "newton-cg": (logistic("newton-cg"), (3e-3, 1e-3, 3e-4, 1e-4)),
    "lbfgs": (logistic("lbfgs"), (1e-3, 3e-4, 1e-4, 3e-5)),
}
"""Peers and their tolerances, from the loosest."""
