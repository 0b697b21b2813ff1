"""Configurations solved one after another, each from the answer of the one before.

W and the dual variables are continuous in reg, so along a path from large reg to small each answer is nearly
the next one's, and a path costs a few passes a value. Folds are taken one after another, too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from straightedge.losses import PiecewiseLinearLoss, piecewise
from straightedge.objective import Block, Objective
from straightedge.solvers.protocol import Progress, Solver, missing
from straightedge.solvers.state import OF_ROWS

SAFE = 0.98  # of the tolerance: a gap below this is proven again, in float64
ROUNDING = 2e-6  # of P: what sums of float32 products may be off by


@dataclass
class BestPoint:
    """The best W of one configuration so far.

    Attributes:
        W: (C, D + 1).
        primal: P there; infinite where none is known.
        margins: (N, 1, C) z there, or None where they are not at hand.
    """

    W: Tensor
    primal: float = float("inf")
    margins: Tensor | None = field(default=None, metadata=OF_ROWS)

    def offer(self, W: Tensor, primal: float, margins: Tensor | None = None) -> bool:
        """Take a W (C, D + 1) with its P and its margins where it is better; return whether it is."""
        if primal >= self.primal:
            return False
        self.W, self.primal, self.margins = W.clone(), primal, margins
        return True


class DualSubproblem(ABC):
    """One configuration of a hinge on its way, with dual variables.

    Attributes:
        objective: The one configuration.
        W: (C, D + 1) the present point.
        best: The best W so far.
    """

    objective: Objective
    W: Tensor
    best: BestPoint

    @property
    @abstractmethod
    def b(self) -> Tensor:
        """(N, 1, C) the present dual variables."""

    @property
    def dual_point(self) -> Tensor:
        """(N, 1, C) the dual variables that `bound` belongs to: the present ones where no step lowers it."""
        return self.b

    @property
    def loss(self) -> PiecewiseLinearLoss:
        """The loss, which has kinks."""
        return piecewise(self.objective.loss)

    @property
    @abstractmethod
    def bound(self) -> float:
        """The best lower bound so far."""

    @property
    @abstractmethod
    def exhausted(self) -> bool:
        """Whether steps have stopped helping."""

    @property
    def gap(self) -> float:
        """Relative gap of the best bounds."""
        primal = self.best.primal
        return primal if primal == float("inf") else (primal - self.bound) / max(primal, 1e-300)

    @abstractmethod
    def advance(self) -> float:
        """Take a step; return the passes it took."""

    def report(self) -> None:  # noqa: B027 - most have nothing to see to
        """See to it that `best` is the best point there is, where steps leave that for later."""

    @abstractmethod
    def state(self) -> Any:
        """Return the declared state from which the same fit can be made; see `solvers.state`."""


@dataclass(frozen=True)
class WarmStart:
    """What a configuration leaves to the next ones.

    Attributes:
        fold: Row of the weights it used.
        reg: Its reg.
        W: (C, D + 1) the best point.
        b: (N, 1, C) the dual variables of the best bound.
        z: (N, 1, C) margins at W, or None.
    """

    fold: int
    reg: float
    W: Tensor
    b: Tensor = field(metadata=OF_ROWS)
    z: Tensor | None = field(metadata=OF_ROWS)

    @classmethod
    def of(cls, fit: DualSubproblem) -> WarmStart:
        """Return what a fit has come to."""
        part = fit.objective
        return cls(int(part.fold[0]), float(part.reg[0]), fit.best.W, fit.dual_point, fit.best.margins)


@dataclass
class SequentialState:
    """What a checkpoint keeps of a `SequentialSolver`.

    Attributes:
        W: (K', C, D + 1) the best points.
        primal: (K',) their P.
        bound: (K',) the best lower bounds.
        current: Position of the configuration that is being worked on, or −1.
        answers: Of the last two that were worked on, the latest last.
        fit: The state of the configuration that is being worked on; each solver says of what kind.
    """

    W: Tensor
    primal: Tensor
    bound: Tensor
    current: int
    answers: list[WarmStart]
    fit: Any


class SequentialSolver(Solver):
    """The part of a `Solver` that hands configurations to a method for one; see `DualSubproblem`.

    Its bound rests on dual variables, which `certify` uses.

    Attributes:
        fit: The configuration that is being worked on, if any.
        answers: Of the last two that were worked on, the latest last.
    """

    State: ClassVar[type[SequentialState]]

    @classmethod
    def supports(cls, objective: Objective) -> str | None:
        """See `Solver.supports`."""
        loss, penalty = objective.loss, objective.penalty
        return missing(
            (loss.piecewise_linear, f"a piecewise-linear loss, and {loss.name} is not"),
            (objective.design.one_map, "one map for all configurations"),
            (penalty.quadratic, f"a quadratic penalty, and {penalty.penalty.name} is not"),
        )

    def __init__(self) -> None:
        self.fit: DualSubproblem | None = None
        self.answers: list[WarmStart] = []
        self.current = -1

    @property
    def tol(self) -> float:
        """The gap asked for of the configuration that is being worked on."""
        return float(self.tols[max(0, self.current)])

    def first_fit(self, part: Objective, W: Tensor, last: WarmStart | None) -> DualSubproblem:
        """Return a fit of one configuration that starts at W (C, D + 1), with the last one's b if any."""
        raise NotImplementedError

    def start(self, objective: Objective, W: Tensor | None, tol: Tensor) -> Progress:
        """See `Solver.start`. At W = 0, the default, value and bound are known without a pass."""
        self._put_away()
        self.objective, self.tols = objective, tol
        self.answers = [answer for answer in self.answers if len(answer.b) == len(objective.y)]
        first = torch.zeros(objective.shape) if W is None else W
        self.W = first.to(objective.device, objective.dtype, copy=True)
        self._value = objective.value_at_zero()
        self._bound = torch.zeros_like(self._value)
        cost = torch.zeros(objective.n_configs, dtype=torch.float64)
        if bool((self.W != 0).any()):
            self._value = objective.evaluate(self.W).objective.clone()
            cost += 1.0
        return self._progress(cost)

    def step(self) -> Progress:
        """See `Solver.step`: a step of the configuration that is being worked on."""
        cost = torch.zeros(len(self._value), dtype=torch.float64)
        fit = self.fit or self._begin()
        cost[self.current] = fit.advance()
        if fit.best.primal < float(self._value[self.current]):
            self._value[self.current] = fit.best.primal
            self.W[self.current] = fit.best.W
        slack = 0.0 if self.objective.dtype == torch.float64 else min(0.02 * self.tol, ROUNDING)
        # in float32 a little is taken off, so that the proof in float64 does not come out worse
        self._bound[self.current] = max(0.0, fit.bound - slack * fit.best.primal)
        return self._progress(cost)

    def _progress(self, cost: Tensor) -> Progress:
        exhausted = torch.zeros(len(self._value), dtype=torch.bool)
        if self.fit is not None:
            exhausted[self.current] = self.fit.exhausted
        return Progress(self.W.clone(), self._value.clone(), self._bound.clone(), cost, exhausted)

    def _begin(self) -> DualSubproblem:
        """Take up the next configuration: the largest reg of the first fold that is left."""
        objective = self.objective
        fold, reg = objective.fold.tolist(), objective.reg.tolist()
        self.current = max((k for k in range(len(fold)) if fold[k] == min(fold)), key=reg.__getitem__)
        part = objective.select(torch.tensor([self.current]))
        last = self.answers[-1] if self.answers else None
        W = self.W[self.current]
        if last is not None and not bool((W != 0).any()):
            W = last.W.to(part.dtype)
        self.fit = self.first_fit(part, W, last)
        return self.fit

    def keep(self, positions: Tensor) -> None:
        """See `Solver.keep`. The configuration that left starts the next one."""
        kept = positions.tolist()
        self.objective = self.objective.select(positions)
        self.tols = self.tols[positions]
        self.W, self._value, self._bound = self.W[positions], self._value[positions], self._bound[positions]
        if self.current in kept:
            self.current = kept.index(self.current)
        else:
            self._put_away()

    def _put_away(self) -> None:
        if self.fit is not None:
            self.answers = [*self.answers[-1:], WarmStart.of(self.fit)]
        self.fit, self.current = None, -1

    def certify(self, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `Solver.certify`: one pass in float64 at the best W, with the best dual point for the bound.

        The best W so far is taken, reported or not, the start included.
        """
        if self.fit is not None:
            self.fit.report()
            if self.fit.best.primal <= float(self._value[self.current]):
                self.W[self.current] = self.fit.best.W
        W, value, bound = self.W[positions].to(torch.float64), self._value[positions], self._bound[positions]
        for place, k in enumerate(positions.tolist()):
            if self.fit is not None and k == self.current and len(self.fit.dual_point):
                part = self.fit.objective.in_dtype(torch.float64)
                value[place], bound[place] = proven(part, W[place], self.fit.dual_point)
            else:
                whole = self.objective.in_dtype(torch.float64).select(positions[place : place + 1])
                value[place] = whole.evaluate(W[place : place + 1]).objective[0]
        return W, value, bound

    # ---------------------------------------------------------------- checkpoints

    def state(self, **more: Any) -> SequentialState:
        """See `Solver.state`; ``more`` are the fields that a solver's own `State` adds."""
        fit = None if self.fit is None else self.fit.state()
        return self.State(self.W, self._value, self._bound, self.current, self.answers, fit, **more)

    def restored_fit(self, part: Objective, state: Any) -> DualSubproblem:
        """Return the fit whose `state` this is."""
        raise NotImplementedError

    def restore(self, objective: Objective, state: Any, tol: Tensor) -> Progress:
        """See `Solver.restore`."""
        self.objective, self.tols = objective, tol
        self.W, self._value, self._bound = state.W, state.primal, state.bound
        self.current, self.answers = state.current, state.answers
        if state.fit is not None:
            self.fit = self.restored_fit(objective.select(torch.tensor([self.current])), state.fit)
        return self._progress(torch.zeros(objective.n_configs, dtype=torch.float64))


def proven(objective: Objective, W: Tensor, b: Tensor) -> tuple[float, float]:
    """Return P(W) and D(b), sums and products in the objective's float type; one pass.

    Args:
        objective: One configuration, in float64.
        W: (C, D + 1).
        b: (N, 1, C) dual variables, in B up to rounding.
    """
    loss = piecewise(objective.loss)

    def score_function(S: Tensor, block: Block) -> Sequence[Tensor]:
        y = objective.y[block.start : block.stop]
        value = loss.support(loss.margins(S, y))
        own = loss.project(b[block.start : block.stop].to(S.dtype, copy=True), y)
        conjugate = loss.neg_conjugate(own, y)
        S.copy_(loss.to_scores(own, y))
        return value, conjugate

    sums, V = objective.sweep(W[None], score_function)
    value = sums[0] + objective.penalty.value(W[None])
    return float(value[0]), float(objective.dual_value(V, sums[1])[0])
