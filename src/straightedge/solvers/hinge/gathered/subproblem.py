"""One configuration of a hinge on gathered rows, on its way: a descent for each problem that it is."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from straightedge.losses import piecewise
from straightedge.newton.direct import Answer, Log, Steps, followed
from straightedge.objective import Objective
from straightedge.solvers.hinge.gathered import proof
from straightedge.solvers.hinge.gathered.descent import Descent, DescentState, Former, best_weight
from straightedge.solvers.hinge.gathered.interior import advance_inside
from straightedge.solvers.hinge.gathered.layout import Gathered, as_plain_ridge, layout_for
from straightedge.solvers.hinge.gathered.usual import steps_a_turn
from straightedge.solvers.hinge.sequential import BestPoint, DualSubproblem, proven
from straightedge.status import Status
from straightedge.workers import STOP_REQUESTED

REPORT = 0.1  # of the reported gap: W is mapped to the features again once the gap is below


@dataclass
class SubproblemState:
    """What a checkpoint keeps of a `Subproblem`.

    Attributes:
        best: The best W that was reported.
        reported_gap: Its relative gap.
        follows: Whether it began at another reg's answer, and has not begun anew since.
        parts: Of each problem that the configuration is.
    """

    best: BestPoint
    reported_gap: float
    follows: bool
    parts: list[DescentState]


@dataclass
class Answered:
    """What a configuration leaves to the next ones of its fold: of each problem that it is."""

    fold: int
    parts: list[Former]


class Subproblem(DualSubproblem):
    """One configuration; see `sequential.DualSubproblem`.

    Args:
        objective: The configuration, in float64.
        gathered: Its rows.
        tol: Relative gap to reach.
        b: (N, 1, C) dual variables to start from, or None.
        former: Of each problem, the answer at another reg to start from, or None.
        leads: Whether other values of reg are to follow.
    """

    def __init__(
        self,
        objective: Objective,
        gathered: Gathered,
        tol: float,
        b: Tensor | None,
        former: list[Former] | None = None,
        *,
        leads: bool = False,
    ) -> None:
        self.objective, self.gathered, self.leads = objective, gathered, leads
        loss, curvature = piecewise(objective.loss), as_plain_ridge(objective)[0]
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
        self.reg = float(objective.reg[0])
        self.share = problems[0].margins.n_columns * problems[0].space.dimension / (C * width)
        self.W = torch.zeros(C, width, dtype=torch.float64, device=objective.device)
        self.best = BestPoint(self.W, self.primal)
        self.reported_gap = float("inf")
        self.steps_a_turn = steps_a_turn(*sizes_of(objective))

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
        ended = any(stopped) and all(a or b for a, b in zip(stopped, done, strict=True))
        return ended and not self.follows  # another answer has led nowhere: it begins anew

    def left(self) -> Answered:
        """Return what it leaves to the next configurations."""
        return Answered(int(self.objective.fold[0]), [descent.left() for descent in self.descents])

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
        left = self._left()
        if not left:
            if not self._begins_anew():
                self.report()
            return 0.0
        passes = self._step(left[0])
        gap = (self.primal - self.bound) / max(self.primal, 1e-300)
        ended = len(left) == 1 and (left[0].is_done or left[0].exhausted)
        if ended or gap < REPORT * self.reported_gap:
            self.report()
        return passes

    def _left(self) -> list[Descent]:
        """Return the parts that are not done."""
        return [descent for descent in self.descents if not descent.is_done and not descent.exhausted]

    def _step(self, descent: Descent) -> float:
        """Take a step of a part; return the passes over all of X̂ that it took."""
        passes = descent.advance()
        if self.leads and descent.is_done:
            passes += descent.lasting()
        return passes * self.share

    def _begins_anew(self) -> bool:
        """Begin anew, without another answer, where that has led nowhere; return whether it has."""
        if not self.follows or all(descent.is_done for descent in self.descents):
            return False
        self.follows = False
        self.descents = [Descent.begin(one.problem, one.tol, None) for one in self.descents]
        return True

    def report(self) -> None:
        """See `DualSubproblem.report`: the best point is mapped to the features."""
        columns = [best_weight(descent, self.gathered.X) for descent in self.descents]
        if self.objective.bias == "free":
            pairs = zip(columns, self.descents, strict=True)
            columns = [np.hstack([own, descent.bounds.bias[:, None]]) for own, descent in pairs]
        W = self.layout.weight(np.concatenate(columns))
        if self.gathered.scale is not None:
            W = W / self.gathered.scale
        self.W = torch.from_numpy(np.ascontiguousarray(W)).to(self.objective.device)
        self.best = BestPoint(self.W, self.primal)
        self.reported_gap = self.gap

    def answer(self, tol: float, most: float, log: Log, *, ended: bool) -> Answer:
        """Take steps to the end, write them into the log, and return the answer, proven on the rows as they are.

        Args:
            tol: Relative gap asked for.
            most: Passes over the rows.
            log: Where they are written.
            ended: Whether the user has asked to stop: no step is taken.
        """
        status = Status.INTERRUPTED if ended else followed(self._steps(most), self.reg, log)
        answer = self._proven()
        answer.status = Status.CERTIFIED if answer.gap <= tol else status
        answer.n_passes, answer.trace = self.passes, log.rows
        return answer

    def _steps(self, most: float) -> Steps:
        if passes := sum(advance_inside(descent) for descent in self.descents):
            self.passes += passes
            yield self.passes, proof.bounds_of(self.layout, self.descents)
        while (left := self._left()) or self._begins_anew():
            if STOP_REQUESTED.is_set():
                return Status.INTERRUPTED
            if self.passes >= most:
                return Status.MAX_PASSES
            if left:
                self.passes += self._step(left[0])
                yield self.passes, proof.bounds_of(self.layout, self.descents)
        return Status.STALLED

    def _proven(self) -> Answer:
        """Return W, its value and its bound from the rows; a pass repairs a free bias, and sees rows unscaled."""
        if self.objective.bias != "free" and self.gathered.scale is None:
            return proof.proven(self.layout, self.descents, self.gathered.X[:, :-1])
        self.report()
        primal, dual = proven(self.objective, self.best.W, self.b)
        gap = max(primal - dual, 0.0) / max(primal, 1e-300)
        return Answer(self.best.W.cpu().numpy(), primal, dual, gap)

    # ---------------------------------------------------------------- checkpoints

    def state(self) -> SubproblemState:
        """See `sequential.DualSubproblem.state`."""
        parts = [descent.state() for descent in self.descents]
        return SubproblemState(self.best, self.reported_gap, self.follows, parts)

    def restore(self, state: SubproblemState) -> None:
        """Take up a `state`."""
        self.best, self.reported_gap = state.best, state.reported_gap
        self.W, self.follows = self.best.W, state.follows
        pairs = zip(self.descents, state.parts, strict=True)
        self.descents = [Descent.restored(descent.problem, descent.tol, own) for descent, own in pairs]


def sizes_of(objective: Objective) -> tuple[int, int, int, bool]:
    """Return what `usual_work` asks for."""
    apart = piecewise(objective.loss).own_margin
    return objective.n_total, objective.design.width, objective.n_classes, apart
