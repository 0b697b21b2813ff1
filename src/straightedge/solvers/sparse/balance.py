"""Dual variables that pull no bias: what a free bias asks of a dual point, Σ w_i a_i = 0.

Dual coordinate ascent comes there in the limit alone. Mixing with the loss's `dual_reference` costs a bound as much
as the smallest class has to pull against; so the nearest variables that are in balance are sought first, by Newton
steps in one number a class, and what rounding leaves is mixed away.

References:
    Qi and Sun, "A Quadratically Convergent Newton Method for Computing the Nearest Correlation Matrix", SIAM J.
    Matrix Anal. Appl. 28, 2006, for projections by Newton steps in the multipliers.
"""

import numpy as np
import torch

from straightedge.losses import Loss
from straightedge.solvers.sparse.duals import DualForm

MOST_STEPS = 50  # of Newton: 3 to 5 are usual
SMALL = 1e-13  # of Σ w b: what is mixed away of a pull below it costs no more than rounding
HALVINGS = 30  # of a step
JITTER = 1e-13  # of the mean diagonal, where classes do not touch one another


def balanced(loss: Loss, form: DualForm, b: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return dual variables (N, C) near b whose Σ w_i a_i is 0 but for rounding.

    Args:
        loss: The loss.
        form: What b stands for.
        b: (N, C) float64.
        y: (N,) labels.
        weights: (N,) float64, w_i, of sum 1.
    """
    if not form.simplex:
        b = _nearest(form, b, y, weights)
    A = form.to_scores(b, y)
    shares = np.bincount(y, weights=weights, minlength=b.shape[1])
    reference = loss.dual_reference(torch.from_numpy(_pull(A, weights))[None], torch.from_numpy(shares)[None])
    theta = float(reference.theta[0])
    A *= 1.0 - theta
    A += theta * reference.rows[0].numpy()[y]
    return form.from_scores(A, y)


def _pull(A: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return Σ w_i a_i (C,)."""
    found: np.ndarray = np.einsum("i,ij->j", weights, A)
    return found


def _nearest(form: DualForm, b: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the b' in balance with the least Σ w_i ‖b'_i − b_i‖², b' = clip(b + Ju) with J the margins' Jacobian.

    Its multipliers u (C,) are where the convex F(u) = Σ w_i (⟨z_i, b'_i⟩ − ‖b'_i‖²/2), z = b + Ju, is least.
    """
    upper, u = np.inf if form.squared else 1.0, np.zeros(b.shape[1])

    def at(u: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        z = b + _margin_change(form, u, y)
        near = np.clip(z, 0.0, upper)
        return near, (z > 0.0) & (z < upper), float(np.einsum("i,ij,ij->", weights, near, z - near / 2))

    near, moves, value = at(u)
    for _ in range(MOST_STEPS):
        pull = _pull(form.to_scores(near, y), weights)
        if np.abs(pull).max() <= SMALL * float(np.einsum("i,ij->", weights, near)):
            break
        step, share = -np.linalg.solve(_bend(form, moves, y, weights), pull), 1.0
        for _ in range(HALVINGS):
            there = at(u + share * step)
            if there[2] <= value + 1e-4 * share * float(step @ pull):
                break
            share /= 2
        else:  # as low as float64 tells
            break
        u = u + share * step
        near, moves, value = there
    return near


def _margin_change(form: DualForm, u: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return what adding u (C,) to all scores does to the margins (N, C)."""
    of_label = np.tile(u, (len(u), 1))  # [label, class]
    own = np.diag_indices(len(u))
    if form.sums_to_zero:
        of_label -= u[:, None]
    else:
        of_label[own] = -u
    found: np.ndarray = of_label[y]
    return found


def _bend(form: DualForm, moves: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the Hessian (C, C) of F, without what it does not see where all of u may be shifted."""
    C = moves.shape[1]
    by_label = np.zeros((C, C))
    np.add.at(by_label, y, moves * weights[:, None])
    H = np.diag(by_label.sum(axis=0))
    if form.sums_to_zero:
        np.fill_diagonal(by_label, 0.0)
        H = np.diag(by_label.sum(axis=0) + by_label.sum(axis=1)) - by_label - by_label.T
        H += np.trace(H) / C**2
    H.flat[:: C + 1] += max(JITTER * np.trace(H) / C, 1e-300)
    return H
