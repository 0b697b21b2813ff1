"""The bias held near where it last was, so that rows hardly disturb one another through the column they share.

Every row has the bias's entry, 1. Where reg is small each row alone could move the bias by more than all rows
together should, and most of dual coordinate ascent's epochs go into bringing these moves into balance. So an epoch
works on P(W) + σ ‖β − c‖², where c is the bias β of before it: the proximal point method, whose fixed point is the
minimum of P itself. Only the entry's share in ‖x̂‖² changes, by 1/s with the stiffness s = (reg + σ)/reg.

The same dual variables a belong to β = −Σ w_i a_i/(2 reg) in P's own dual and to c + (β − c)/s in the held one.

A free bias is held in the same way, with s = σ/reg. P's own dual asks for Σ w_i a_i = 0 there: what is called the
own bias, −Σ w_i a_i/(2 reg), is then the pull of the rows on the bias, which falls to 0, and the held one is c plus
1/s of it.

On 20 newsgroups, Weston–Watkins to 1e-3, full epochs fall from 11 to 8 at reg 1e-3, from 36 to 21 at 1e-4, and from
109 to 60 at 1e-5.

References:
    Rockafellar, "Monotone Operators and the Proximal Point Algorithm", SIAM Journal on Control and Optimization,
    1976.
"""

import numpy as np

STIFFEST = 30.0  # 10 to 100 do as well for the hinges of 20 newsgroups
STIFFEST_OF_SOFTMAX = 10.0  # D, which is told by s (β − c), would waver beyond its finer gaps
STIFFEST_CURVATURE = 0.06  # most of 2 (reg + σ): the mean loss is curved by up to 1 in β, which falls behind at 1


def free_stiffness(curvature: float, norm: float, *, entropy: bool) -> float:
    """Return s > 0 of a free bias: the larger the rows are, the less a bias that moves far disturbs them.

    On isolet (norms of 112 once centred) 0.03 to 0.3 do as well, and with 1 it takes half as many epochs again.

    Args:
        curvature: 2 reg, the penalty's Hessian.
        norm: Mean of ‖x‖² over rows, without the constant.
        entropy: Whether the loss is softmax.
    """
    stiff = STIFFEST_OF_SOFTMAX if entropy else STIFFEST
    return min(stiff / max(norm, 1e-300), STIFFEST_CURVATURE / curvature)


def stiffness(curvature: float, coupling: float, *, entropy: bool) -> float:
    """Return s ≥ 1, 1 for a bias that is not held.

    Args:
        curvature: 2 reg, the penalty's Hessian.
        coupling: See `SparseProblem.coupling`.
        entropy: Whether the loss is softmax, whose first point has the bias nearly right: it is held where rows
            disturb one another.
    """
    most = max(1.0, min(STIFFEST, STIFFEST_CURVATURE / curvature))
    return min(most, STIFFEST_OF_SOFTMAX, max(1.0, coupling)) if entropy else most


def own_bias(held: np.ndarray, centre: np.ndarray, s: float, *, free: bool = False) -> np.ndarray:
    """Return the bias (C,) that the dual variables of a held one belong to in P's own dual."""
    moved: np.ndarray = s * (held.astype(np.float64) - centre)
    return moved if free else centre + moved


def held_bias(own: np.ndarray, centre: np.ndarray, s: float, *, free: bool = False) -> np.ndarray:
    """Return the held bias (C,) of the same dual variables; the inverse of `own_bias`."""
    return centre + (own if free else own - centre) / s


def recentre(bias: np.ndarray, centre: np.ndarray, s: float, *, free: bool = False) -> None:
    """Make the held bias (C,) the centre (C,), and move it to where the dual variables then have it; in place."""
    held = bias.astype(np.float64)
    bias[:] = held_bias(own_bias(held, centre, s, free=free), held, s, free=free)
    centre[:] = held
