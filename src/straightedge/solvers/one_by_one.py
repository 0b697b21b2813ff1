"""Configurations solved one after another, each from the answer of the one before.

W and the dual variables are continuous in reg, so along a path from large reg to small each answer is nearly
the next one's, and a path costs a few passes a value. Folds are taken one after another, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from straightedge.losses import PiecewiseLinearLoss, piecewise
from straightedge.objective import Block, Objective
from straightedge.solvers.protocol import Progress, missing, state_under

SAFE = 0.98  # of the tolerance: a gap below this is proven again, in float64
ROUNDING = 2e-6  # of P: what sums of float32 products may be off by


class DualFit(Protocol):
    """One configuration on its way, with dual variables.

    Attributes:
        objective: The one configuration.
        W: (C, D + 1) the present point.
        b: (N, 1, C) the present dual variables.
        best_objective: P of ``best_weight``, the best so far.
        best_weight: (C, D + 1).
        best_margins: (N, 1, C) z there, empty where they are not at hand.
        bound: The best lower bound so far.
        dual_point: (N, 1, C) the dual variables it belongs to.
        exhausted: Whether steps have stopped helping.
    """

    objective: Objective
    W: Tensor
    best_objective: float
    best_weight: Tensor
    best_margins: Tensor

    @property
    def b(self) -> Tensor: ...  # noqa: D102

    @property
    def bound(self) -> float: ...  # noqa: D102

    @property
    def dual_point(self) -> Tensor: ...  # noqa: D102

    @property
    def exhausted(self) -> bool: ...  # noqa: D102

    def advance(self) -> float:
        """Take a step; return the passes it took."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return the tensors from which the same fit can be made."""
        ...


class OneHinge:
    """What every `DualFit` of a hinge derives from its objective and its bounds."""

    objective: Objective
    best_objective: float
    best_margins: Tensor = torch.empty(0)

    @property
    def loss(self) -> PiecewiseLinearLoss:
        """The loss, which has kinks."""
        return piecewise(self.objective.loss)

    @property
    def bound(self) -> float:
        """The best lower bound so far."""
        raise NotImplementedError

    @property
    def gap(self) -> float:
        """Relative gap of the best bounds."""
        if self.best_objective == float("inf"):
            return float("inf")
        return (self.best_objective - self.bound) / max(self.best_objective, 1e-300)


@dataclass(frozen=True)
class Answer:
    """What a configuration leaves to the next ones.

    Attributes:
        fold: Row of the weights it used.
        reg: Its reg.
        W: (C, D + 1) the best point.
        b: (N, 1, C) the dual variables of the best bound.
        z: (N, 1, C) margins at W; may be empty.
    """

    fold: int
    reg: float
    W: Tensor
    b: Tensor
    z: Tensor

    @classmethod
    def of(cls, fit: DualFit) -> Answer:
        """Return what a fit has come to."""
        part = fit.objective
        return cls(int(part.fold[0]), float(part.reg[0]), fit.best_weight, fit.dual_point, fit.best_margins)

    def state(self) -> dict[str, Tensor]:
        """Return the tensors that `restored` makes the same answer of."""
        numbers = torch.tensor([self.fold, self.reg], dtype=torch.float64)
        return {"numbers": numbers, "W": self.W, "b": self.b, "z": self.z}

    @classmethod
    def restored(cls, state: dict[str, Tensor]) -> Answer:
        """Return the answer whose `state` this is."""
        fold, reg = state["numbers"].tolist()
        return cls(int(fold), reg, *(state[name].clone() for name in ("W", "b", "z")))


class OneByOne:
    """The part of a `Solver` that hands configurations to a method for one; see `DualFit`.

    Attributes:
        own_certificate: True: the bound rests on the dual variables.
        refines: True: float64 goes further than float32.
        one_thread: False: most methods do as much between passes as in them.
        fit: The configuration that is being worked on, if any.
        answers: Of the last two that were worked on, the latest last.
    """

    name = "one_by_one"
    own_certificate = True
    refines = True
    one_thread = False
    seeded = False

    @classmethod
    def supports(cls, objective: Objective) -> str | None:
        """See `Solver.supports`."""
        loss, penalty = objective.loss, objective.penalty
        return missing(
            (
                loss.piecewise_linear,
                f"a piecewise-linear loss, and {loss.name} is not",
            ),
            (penalty.quadratic, f"a quadratic penalty, and {penalty.penalty.name} is not"),
        )

    @classmethod
    def worthwhile(cls, objective: Objective) -> bool:
        """See `Solver.worthwhile`."""
        return True

    def __init__(self) -> None:
        self.fit: DualFit | None = None
        self.answers: list[Answer] = []
        self.current = -1

    @property
    def tol(self) -> float:
        """The gap asked for of the configuration that is being worked on."""
        return float(self.tols[max(0, self.current)])

    def first_fit(self, part: Objective, W: Tensor, last: Answer | None) -> DualFit:
        """Return a fit of one configuration that starts at W (C, D + 1), with the last one's b if any."""
        raise NotImplementedError

    def start(self, objective: Objective, W: Tensor | None, tol: Tensor) -> Progress:
        """See `Solver.start`. At W = 0, the default, value and bound are known without a pass."""
        self._put_away()
        self.objective, self.tols = objective, tol
        self.answers = [answer for answer in self.answers if len(answer.b) == len(objective.y)]
        first = torch.zeros(objective.shape) if W is None else W
        self.W = first.to(objective.device, objective.dtype, copy=True)
        self._value = _objective_at_zero(objective)
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
        if fit.best_objective < float(self._value[self.current]):
            self._value[self.current] = fit.best_objective
            self.W[self.current] = fit.best_weight
        slack = 0.0 if self.objective.dtype == torch.float64 else min(0.02 * self.tol, ROUNDING)
        # in float32 a little is taken off, so that the proof in float64 does not come out worse
        self._bound[self.current] = max(0.0, fit.bound - slack * fit.best_objective)
        return self._progress(cost)

    def _progress(self, cost: Tensor) -> Progress:
        exhausted = torch.zeros(len(self._value), dtype=torch.bool)
        if self.fit is not None:
            exhausted[self.current] = self.fit.exhausted
        return Progress(self.W.clone(), self._value.clone(), self._bound.clone(), cost, exhausted)

    def _begin(self) -> DualFit:
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
            self.answers = [*self.answers[-1:], Answer.of(self.fit)]
        self.fit, self.current = None, -1

    def certify(self, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `Solver.certify`: one pass in float64 at the best W, with the best dual point for the bound."""
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

    def state(self) -> dict[str, Tensor]:
        """See `Solver.state`."""
        state = {"W": self.W, "value": self._value, "bound": self._bound}
        state["current"] = torch.tensor(self.current)
        if self.fit is not None:
            state |= {f"fit.{key}": value for key, value in self.fit.state().items()}
        for i, answer in enumerate(self.answers):
            state |= {f"answer.{i}.{key}": value for key, value in answer.state().items()}
        return state

    def restored_fit(self, part: Objective, state: dict[str, Tensor]) -> DualFit:
        """Return the fit whose `state` this is."""
        raise NotImplementedError

    def restore(self, objective: Objective, state: dict[str, Tensor], tol: Tensor) -> Progress:
        """See `Solver.restore`."""
        self.objective, self.tols = objective, tol
        self.W, self._value, self._bound = (state[name].clone() for name in ("W", "value", "bound"))
        self.current = int(state["current"])
        own = state_under("fit.", state)
        if own:
            self.fit = self.restored_fit(objective.select(torch.tensor([self.current])), own)
        found = [state_under(f"answer.{i}.", state) for i in range(2)]
        self.answers = [Answer.restored(own) for own in found if own]
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


def _objective_at_zero(objective: Objective) -> Tensor:
    """Return (K,) float64: P(0), the loss of a row of zero scores, whatever the data."""
    S = torch.zeros(1, objective.n_configs, objective.n_classes, dtype=torch.float64)
    return objective.loss.value_and_gradient(S, torch.zeros(1, dtype=torch.int64))[0]
