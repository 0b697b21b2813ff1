"""Plain NumPy tables and a hinge: the short way of `quick` for fits of less than a second."""

from typing import Any

import numpy as np

from straightedge.estimators import quick
from straightedge.newton.direct import Answer
from straightedge.status import Status

Found = tuple[Answer, np.ndarray, tuple[float, float]]


def fit(
    loss: str, X: np.ndarray, y: Any, reg: float, tol: float, most: float, *, bias: str = "penalized"
) -> Found | None:
    """Return what `quick.fit` does: answer, classes and range of X; None where the long way is to go."""
    from straightedge.losses import get_loss, piecewise
    from straightedge.solvers.hinge.gathered import short
    from straightedge.solvers.hinge.gathered.solver import GEOMETRIES
    from straightedge.solvers.sparse import narrow

    kind, curvature, free = get_loss(loss), 2 * reg, bias == "free"  # of reg ΣW²
    labels = quick.classes_of(y, len(X)) if kind.geometry in GEOMETRIES and most >= quick.LONG else None
    if labels is not None and narrow.fits_table(len(X), X.shape[1] + 1, len(labels[0]), kind):
        value_range = quick.range_of(X)
        problem = narrow.NarrowProblem.of_table(X, labels[1], kind, curvature, free_bias=free)
        answer = value_range and narrow.Narrow(problem, reg, tol, most).fit()
        if answer and value_range and answer.status is not Status.STALLED:
            return answer, labels[0], value_range
    if labels is None or not short.fits(len(X), X.shape[1] + 1, len(labels[0]), piecewise(kind)):
        return None
    value_range = quick.range_of(X)
    if value_range is None:
        return None
    table: np.ndarray = X.astype(np.float64, copy=False)
    sizes = len(labels[0]), piecewise(kind)
    answer = short.minimise(table, labels[1], *sizes, reg, curvature, tol, free_bias=free)
    return None if answer.status is Status.STALLED else (answer, labels[0], value_range)
