"""Losses of two classes over sparse rows as functions of one column of weights, compiled by Numba; see `narrow`.

φ(m) is the loss at the signed score m = t x̂w, t = ±1: the logistic one, the squared hinge, or the hinge with its
corner rounded over a width, by the least parabola above it.
"""

import math

import numba
import numpy as np

from straightedge.design.csr_kernels import FAST

LOGISTIC, SQUARED_HINGE, HINGE = 0, 1, 2


@numba.njit(nogil=True, cache=True, fastmath=FAST, inline="always")
def _slopes(kind: int, width: float, m: float) -> tuple[float, float]:
    """Return φ′(m) and φ″(m)."""
    if kind == LOGISTIC:
        tail = math.exp(-abs(m))
        share = 1.0 / (1.0 + tail)
        return -(tail * share if m > 0.0 else share), tail * share * share
    if kind == SQUARED_HINGE:
        return -2.0 * max(1.0 - m, 0.0), 2.0 if m < 1.0 else 0.0
    z = (1.0 - m) / width + 0.5
    return -min(max(z, 0.0), 1.0), 1.0 / width if 0.0 < z < 1.0 else 0.0


@numba.njit(nogil=True, cache=True, fastmath=FAST, inline="always")
def _values(kind: int, width: float, m: float) -> tuple[float, float]:
    """Return φ(m) and the loss at m itself, that is φ but for the hinge."""
    if kind == LOGISTIC:
        value = math.log1p(math.exp(-abs(m))) + max(-m, 0.0)
        return value, value
    margin = max(1.0 - m, 0.0)
    if kind == SQUARED_HINGE:
        return margin * margin, margin * margin
    z = min(max((1.0 - m) / width + 0.5, 0.0), 1.0)
    return (width / 2 * z * z if z < 1.0 else margin), margin


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def along(
    parts: np.ndarray, loss: tuple[int, float], T: np.ndarray, moves: np.ndarray, t: float
) -> tuple[float, float]:
    """Return the slope and the second derivative in t of Σ w_i φ at scores T + t moves.

    Args:
        parts: (N, 2) float64 of each row its sign ±1 and its weight.
        loss: Its kind, and the width of the hinge's corner.
        T: (N,) scores.
        moves: (N,) those of a direction.
        t: How far along it.
    """
    slope, bend = 0.0, 0.0
    for i in range(len(T)):
        sign, weight, move = parts[i, 0], parts[i, 1], moves[i]
        first, second = _slopes(loss[0], loss[1], sign * (T[i] + t * move))
        slope += weight * sign * first * move
        bend += weight * second * move * move
    return slope, bend


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def pulled(
    parts: np.ndarray, loss: tuple[int, float], T: np.ndarray, bends: np.ndarray, pulls: np.ndarray
) -> tuple[float, float, float]:
    """Write w_i φ″ into bends (N,) and w_i φ′ t_i, the pull of a row, into pulls (N,), and return sums over rows.

    Args:
        parts: See `along`; and ``loss`` and ``T``.
        loss: See there.
        T: See there.
        bends: Written.
        pulls: Written.

    Returns:
        (Σ w_i φ, Σ w_i ℓ, Σ w_i (ℓ − α_i (1 − m_i))) with the loss ℓ itself and α = −φ′: the last is what the
        hinge's dual value at α is short of its primal one, and means nothing for other losses.
    """
    rounded, value, slack = 0.0, 0.0, 0.0
    for i in range(len(T)):
        sign, weight = parts[i, 0], parts[i, 1]
        m = sign * T[i]
        first, second = _slopes(loss[0], loss[1], m)
        own, true = _values(loss[0], loss[1], m)
        rounded += weight * own
        value += weight * true
        slack += weight * (true + first * (1.0 - m))
        bends[i] = weight * second
        pulls[i] = weight * sign * first
    return rounded, value, slack
