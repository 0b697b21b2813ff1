"""One hinge problem from a plain table to its proven answer, without the loop and the tensors of larger ones.

A fit of ten milliseconds would spend four times as long in what many configurations and other solvers need. The
steps are those of `SemismoothNewton`, and so is the answer, up to rounding.
"""

import numpy as np

from straightedge.losses import PiecewiseLinearLoss
from straightedge.newton.direct import Answer, Log, Steps, followed
from straightedge.solvers.hinge.gathered.descent import Descent
from straightedge.solvers.hinge.gathered.interior import advance_inside
from straightedge.solvers.hinge.gathered.layout import Gathered, Layout, layout_for
from straightedge.solvers.hinge.gathered.margins import Array, Indices
from straightedge.solvers.hinge.gathered.proof import bounds_of, proven
from straightedge.solvers.hinge.gathered.spaces import FeatureSpace, KernelSpace, Space
from straightedge.solvers.hinge.gathered.usual import is_short
from straightedge.solvers.hinge.sequential import SAFE
from straightedge.status import Status
from straightedge.workers import one_thread

NAME = "semismooth_newton"
MOST_ENTRIES = 20_000_000  # of X̂, as in `SemismoothNewton`


def fits(n: int, width: int, n_classes: int, loss: PiecewiseLinearLoss) -> bool:
    """Return whether a problem is small enough, by its (n, width) rows with the constant and by C."""
    return n * width <= MOST_ENTRIES and is_short(n, width, n_classes, loss.own_margin)


def minimise(
    X: Array,
    y: Indices,
    n_classes: int,
    loss: PiecewiseLinearLoss,
    reg: float,
    curvature: float,
    tol: float,
    *,
    free_bias: bool = False,
) -> Answer:
    """Return the W that minimises mean ℓ + reg ΣW²; its status says whether it is proven.

    Args:
        X: (N, D) float64 rows.
        y: (N,) labels in [0, C).
        n_classes: C.
        loss: The hinge.
        reg: Strength of the penalty, > 0, for the trace.
        curvature: Of the penalty, > 0.
        tol: Relative gap asked for.
        free_bias: Whether the bias is no part of the penalty.
    """
    layout = layout_for(loss, n_classes, curvature, free=free_bias)
    log = Log(NAME)
    with one_thread():  # a team of threads waits by spinning: under load it took ten times as long
        descents = [Descent.begin(p, SAFE * tol, None) for p in layout.problems(_gathered(X, y, free_bias))]
        status = followed(_steps(descents, layout), reg, log)
        answer = proven(layout, descents, X)
    answer.status = Status.CERTIFIED if answer.gap <= tol else status
    answer.n_passes, answer.trace = (log.rows[-1]["n_passes"] if log.rows else 0.0) + 1.0, log.rows
    return answer


def _gathered(X: Array, y: Indices, free_bias: bool) -> Gathered:
    """Return the rows, in their span where they are fewer than the features."""
    n, d = X.shape
    if n <= d + (not free_bias):
        space: Space = KernelSpace(X @ X.T + (not free_bias))
    else:
        space = FeatureSpace(np.ascontiguousarray(X) if free_bias else np.hstack([X, np.ones((n, 1))]))
    return Gathered(np.arange(n), X, y, np.full(n, 1 / n), space)


def _steps(descents: list[Descent], layout: Layout) -> Steps:
    if passes := sum(advance_inside(one) for one in descents):
        yield passes, bounds_of(layout, descents)
    while left := [one for one in descents if not one.is_done and not one.exhausted]:
        passes += left[0].problem.margins.n_columns / layout.n_classes * left[0].advance()
        yield passes, bounds_of(layout, descents)
    return Status.STALLED
