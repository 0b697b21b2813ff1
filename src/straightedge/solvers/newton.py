"""Newton's method behind the protocol of solvers: configurations one after another, each from the one before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from straightedge.newton.engine import Engine
from straightedge.newton.problem import Point, SmoothProblem, Table, contrasts
from straightedge.newton.span import Span
from straightedge.newton.work import SAMPLE_ROWS, Size
from straightedge.objective import Objective
from straightedge.solvers.protocol import Progress, Solver, missing
from straightedge.solvers.state import given_to, taken_from
from straightedge.workers import STOP_REQUESTED

LARGEST_TABLE = 30_000_000  # entries of X: 12 bytes each, in float64 and float32, are 360 MB
EXPANSIONS = 4  # a step in the span goes on until it has done this many times the work of mapping W back
SAMPLE_GAP = 1e-3  # of a sample's problem: its answer is that far from the whole one's anyhow
SAMPLE_STEPS = 40  # of Newton on a sample, at most
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
        chained: Whether a configuration starts from the answer of another.
        last: W of the last one that was done, or None.
    """

    engines: list[EngineState]
    begun: int
    chained: bool
    last: np.ndarray | None


class Newton(Solver):
    """Exact Newton, or Newton by conjugate gradients: whichever step takes less work.

    Bounds are float64's from the start: every gradient is computed from W itself, in float64.
    """

    name = "newton"
    State = NewtonState
    certifies = True
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
        """See `Solver.cost`: steps by the cheaper direction, or products in the span of the rows."""
        rotates = objective.penalty.penalty.rotation_invariant
        return objective.n_configs * size_of(objective).fit(rotation_invariant=rotates)

    def start(self, objective: Objective, W: Tensor | None, tol: Tensor) -> Progress:
        """See `Solver.start`."""
        self._prepare(objective)
        first = None if W is None else W.detach().to("cpu", torch.float64).numpy()
        if first is not None and self.loss.shift_invariant:
            first = first - first.mean(axis=1, keepdims=True)  # the optimum is among such W
        if first is not None and self.span is not None:
            first = np.stack([self.span.reduce(values) for values in first])
        self.engines = [self._engine(k, first, float(tol[k])) for k in range(objective.n_configs)]
        self.last: Engine | None = None
        self.chained = W is None  # whether a configuration starts from the answer of another
        self.begun = self._next()
        return self._progress(np.ones(len(self.engines)))

    def _prepare(self, objective: Objective) -> None:
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

    def _engine(self, k: int, W: np.ndarray | None, tol: float) -> Engine:
        problem = self._problem(k, self.table)
        first = self._first(problem) if W is None else W[k]
        engine = Engine(
            problem, self.size, tol, problem.at(first), most=self.most_passes, sharpens=tol < ROUGH
        )
        if self.span is not None:
            whole, expand = self._problem(k, self.rows), self.span.expand
            engine.whole = lambda point: whole.at(expand(point.W))
            engine.batch = max(engine.batch, EXPANSIONS * self.unrotated.evaluation)
        return engine

    def _first(self, problem: SmoothProblem) -> np.ndarray:
        """Return W = 0, or for many rows the answer of a sample: full steps begin near the end."""
        if self.size.N <= 2 * SAMPLE_ROWS:
            return problem.zero()
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
        engine = self.engines[self.begun]
        passes[self.begun] = engine.step()
        if engine.proven.gap > engine.tol * engine.proven.value >= engine.point.gap:
            engine.tol /= 10  # rounding of the rotation: the rows as they are ask for more
        return self._progress(passes)

    def keep(self, positions: Tensor) -> None:
        """See `Solver.keep`."""
        left = positions.tolist()
        if self.begun in left:
            self.begun = left.index(self.begun)
            self.engines = [self.engines[k] for k in left]
        else:
            self.last = self.engines[self.begun]
            self.engines = [self.engines[k] for k in left]
            self.begun = self._next()
            self._chain()
        self.objective = self.objective.select(positions)

    def _chain(self) -> None:
        """Start the next configuration from the last one's answer where that is the better start."""
        engine = self.engines[self.begun]
        if not self.chained or self.last is None:
            return
        point = engine.problem.at(self.last.point.W)
        if point.value < engine.point.value:
            engine.point = point

    def certify(self, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `Solver.certify`; points are float64's from W itself already."""
        chosen = [self.engines[k] for k in positions.tolist()]
        bounds = [self._bounds(k, self.engines[k].proven) for k in positions.tolist()]
        W = torch.from_numpy(np.stack([engine.proven.W for engine in chosen]))
        return W, _numbers(bound[0] for bound in bounds), _numbers(bound[1] for bound in bounds)

    def _bounds(self, k: int, point: Point) -> tuple[float, float, float]:
        """Return P, a lower bound, and the gap between them at a point of configuration k."""
        if not self.objective.penalty.free_bias:
            return point.value, point.bound(), point.gap
        part = self.objective.select(torch.tensor([k]))
        W, V = (torch.from_numpy(values)[None] for values in (point.W, point.V))
        found = part.evaluation(W, _numbers([point.mean_loss]), V)
        return point.value, float(found.dual[0]), float(found.gap[0])

    def _progress(self, passes: np.ndarray) -> Progress:
        points = [engine.proven for engine in self.engines]
        bounds = [self._bounds(k, point) for k, point in enumerate(points)]
        value, dual, gap = (_numbers(numbers) for numbers in zip(*bounds, strict=True))
        exhausted = torch.tensor([engine.exhausted for engine in self.engines])
        W = torch.from_numpy(np.stack([point.W for point in points]))
        return Progress(W, value, dual, torch.from_numpy(passes), exhausted, gap)

    def state(self) -> NewtonState:
        """See `Solver.state`."""
        last = None if self.last is None else self.last.point.W
        return NewtonState([_state_of(engine) for engine in self.engines], self.begun, self.chained, last)

    def restore(self, objective: Objective, state: NewtonState, tol: Tensor) -> Progress:
        """See `Solver.restore`; points and preconditioners are computed again, from W, to the same bits."""
        self._prepare(objective)
        W = np.stack([own.W for own in state.engines])
        self.engines = [self._engine(k, W, float(tol[k])) for k in range(objective.n_configs)]
        for engine, own in zip(self.engines, state.engines, strict=True):
            given_to(engine, own.counts)
            if own.metric is not None:
                engine.preconditioner = engine.preconditioner_at(engine.problem.at(own.metric))
        self.begun, self.chained = state.begun, state.chained
        self.last = None if state.last is None else self._finished(state.last)
        return self._progress(np.zeros(len(self.engines)))

    def _finished(self, W: np.ndarray) -> Engine:
        first = self.engines[0]
        return replace(first, point=first.problem.at(W))


def _state_of(engine: Engine) -> EngineState:
    made = engine.preconditioner
    return EngineState(engine.point.W, None if made is None else made.W, taken_from(Counts, engine))


def _numbers(values: Any) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float64)


def _check() -> None:
    if STOP_REQUESTED.is_set():
        raise KeyboardInterrupt


# -------------------------------------------------------------------- from an objective to arrays


def row_weights(objective: Objective, k: int) -> np.ndarray:
    """Return the weights (N,) of configuration k's rows, of sum 1."""
    chosen = objective.row_weights.select(torch.tensor([k]))
    weights: np.ndarray = chosen.of_one(objective.n_samples, objective.device).numpy()
    return weights


def size_of(objective: Objective) -> Size:
    """Return the size of an objective's problem."""
    _, C, D = objective.shape
    loss = objective.loss.second_order
    free = C - 1 if loss is not None and loss.shift_invariant else C
    return Size(objective.n_samples, D, C, free)
