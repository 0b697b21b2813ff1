"""Softmax and hinges on blocks of scores, compiled by Numba for CPUs: formulas and limits are of the losses."""

from __future__ import annotations

import math

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def softmax_rows(S: np.ndarray, y: np.ndarray, limit: float, values: np.ndarray) -> None:
    """Cross-entropy of (row, configuration) into ``values``, and p − e_y over the scores.

    Args:
        S: (n, K, C) scores, overwritten.
        y: (n,) labels.
        limit: `losses.base.largest_loss` of the type.
        values: (n, K).
    """
    n, n_configs, n_classes = S.shape
    for i in range(n):
        for k in range(n_configs):
            s = S[i, k]
            largest = s[0]
            for j in range(1, n_classes):
                largest = max(largest, s[j])
            correct = max(s[y[i]] - largest, S.dtype.type(-limit))
            total = S.dtype.type(0)
            for j in range(n_classes):
                s[j] = math.exp(s[j] - largest)
                total += s[j]
            for j in range(n_classes):
                s[j] /= total
            s[y[i]] -= 1
            values[i, k] = math.log(total) - correct


@numba.njit(nogil=True, cache=True)
def hinge_rows(S: np.ndarray, y: np.ndarray, limit: float, squared: bool, values: np.ndarray) -> None:
    """Sum of the positive margins (or of their squares) into ``values``, and its gradient over the scores.

    Args:
        S: (n, K, C) scores, overwritten.
        y: (n,) labels.
        limit: Where margins are cut off.
        squared: Whether margins are squared.
        values: (n, K).
    """
    n, n_configs, n_classes = S.shape
    zero, one = S.dtype.type(0), S.dtype.type(1)
    for i in range(n):
        for k in range(n_configs):
            s, label = S[i, k], y[i]
            correct = s[label]
            total = slopes = zero
            for j in range(n_classes):
                z = min(max(s[j] - correct + one, zero), S.dtype.type(limit))
                if j == label:
                    z = zero
                slope = z + z if squared else (one if z > zero else zero)
                total += z * z if squared else z
                slopes += slope
                s[j] = slope
            s[label] = -slopes
            values[i, k] = total
