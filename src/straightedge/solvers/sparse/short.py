"""One problem of two classes and a hinge over sparse rows, from arrays to its proven answer.

A fit of ten milliseconds would spend half of them in the loop that many configurations and other solvers need: in
tensors, copies of W and records. The rows are visited as `SparseDualAscent` visits them, so the answer is the same.
"""

import time

import numpy as np

from straightedge.newton.direct import Answer, trace_row
from straightedge.solvers.sparse.problem import Configuration
from straightedge.solvers.sparse.shrinking import ShrinkingAscent
from straightedge.solvers.sparse.starts import first_point
from straightedge.solvers.sparse.two_classes import TwoClassProblem
from straightedge.status import Status, TraceRow


def minimise(configuration: Configuration, reg: float, tol: float, most: float, seed: int) -> Answer:
    """Return the answer of one configuration, as the solver `sparse_dual_ascent` finds it from W = 0.

    Args:
        configuration: Two classes and a loss of margins.
        reg: Strength of the penalty, for the trace.
        tol: Relative gap asked for.
        most: Passes over the rows.
        seed: Of the orders in which rows are visited.
    """
    problem = TwoClassProblem(configuration, tol)
    fit = ShrinkingAscent(problem, tol, *first_point(problem), seed)
    fit.most_passes = most
    at_zero = problem.primal_at_zero
    trace, status = _ascended(fit, at_zero, reg, most)
    primal, whole = min(at_zero, fit.best_primal), np.zeros((problem.shape[0], 2)).T  # as an estimator has it
    if primal < at_zero:
        problem.write_whole(fit.best_weight, whole)
    dual = max(0.0, fit.bound)
    gap = (primal - dual) / max(primal, 1e-300)
    status = Status.CERTIFIED if gap <= tol else status
    return Answer(whole, primal, dual, gap, status, trace[-1]["n_passes"] + 1.0, trace)


def _ascended(fit: ShrinkingAscent, primal: float, reg: float, most: float) -> tuple[list[TraceRow], Status]:
    """Go on until the gap is reached or nothing is left to be used; return the trace and how it ended."""
    began, passes, status = time.perf_counter(), 0.0, None
    trace = [trace_row(1, passes, 0.0, reg, (primal, 0.0, 1.0), "sparse_dual_ascent")]
    try:
        while status is None:
            passes += fit.advance()
            best, bound = min(primal, fit.best_primal), max(0.0, fit.bound)
            bounds = (best, bound, (best - bound) / max(best, 1e-300))
            seconds = time.perf_counter() - began
            trace.append(trace_row(len(trace) + 1, passes, seconds, reg, bounds, "sparse_dual_ascent"))
            status = _ending(fit, passes >= most)
        if fit.gap > fit.tol:
            fit.finish()
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    return trace, status


def _ending(fit: ShrinkingAscent, late: bool) -> Status | None:
    if fit.gap <= fit.tol:
        return Status.CERTIFIED
    if late:
        return Status.MAX_PASSES
    return Status.STALLED if fit.exhausted else None
