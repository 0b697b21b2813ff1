"""Random sparse problems, and references that know nothing of the solvers that are tested."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from scipy.optimize import minimize

from straightedge.losses import get_loss


def sparse_problem(seed: int, n: int = 30, d: int = 12, c: int = 3, density: float = 0.3):
    """Rows with a planted answer and noise, an empty row and an empty column, and labels of every class."""
    rng = np.random.default_rng(seed)
    X = sp.random(n, d, density, random_state=seed, format="lil", data_rvs=rng.standard_normal)
    X[n // 2], X[:, d // 2] = 0, 0
    X = X.tocsr()
    y = (X @ rng.standard_normal((d, c)) + 0.5 * rng.standard_normal((n, c))).argmax(axis=1)
    y[:c] = np.arange(c)
    return X, y, rng


def primal(loss: str, X, y: np.ndarray, W: np.ndarray, reg: float, weights: np.ndarray | None = None) -> float:
    """P(W) for W (D + 1, C) from dense rows, in float64."""
    S = torch.from_numpy(np.hstack([np.asarray(X.todense()), np.ones((X.shape[0], 1))]) @ W)[:, None]
    values = get_loss(loss).value_and_gradient(S.contiguous(), torch.from_numpy(y))[:, 0].numpy()
    w = np.full(len(y), 1 / len(y)) if weights is None else weights / weights.sum()
    return float(w @ values + reg * (W**2).sum())


def smooth_optimum(loss: str, X, y: np.ndarray, reg: float, weights: np.ndarray) -> float:
    """The optimum of a smooth loss by SciPy's BFGS on dense rows."""
    F, w = np.hstack([X.toarray(), np.ones((X.shape[0], 1))]), weights / weights.sum()
    C, labels = int(y.max()) + 1, torch.from_numpy(y)

    def value_and_gradient(flat):
        W = flat.reshape(-1, C)
        A = torch.from_numpy(F @ W)[:, None].contiguous()
        values = get_loss(loss).value_and_gradient(A, labels)[:, 0].numpy()
        gradient = F.T @ (w[:, None] * A[:, 0].numpy()) + 2 * reg * W
        return w @ values + reg * (W**2).sum(), gradient.ravel()

    start = np.zeros(F.shape[1] * C)
    options = {"maxiter": 5000, "maxfun": 20000, "ftol": 1e-15, "gtol": 1e-11, "maxcor": 60}
    return float(minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", options=options).fun)
