"""The inner loop of dual coordinate ascent, compiled by Numba: one exact subproblem a row.

References:
    Wang and Scott, "An Exact Solver for the Weston-Watkins SVM Subproblem", ICML 2021. Keerthi, Sundararajan,
    Chang, Hsieh and Lin, "A Sequential Dual Method for Large Scale Multi-Class Linear SVMs", KDD 2008.
"""

from typing import Any

import numba
import numpy as np

LONGEST_SEARCH = 60
ROUNDINGS = 1e-14  # of the largest sum there can be: what the search stops at


@numba.njit(nogil=True, cache=True)
def common_shift(v: np.ndarray, label: int, cap: float, guess: float) -> Any:
    """Return γ with γ = Σ_{j≠label} clip(v_j − γ, 0, cap), by Newton kept inside a shrinking bracket.

    Args:
        v: (C,) targets.
        label: The right class, left out of the sum.
        cap: Upper bound of each dual variable, > 0.
        guess: Where to start.

    Numerics:
        The left side minus the right grows with slope between 1 and C; plain Newton can cycle between two
        kinks, so a step that leaves the bracket is replaced by its middle.
    """
    low, high = 0.0, cap * (v.shape[0] - 1)
    close = ROUNDINGS * high
    gamma = min(max(guess, low), high)
    for _ in range(LONGEST_SEARCH):
        total, between = 0.0, 0
        for j in range(v.shape[0]):
            if j != label:
                rest = v[j] - gamma
                if rest >= cap:
                    total += cap
                elif rest > 0:
                    total += rest
                    between += 1
        excess = gamma - total
        if abs(excess) <= close:
            break
        if excess > 0:
            high = gamma
        else:
            low = gamma
        trial = gamma - excess / (1 + between)
        if trial <= low or trial >= high:
            trial = 0.5 * (low + high)
        if trial == gamma:
            break
        gamma = trial
    return gamma


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz", "arcp"}, inline="always")
def move_and_score(w: np.ndarray, step: float, before: np.ndarray, x: np.ndarray) -> Any:
    """Take ``step`` times the row before from a column w (D,), in place, and return its product with the row x."""
    total = w.dtype.type(0)
    if step != 0:
        for k in range(len(w)):
            moved = w[k] - step * before[k]
            w[k] = moved
            total += moved * x[k]
    else:
        for k in range(len(w)):
            total += w[k] * x[k]
    return total


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz", "arcp"})
def ascend(
    X: np.ndarray,
    index: np.ndarray,
    y: np.ndarray,
    norms: np.ndarray,
    caps: np.ndarray,
    W: np.ndarray,
    alpha: np.ndarray,
) -> None:
    """Maximise the dual over one row's variables after another; W = −Σ x aᵀ is kept in step.

    Each row of W is read and written once a sample: the update of the sample before and the score of this one
    share the loop.

    Args:
        X: (n, D) mapped rows, contiguous.
        index: (n,) which of the N rows they are.
        y: (N,) labels.
        norms: (N,) ‖x‖².
        caps: (N,) w_i/(2 reg): the upper bound of each α of the row.
        W: (C, D), changed in place.
        alpha: (N, C), changed in place; the column of the right class stays 0.
    """
    n, n_classes = len(X), W.shape[0]
    scores, v = np.zeros(n_classes), np.zeros(n_classes)
    change = np.zeros(n_classes, dtype=W.dtype)
    for i in range(n):
        x = X[i]
        before = X[max(i - 1, 0)]
        for j in range(n_classes):
            scores[j] = move_and_score(W[j], change[j], before, x)
            change[j] = 0
        row = index[i]
        cap, label = caps[row], y[row]
        if cap <= 0 or norms[row] <= 0:
            continue
        present = 0.0
        for j in range(n_classes):
            present += alpha[row, j]
        for j in range(n_classes):
            v[j] = (1 + scores[j] - scores[label]) / norms[row] + alpha[row, j] + present
        gamma = common_shift(v, label, cap, present)
        own = W.dtype.type(0)
        for j in range(n_classes):
            if j != label:
                new = W.dtype.type(min(max(v[j] - gamma, 0.0), cap))
                change[j] = new - alpha[row, j]
                alpha[row, j] = new
                own += change[j]
        change[label] = -own
    for j in range(n_classes):
        if n > 0 and change[j] != 0:
            W[j] -= change[j] * X[n - 1]
