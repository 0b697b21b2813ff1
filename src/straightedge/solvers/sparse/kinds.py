"""Which way of ascent each problem over sparse rows takes."""

from __future__ import annotations

from straightedge.solvers.sparse.ascent import AscentState, SparseAscent
from straightedge.solvers.sparse.bounds import Ascent
from straightedge.solvers.sparse.problem import SparseProblem
from straightedge.solvers.sparse.shrinking import ShrinkingAscent, ShrinkingState
from straightedge.solvers.sparse.two_classes import TwoClassProblem

AnyState = AscentState | ShrinkingState


def ascent_of(problem: SparseProblem) -> type[Ascent]:
    """Return the way of ascent of a problem; for its arguments see `Ascent`."""
    return ShrinkingAscent if isinstance(problem, TwoClassProblem) else SparseAscent
