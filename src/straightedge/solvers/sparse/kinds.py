"""Which way of ascent each problem over sparse rows takes."""

from __future__ import annotations

import numpy as np

from straightedge.solvers.sparse.ascent import AscentState, SparseAscent
from straightedge.solvers.sparse.bounds import Ascent
from straightedge.solvers.sparse.problem import SparseProblem
from straightedge.solvers.sparse.shrinking import ShrinkingAscent, ShrinkingState
from straightedge.solvers.sparse.two_classes import TwoClassProblem

AnyState = AscentState | ShrinkingState


def new_ascent(problem: SparseProblem, tol: float, b: np.ndarray, W: np.ndarray | None, seed: int) -> Ascent:
    """Return the ascent of a problem from dual variables b and their W; for the arguments see `Ascent`."""
    if isinstance(problem, TwoClassProblem):
        return ShrinkingAscent(problem, tol, b, W, seed)
    return SparseAscent(problem, tol, b, W, seed)


def restored_ascent(problem: SparseProblem, tol: float, state: AnyState) -> Ascent:
    """Return the ascent whose state this is."""
    if isinstance(problem, TwoClassProblem):
        assert isinstance(state, ShrinkingState)
        return ShrinkingAscent.restored(problem, tol, state)
    assert isinstance(state, AscentState)
    return SparseAscent.restored(problem, tol, state)
