"""One problem of two classes and a hinge over sparse rows, from arrays to its proven answer.

A fit of ten milliseconds would spend half of them in the loop that many configurations and other solvers need: in
tensors, copies of W and records. The rows are visited as `SparseDualAscent` visits them, so the answer is the same.
"""

import numpy as np

from straightedge.newton.direct import Answer, Bounds, Log, Steps, followed
from straightedge.solvers.sparse.problem import Configuration
from straightedge.solvers.sparse.shrinking import ShrinkingAscent
from straightedge.solvers.sparse.starts import first_point
from straightedge.solvers.sparse.two_classes import TwoClassProblem
from straightedge.status import Status


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
    log = Log("sparse_dual_ascent")
    status = followed(_steps(fit, most), reg, log)
    primal, dual, gap = _bounds(fit)
    whole = np.zeros((problem.shape[0], 2)).T  # as an estimator has it
    if fit.best_primal < problem.primal_at_zero:
        problem.write_whole(fit.best_weight, whole)
    status = Status.CERTIFIED if gap <= tol else status
    return Answer(whole, primal, dual, gap, status, log.rows[-1]["n_passes"] + 1.0, log.rows)


def _steps(fit: ShrinkingAscent, most: float) -> Steps:
    passes = 0.0
    yield passes, _bounds(fit)
    while fit.gap > fit.tol and passes < most and not fit.exhausted:
        passes += fit.advance()
        yield passes, _bounds(fit)
    if fit.gap <= fit.tol:
        return Status.CERTIFIED
    fit.finish()
    return Status.MAX_PASSES if passes >= most else Status.STALLED


def _bounds(fit: ShrinkingAscent) -> Bounds:
    """Return the bounds of the best point so far, W = 0 among them."""
    assert isinstance(fit.problem, TwoClassProblem)
    primal, dual = min(fit.problem.primal_at_zero, fit.best_primal), max(0.0, fit.bound)
    return primal, dual, (primal - dual) / max(primal, 1e-300)
