"""Many rows of few columns: Newton's answer for a sample, then quasi-Newton passes over all rows.

The sample's Hessian differs from that of all rows by some percent, so every pass with it gains a digit or two;
L-BFGS pairs mend the rest of it. Passes are in the rows' own float type. The one that looks like the last is in
float64 and is the proof. On a path a value of reg starts from the answers before it, and the Hessian and the pairs
serve for several: in both the ridge is exchanged.

References:
    Byrd, Chin, Neveitt and Nocedal, "On the use of stochastic Hessian information in optimization methods for
    machine learning", SIAM J. Optim. 21, 2011.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from straightedge.newton.blocks import RowBlocks
from straightedge.newton.continuation import ANSWERS, FormerAnswer, extrapolated
from straightedge.newton.direct import Answer, Log
from straightedge.newton.engine import Engine
from straightedge.newton.exact import along_classes, ridged_factor, rough_hessian
from straightedge.newton.problem import SmoothProblem, contrasts
from straightedge.newton.quasi import Change, Pairs
from straightedge.newton.work import SAMPLE_ROWS, Size
from straightedge.status import Status

FAR = 12.0  # times reg: an answer at a larger one is no better start than that of a sample
SERVES = 2.0  # times a Hessian's own work that passes with it may take before another is made, on a path
FARTHEST = 30.0  # times reg: a Hessian made at a larger one is made again
DIGITS = 3e4  # mean ‖x̂‖²/(2 reg) beyond which so many digits are to be gained that twice as many rows pay
FIRST_SHARE = 4  # that sample's answer starts from that of so small a part of it
ROUGH = 3e-2  # relative gap of the part's answer
FINE = 1e-2  # the same of the sample, whose answer is farther from that of all rows anyhow
FINEST = 1e-4  # the same on a path, whose next value starts from what this one was wrong by
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
        gap: ‖∇P‖²/(4 reg), of a free bias as if it were penalised, or what is proven.
        proven: Whether the gap is a bound, by products in float64.
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
        check: Called before each pass.
        n_passes: Passes over all rows so far.
    """

    rows: RowBlocks
    reg: float
    basis: np.ndarray
    check: Callable[[], None]
    n_passes: int = 0

    def at(self, W: np.ndarray) -> Pass:
        """Return what a pass finds at W (C, D + 1)."""
        self.check()
        self.n_passes += 1
        own = self.rows.own_type
        return Pass(W, *self.rows.evaluate(W, self.reg, own), own == np.float64 and not self.rows.free_bias)

    def proven(self, W: np.ndarray, tol: float) -> Pass:
        """Return what a pass in float64 proves at W (C, D + 1), with the best free bias."""
        self.check()
        self.n_passes += 1
        return Pass(*self.rows.prove(W, self.reg, tol), True)

    def sampled(self, n_rows: int) -> SmoothProblem:
        """Return the problem of some rows."""
        table, y = self.rows.drawn(n_rows)
        weights, ridge = np.full(n_rows, 1 / n_rows), self.rows.ridge(2 * self.reg)
        return SmoothProblem(table, y, weights, ridge, self.rows.loss, self.basis)


def fits(size: Size) -> bool:
    """Return whether rows are so many, and unknowns so few, that a sample's Hessian is worth its making."""
    return size.is_tall


def minimise(rows: RowBlocks, size: Size, reg: float, tol: float, most: float) -> Answer | None:
    """Return what `direct.minimise` does; None where so few passes do not reach it."""
    return TallPath(rows, size, most).answer(reg, tol)


@dataclass
class TallPath:
    """Values of reg one after another, the largest first.

    Attributes:
        rows: All rows.
        size: Of the problem.
        most: Passes over the rows for each.
        check: Called before each pass; raises `KeyboardInterrupt` where the user has asked to stop.
        log: A row for each pass.
        former: The last answers, the newest last.
        hessian: The loss's, of a sample, in the basis of classes.
        made_at: The reg that it was made at.
        kept: Changes of W and of the loss's gradient.
        served: Passes since the Hessian was made.
        sampled: The last sample's answer.
        ended: Whether it was interrupted: no further step is taken.
    """

    rows: RowBlocks
    size: Size
    most: float
    check: Callable[[], None] = lambda: None
    log: Log = field(default_factory=Log)
    former: list[FormerAnswer] = field(default_factory=list)
    hessian: np.ndarray = field(default_factory=lambda: np.zeros(0))
    made_at: float = math.inf
    kept: list[Change] = field(default_factory=list)
    served: int = 0
    sampled: np.ndarray = field(default_factory=lambda: np.zeros(0))
    ended: bool = False

    @cached_property
    def basis(self) -> np.ndarray:
        """The basis Q (C, c) of classes."""
        C, c = self.size.C, self.size.c
        return contrasts(C) if c < C else np.eye(C)

    def answer(self, reg: float, tol: float) -> Answer | None:
        """Return the answer at the next value, proven; None where so few passes do not reach it."""
        problem = TallProblem(self.rows, reg, self.basis, self.check)
        try:
            start = self._start(problem)
            pairs = self._pairs(reg)
        except KeyboardInterrupt:
            self.check, self.ended = lambda: None, True
        if self.ended:
            return self._unsolved(reg)
        fit = TallFit(problem, pairs, tol, min(MOST_PASSES, self.most), start, self.log)
        try:
            while fit.go_on():
                pass
        except KeyboardInterrupt:
            self.check, self.ended = lambda: None, True
        if not (self.ended or fit.is_certified):
            return None
        self._remember(problem, fit.best, pairs)
        return fit.answer(Status.INTERRUPTED if self.ended else Status.CERTIFIED)

    def _start(self, problem: TallProblem) -> Pass:
        """Return the first pass, at what the answers before lead to, or else at the answer of a sample.

        Where a sample costs no more than a pass, its answer is moved by what it was wrong by at the value before.
        """
        reg, size = problem.reg, self.size
        if not self.former or self.former[-1].log_reg > math.log(FAR * reg):
            self.kept, self.sampled = [], _of_sample(problem, size)
            self._renew(problem, self.sampled)
            return problem.at(self.sampled)
        W, last = extrapolated(self.former, math.log(reg)), self.former[-1]
        if size.sample_hessian <= size.evaluation:
            wrong, sample = last.W - self.sampled, problem.sampled(_sample_rows(problem, size))
            self.kept, self.sampled = [], _solved(sample, size, FINEST, W)
            W = self.sampled + wrong
        worn = self.served * size.evaluation > SERVES * size.sample_hessian
        if worn or self.made_at > FARTHEST * reg:
            self._renew(problem, W)
        start = problem.at(W)
        own = self.rows.penalised(last.W)
        known = last.mean_loss + reg * float(np.vdot(own, own))
        return start if start.value <= known else problem.at(last.W)

    def _unsolved(self, reg: float) -> Answer:
        """Return what there is of a value that was interrupted before its first step."""
        problem = TallProblem(self.rows, reg, self.basis, self.check)
        W = self.former[-1].W if self.former else np.zeros((self.size.C, self.size.D))
        there, pairs = problem.proven(W, ROUGH), Pairs(lambda R, _: R, MEMORY)
        return TallFit(problem, pairs, 0.0, 0.0, there, self.log).answer(Status.INTERRUPTED)

    def _remember(self, problem: TallProblem, best: Pass, pairs: Pairs) -> None:
        """Keep what the next values start from."""
        reg, own = problem.reg, self.rows.penalised(best.W)
        self.served += problem.n_passes
        self.kept = [(step, change - 2 * reg * self.rows.penalised(step)) for step, change in pairs.kept]
        answer = FormerAnswer(math.log(reg), best.W, best.value - reg * float(np.vdot(own, own)))
        self.former = [*(one for one in self.former if one.log_reg > answer.log_reg), answer][-ANSWERS:]

    def _renew(self, problem: TallProblem, W: np.ndarray) -> None:
        """Make the Hessian of a sample at W."""
        sample = problem.sampled(_sample_rows(problem, self.size))
        terms = sample.at(W).terms
        H = rough_hessian(sample.table.single, sample.weights, terms, self.basis)
        self.hessian, self.made_at, self.served = H.astype(np.float64, copy=False), problem.reg, 0

    def _pairs(self, reg: float) -> Pairs:
        """Return what directions are made of: the Hessian and the changes, with the ridge of this value."""
        factor = ridged_factor(self.hessian.copy(), self.rows.ridge(2 * reg))
        kept = [(step, change + 2 * reg * self.rows.penalised(step)) for step, change in self.kept]
        return Pairs(lambda R, _: along_classes(factor, self.basis, R), MEMORY, kept)


@dataclass
class TallFit:
    """The passes over all rows.

    Attributes:
        problem: What is minimised.
        pairs: What directions are made of.
        tol: Relative gap asked for.
        most: Passes it may use.
        best: The best point so far.
        log: A row for each.
    """

    problem: TallProblem
    pairs: Pairs
    tol: float
    most: float
    best: Pass
    log: Log
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
            self.best = self.problem.proven(self.best.W, self.tol)
            return True
        last = self.best.proven or self._is_near(self._foreseen / LIKELY)
        new = _step(self.problem, self.pairs, self.best, self.tol if last else None)
        if new is None:
            return False
        self._foreseen = new.gap * min(1.0, new.gap / self.best.gap)
        self.pairs.add(new.W - self.best.W, new.gradient - self.best.gradient)
        self.best = new
        return True

    def _write(self) -> None:
        best = self.best
        bounds = (best.value, best.value - best.gap, best.gap / best.value)
        self.log.write(float(self.problem.n_passes), self.problem.reg, bounds)

    def answer(self, status: Status) -> Answer:
        """Return the best point with its bounds."""
        best, passes = self.best, float(self.problem.n_passes)
        dual = max(0.0, best.value - best.gap)  # 0 is a lower bound of every loss
        return Answer(best.W, best.value, dual, min(best.gap / best.value, 1.0), status, passes, self.log.rows)


def _of_sample(problem: TallProblem, size: Size) -> np.ndarray:
    """Return the answer of a sample (C, D + 1)."""
    n_rows = _sample_rows(problem, size)
    W = _solved(problem.sampled(n_rows // FIRST_SHARE), size, ROUGH, None)
    return _solved(problem.sampled(n_rows), size, FINE, W)


def _sample_rows(problem: TallProblem, size: Size) -> int:
    """Return how many rows the sample has: so many that its Hessian costs about as much as a pass."""
    more = 2 if problem.rows.mean_square_norm > DIGITS * 2 * problem.reg else 1
    return min(SAMPLE_ROWS, more * size.sample_rows)


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


def _step(problem: TallProblem, pairs: Pairs, old: Pass, tol: float | None) -> Pass | None:
    """Return a better point along the direction, proven where a gap is asked for; None where there is none."""
    direction = pairs.direction(old.gradient)
    slope, length = float(np.vdot(old.gradient, direction)), 1.0
    noise = 4 * float(np.finfo(problem.rows.own_type).eps) * abs(old.value)
    while problem.n_passes < MOST_PASSES and slope < 0:
        W = old.W + length * direction
        new = problem.at(W) if tol is None else problem.proven(W, tol)
        if new.value <= old.value + ARMIJO * length * slope + noise:
            return new
        length /= 2
    return None
