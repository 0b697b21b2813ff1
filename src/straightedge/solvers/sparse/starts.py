"""Where dual coordinate ascent over sparse rows begins: at nothing, or at the answer at another reg."""

import numpy as np

from straightedge.solvers.sparse.ascent import AscentState, SparseAscent
from straightedge.solvers.sparse.bounds import Ascent
from straightedge.solvers.sparse.duals import SMALLEST
from straightedge.solvers.sparse.problem import SparseProblem
from straightedge.solvers.sparse.shrinking import ShrinkingAscent, ShrinkingState
from straightedge.solvers.sparse.two_classes import TwoClassProblem

HALVINGS = 60  # of the first step that are tried: to 1e-18 of it


def first_point(problem: SparseProblem) -> tuple[np.ndarray, np.ndarray]:
    """Return dual variables (N, C) to begin with, and their W (D + 1, C).

    a = t · (1/C − e_y) where the loss has an entropy, with the t of the best bound among halves of one that falls
    with the mean curvature of the rows. For the others a = 0, and W = 0.
    """
    (width, C), y, form = problem.shape, problem.y, problem.form
    rows = np.arange(len(y))
    if form.entropy:
        W = problem.class_point()
        t = _best_share(C, problem.penalty(W), min(1.0, 1.0 / problem.coupling))
        b = np.full((len(y), C), max(t / C, SMALLEST))
        b[rows, y] += 1.0 - t
        return b, np.multiply(W, t, out=W).astype(problem.dtype, copy=False)
    b = np.zeros((len(y), C))
    if form.simplex:
        b[rows, y] = 1.0
    return b, np.zeros((width, C), problem.dtype)


def _best_share(n_classes: int, penalty: float, most: float) -> float:
    """Return the t with the largest D of t · (1/C − e_y) among halves of ``most``.

    Where reg is so small that many rows pull the same way, the W of t = 1 is thousands of times too large: float32
    would not be left with the digits of the answer.
    """
    t = most * 0.5 ** np.arange(HALVINGS)
    right = 1.0 - t + t / n_classes
    entropy = -(n_classes - 1) * t / n_classes * np.log(t / n_classes) - right * np.log(right)
    return float(t[np.argmax(entropy - t * t * penalty)])


def continued(
    problem: SparseProblem, b: np.ndarray, W: np.ndarray, curvature: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return where to begin from an answer at another reg: the multiple of its a(b) with the best bound.

    Args:
        problem: With its own curvature.
        b: (N, C) the other's dual variables.
        W: (D + 1, C) that belongs to them at the other's reg.
        curvature: The other's, twice its reg.
    """
    moved = W * (curvature / problem.curvature)
    t = min(1.0, problem.conjugate(b) / max(2 * problem.penalty(moved), 1e-300))
    return problem.form.shrunk(b, problem.y, t), t * moved


AnyState = AscentState | ShrinkingState


def ascent_of(problem: SparseProblem) -> type[Ascent]:
    """Return the way of ascent of a problem; for its arguments see `Ascent`."""
    return ShrinkingAscent if isinstance(problem, TwoClassProblem) else SparseAscent
