"""Many rows of few columns: Newton's answer for a sample, then quasi-Newton passes over all rows.

The sample's Hessian differs from that of all rows by some percent, so every pass with it gains a digit or two;
L-BFGS pairs mend the rest of it. Passes are in the rows' own float type. The one that looks like the last is in
float64 and is the proof.

References:
    Byrd, Chin, Neveitt and Nocedal, "On the use of stochastic Hessian information in optimization methods for
    machine learning", SIAM J. Optim. 21, 2011.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from straightedge.newton.blocks import RowBlocks
from straightedge.newton.direct import Answer, trace_row
from straightedge.newton.engine import Engine
from straightedge.newton.exact import ScaledFactor, along_classes, hessian_factor
from straightedge.newton.problem import SmoothProblem, Table, contrasts
from straightedge.newton.quasi import Pairs
from straightedge.newton.work import LEAST_SAMPLE, SAMPLE_ROWS, Size
from straightedge.status import Status, TraceRow

DIGITS = 3e4  # mean ‖x̂‖²/(2 reg) beyond which so many digits are to be gained that twice as many rows pay
FIRST_SHARE = 4  # that sample's answer starts from that of so small a part of it
ROUGH = 3e-2  # relative gap of the part's answer
FINE = 1e-2  # the same of the sample, whose answer is farther from that of all rows anyhow
MOST_STEPS = 30  # of Newton on a sample
MOST_PASSES = 40  # after which the sample was no help: another solver takes over
MEMORY = 10  # pairs of L-BFGS
ARMIJO = 1e-4
LIKELY = 0.5  # a pass whose gap is foreseen below this share of what is asked for is the proof
FIRST_GAIN = 30  # by how many times the first step lessens the gap at least: seen are 60 to 1000


@dataclass
class Pass:
    """What a pass has found at a W.

    Attributes:
        W: (C, D + 1).
        value: P(W).
        gradient: (C, D + 1).
        gap: ‖∇P‖²/(4 reg).
        proven: Whether products were float64.
    """

    W: np.ndarray
    value: float
    gradient: np.ndarray
    gap: float
    proven: bool


@dataclass
class TallProblem:
    """Mean loss of all rows and a plain ridge.

    Attributes:
        rows: All rows.
        reg: Strength of the ridge.
        basis: (C, c) the basis Q of classes.
        n_passes: Passes over all rows so far.
    """

    rows: RowBlocks
    reg: float
    basis: np.ndarray
    n_passes: int = 0

    def at(self, W: np.ndarray, dtype: Any) -> Pass:
        """Return what a pass finds at W (C, D + 1)."""
        self.n_passes += 1
        loss, V = self.rows.sums(W, dtype)
        N = len(self.rows.X)
        gradient = V / N + 2 * self.reg * W
        value = loss / N + self.reg * float(np.vdot(W, W))
        gap = float(np.vdot(gradient, gradient)) / (4 * self.reg)
        return Pass(W, value, gradient, gap, dtype == np.float64)

    def sampled(self, n_rows: int) -> SmoothProblem:
        """Return the problem of some rows."""
        table, y = self.rows.drawn(n_rows)
        weights, ridge = np.full(n_rows, 1 / n_rows), np.full(table.shape[1], 2 * self.reg)
        return SmoothProblem(Table(table), y, weights, ridge, self.rows.loss, self.basis)


def fits(size: Size) -> bool:
    """Return whether rows are so many, and unknowns so few, that a sample's Hessian is worth its making."""
    return size.is_tall


def minimise(rows: RowBlocks, size: Size, reg: float, tol: float, most: float) -> Answer | None:
    """Return the W that minimises mean ℓ + reg ΣW², proven; None where so few passes do not reach it.

    Args:
        rows: All rows.
        size: Of the problem.
        reg: Strength of the penalty, > 0.
        tol: Relative gap asked for.
        most: Passes over the rows.
    """
    began = time.perf_counter()
    basis = contrasts(size.C) if size.c < size.C else np.eye(size.C)
    problem = TallProblem(rows, reg, basis)
    W, factor = _from_sample(problem, size)
    pairs = Pairs(lambda R, _: along_classes(factor, basis, R), MEMORY)
    fit = TallFit(problem, pairs, tol, min(MOST_PASSES, most), began, problem.at(W, rows.own_type))
    try:
        while fit.go_on():
            pass
    except KeyboardInterrupt:
        return fit.answer(Status.INTERRUPTED)
    return fit.answer(Status.CERTIFIED) if fit.is_certified else None


@dataclass
class TallFit:
    """The passes over all rows.

    Attributes:
        problem: What is minimised.
        pairs: What directions are made of.
        tol: Relative gap asked for.
        most: Passes it may use.
        began: When it did, s.
        best: The best point so far.
        trace: A row for each.
    """

    problem: TallProblem
    pairs: Pairs
    tol: float
    most: float
    began: float
    best: Pass
    trace: list[TraceRow] = field(default_factory=list)
    _foreseen: float = field(init=False)

    def __post_init__(self) -> None:
        self._foreseen = self.best.gap / FIRST_GAIN

    @property
    def is_certified(self) -> bool:
        """Whether the gap asked for is proven."""
        return self.best.proven and self._is_near(self.best.gap)

    def _is_near(self, gap: float) -> bool:
        return gap <= self.tol * self.best.value

    def go_on(self) -> bool:
        """Take a step, or prove the last one; return whether there is more to do."""
        self._write()
        if self.is_certified or self.problem.n_passes >= self.most:
            return False
        if self._is_near(self.best.gap):
            self.best = self.problem.at(self.best.W, np.float64)
            return True
        last = self.best.proven or self._is_near(self._foreseen / LIKELY)
        new = _step(self.problem, self.pairs, self.best, np.float64 if last else self.problem.rows.own_type)
        if new is None:
            return False
        self._foreseen = new.gap * min(1.0, new.gap / self.best.gap)
        self.pairs.add(new.W - self.best.W, new.gradient - self.best.gradient)
        self.best = new
        return True

    def _write(self) -> None:
        best, seconds = self.best, time.perf_counter() - self.began
        bounds = (best.value, best.value - best.gap, best.gap / best.value)
        passes = float(self.problem.n_passes)
        self.trace.append(trace_row(len(self.trace) + 1, passes, seconds, self.problem.reg, bounds))

    def answer(self, status: Status) -> Answer:
        """Return the best point with its bounds."""
        best, passes = self.best, float(self.problem.n_passes)
        dual = max(0.0, best.value - best.gap)  # 0 is a lower bound of every loss
        return Answer(best.W, best.value, dual, min(best.gap / best.value, 1.0), status, passes, self.trace)


def _from_sample(problem: TallProblem, size: Size) -> tuple[np.ndarray, ScaledFactor]:
    """Return the answer of a sample (C, D + 1), and the Hessian there."""
    pairs = size.c * (size.c + 1) / 2
    balanced = int(2 * size.N * size.C / (size.D * pairs))  # rows whose Hessian costs as much as a pass
    more = 2 if problem.rows.mean_square_norm > DIGITS * 2 * problem.reg else 1
    n_rows = min(SAMPLE_ROWS, more * max(LEAST_SAMPLE, balanced))
    W = _solved(problem.sampled(n_rows // FIRST_SHARE), size, ROUGH, None)
    sample = problem.sampled(n_rows)
    W = _solved(sample, size, FINE, W)
    return W, hessian_factor(sample, sample.at(W), rough=True)


def _solved(problem: SmoothProblem, size: Size, tol: float, W: np.ndarray | None) -> np.ndarray:
    """Return Newton's answer for a sample."""
    point = problem.at(problem.zero() if W is None else W)
    few = Size(len(problem.y), size.D, size.C, size.c)
    engine = Engine(problem, few, tol, point, batch=0.0, sharpens=False)
    for _ in range(MOST_STEPS):
        if engine.exhausted or engine.point.gap <= tol * engine.point.value:
            break
        engine.step()
    return engine.point.W


def _step(problem: TallProblem, pairs: Pairs, old: Pass, dtype: Any) -> Pass | None:
    """Return a better point along the direction, None where there is none."""
    direction = pairs.direction(old.gradient)
    slope, length = float(np.vdot(old.gradient, direction)), 1.0
    noise = 4 * float(np.finfo(problem.rows.own_type).eps) * abs(old.value)
    while problem.n_passes < MOST_PASSES and slope < 0:
        new = problem.at(old.W + length * direction, dtype)
        if new.value <= old.value + ARMIJO * length * slope + noise:
            return new
        length /= 2
    return None
