"""One small problem from a table to its proven answer, without the loop and the tensors that larger ones need."""

import math
import time
from dataclasses import dataclass, field

import numpy as np

from straightedge.newton.blocks import RowBlocks
from straightedge.newton.curvature import SecondOrder
from straightedge.newton.engine import Engine
from straightedge.newton.problem import Point, SmoothProblem, Table, contrasts
from straightedge.newton.work import SAMPLE_ROWS, Size
from straightedge.status import Status, TraceRow

LARGEST = 2_000_000  # entries of the table: larger ones are worth threads, float32 and a check between blocks
START_AND_PROOF = 2.0  # passes: the first gradient, and the proof at the end


@dataclass
class Answer:
    """What `minimise` has found.

    Attributes:
        W: (C, D + 1).
        objective: P(W).
        dual: A lower bound on the optimum.
        gap: (P − D)/P.
        status: How it ended.
        n_passes: Passes over the rows.
        trace: A row for each turn, as a solver's.
    """

    W: np.ndarray
    objective: float
    dual: float
    gap: float
    status: Status = Status.CERTIFIED
    n_passes: float = 0.0
    trace: list[TraceRow] = field(default_factory=list)


def fits(size: Size) -> bool:
    """Return whether a problem of a plain ridge is small, and auto would take Newton without a rotation for it."""
    small = size.N * size.D <= LARGEST and size.N <= 2 * SAMPLE_ROWS and not size.is_tall
    return small and not size.has_span and not size.is_flat and size.prefers_newton()


def minimise(
    table: np.ndarray,
    y: np.ndarray,
    size: Size,
    reg: float,
    loss: SecondOrder,
    tol: float,
    most: float,
    *,
    free_bias: bool = False,
) -> Answer:
    """Return the W that minimises mean ℓ + reg ΣW², by the steps of the solver `newton`.

    Args:
        table: (N, D + 1) float64 rows with the constant.
        y: (N,) labels in [0, C).
        size: Of the problem.
        reg: Strength of the penalty, > 0.
        loss: The loss to second order; of two classes that share a column of weights, see `two_classes`.
        tol: Relative gap asked for.
        most: Passes over the rows.
        free_bias: Whether the penalty leaves the bias out.
    """
    weights, ridge = np.full(size.N, 1 / size.N), np.full(size.D, 2 * reg)
    ridge[-1] *= not free_bias
    basis = contrasts(size.C) if size.c < size.C else np.eye(size.C)
    one_column = basis.shape == (2, 1)
    if one_column:
        basis, ridge = np.eye(1), ridge / 2
    problem = SmoothProblem(Table(table), y, weights, ridge, loss, basis)
    engine = Engine(problem, size, tol, problem.at(problem.zero()), batch=math.inf, most=most - START_AND_PROOF)
    answer = run(engine, reg, [], time.perf_counter(), START_AND_PROOF)
    if one_column:
        answer.W = np.concatenate([-answer.W, answer.W]) / 2
    return answer


def run(
    engine: Engine, reg: float, trace: list[TraceRow], began: float, passes: float, *, ended: bool = False
) -> Answer:
    """Take steps until the gap is proven or there is no more to gain, and return the answer.

    Args:
        engine: Where it starts.
        reg: For the trace.
        trace: Rows so far; those of each turn are added.
        began: When the first fit of the trace did, s.
        passes: Over the rows, of start and proof.
        ended: Whether it was interrupted before: no step is taken.
    """
    status, tol = Status.INTERRUPTED if ended else None, engine.tol
    try:
        while status is None:
            engine.problem.check()
            bounds = (engine.proven.value, *_bounds(engine.proven))
            trace.append(trace_row(len(trace) + 1, 1 + engine.used, time.perf_counter() - began, reg, bounds))
            status = _status(engine, bounds[2], tol)
            if status is None:
                engine.step()
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
        engine.point = engine.problem.at(engine.point.W)
    point = engine.proven
    return Answer(point.W, point.value, *_bounds(point), status, passes + engine.used, trace)


def _status(engine: Engine, gap: float, tol: float) -> Status | None:
    """Return how it has ended, None if it goes on."""
    if gap <= tol:
        return Status.CERTIFIED
    if engine.used >= engine.most:
        return Status.MAX_PASSES
    return Status.STALLED if engine.exhausted else None


def _bounds(point: Point) -> tuple[float, float]:
    """Return a lower bound on the optimum and the relative gap, without the cancellation of P − D."""
    dual = point.bound()
    gap = point.gap if point.gap < point.value / 2 else point.value - dual
    return dual, gap / max(point.value, 1e-300)


def trace_row(
    iteration: int,
    n_passes: float,
    seconds: float,
    reg: float,
    bounds: tuple[float, float, float],
    solver: str = "newton",
) -> TraceRow:
    """Return a row of the trace; ``bounds`` are P, a lower bound and the relative gap."""
    return {
        "iteration": iteration,
        "n_passes": n_passes,
        "seconds": seconds,
        "reg": reg,
        "objective": bounds[0],
        "dual": bounds[1],
        "gap": bounds[2],
        "solver": solver,
    }


def proven(rows: RowBlocks, W: np.ndarray, reg: float, tol: float) -> Answer:
    """Return W (C, D + 1), with the best free bias, mean ℓ + reg ΣW² and its bound, by products in float64."""
    W, value, _, gap = rows.prove(W, reg, tol)
    return Answer(W, value, max(0.0, value - gap), min(gap / value, 1.0))  # 0 is a lower bound of every loss
