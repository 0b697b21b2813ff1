"""The proof of an answer on gathered rows: W on the features, and both bounds computed anew from the rows."""

from collections.abc import Sequence

import numpy as np

from straightedge.newton.direct import Answer, Bounds
from straightedge.solvers.hinge.gathered.descent import Descent
from straightedge.solvers.hinge.gathered.layout import Layout
from straightedge.solvers.hinge.gathered.margins import Array
from straightedge.solvers.hinge.gathered.problem import HingeProblem, scaled_bound
from straightedge.solvers.hinge.gathered.spaces import FeatureSpace


def relative(layout: Layout, sides: Sequence[tuple[float, float]]) -> Bounds:
    """Return P, the lower bound and the relative gap from P and D of each problem."""
    primal = layout.copies * sum(side[0] for side in sides)
    dual = max(0.0, layout.copies * sum(side[1] for side in sides))
    return primal, dual, (primal - dual) / max(primal, 1e-300)


def bounds_of(layout: Layout, descents: Sequence[Descent]) -> Bounds:
    """Return the bounds of all problems together, as they are known on the way."""
    return relative(layout, [(one.bounds.primal, one.bounds.dual) for one in descents])


def proven(layout: Layout, descents: Sequence[Descent], X: Array) -> Answer:
    """Return W, its value and its bound, for a penalised bias.

    Args:
        layout: How the loss is laid out in problems.
        descents: Of each problem.
        X: (n, D) float64 rows of positive weight, without the constant.
    """
    parts = [_judged(descent, X) for descent in descents]
    W = layout.weight(np.concatenate([part[0] for part in parts]))
    return Answer(np.ascontiguousarray(W), *relative(layout, [part[1:] for part in parts]))


def _judged(descent: Descent, X: Array) -> tuple[Array, float, float]:
    """Return the columns W (M, D + 1) of one problem, P there and D at its best dual variables."""
    problem, bounds = descent.problem, descent.bounds
    V = problem.dual_coordinates(bounds.b)
    both = _mapped(problem, np.concatenate([bounds.coordinates, V]), X)
    W, V = np.split(both, 2)
    S = X @ W[:, :-1].T + W[:, -1]
    values = problem.margins.value(problem.margins.margins(S))
    half = problem.curvature / 2
    primal = float(problem.weights @ values) + half * float(np.vdot(W, W))
    total = float(problem.weights @ bounds.b.sum(axis=1))
    return W, primal, scaled_bound(total, half * float(np.vdot(V, V)))[1]


def _mapped(problem: HingeProblem, coordinates: Array, X: Array) -> Array:
    """Return vectors on the features, the constant last, from their coordinates (k, ·)."""
    if isinstance(problem.space, FeatureSpace):
        return coordinates
    return np.hstack([coordinates @ X, coordinates.sum(axis=1, keepdims=True)])
