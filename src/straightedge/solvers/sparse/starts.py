"""Where dual coordinate ascent over sparse rows begins: at nothing, or at the answer at another reg."""

from __future__ import annotations

import numpy as np

from straightedge.solvers.sparse.duals import SMALLEST
from straightedge.solvers.sparse.problem import SparseProblem


def first_point(problem: SparseProblem) -> tuple[np.ndarray, np.ndarray]:
    """Return dual variables (N, C) to begin with, and their W (D + 1, C).

    b stands for t · (1/C − e_y) where the loss has an entropy: at t = 1 scores are 0, which is right where reg is
    large; t falls with the mean curvature of the rows. For the others a = 0, and W = 0.
    """
    (width, C), y, form = problem.shape, problem.y, problem.form
    rows = np.arange(len(y))
    if form.entropy:
        t = min(1.0, 1.0 / problem.coupling)
        b = np.full((len(y), C), max(t / C, SMALLEST))
        b[rows, y] += 1.0 - t
        return b, problem.class_point(t).astype(problem.dtype)
    b = np.zeros((len(y), C))
    if form.simplex:
        b[rows, y] = 1.0
    return b, np.zeros((width, C), problem.dtype)


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
