"""Epochs of dual coordinate ascent for two classes as one column, compiled by Numba; see `two_classes`.

Rows are visited by short runs of neighbours, in an order drawn anew for each epoch: a row of few entries costs less
to visit than to fetch from memory. Columns and places of entries are unsigned: Numba would ask of each whether it
counts from the end, which takes longer than the product.

References:
    Hsieh, Chang, Lin, Keerthi and Sundararajan, "A Dual Coordinate Descent Method for Large-scale Linear SVM",
    ICML 2008, for rows left out (section 3.2). Marsaglia, "Xorshift RNGs", JSS 2003.
"""

from typing import Any

import numba
import numpy as np

from straightedge.design.csr_kernels import FAST, LINE
from straightedge.design.prefetch import prefetch

RUNS_AHEAD = 4  # visits of runs before their own that entries are asked for: 0.6 of the time on rows of 14 entries
SLOWEST = (0.25, 0.1)
"""Of the hinge and its square: the least share of the gap that rows told that is left, however fast it fell."""
LONGEST = 512  # entries of a run that are asked for; where there are more the processor foresees them
Arrays = tuple[np.ndarray, ...]


@numba.njit(nogil=True, cache=True)
def draw_order(order: np.ndarray, count: int, shuffles: np.ndarray) -> None:
    """Write 0 … count − 1 into ``order`` in a random order; shuffles (1,) int64 is the generator's state."""
    for k in range(count):
        order[k] = k
    x = np.uint64(shuffles[0])
    for k in range(count - 1, 0, -1):
        x ^= x << np.uint64(13)
        x ^= x >> np.uint64(7)
        x ^= x << np.uint64(17)
        other = np.int64(((x >> np.uint64(33)) * np.uint64(k + 1)) >> np.uint64(31))
        order[k], order[other] = order[other], order[k]
    shuffles[0] = np.int64(x)


@numba.njit(nogil=True, cache=True)
def keep_unmarked(active: np.ndarray, count: int) -> int:
    """Move the entries that are not negative to the front, in their order; return how many there are."""
    kept = 0
    for place in range(count):
        if active[place] >= 0:
            active[kept] = active[place]
            kept += 1
    return kept


@numba.njit(nogil=True, cache=True)
def _fetch_run(
    order: np.ndarray,
    k: int,
    n_runs: int,
    spread: tuple[int, int],
    active: np.ndarray,
    rows: Arrays,
    parts: np.ndarray,
    alpha: np.ndarray,
) -> None:
    """Ask for the entries of a later run, and for what tells where those of one later still are.

    Args:
        order: Runs in the order of their visits.
        k: The place in it that is about to be visited.
        n_runs: Of this epoch.
        spread: (rows of a run, by how many runs begin early); and the rest as in `run_column_epochs`.
        active: See there.
        rows: See there.
        parts: See there.
        alpha: See there.
    """
    indptr, indices, data = rows
    run, late = spread
    if k + 4 * RUNS_AHEAD < n_runs:
        prefetch(active, max(order[k + 4 * RUNS_AHEAD] * run - late, 0))
    if k + 2 * RUNS_AHEAD < n_runs:
        i = active[max(order[k + 2 * RUNS_AHEAD] * run - late, 0)]
        last = min(i + run, len(parts)) - 1
        prefetch(indptr, i)
        prefetch(alpha, i)
        prefetch(parts, (i, 0))
        prefetch(parts, (last, 0))
    if k + RUNS_AHEAD < n_runs:
        i = active[max(order[k + RUNS_AHEAD] * run - late, 0)]
        begin, end = indptr[i], indptr[min(i + run, len(parts))]
        end = min(end, begin + LONGEST)
        for t in range(begin, end, LINE // data.itemsize):
            prefetch(data, t)
        for t in range(begin, end, LINE // indices.itemsize):
            prefetch(indices, t)


@numba.njit(nogil=True, cache=True, fastmath=FAST, inline="always")
def _visit(
    i: int,
    rows: Arrays,
    parts: np.ndarray,
    w: np.ndarray,
    alpha: np.ndarray,
    squared: bool,
    limits: np.ndarray,
    relax: float,
    constant: float,
) -> tuple[bool, float, float, float]:
    """Maximise D over α_i; see `run_column_epochs`.

    Returns:
        (whether the row is to be left out, its slope −∂D/∂α_i (0 at a bound), its gap, the rise of D), the last
        two without w_i.
    """
    indptr, indices, data = rows
    sign, cap, curvature = parts[i, 0], parts[i, 1], parts[i, 2]
    begin, end = np.uint64(indptr[i]), np.uint64(indptr[i + 1])
    bias, score = len(w) - 1, 0.0
    for t in range(begin, end):
        score += data[t] * w[np.uint64(indices[t])]
    former = alpha[i]
    upper, curve = (np.inf, 0.5) if squared else (1.0, 0.0)
    margin = 1.0 - sign * (score + w[bias])
    slope = curve * former - margin
    gap = max(margin, 0.0) * (max(margin, 0.0) if squared else 1.0) - former * (margin - curve * former / 2)
    if former <= 0.0 and slope > 0.0:
        return slope > limits[0], 0.0, gap, 0.0
    if former >= upper and slope < 0.0:
        return slope < limits[1], 0.0, gap, 0.0
    q = curvature + curve
    new = min(max(former - relax * slope / q, 0.0), upper)
    step = new - former
    if step != 0.0:
        alpha[i] = new
        change = step * cap * sign
        w[bias] += constant * change
        for t in range(begin, end):
            w[np.uint64(indices[t])] += change * data[t]
    return False, slope, gap, -step * (slope + q * step / 2)


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def _take_best_multiple(
    parts: np.ndarray, w: np.ndarray, alpha: np.ndarray, squared: bool, stiffness: float
) -> float:
    """Multiply w and α, after an epoch from 0, by a t ≤ 1: that of the best D of the held bias; return P's own D.

    Rows of the first epoch hardly know of one another: on 20 newsgroups all have gone too far together, t is 0.7,
    and the squared hinge takes an epoch less to 1e-3. A t above 1 gained nothing.
    """
    linear, square = 0.0, 0.0
    for i in range(len(alpha)):
        linear += parts[i, 3] * alpha[i]
        square += parts[i, 3] * alpha[i] * alpha[i]
    held, norm = w[len(w) - 1], 0.0
    for j in range(len(w) - 1):
        norm += w[j] * w[j]
    heaviest = np.argmax(parts[:, 3])
    ridge, own = parts[heaviest, 3] / parts[heaviest, 1], square / 2 if squared else 0.0
    bend = own + ridge * (norm + stiffness * held * held)
    t = min(linear / bend, 1.0) if bend > 0.0 else 1.0
    for i in range(len(alpha)):
        alpha[i] *= t
    for j in range(len(w)):
        w[j] *= t
    bend = own + ridge * (norm + stiffness * stiffness * held * held)
    return float(t * linear - t * t * bend / 2)


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def run_column_epochs(
    rows: Arrays,
    parts: np.ndarray,
    w: np.ndarray,
    centre: np.ndarray,
    alpha: np.ndarray,
    squared: bool,
    active: np.ndarray,
    shuffles: np.ndarray,
    run: int,
    epochs: Any,
) -> tuple[float, float]:
    """Run epochs until rows' gaps add up to little, or as many as are allowed.

    Args:
        rows: indptr (N + 1,), indices (nnz,), data (nnz,) of X.
        parts: (N, 4) float64 of each row its sign ±1, w_i/λ, w_i ‖x̂‖²/λ with the held bias's part of it, and w_i:
            next to one another in memory.
        w: (D + 1,) float64, changed in place.
        centre: (1,) float64 where the bias is held, changed in place; see `held_bias`.
        alpha: (N,) float64, changed in place.
        squared: Whether the loss is the squared hinge.
        active: (n,) int64 the rows to visit; changed.
        shuffles: See `draw_order`.
        run: Neighbours that are visited together.
        epochs: See `two_classes.Epochs`; its D is without the factor κ.

    Returns:
        (visits, the gap that is left about, if it falls on as the sum of rows' gaps at their visits has).
    """
    weights, limits = parts[:, 3], np.array([np.inf, -np.inf])
    order, n_active = np.empty(len(active) + 2, np.int64), len(active)
    visits, total, expected, dual = 0.0, 0.0, np.inf, epochs.dual
    bias, constant, slowest = len(w) - 1, 1.0 / epochs.stiffness, SLOWEST[int(squared)]
    for epoch in range(epochs.most):
        high, low, former, total = 0.0, 0.0, total, 0.0
        held = w[bias]
        w[bias], centre[0] = held + (1.0 - constant) * (held - centre[0]), held
        far = epochs.relax if epoch >= epochs.plain else 1.0
        late = (shuffles[0] & 0xFFFF) % run  # runs begin elsewhere in each epoch
        n_runs = (n_active + late + run - 1) // run
        draw_order(order, n_runs, shuffles)
        for k in range(n_runs):
            _fetch_run(order, k, n_runs, (run, late), active, rows, parts, alpha)
            first = order[k] * run - late
            for place in range(max(first, 0), min(first + run, n_active)):
                i = active[place]
                out, slope, gap, rise = _visit(i, rows, parts, w, alpha, squared, limits, far, constant)
                high, low = max(high, slope), min(low, slope)
                total += weights[i] * gap
                dual += weights[i] * rise
                if out:
                    active[place] = -1
        if epoch == 0 and epochs.from_zero:
            dual = _take_best_multiple(parts, w, alpha, squared, epochs.stiffness)
        visits += n_active
        n_active = keep_unmarked(active, n_active)
        limits[0], limits[1] = high if high > 0.0 else np.inf, low if low < 0.0 else -np.inf
        expected = total * min(1.0, max(slowest, total / former)) if former > 0.0 else total
        if expected <= epochs.early * dual or n_active == 0 or visits >= epochs.most_visits:
            break
    return visits, expected
