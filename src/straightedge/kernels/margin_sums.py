"""Sums over all margins along four directions, compiled by Numba for CPUs."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from straightedge.kernels.row_products import LONGEST_RUN, SUMS


@numba.njit(nogil=True, cache=True, fastmath=SUMS)
def _run_sums(z: np.ndarray, centre: np.ndarray, weights: np.ndarray, d: Any, tau: Any, steepness: float) -> Any:
    """Return the sums of `add_margin_sums` over a run of entries, in their own type."""
    d0, d1, d2, d3 = d
    t0, t1, t2, t3 = tau
    zero, one = z.dtype.type(0), z.dtype.type(1)
    s0 = s1 = s2 = s3 = zero
    h00 = h01 = h02 = h03 = h11 = h12 = h13 = h22 = h23 = h33 = zero
    for e in range(z.shape[0]):
        x0, x1, x2, x3 = d0[e], d1[e], d2[e], d3[e]
        b = centre[e] + steepness * (z[e] + t0 * x0 + t1 * x1 + t2 * x2 + t3 * x3)
        b = min(max(b, zero), one)
        free = weights[e] if (b > zero) & (b < one) else zero
        b *= weights[e]
        s0 += b * x0
        s1 += b * x1
        s2 += b * x2
        s3 += b * x3
        y0, y1, y2 = free * x0, free * x1, free * x2
        h00 += y0 * x0
        h01 += y0 * x1
        h02 += y0 * x2
        h03 += y0 * x3
        h11 += y1 * x1
        h12 += y1 * x2
        h13 += y1 * x3
        h22 += y2 * x2
        h23 += y2 * x3
        h33 += free * x3 * x3
    return (s0, s1, s2, s3), (h00, h01, h02, h03, h11, h12, h13, h22, h23, h33)


@numba.njit(nogil=True, cache=True)
def add_margin_sums(
    z: np.ndarray,
    centre: np.ndarray,
    weights: np.ndarray,
    d: Any,
    tau: Any,
    mu: float,
    slopes: np.ndarray,
    curvature: np.ndarray,
) -> None:
    """Add up what a smoothed box hinge changes by along four directions: Σ w b d_k and Σ w d_k d_l [0 < b < 1]/μ.

    b = clip(c + (z + Σ τ_k d_k)/μ, 0, 1), entry by entry; each is read once.

    Args:
        z: (M,) margins.
        centre: (M,) c.
        weights: (M,).
        d: Four arrays (M,), the margins' changes.
        tau: Four numbers.
        mu: μ.
        slopes: (4,) float64, added to.
        curvature: (4, 4) float64, symmetric, added to.
    """
    d0, d1, d2, d3 = d
    kind = z.dtype.type
    steepness = kind(1 / mu)
    t = kind(tau[0]), kind(tau[1]), kind(tau[2]), kind(tau[3])
    for start in range(0, z.shape[0], LONGEST_RUN):
        part = slice(start, min(start + LONGEST_RUN, z.shape[0]))
        s, h = _run_sums(
            z[part], centre[part], weights[part], (d0[part], d1[part], d2[part], d3[part]), t, steepness
        )
        place = 0
        for k in range(4):
            slopes[k] += s[k]
            for m in range(k, 4):
                curvature[k, m] += h[place] / mu
                curvature[m, k] = curvature[k, m]
                place += 1
