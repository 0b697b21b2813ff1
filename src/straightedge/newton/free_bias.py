"""A free bias: the best one for given scores, and what the rest of its gradient costs a bound.

The bias b outside the penalty has one unknown a class, and its gradient and Hessian are sums over scores. So it
is taken at its minimum for the weights w at hand, and steps see the minimum over b as a function of w alone.

Proof of the bound. A dual point needs Σ w_i a_i = 0. Let g = Σ w_i a_i be what is left of it, π the classes'
shares, and m = max_j max(g_j/π_j, −g_j/(1 − π_j)). With θ = m/(1 + m), every row's a_i is mixed with
θ (π − g/m − e_y), which is one of a likelihood: its entropies are ≥ 0, and Σ w_i of the mixture is 0. What D loses
by it is linear in θ, so that a g of 1e-9 costs nothing that counts.

References:
    Golub and Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems whose variables
    separate", SIAM J. Numer. Anal. 10, 1973 (variable projection).
"""

from collections.abc import Callable

import numpy as np

from straightedge.newton.bounds import scaled_bound
from straightedge.newton.curvature import RowTerms, SecondOrder

Reference = Callable[[np.ndarray], tuple[float, np.ndarray, float]]
"""From Σ w_i a_i (C,): the share θ of dual points of the classes (C, C) that makes it 0, and their mean −ℓ*."""

MOST_STEPS = 8  # of Newton on the bias; each doubles the digits
STILL = 1e-13  # entries of the bias's gradient, shares of all rows, that are left
JITTER = 1e-14  # of the mean curvature of a class: one may have none
BLIND = 1e-5  # of that: a sum over classes up to which it is rounding, of sums in float32, too
NOISE = 1e-12  # of the loss: a step that raises it by no more has found the minimum


def best_bias(
    loss: SecondOrder, S: np.ndarray, y: np.ndarray, weights: np.ndarray, terms: RowTerms, most: int = MOST_STEPS
) -> tuple[np.ndarray, RowTerms]:
    """Return what is added to the scores of all rows where their loss is least (C,), and the loss there.

    Args:
        loss: The loss to second order.
        S: (C, N) scores.
        y: (N,) labels.
        weights: (N,) of sum 1.
        terms: The loss at S.
        most: Steps of Newton's.
    """
    shift = np.zeros(len(S))
    for _ in range(most):
        residual = terms.gradient @ weights
        if float(np.abs(residual).max()) <= STILL:
            break
        step = bias_step(terms.total(weights), residual)
        there = loss.at(S + (shift + step).astype(S.dtype)[:, None], y)
        if not there.value @ weights <= (1 + NOISE) * float(terms.value @ weights):
            break
        shift, terms = shift + step, there
    return shift, terms


def bias_step(curvature: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Return Newton's step of the bias (C,), or of several, (C, k).

    Args:
        curvature: (C, C), Σ w_i B_i; where it is blind to a number added to all scores, the step has sum 0.
        residual: (C,) or (C, k), its gradient.
    """
    C = len(curvature)
    mean = max(float(curvature.trace()) / C, np.finfo(float).tiny)
    blind = float(np.abs(curvature.sum(axis=0)).max()) <= BLIND * mean
    own = curvature.astype(np.float64) + (mean / C if blind else 0.0)
    own.flat[:: C + 1] += JITTER * mean
    found: np.ndarray = -np.linalg.solve(own, residual)
    return found


def mixed_gap(W: np.ndarray, V: np.ndarray, mean_loss: float, ridge: np.ndarray, sums: np.ndarray) -> float:
    """Return an upper bound of P(W) − min P, P the mean loss and ½ Σ h_d W_cd² without the bias.

    Args:
        W: (C, D), the bias last; the best one for the rest of W.
        V: (C, D), the mean loss's gradient.
        mean_loss: At W.
        ridge: (D,), h; its last entry does not count.
        sums: (C, D + 1), Σ w_i x̂_i of each class and, last, of all rows; where two classes share a column, of the
            second and of all.
    """
    h, pull, means, share = ridge[:-1], V[:, -1], sums[-1], sums[:-1, -1] / sums[-1, -1]
    gradient = V[:, :-1] + h * W[:, :-1]
    gap = float((gradient * gradient / h).sum()) / 2 + float(W[:, -1] @ pull)
    ratio = float(np.maximum(pull / share, -pull / (1 - share)).max())
    if ratio <= 0:
        return gap
    theta = ratio / (1 + ratio)
    change = (share - pull / ratio)[:, None] * means[:-1] - sums[:-1, :-1] - V[:, :-1]
    conjugate = max(mean_loss - float(np.vdot(W, V)), 0.0)
    longer = float((change * (V[:, :-1] + theta / 2 * change) / h).sum())
    return gap + theta * (conjugate + longer)


def referred_gap(
    W: np.ndarray, V: np.ndarray, mean_loss: float, ridge: np.ndarray, sums: np.ndarray, reference: Reference
) -> float:
    """Return what `mixed_gap` does for a loss that is no likelihood, whose own reference is mixed in.

    Args:
        W: (C, D), the bias last.
        V: (C, D), the mean loss's gradient.
        mean_loss: At W.
        ridge: (D,), h; its last entry does not count.
        sums: (C + 1, D), see `mixed_gap`.
        reference: Of the loss.
    """
    h, own = ridge[:-1], W[:, :-1]
    theta, rows, conjugate = reference(V[:, -1])
    mixed = ((1 - theta) * V + theta * (rows.T @ sums[:-1]))[:, :-1]
    conjugate = (1 - theta) * (mean_loss - float(np.vdot(W, V))) + theta * conjugate
    quadratic = float((mixed * mixed / h).sum()) / 2
    value = mean_loss + float((own * own * h).sum()) / 2
    return max(value - scaled_bound(conjugate, quadratic)[1], 0.0)
