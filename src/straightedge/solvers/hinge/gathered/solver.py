"""The solver of the hinges for problems of moderate size: rows are gathered once, and all work is done on them.

Each configuration is one problem on plain arrays, or one for each class where classes do not touch one another
(one-versus-rest); two classes are one column of W inside. What comes out is W on the features, and dual variables
of all rows, with which `SequentialSolver.certify` proves the gap on the rows as they lie.

References:
    Those of `lagrangian` and of `row_updates`.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from straightedge.losses import piecewise
from straightedge.newton.direct import Answer, trace_row
from straightedge.objective import Objective
from straightedge.solvers.hinge.gathered.descent import Descent, DescentState, best_weight
from straightedge.solvers.hinge.gathered.layout import Gathered, layout_for
from straightedge.solvers.hinge.gathered.margins import Array
from straightedge.solvers.hinge.gathered.spaces import FeatureSpace, KernelSpace, Space
from straightedge.solvers.hinge.gathered.usual import inner_products, is_short, steps_a_turn, usual_work
from straightedge.solvers.hinge.half_pass import row_weights
from straightedge.solvers.hinge.sequential import (
    SAFE,
    BestPoint,
    DualSubproblem,
    SequentialSolver,
    SequentialState,
    WarmStart,
    proven,
)
from straightedge.solvers.protocol import Progress, missing
from straightedge.solvers.solution import Solution, solution_of
from straightedge.status import Status, TraceRow
from straightedge.workers import STOP_REQUESTED, one_thread

MOST_ENTRIES = 20_000_000  # of X̂, kept in float64: 160 MB
SMALLEST_SIDE = 5000  # of X̂ at most: its inner products take 200 MB
MOST_MARGINS = 2_000_000  # N·C: some ten arrays of that size are kept
GEOMETRIES = ("weston_watkins", "crammer_singer", "one_vs_rest")  # of which `margins` has the maps
REPORT = 0.1  # of the reported gap: W is mapped to the features again once the gap is below


@dataclass
class SubproblemState:
    """What a checkpoint keeps of a `Subproblem`.

    Attributes:
        best: The best W that was reported.
        reported_gap: Its relative gap.
        parts: Of each problem that the configuration is.
    """

    best: BestPoint
    reported_gap: float
    parts: list[DescentState]


@dataclass
class SemismoothState(SequentialState):
    """See `SequentialState`."""

    fit: SubproblemState | None


class SemismoothNewton(SequentialSolver):
    """Dual ascent, then an augmented Lagrangian with semismooth Newton steps; in one process, for all hinges."""

    name = "semismooth_newton"
    State = SemismoothState

    def __init__(self) -> None:
        super().__init__()
        self._rows: Array | None = None
        self._gathered: tuple[int, Gathered] | None = None

    @classmethod
    def supports(cls, objective: Objective) -> str | None:
        """See `Solver.supports`."""
        n, width = objective.n_samples, objective.design.width
        loss, penalty = objective.loss, objective.penalty.penalty
        fits = n * width <= MOST_ENTRIES and n * objective.n_classes <= MOST_MARGINS
        return super().supports(objective) or missing(
            (loss.geometry in GEOMETRIES, f"margins that it has maps of, and has none for {loss.name}"),
            (penalty.rotation_invariant, f"one weight for all features, and {penalty.name} has many"),
            (objective.communicator.size == 1, "one process"),
            (fits, "fewer rows, features or classes: all rows are gathered in float64"),
            (
                min(n, width) <= SMALLEST_SIDE,
                f"at most {SMALLEST_SIDE} rows or features, whichever are fewer",
            ),
            (bool(objective.penalty.bounds_below.all()), "reg > 0"),
        )

    @classmethod
    def cost(cls, objective: Objective) -> float:
        """See `Solver.cost`: passes over the gathered rows, Newton steps, inner products, calls of NumPy."""
        one = usual_work(*_sizes(objective))
        return objective.n_configs * one + inner_products(objective.n_total, objective.design.width)

    def at_once(self, objective: Objective, tol: Tensor) -> Solution | None:
        """See `Solver.at_once`: of short fits, each from the answer at the reg before."""
        if not is_short(*_sizes(objective)):
            return None
        objective, fold = objective.in_dtype(torch.float64), objective.fold.tolist()
        order = sorted(objective.reg.argsort(descending=True).tolist(), key=fold.__getitem__)
        answers, trace, began = dict[int, Answer](), list[TraceRow](), time.perf_counter()
        former: Subproblem | None = None
        ended = False
        with one_thread():
            for k in order:
                part, one_tol = objective.select(torch.tensor([k])), float(tol[k])
                start = former.descents if former is not None and former.fold == fold[k] else None
                former = Subproblem(part, self._gather(part), SAFE * one_tol, None, start)
                answers[k] = former.answer(one_tol, self.most_passes, trace, began, ended=ended)
                ended = answers[k].status is Status.INTERRUPTED
        return solution_of([answers[k] for k in sorted(answers)], tol.tolist(), trace)

    def start(self, objective: Objective, W: Tensor | None, tol: Tensor) -> Progress:
        """See `Solver.start`. All work is float64's."""
        return super().start(objective.in_dtype(torch.float64), W, tol)

    def restore(self, objective: Objective, state: Any, tol: Tensor) -> Progress:
        """See `Solver.restore`."""
        return super().restore(objective.in_dtype(torch.float64), state, tol)

    def first_fit(self, part: Objective, W: Tensor, last: WarmStart | None) -> Subproblem:
        """See `SequentialSolver.first_fit`. An answer is gone on from in its own fold alone."""
        gathered = self._gather(part)
        b = None
        if last is not None and last.fold == int(part.fold[0]):
            b = last.b
        elif last is None and bool((W != 0).any()):
            loss = piecewise(part.loss)
            b = loss.subgradient(loss.margins(part.scores(W[None]), part.y))
        return Subproblem(part, gathered, SAFE * self.tol, b)

    def restored_fit(self, part: Objective, state: Any) -> Subproblem:
        """See `SequentialSolver.restored_fit`."""
        fit = Subproblem(part, self._gather(part), SAFE * self.tol, None)
        fit.restore(state)
        return fit

    def step(self) -> Progress:
        """See `Solver.step`."""
        with _threads_for(self.objective):
            return super().step()

    def _gather(self, part: Objective) -> Gathered:
        """Return the rows of a configuration; those of the last fold are kept."""
        fold = int(part.fold[0])
        if self._gathered is None or self._gathered[0] != fold:
            if self._rows is None:
                self._rows = part.design.table().cpu().numpy()
            self._gathered = (fold, _positive_rows(part, self._rows))
        return self._gathered[1]


def _sizes(objective: Objective) -> tuple[int, int, int, bool]:
    """Return what `usual_work` asks for."""
    apart = piecewise(objective.loss).own_margin
    return objective.n_total, objective.design.width, objective.n_classes, apart


def _threads_for(objective: Objective) -> AbstractContextManager[None]:
    """Give short fits one thread."""
    return one_thread() if is_short(*_sizes(objective)) else nullcontext()


def _positive_rows(part: Objective, X: Array) -> Gathered:
    """Return the rows of positive weight, in the space of the fewer coordinates."""
    weights = row_weights(part).cpu().numpy()
    index = np.flatnonzero(weights > 0)
    own = X if len(index) == len(X) else X[index]
    if part.bias == "free":
        own = np.ascontiguousarray(own[:, :-1])
    n, d = own.shape
    space: Space = KernelSpace(own @ own.T) if n <= d else FeatureSpace(own)
    return Gathered(index, own, part.y.cpu().numpy()[index], weights[index], space)


class Subproblem(DualSubproblem):
    """One configuration; see `sequential.DualSubproblem`.

    Args:
        objective: The configuration, in float64.
        gathered: Its rows.
        tol: Relative gap to reach.
        b: (N, 1, C) dual variables to start from, or None.
        former: Of each problem, the answer at another reg to start from, or None.
    """

    def __init__(
        self,
        objective: Objective,
        gathered: Gathered,
        tol: float,
        b: Tensor | None,
        former: list[Descent] | None = None,
    ) -> None:
        self.objective, self.gathered = objective, gathered
        loss, curvature = piecewise(objective.loss), float(objective.penalty.curvature[0])
        self.layout = layout_for(loss, objective.n_classes, curvature, free=objective.bias == "free")
        problems = self.layout.problems(gathered)
        start = None if b is None else b[:, 0].cpu().numpy().astype(np.float64)[gathered.index]
        starts = [None] * len(problems) if start is None else self.layout.parts(start, gathered.y)
        self.follows, self.passes = former is not None, 1.0
        if former is None:
            self.descents = [Descent.begin(p, tol, own) for p, own in zip(problems, starts, strict=True)]
        else:
            self.descents = [Descent.after(p, tol, own) for p, own in zip(problems, former, strict=True)]
        C, width = objective.shape[1:]
        self.W = torch.zeros(C, width, dtype=torch.float64, device=objective.device)
        self.best = BestPoint(self.W, self.primal)
        self.reported_gap = float("inf")
        self.steps_a_turn = steps_a_turn(*_sizes(objective))

    @property
    def fold(self) -> int:
        """Row of the weights that it uses."""
        return int(self.objective.fold[0])

    @property
    def primal(self) -> float:
        """P of the best point, reported or not."""
        return self.layout.copies * sum(descent.bounds.primal for descent in self.descents)

    @property
    def bound(self) -> float:
        """The best lower bound so far."""
        return self.layout.copies * sum(descent.bounds.dual for descent in self.descents)

    @property
    def b(self) -> Tensor:
        """(N, 1, C) the dual variables of the best bound; 0 where a row has no weight."""
        part, own = self.objective, self.gathered
        b = np.zeros((part.n_samples, part.n_classes))
        b[own.index] = self.layout.joined([d.problem.feasible(d.bounds.b) for d in self.descents], own.y)
        return torch.from_numpy(b)[:, None].to(part.device)

    @property
    def exhausted(self) -> bool:
        """Whether no part can be brought further."""
        stopped = [descent.exhausted for descent in self.descents]
        done = [descent.is_done for descent in self.descents]
        return any(stopped) and all(a or b for a, b in zip(stopped, done, strict=True))

    def advance(self) -> float:
        """Take some steps, one where they are long, and return the passes they took."""
        passes = self._advance()
        for _ in range(self.steps_a_turn - 1):
            if all(descent.is_done or descent.exhausted for descent in self.descents):
                break
            passes += self._advance()
        return passes

    def _advance(self) -> float:
        """Take a step of the first part that is not done; return the passes it took."""
        left = [d for d in self.descents if not d.is_done and not d.exhausted]
        if not left:
            self.report()
            return 0.0
        passes = left[0].advance()
        gap = (self.primal - self.bound) / max(self.primal, 1e-300)
        ended = len(left) == 1 and (left[0].is_done or left[0].exhausted)
        if ended or gap < REPORT * self.reported_gap:
            self.report()
        problem = left[0].problem
        columns = problem.margins.n_columns / self.objective.n_classes
        return passes * columns * problem.space.dimension / (self.objective.shape[2])

    def report(self) -> None:
        """See `DualSubproblem.report`: the best point is mapped to the features."""
        columns = [best_weight(descent, self.gathered.X) for descent in self.descents]
        if self.objective.bias == "free":
            pairs = zip(columns, self.descents, strict=True)
            columns = [np.hstack([own, descent.bounds.bias[:, None]]) for own, descent in pairs]
        W = self.layout.weight(np.concatenate(columns))
        self.W = torch.from_numpy(np.ascontiguousarray(W)).to(self.objective.device)
        self.best = BestPoint(self.W, self.primal)
        self.reported_gap = self.gap

    def answer(self, tol: float, most: float, trace: list[TraceRow], began: float, *, ended: bool) -> Answer:
        """Take steps to the end, write them into the trace, and return the answer, proven on the rows as they are.

        Args:
            tol: Relative gap asked for.
            most: Passes over the rows.
            trace: Rows so far.
            began: When the first fit of the trace did, s.
            ended: Whether the user has asked to stop: no step is taken.
        """
        reg = float(self.objective.reg[0])
        status = Status.INTERRUPTED if ended else Status.STALLED
        try:
            while not (ended or self.exhausted or all(descent.is_done for descent in self.descents)):
                if STOP_REQUESTED.is_set():
                    raise KeyboardInterrupt
                if self.passes >= most:
                    status = Status.MAX_PASSES
                    break
                self.passes += self._advance()
                bounds = (self.primal, self.bound, (self.primal - self.bound) / max(self.primal, 1e-300))
                seconds = time.perf_counter() - began
                trace.append(
                    trace_row(len(trace) + 1, self.passes, seconds, reg, bounds, SemismoothNewton.name)
                )
        except KeyboardInterrupt:
            status = Status.INTERRUPTED
        self.report()
        primal, dual = proven(self.objective, self.best.W, self.b)
        gap = max(primal - dual, 0.0) / max(primal, 1e-300)
        if gap > tol and status is Status.STALLED and self.follows:  # another answer has led nowhere
            self.follows = False
            self.descents = [Descent.begin(one.problem, one.tol, None) for one in self.descents]
            return self.answer(tol, most, trace, began, ended=False)
        W = self.best.W.cpu().numpy()
        return Answer(W, primal, dual, gap, Status.CERTIFIED if gap <= tol else status, self.passes, trace)

    # ---------------------------------------------------------------- checkpoints

    def state(self) -> SubproblemState:
        """See `sequential.DualSubproblem.state`."""
        return SubproblemState(self.best, self.reported_gap, [descent.state() for descent in self.descents])

    def restore(self, state: SubproblemState) -> None:
        """Take up a `state`."""
        self.best, self.reported_gap = state.best, state.reported_gap
        self.W = self.best.W
        pairs = zip(self.descents, state.parts, strict=True)
        self.descents = [Descent.restored(descent.problem, descent.tol, own) for descent, own in pairs]
