"""The proof of an answer on gathered rows: W on the features, and both bounds computed anew from the rows."""

from collections.abc import Sequence

import numpy as np

from straightedge.newton.bounds import scaled_bound
from straightedge.newton.direct import Answer, Bounds
from straightedge.solvers.hinge.gathered.descent import Descent
from straightedge.solvers.hinge.gathered.layout import Layout
from straightedge.solvers.hinge.gathered.margins import Array
from straightedge.solvers.hinge.gathered.problem import HingeProblem
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
    """Return W, its value and its bound.

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
    free, weights, half = problem.is_free, problem.weights, problem.curvature / 2
    W = _mapped(problem, bounds.coordinates, X, bounds.bias)
    values = problem.margins.value(problem.margins.margins(X @ W[:, :-1].T + W[:, -1]))
    own = W[:, :-1] if free else W
    primal = float(weights @ values) + half * float((own * own).sum())
    _, A, total = problem.balanced(bounds.b)
    A *= weights[:, None] / -problem.curvature
    V = A.T @ X
    square = float(np.vdot(V, V)) + (0.0 if free else float(np.square(A.sum(axis=0)).sum()))
    return W, primal, scaled_bound(total, half * square)[1]


def _mapped(problem: HingeProblem, coordinates: Array, X: Array, bias: Array) -> Array:
    """Return vectors (M, D + 1) on the features, the constant last, from their coordinates and a free bias."""
    if isinstance(problem.space, FeatureSpace):
        return np.hstack([coordinates, bias[:, None]]) if problem.is_free else coordinates
    return np.hstack([coordinates @ X, (bias if problem.is_free else coordinates.sum(axis=1))[:, None]])
