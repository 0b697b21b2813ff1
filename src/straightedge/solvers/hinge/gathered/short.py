"""One hinge problem from a plain table to its proven answer, without the loop and the tensors of larger ones.

A fit of ten milliseconds would spend four times as long in what many configurations, free biases and other solvers
need. The steps are those of `SemismoothNewton`, and so is the answer, up to rounding.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from straightedge.losses import PiecewiseLinearLoss
from straightedge.newton.direct import Answer, trace_row
from straightedge.solvers.hinge.gathered.descent import Descent
from straightedge.solvers.hinge.gathered.interior import advance_inside
from straightedge.solvers.hinge.gathered.layout import Gathered, Layout, layout_for
from straightedge.solvers.hinge.gathered.margins import Array, Indices
from straightedge.solvers.hinge.gathered.proof import proven, relative
from straightedge.solvers.hinge.gathered.spaces import FeatureSpace, KernelSpace
from straightedge.solvers.hinge.gathered.usual import is_short
from straightedge.solvers.hinge.sequential import SAFE
from straightedge.status import Status, TraceRow
from straightedge.workers import one_thread

NAME = "semismooth_newton"
MOST_ENTRIES = 20_000_000  # of X̂, as in `SemismoothNewton`


def fits(n: int, width: int, n_classes: int, loss: PiecewiseLinearLoss) -> bool:
    """Return whether a problem is small enough, by its (n, width) rows with the constant and by C."""
    return n * width <= MOST_ENTRIES and is_short(n, width, n_classes, loss.own_margin)


def minimise(
    X: Array, y: Indices, n_classes: int, loss: PiecewiseLinearLoss, reg: float, curvature: float, tol: float
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
    """
    layout = layout_for(loss, n_classes, curvature)
    fit = _Fit(X, layout, reg, tol)
    with one_thread():  # a team of threads waits by spinning: under load it took ten times as long
        fit.begin(y)
        status = fit.run()
        answer = proven(layout, fit.descents, X)
    answer.status = Status.CERTIFIED if answer.gap <= tol else status
    answer.n_passes, answer.trace = fit.passes + 1.0, fit.trace
    return answer


@dataclass
class _Fit:
    """A fit on its way.

    Attributes:
        X: (N, D) the rows.
        layout: How the loss is laid out in problems.
        reg: Strength of the penalty.
        tol: Relative gap asked for.
        descents: Of each problem.
        passes: Over the rows, so far.
        trace: A row for each step.
    """

    X: Array
    layout: Layout
    reg: float
    tol: float
    descents: list[Descent] = field(default_factory=list)
    passes: float = 0.0
    trace: list[TraceRow] = field(default_factory=list)

    def begin(self, y: Indices) -> None:
        """Gather the rows: in the span of the rows where these are fewer than the features."""
        n, width = len(y), self.X.shape[1] + 1
        weights = np.full(n, 1 / n)
        if n <= width:
            space: FeatureSpace | KernelSpace = KernelSpace(self.X @ self.X.T + 1)
        else:
            space = FeatureSpace(np.hstack([self.X, np.ones((n, 1))]))
        gathered = Gathered(np.arange(n), self.X, y, weights, space)
        self.descents = [Descent.begin(p, SAFE * self.tol, None) for p in self.layout.problems(gathered)]

    def run(self) -> Status:
        """Take steps until the gap is reached or no step helps; return how it ended."""
        began = time.perf_counter()
        try:
            self._advance_inside(began)
            while left := [d for d in self.descents if not d.is_done and not d.exhausted]:
                share = left[0].problem.margins.n_columns / self.layout.n_classes
                self.passes += share * left[0].advance()
                self._write(began)
        except KeyboardInterrupt:
            return Status.INTERRUPTED
        return Status.STALLED

    def _advance_inside(self, began: float) -> None:
        """Take the steps of the interior-point method where it suits; see `interior`."""
        passes = sum(advance_inside(one) for one in self.descents)
        if passes:
            self.passes += passes
            self._write(began)

    def _write(self, began: float) -> None:
        seconds, count = time.perf_counter() - began, len(self.trace) + 1
        self.trace.append(trace_row(count, self.passes, seconds, self.reg, self._bounds(), NAME))

    def _bounds(self) -> tuple[float, float, float]:
        return relative(self.layout, [(one.bounds.primal, one.bounds.dual) for one in self.descents])
