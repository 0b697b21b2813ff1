"""The compiled loops of dual coordinate ascent: one row's dual variables after another, each time exactly.

With q = w ‖x̂‖²/(2 reg), a change δ of a row's b changes its margins by −q J Jᵀ δ, so that the best b of a row
solves a problem of m variables, by finitely many steps. Rows whose b did not change at their last visit are left
out until the loop is called again.

References:
    Wang and Scott, "An Exact Solver for the Weston-Watkins SVM Subproblem", ICML 2021. Keerthi, Sundararajan,
    Chang, Hsieh and Lin, "A Sequential Dual Method for Large Scale Multi-Class Linear SVMs", KDD 2008. Hsieh,
    Chang, Lin, Keerthi and Sundararajan, "A Dual Coordinate Descent Method for Large-scale Linear SVM", ICML 2008.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from straightedge.solvers.hinge.dual_kernel import common_shift

FAST = {"contract", "reassoc", "nsz", "arcp"}  # sums may be reordered; infinities and NaN stay what they are


@numba.njit(cache=True, nogil=True)
def shared_shift(v: np.ndarray, label: int) -> float:
    """Return θ such that max(v_j − θ, 0) are the best dual variables of a row whose sum is at most 1.

    θ = Σ max(v_j − θ, 0) where that is at most 1, else the θ at which the sum is 1. Both are found by Newton's
    method from the left, which is monotone on these piecewise linear functions.
    """
    largest = 0.0
    for j in range(v.shape[0]):
        if j != label:
            largest = max(largest, v[j])
    theta = 0.0
    for _ in range(v.shape[0] + 1):
        total, count = 0.0, 1
        for j in range(v.shape[0]):
            if j != label and v[j] > theta:
                total += v[j]
                count += 1
        if total / count <= theta:
            break
        theta = total / count
    if theta <= 1.0:
        return theta
    theta = largest - 1.0
    for _ in range(v.shape[0] + 1):
        total, count = -1.0, 0
        for j in range(v.shape[0]):
            if j != label and v[j] > theta:
                total += v[j]
                count += 1
        if count == 0 or total / count <= theta:
            break
        theta = total / count
    return theta


@numba.njit(cache=True, nogil=True)
def best_row(
    kind: int, label: int, z: np.ndarray, response: float, b: np.ndarray, v: np.ndarray, out: np.ndarray
) -> bool:
    """Write the best dual variables of one row into ``out``, and return whether they differ from ``b``.

    Args:
        kind: `Margins.kind`.
        label: The right class; its entry is left alone.
        z: (m,) margins.
        response: q > 0.
        b: (m,) present dual variables.
        v: (m,) scratch.
        out: (m,) the result.
    """
    if kind == 2:
        out[0] = min(max(b[0] + z[0] / response, 0.0), 1.0)
        return bool(out[0] != b[0])
    present = 0.0
    for j in range(b.shape[0]):
        present += b[j]
    for j in range(b.shape[0]):
        v[j] = z[j] / response + b[j] + present
    shift = common_shift(v, label, 1.0, present) if kind == 0 else shared_shift(v, label)
    moved = False
    for j in range(b.shape[0]):
        out[j] = 0.0
        if j != label:
            out[j] = max(v[j] - shift, 0.0)
            if kind == 0:
                out[j] = min(out[j], 1.0)
            moved = moved or out[j] != b[j]
    return moved


@numba.njit(cache=True, nogil=True)
def score_changes(
    kind: int, label: int, t: float, factor: float, b: np.ndarray, new: np.ndarray, change: np.ndarray
) -> None:
    """Write factor · Jᵀ(new − b) into ``change`` (M,) and ``new`` into ``b``."""
    if kind == 2:
        change[0] = -t * factor * (new[0] - b[0])
        b[0] = new[0]
        return
    own = 0.0
    for j in range(b.shape[0]):
        change[j] = 0.0
        if j != label:
            change[j] = factor * (new[j] - b[j])
            own += change[j]
            b[j] = new[j]
    change[label] = -own


@numba.njit(cache=True, nogil=True)
def margins_of(kind: int, label: int, t: float, s: np.ndarray, z: np.ndarray) -> None:
    """Write the margins of one row's scores into ``z``."""
    if kind == 2:
        z[0] = 1.0 - t * s[0]
        return
    for j in range(z.shape[0]):
        z[j] = 1.0 + s[j] - s[label]
    z[label] = 0.0


@numba.njit(cache=True, nogil=True)
def shuffle(order: np.ndarray, count: int, random: np.ndarray) -> None:
    """Shuffle the first entries of ``order``; ``random`` (1,) uint64 is the state of Knuth's generator."""
    state = random[0]
    for place in range(count - 1, 0, -1):
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        other = int((state >> np.uint64(33)) % np.uint64(place + 1))
        order[place], order[other] = order[other], order[place]
    random[0] = state


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def solved_row(
    kind: int,
    label: int,
    sign: float,
    weight: float,
    square: float,
    curvature: float,
    s: np.ndarray,
    b: np.ndarray,
    buffers: Any,
    change: np.ndarray,
) -> bool:
    """Maximise the dual over the variables of one row; return whether it is to be visited again.

    Args:
        kind: `Margins.kind`.
        label: Its right class.
        sign: Its sign.
        weight: Its w > 0.
        square: ‖x̂‖².
        curvature: 2 reg.
        s: (M,) its scores.
        b: (m,) its variables, changed in place.
        buffers: Three arrays (m,).
        change: (M,) overwritten with what its scores' columns of W move by, in x̂.
    """
    z, v, new = buffers
    margins_of(kind, label, sign, s, z)
    if not best_row(kind, label, z, max(weight * square / curvature, 1e-300), b, v, new):
        return False
    score_changes(kind, label, sign, -weight / curvature, b, new, change)
    return True


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def add_changes(change: np.ndarray, x: np.ndarray, W: np.ndarray) -> int:
    """Add change_j x (d,) to the rows of W (M, d) that change; return how many they are."""
    moves = 0
    for j in range(len(W)):
        if change[j] != 0:
            w, step = W[j], change[j]
            moves += 1
            for k in range(len(x)):
                w[k] += step * x[k]
    return moves


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def ascend_features(
    X: np.ndarray,
    norms: np.ndarray,
    weights: np.ndarray,
    curvature: float,
    kind: int,
    labels: np.ndarray,
    t: np.ndarray,
    W: np.ndarray,
    b: np.ndarray,
    epochs: int,
    random: np.ndarray,
) -> Any:
    """Run epochs on W (M, d) = W(b), both changed in place; return (visits, moves).

    Args:
        X: (n, d) rows.
        norms: (n,) ‖x̂‖².
        weights: (n,) w > 0.
        curvature: 2 reg.
        kind: `Margins.kind`.
        labels: (n,) right classes; zeros for kind 2.
        t: (n,) signs; zeros for the other kinds.
        W: (M, d).
        b: (n, m).
        epochs: How often the rows that still change are visited.
        random: See `shuffle`.
    """
    n, width = X.shape
    order, active, visits, moves = np.arange(n), n, 0, 0
    s, change = np.zeros(W.shape[0]), np.zeros(W.shape[0])
    buffers = np.zeros(b.shape[1]), np.zeros(b.shape[1]), np.zeros(b.shape[1])
    for _ in range(epochs):
        shuffle(order, active, random)
        place = 0
        while place < active:
            i = order[place]
            x = X[i]
            for j in range(W.shape[0]):
                w, total = W[j], 0.0
                for k in range(width):
                    total += w[k] * x[k]
                s[j] = total
            visits += 1
            if solved_row(kind, labels[i], t[i], weights[i], norms[i], curvature, s, b[i], buffers, change):
                moves += add_changes(change, x, W)
                place += 1
            else:
                active -= 1
                order[place], order[active] = order[active], order[place]
    return visits, moves


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def ascend_kernel(
    K: np.ndarray,
    weights: np.ndarray,
    curvature: float,
    kind: int,
    labels: np.ndarray,
    t: np.ndarray,
    S: np.ndarray,
    b: np.ndarray,
    epochs: int,
    random: np.ndarray,
) -> Any:
    """Run epochs on the scores S (M, n) of W(b), both changed in place; return (visits, moves).

    Args:
        K: (n, n) inner products of the rows.
        weights: (n,) w > 0.
        curvature: 2 reg.
        kind: `Margins.kind`.
        labels: (n,) right classes; zeros for kind 2.
        t: (n,) signs; zeros for the other kinds.
        S: (M, n).
        b: (n, m).
        epochs: How often the rows that still change are visited.
        random: See `shuffle`.
    """
    n = K.shape[0]
    order, active, visits, moves = np.arange(n), n, 0, 0
    s, change = np.zeros(S.shape[0]), np.zeros(S.shape[0])
    buffers = np.zeros(b.shape[1]), np.zeros(b.shape[1]), np.zeros(b.shape[1])
    for _ in range(epochs):
        shuffle(order, active, random)
        place = 0
        while place < active:
            i = order[place]
            for j in range(S.shape[0]):
                s[j] = S[j, i]
            visits += 1
            if solved_row(kind, labels[i], t[i], weights[i], K[i, i], curvature, s, b[i], buffers, change):
                moves += add_changes(change, K[i], S)
                place += 1
            else:
                active -= 1
                order[place], order[active] = order[active], order[place]
    return visits, moves
