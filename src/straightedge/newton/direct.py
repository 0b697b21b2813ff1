"""One small problem from a table to its proven answer, without the loop and the tensors that larger ones need."""

import math
import time
from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np

from straightedge.newton.blocks import RowBlocks
from straightedge.newton.curvature import SecondOrder
from straightedge.newton.engine import Engine
from straightedge.newton.free_bias import Reference
from straightedge.newton.problem import Point, SmoothProblem, Table, contrasts
from straightedge.newton.work import SAMPLE_ROWS, Size
from straightedge.status import Status, TraceRow

LARGEST = 2_000_000  # entries of the table: larger ones are worth threads, float32 and a check between blocks
START_AND_PROOF = 2.0  # passes: the first gradient, and the proof at the end


Bounds = tuple[float, float, float]  # P(W), a lower bound on the optimum, and the relative gap between them


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

    @property
    def bounds(self) -> Bounds:
        """P(W), the lower bound and the gap."""
        return self.objective, self.dual, self.gap


@dataclass
class Log:
    """The trace of a fit, or of several one after another, while it is written.

    Attributes:
        solver: Who fits.
        rows: The trace so far.
        began: When the first fit did, s.
    """

    solver: str = "newton"
    rows: list[TraceRow] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)

    def write(self, n_passes: float, reg: float, bounds: Bounds) -> None:
        """Add a row."""
        objective, dual, gap = bounds
        row: TraceRow = {
            "iteration": len(self.rows) + 1,
            "n_passes": n_passes,
            "seconds": time.perf_counter() - self.began,
            "reg": reg,
            "objective": objective,
            "dual": dual,
            "gap": gap,
            "solver": self.solver,
        }
        self.rows.append(row)


Steps = Generator[tuple[float, Bounds], None, Status]
"""A fit on its way: it gives the passes so far and its bounds again and again, and returns how it has ended."""


def followed(steps: Steps, reg: float, log: Log) -> Status:
    """Take steps to the end, and write each into the log; return how they ended, by Ctrl-C or of themselves."""
    try:
        while True:
            n_passes, bounds = next(steps)
            log.write(n_passes, reg, bounds)
    except StopIteration as end:
        status: Status = end.value
        return status
    except KeyboardInterrupt:
        return Status.INTERRUPTED


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
    reference: Reference | None = None,
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
        reference: Of a loss that is no likelihood, for the bound of a free bias.
    """
    weights, ridge = np.full(size.N, 1 / size.N), np.full(size.D, 2 * reg)
    ridge[-1] *= not free_bias
    basis = contrasts(size.C) if size.c < size.C else np.eye(size.C)
    one_column = basis.shape == (2, 1)
    if one_column:
        basis, ridge = np.eye(1), ridge / 2
    problem = SmoothProblem(Table(table), y, weights, ridge, loss, basis, reference=reference)
    engine = Engine(problem, size, tol, problem.at(problem.zero()), batch=math.inf, most=most - START_AND_PROOF)
    answer = run(engine, reg, Log(), START_AND_PROOF)
    if one_column:
        answer.W = np.concatenate([-answer.W, answer.W]) / 2
    return answer


def run(engine: Engine, reg: float, log: Log, passes: float, *, ended: bool = False) -> Answer:
    """Take steps until the gap is proven or there is no more to gain, and return the answer.

    Args:
        engine: Where it starts.
        reg: For the log.
        log: What each turn is written into.
        passes: Over the rows, of start and proof.
        ended: Whether it was interrupted before: no step is taken.
    """
    status = Status.INTERRUPTED if ended else followed(_steps(engine), reg, log)
    point = engine.proven
    return Answer(point.W, point.value, *_bounds(point), status, passes + engine.used, log.rows)


def _steps(engine: Engine) -> Steps:
    try:
        while True:
            engine.problem.check()
            dual, gap = _bounds(engine.proven)
            yield 1 + engine.used, (engine.proven.value, dual, gap)
            if gap <= engine.tol:
                return Status.CERTIFIED
            if engine.used >= engine.most:
                return Status.MAX_PASSES
            if engine.exhausted:
                return Status.STALLED
            engine.step()
    except KeyboardInterrupt:
        engine.point = engine.problem.at(engine.point.W)
        return Status.INTERRUPTED


def _bounds(point: Point) -> tuple[float, float]:
    """Return a lower bound on the optimum and the relative gap, without the cancellation of P − D."""
    dual = point.bound()
    gap = point.gap if point.gap < point.value / 2 else point.value - dual
    return dual, gap / max(point.value, 1e-300)


def proven(rows: RowBlocks, W: np.ndarray, reg: float, tol: float) -> Answer:
    """Return W (C, D + 1), with the best free bias, mean ℓ + reg ΣW² and its bound, by products in float64."""
    W, value, _, gap = rows.prove(W, reg, tol)
    return Answer(W, value, max(0.0, value - gap), min(gap / value, 1.0))  # 0 is a lower bound of every loss
