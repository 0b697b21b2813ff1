"""Newton's method behind the protocol of solvers: configurations one after another, each from the one before."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from straightedge.newton.blocks import RowBlocks
from straightedge.newton.continuation import ANSWERS, FormerAnswer, continued
from straightedge.newton.direct import LARGEST, Answer, Log, run
from straightedge.newton.engine import Engine
from straightedge.newton.problem import Point, SmoothProblem, Table, contrasts
from straightedge.newton.span import Span
from straightedge.newton.tall import TallPath
from straightedge.newton.work import SAMPLE_ROWS
from straightedge.objective import Objective
from straightedge.solvers.newton_rows import row_weights, size_of, tall_rows
from straightedge.solvers.protocol import Progress, Solver, missing
from straightedge.solvers.solution import Solution, solution_of
from straightedge.solvers.state import given_to, taken_from
from straightedge.status import Status
from straightedge.workers import STOP_REQUESTED

LARGEST_TABLE = 30_000_000  # entries of X: 12 bytes each, in float64 and float32, are 360 MB
EXPANSIONS = 4  # a step in the span goes on until it has done this many times the work of mapping W back
SAMPLE_GAP = 1e-3  # of a sample's problem: its answer is that far from the whole one's anyhow
SAMPLE_STEPS = 40  # of Newton on a sample, at most
CHAINED = 0.3  # of a fit that starts from answers at other values of reg: tables take 0.2 to 0.4
ROUGH = 1e-2  # relative gap from which on digits are not wanted, however cheap they are


@dataclass
class Counts:
    """What an `Engine` has counted; see there."""

    waited: int
    spent: float
    all_spent: float
    double: bool
    used: float


@dataclass
class EngineState:
    """What a checkpoint keeps of an `Engine`.

    Attributes:
        W: Where it is.
        metric: Where its preconditioner was made, or None.
        counts: What it has counted.
    """

    W: np.ndarray
    metric: np.ndarray | None
    counts: Counts


@dataclass
class NewtonState:
    """What a checkpoint keeps of `Newton`.

    Attributes:
        engines: One for each configuration.
        begun: Position of the one that is being worked on.
        chained: Whether a configuration starts from the answers of others.
        former: The last ones that were done, the newest last.
    """

    engines: list[EngineState]
    begun: int
    chained: bool
    former: list[FormerAnswer]


class Newton(Solver):
    """Exact Newton, or Newton by conjugate gradients: whichever step takes less work.

    Bounds are float64's from the start: every gradient is computed from W itself, in float64.
    """

    name = "newton"
    State = NewtonState
    one_thread = True
    score_tables = 6  # scores, probabilities and those of a step: 515 MB were measured where one takes 80 MB

    @classmethod
    def supports(cls, objective: Objective) -> str | None:
        """See `Solver.supports`."""
        loss, penalty, design = objective.loss, objective.penalty, objective.design
        second_order = getattr(loss, "second_order", None)
        return missing(
            (second_order is not None, f"a smooth loss that states its curvature, and {loss.name} does not"),
            (penalty.quadratic, f"a quadratic penalty, and {penalty.penalty.name} is not"),
            (objective.design.one_map, "one map for all configurations"),
            (bool(penalty.bounds_below.all()), "reg > 0"),
            (objective.device.type == "cpu" and design.in_memory, "rows in the CPU's memory"),
            (objective.communicator.size == 1, "one process"),
            (design.n_entries <= LARGEST_TABLE, f"at most {LARGEST_TABLE:,} entries of X"),
        )

    @classmethod
    def cost(cls, objective: Objective) -> float:
        """See `Solver.cost`: steps by the cheaper direction, or products in the span; less on a path."""
        rotates = objective.penalty.penalty.rotation_invariant
        n_values = len(set(objective.reg.tolist()))
        whole = objective.n_configs * (1 + CHAINED * (n_values - 1)) / n_values
        return whole * size_of(objective).fit(rotation_invariant=rotates)

    def at_once(self, objective: Objective, tol: Tensor) -> Solution | None:
        """See `Solver.at_once`: of tall tables, and of small ones, where the loop is a third of the time."""
        rows = tall_rows(objective)
        if rows is not None and (found := self._of_tall(objective, rows, tol)) is not None:
            return found
        if objective.design.n_entries > LARGEST:
            return None
        self._prepare(objective)
        engines, ended = list[Engine](), False
        log, answers = Log(), dict[int, Answer]()
        for k in sorted(range(objective.n_configs), key=self._log_reg, reverse=True):
            problem, log_reg = self._problem(k, self.table), self._log_reg(k)
            if not problem.is_bounded:
                return None
            first = self._first(problem, engines)
            if self.former and not ended:
                first = continued(self.former, problem, log_reg, first)
            engines = [self._engine(k, first, problem, float(tol[k]))]
            if objective.n_configs > 1:  # a path's steps go together, and the last point is computed anew
                engines[0].batch = math.inf
            answers[k] = run(engines[0], float(objective.reg[k]), log, 1.0, ended=ended)
            ended = answers[k].status is Status.INTERRUPTED
            self._remember(log_reg, engines[0].point)
        return solution_of([answers[k] for k in sorted(answers)], tol.tolist(), log.rows)

    def _of_tall(self, objective: Objective, rows: RowBlocks, tol: Tensor) -> Solution | None:
        """Return the solution for many rows of few columns, None where a value takes too many passes."""
        path, answers = TallPath(rows, size_of(objective), self.most_passes, _check), dict[int, Answer]()
        for k in objective.reg.argsort(descending=True).tolist():
            answer = path.answer(float(objective.reg[k]), float(tol[k]))
            if answer is None:
                return None
            answers[k] = answer
        return solution_of([answers[k] for k in sorted(answers)], tol.tolist(), path.log.rows)

    def start(self, objective: Objective, W: Tensor | None, tol: Tensor) -> Progress:
        """See `Solver.start`."""
        self._prepare(objective)
        first = None if W is None else W.detach().to("cpu", torch.float64).numpy()
        if first is not None and self.loss.shift_invariant:
            first = first - first.mean(axis=1, keepdims=True)  # the optimum is among such W
        if first is not None and self.span is not None:
            first = np.stack([self.span.reduce(values) for values in first])
        self.engines = self._started(first, tol)
        self.chained = W is None  # whether a configuration starts from the answers of others
        self.begun = self._next()
        return self._progress(np.ones(len(self.engines)))

    def _prepare(self, objective: Objective) -> None:
        self.former: list[FormerAnswer] = []
        self.objective = objective
        table = objective.design.to(torch.float64).table().numpy()
        rotates = objective.penalty.penalty.rotation_invariant
        self.size, self.span, self.rows = size_of(objective), None, Table(table)
        if rotates and self.size.has_span:
            self.span = Span(table, free_bias=objective.penalty.free_bias)
        self.table = self.rows if self.span is None else Table(self.span.reduced())
        self.y = objective.y.numpy()
        loss = objective.loss.second_order
        assert loss is not None
        self.loss = loss
        self.unrotated = self.size
        self.size = replace(self.size, D=self.table.double.shape[1])

    def _started(self, W: np.ndarray | None, tol: Tensor) -> list[Engine]:
        """Return an engine for each configuration, at W (K, C, D) or where one starts that knows nothing."""
        engines: list[Engine] = []
        for k in range(self.objective.n_configs):
            problem = self._problem(k, self.table)
            point = problem.at(W[k]) if W is not None else self._first(problem, engines[-1:])
            engines.append(self._engine(k, point, problem, float(tol[k])))
        return engines

    def _engine(self, k: int, first: Point, problem: SmoothProblem, tol: float) -> Engine:
        engine = Engine(problem, self.size, tol, first, most=self.most_passes - 1, sharpens=tol < ROUGH)
        if self.span is not None:
            whole, expand = self._problem(k, self.rows), self.span.expand
            engine.whole = lambda point: whole.at(expand(point.W))
            engine.batch = max(engine.batch, EXPANSIONS * self.unrotated.evaluation)
        return engine

    def _first(self, problem: SmoothProblem, before: list[Engine]) -> Point:
        """Return W = 0, or for many rows the answer of a sample: full steps begin near the end.

        Problems that differ in reg alone share it.
        """
        if before and np.array_equal(before[0].problem.weights, problem.weights):
            return problem.with_own_ridge(before[0].point)
        if self.size.N > 2 * SAMPLE_ROWS:
            return problem.at(self._of_sample(problem))
        return problem.at(problem.zero())

    def _of_sample(self, problem: SmoothProblem) -> np.ndarray:
        part = problem.sampled(SAMPLE_ROWS)
        engine = Engine(part, replace(self.size, N=SAMPLE_ROWS), SAMPLE_GAP, part.at(part.zero()))
        for _ in range(SAMPLE_STEPS):
            if engine.exhausted or engine.point.gap <= SAMPLE_GAP * engine.point.value:
                break
            engine.step()
        return engine.point.W

    def _problem(self, k: int, table: Table) -> SmoothProblem:
        objective, size = self.objective, self.size
        basis = contrasts(size.C) if size.c < size.C else np.eye(size.C)
        part = objective.select(torch.tensor([k]))
        ridge = part.penalty.ridge(torch.zeros(table.double.shape[1], dtype=torch.float64)).numpy()
        weights = row_weights(objective, k)
        return SmoothProblem(table, self.y, weights, ridge, self.loss, basis, _check)

    def _next(self) -> int:
        """Return the configuration to work on: of the largest reg, whose answer is found soonest."""
        return max(range(len(self.engines)), key=lambda k: float(self.objective.reg[k]))

    def step(self) -> Progress:
        """See `Solver.step`."""
        passes = np.zeros(len(self.engines))
        passes[self.begun] = self.engines[self.begun].step()
        return self._progress(passes)

    def keep(self, positions: Tensor) -> None:
        """See `Solver.keep`."""
        left = positions.tolist()
        ended = self.begun not in left
        if ended:
            self._remember(self._log_reg(self.begun), self.engines[self.begun].point)
        self.objective, self.engines = self.objective.select(positions), [self.engines[k] for k in left]
        self.begun = self._next() if ended else left.index(self.begun)
        if ended:
            self._chain()

    def _remember(self, log_reg: float, point: Point) -> None:
        """Keep the answer that was just found, and as many before it as starts are made of."""
        others = [one for one in self.former if one.log_reg > log_reg]
        self.former = [*others, FormerAnswer(log_reg, point.W, point.mean_loss)][-ANSWERS:]

    def _log_reg(self, k: int) -> float:
        return math.log(float(self.objective.reg[k]))

    def _chain(self) -> None:
        """Start the next configuration from the answers before it where that is the better start."""
        engine = self.engines[self.begun]
        if self.chained:
            engine.point = continued(self.former, engine.problem, self._log_reg(self.begun), engine.point)

    def certify(self, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `Solver.certify`; points are float64's from W itself already."""
        chosen = [self.engines[k] for k in positions.tolist()]
        bounds = [self._bounds(k, self.engines[k].proven) for k in positions.tolist()]
        W = torch.from_numpy(np.stack([engine.proven.W for engine in chosen]))
        return W, _numbers(bound[0] for bound in bounds), _numbers(bound[1] for bound in bounds)

    def _bounds(self, k: int, point: Point) -> tuple[float, float, float]:
        """Return P, a lower bound, and the gap between them at a point of configuration k."""
        if self.engines[k].problem.is_bounded:
            return point.value, point.bound(), point.gap
        part = self.objective.select(torch.tensor([k]))
        W, V = (torch.from_numpy(values)[None] for values in (point.W, point.V))
        found = part.evaluation(W, _numbers([point.mean_loss]), V)
        return point.value, float(found.dual[0]), float(found.gap[0])

    def _progress(self, passes: np.ndarray) -> Progress:
        known = [self._known(k, engine) for k, engine in enumerate(self.engines)]
        W = torch.from_numpy(np.stack([one[0] for one in known]))
        value, dual, gap = (_numbers(numbers) for numbers in zip(*(one[1] for one in known), strict=True))
        exhausted = torch.tensor([engine.exhausted for engine in self.engines])
        return Progress(W, value, dual, torch.from_numpy(passes), exhausted, gap)

    def _known(self, k: int, engine: Engine) -> tuple[np.ndarray, tuple[float, float, float]]:
        """Return W (C, D + 1), and P, a bound and the gap; W = 0 of the span is not mapped back before a step."""
        if self.span is not None and not engine.used and not engine.point.W.any():
            nothing = np.zeros((len(engine.point.W), self.rows.double.shape[1]))
            return nothing, (engine.point.value, 0.0, engine.point.value)
        return engine.proven.W, self._bounds(k, engine.proven)

    def state(self) -> NewtonState:
        """See `Solver.state`."""
        engines = [_state_of(engine) for engine in self.engines]
        return NewtonState(engines, self.begun, self.chained, self.former)

    def restore(self, objective: Objective, state: NewtonState, tol: Tensor) -> Progress:
        """See `Solver.restore`; points and preconditioners are computed again, from W, to the same bits."""
        self._prepare(objective)
        W = np.stack([own.W for own in state.engines])
        self.engines = self._started(W, tol)
        for engine, own in zip(self.engines, state.engines, strict=True):
            given_to(engine, own.counts)
            if own.metric is not None:
                engine.preconditioner = engine.preconditioner_at(engine.problem.at(own.metric))
        self.begun, self.chained, self.former = state.begun, state.chained, state.former
        return self._progress(np.zeros(len(self.engines)))


def _state_of(engine: Engine) -> EngineState:
    made = engine.preconditioner
    return EngineState(engine.point.W, None if made is None else made.W, taken_from(Counts, engine))


def _numbers(values: Any) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float64)


def _check() -> None:
    if STOP_REQUESTED.is_set():
        raise KeyboardInterrupt
