"""The dual problem of one row for the softmax: p = softmax(c − q p), with c = S + q p of the last visit.

For a multiplier λ each class has ln p_j + q p_j = c_j − λ, that is q p_j = ω(c_j − λ + ln q) with Wright's ω. The
sum of p over classes falls with λ and is convex, so that Newton from the left reaches Σ p = 1 without a safeguard.

Near the last visit's p, where most rows are, ω needs no start of its own: one Fritsch–Shafer–Crowley step, of
fourth order and rational in the residual, takes p along with λ. A visit then costs one logarithm a class.

References:
    Lawrence, Corless and Jeffrey, "Algorithm 917: Complex Double-Precision Evaluation of the Wright ω Function",
    ACM TOMS 2012.
"""

import math

import numba
import numpy as np

from straightedge.solvers.sparse.duals import SMALLEST

NEAR = 1.0  # residuals of ln p up to which one fourth-order step from the last p is enough
NEGLIGIBLE = 1e-12  # probabilities below this change nothing when they shrink
CLOSE = 1e-9  # Σ p may differ from 1 by this before p is divided by its sum
LONGEST_SEARCH = 50


@numba.njit(nogil=True, cache=True, inline="always")
def _moved(w: float, r: float) -> float:
    """Return ω where its argument exceeds w + ln w by r: one Fritsch–Shafer–Crowley step."""
    z = (1.0 + w) * (1.0 + w + r * (2.0 / 3.0))
    return w * (1.0 + r / (1.0 + w) * (z - 0.5 * r) / (z - r))


@numba.njit(nogil=True, cache=True)
def wright_omega(x: float) -> float:
    """Return ω > 0 with ω + ln ω = x, for real x."""
    if x < -50.0:
        return math.exp(x)
    if x < -2.0:
        w = math.exp(x)
    elif x < 1.0:
        w = math.exp(2.0 * (x - 1.0) / 3.0)
    else:
        w = x - math.log(x) * (1.0 - 1.0 / x)
    w = _moved(w, x - w - math.log(w))
    return _moved(w, x - w - math.log(w))


@numba.njit(nogil=True, cache=True)
def _from_anywhere(c: np.ndarray, q: float, p: np.ndarray) -> None:
    """Solve for p (C,) from c (C,), whatever p was: nested, monotone Newton."""
    log_q = math.log(q)
    shift = c[0]
    for j in range(len(c)):
        shift = max(shift, c[j])
    shift -= q  # the largest class alone has p = 1 here, so Σ p ≥ 1
    for _ in range(LONGEST_SEARCH):
        total, slope = 0.0, 0.0
        for j in range(len(c)):
            w = wright_omega(c[j] - shift + log_q)
            p[j] = w / q
            total += p[j]
            slope += p[j] / (1.0 + w)
        if total - 1.0 <= CLOSE:
            break
        shift += (total - 1.0) / slope


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz", "arcp"})
def _from_last(residual: np.ndarray, q: float, p: np.ndarray) -> bool:
    """Move p (C,) to the solution by residuals (C,) of ln p, each below `NEAR`; return whether it got there."""
    total, slope = 0.0, 0.0
    for j in range(len(p)):
        p[j] = _moved(q * p[j], residual[j]) / q
        total += p[j]
        slope += p[j] / (1.0 + q * p[j])
    for _ in range(6):
        excess = total - 1.0
        if abs(excess) <= CLOSE:
            return True
        step = excess / slope
        if abs(step) > NEAR:
            return False
        total, slope = 0.0, 0.0
        for j in range(len(p)):
            p[j] = _moved(q * p[j], -step) / q
            total += p[j]
            slope += p[j] / (1.0 + q * p[j])
    return False


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz", "arcp"})
def softmax(S: np.ndarray, p: np.ndarray, label: int, q: float, relax: float, change: np.ndarray) -> float:
    """See `row_problems`; the dual variables are p, and a(p) = p − e_label.

    Args:
        S: (C,) scores; overwritten.
        p: (C,) probabilities of the last visit, each ≥ `SMALLEST`; overwritten by the new ones.
        label: The right class; the answer does not depend on it.
        q: Curvature of the row, > 0.
        relax: Not used: steps near the last visit are right to fourth order.
        change: (C,) receives new − old.

    Returns:
        About the row's gap of before, the divergence of p from softmax(S): half the variance of ln p − S, exact
        to second order, and without another exponential.
    """
    mean, slope = 0.0, 0.0
    for j in range(len(p)):
        change[j] = p[j]
        S[j] -= math.log(p[j])
        weight = p[j] / (1.0 + q * p[j])
        mean += weight * S[j]
        slope += weight
    mean /= slope
    far, first, second = 0.0, 0.0, 0.0
    for j in range(len(p)):
        S[j] -= mean  # λ to first order, so that this is the residual of ln p
        first += p[j] * S[j]
        second += p[j] * S[j] * S[j]
        if p[j] < NEGLIGIBLE and S[j] < -NEAR:
            S[j] = -NEAR  # it may vanish over some visits
        far = max(far, abs(S[j]))
    if far > NEAR or not _from_last(S, q, p):
        for j in range(len(p)):
            S[j] += math.log(change[j]) + q * change[j]
        _from_anywhere(S, q, p)
    total = 0.0
    for j in range(len(p)):
        p[j] = max(p[j], SMALLEST)
        total += p[j]
    for j in range(len(p)):
        p[j] /= total
        change[j] = p[j] - change[j]
    return max(second - first * first, 0.0) / 2
