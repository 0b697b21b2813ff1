"""Dual coordinate ascent for the Weston–Watkins SVM: an exact subproblem for one row after another.

The dual in α_i = b_i w_i/(2 reg), 0 ≤ α ≤ w_i/(2 reg), with W = −Σ_i x̂_i a(α_i)ᵀ: an epoch maximises it over each
row's variables in turn and keeps W in step. Where ρ = mean ‖x̂‖²/(2 reg N) is small one row hardly disturbs
another, and a handful of epochs do; where it is large, `blocks` is faster by far.

Rows are visited in a random order, drawn anew for each epoch. After the first epochs two out of three leave out
the rows whose variables did not change at their last visit: most have all of them at a bound, to stay. One worker
converts the next rows while the compiled loop works on the present ones.

References:
    Joachims, "Making Large-Scale SVM Learning Practical", 1998, for leaving out variables at their bounds.
    Shalev-Shwartz and Zhang, "Stochastic Dual Coordinate Ascent Methods for Regularized Loss Minimization",
    JMLR 2013; and those of `dual_kernel`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from straightedge.losses import piecewise
from straightedge.objective import Objective
from straightedge.solvers.hinge.half_pass import adjoint, row_weights, scores
from straightedge.solvers.hinge.sequential import (
    SAFE,
    BestPoint,
    DualSubproblem,
    SequentialSolver,
    SequentialState,
    WarmStart,
)
from straightedge.solvers.protocol import missing
from straightedge.solvers.state import OF_ROWS, given_to, taken_from
from straightedge.solvers.work import LOADING, pass_work

ROW_UPDATES = {"weston_watkins"}  # those that `dual_kernel` has
FULL_EPOCHS = 2  # at the beginning
SHORT_EPOCHS = 2  # of the rows that still change, between two full ones
WEAK_COUPLING = 0.3  # ρ up to which dual ascent, which uses two cores, was faster than the Lagrangian on two
LEAST_EPOCHS = 15  # of a usual fit, however small ρ is
EPOCHS_PER_COUPLING = 1000
"""Of a usual fit, times ρ: as many passes as the Lagrangian's where ρ is the largest."""
DRIFT = 5e-6  # of P: what the rounding of the epochs' updates of W may have done to the bounds
PATIENCE = 50  # epochs without a better gap before the float type is called exhausted


@dataclass
class AscentState:
    """What a checkpoint keeps of an `AscentSubproblem`; see there for most of it.

    Attributes:
        lower: The best lower bound.
        alpha: (N, C) dual variables times their caps.
        norms: (N,) ‖x̂‖², or none before the first epoch.
        changing: (N,) bool, whether a row's variables changed at its last visit.
        random: State of the generator.
    """

    W: Tensor
    best: BestPoint
    lower: float
    dual: float
    spent: float
    idle: int
    epochs: int
    random: Tensor
    alpha: Tensor = field(metadata=OF_ROWS)
    norms: Tensor = field(metadata=OF_ROWS)
    changing: Tensor = field(metadata=OF_ROWS)


@dataclass
class DualAscentState(SequentialState):
    """See `SequentialState`."""

    fit: AscentState | None


class DualAscent(SequentialSolver):
    """Dual coordinate ascent; for `svm` with a penalised bias, on the CPU, in one process.

    Args:
        seed: Of the orders in which rows are visited.
    """

    name = "dual_ascent"
    State = DualAscentState
    seeded = True

    @classmethod
    def supports(cls, objective: Objective) -> str | None:
        """See `Solver.supports`."""
        return needs_of_dual_ascent(objective)

    @classmethod
    def cost(cls, objective: Objective) -> float:
        """See `Solver.cost`: epochs, the more of them the more rows disturb one another."""
        return LOADING + pass_work(objective) * float(usual_epochs(objective).sum())

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed

    def first_fit(self, part: Objective, W: Tensor, last: WarmStart | None) -> AscentSubproblem:
        """See `SequentialSolver.first_fit`; half a pass from the last b, a whole one from W alone."""
        return first_ascent(part, self.tol, W, last, self.seed)

    def restored_fit(self, part: Objective, state: Any) -> AscentSubproblem:
        """See `SequentialSolver.restored_fit`."""
        return AscentSubproblem.restored(part, self.tol, state)


def first_ascent(part: Objective, tol: float, W: Tensor, last: WarmStart | None, seed: int) -> AscentSubproblem:
    """Return a fit that starts from the last configuration's b if there is one, else from W (C, D + 1)."""
    loss = piecewise(part.loss)
    b = torch.zeros(len(part.y), 1, part.n_classes, dtype=part.dtype)
    if last is not None:
        b = last.b.to(part.dtype)
    elif bool((W != 0).any()):
        b = loss.project(2 * loss.margins(scores(part, W), part.y), part.y)
    return AscentSubproblem(part, tol, b, torch.Generator().manual_seed(seed))


class AscentSubproblem(DualSubproblem):
    """One configuration of dual coordinate ascent; see `sequential.DualSubproblem`.

    Args:
        objective: The one configuration.
        tol: Relative gap asked for.
        b: (N, 1, C) dual variables to start from.
        generator: Draws the orders.
    """

    def __init__(self, objective: Objective, tol: float, b: Tensor, generator: torch.Generator) -> None:
        self.objective, self.tol, self.generator = objective, tol, generator
        self.weights = row_weights(objective)
        self.caps = self.weights / self.stiffness
        self.alpha = (b[:, 0].to(torch.float64) * self.caps[:, None]).to(objective.dtype)
        self.norms = torch.zeros(0, dtype=torch.float64)
        self.changing = torch.ones(len(self.alpha), dtype=torch.bool)
        self.lower = -float("inf")
        self.idle = self.epochs = 0
        self.W = torch.zeros(objective.shape[1:], dtype=objective.dtype)
        self.spent = self._renew()
        self.dual = self._dual_value()
        self.best = BestPoint(self.W)

    @property
    def stiffness(self) -> float:
        """The penalty's curvature, 2 reg."""
        return float(self.objective.penalty.curvature[0])

    @property
    def b(self) -> Tensor:
        """(N, 1, C) dual variables in [0, 1]."""
        caps = self.caps.clamp_min(1e-300)[:, None]
        return (self.alpha.to(torch.float64) / caps).clamp_(0.0, 1.0).to(self.objective.dtype)[:, None]

    @property
    def bound(self) -> float:
        """The best lower bound so far."""
        return self.lower

    @property
    def exhausted(self) -> bool:
        """Whether epochs have stopped helping."""
        return self.idle >= PATIENCE

    def _renew(self) -> float:
        """Compute W from the dual variables anew; return the passes it took (none at 0)."""
        if not bool(self.alpha.any()):
            self.W = torch.zeros(self.objective.shape[1:], dtype=self.objective.dtype)
            return 0.0
        A = self.loss.to_scores(self.b, self.objective.y)
        V = adjoint(self.objective, A, self.weights)
        self.W = self.objective.penalty.minimiser(V[None])[0].to(self.objective.dtype)
        return 0.5

    def advance(self) -> float:
        """Run an epoch and take its bounds; return the passes it took."""
        before = self.gap
        cost, self.spent = self._epoch() + self.spent, 0.0
        self.epochs += 1
        if not self._worth_a_look():
            return cost
        cost += 0.5
        value, bound = self._bounds()
        if value - bound <= SAFE * self.tol * value and (1 - SAFE) * self.tol < DRIFT:
            cost += 0.5 + self._renew()
            value, bound = self._bounds()
        self.best.offer(self.W, value)
        self.lower = bound if value - bound <= self.tol * value else max(self.lower, bound)
        self.idle = 0 if self.gap < 0.999 * before else self.idle + 1
        return cost

    def _worth_a_look(self) -> bool:
        """Tell whether to spend half a pass on P: once D hardly rises, and at epochs 4, 8, 16 and so on.

        D costs nothing. While one epoch raises it by more than the gap asked for, the next ones will raise it too.
        From W = 0 the first epoch is looked at, too: whoever stops the fit early gets more than that.
        """
        former, self.dual = self.dual, self._dual_value()
        slow = self.dual - former <= self.tol * abs(self.dual)
        return slow or former <= 0 or (self.epochs >= 4 and self.epochs & (self.epochs - 1) == 0)

    def _dual_value(self) -> float:
        gain = self.stiffness * float(self.alpha.sum(dtype=torch.float64))
        return gain - float(self.objective.penalty.value(self.W[None])[0])

    def _bounds(self) -> tuple[float, float]:
        """Return P and D at W, which is −V/(2 reg) of the dual variables; half a pass."""
        z = self.loss.margins(scores(self.objective, self.W), self.objective.y)
        mean = float((self.loss.support(z)[:, 0].to(torch.float64) * self.weights).sum())
        return mean + float(self.objective.penalty.value(self.W[None])[0]), self._dual_value()

    def _order(self) -> Tensor:
        """Return the rows of this epoch in the order of their visits."""
        order = torch.randperm(len(self.alpha), generator=self.generator)
        if self.epochs < FULL_EPOCHS or (self.epochs - FULL_EPOCHS) % (SHORT_EPOCHS + 1) == SHORT_EPOCHS:
            return order
        return order[self.changing[order]]

    def _epoch(self) -> float:
        """Visit the rows of this epoch once, and return which part of all they are."""
        from straightedge.solvers.hinge.dual_kernel import ascend

        order = self._order()
        if not len(order):
            return 0.0
        former = self.alpha[order]
        fresh = not len(self.norms)
        if fresh:
            self.norms = torch.zeros(len(self.alpha), dtype=torch.float64)
        labels = self.objective.y.contiguous().numpy()  # strided ones would have the loop compiled again
        alpha, W = self.alpha.numpy(), self.W.numpy()
        norms, caps = self.norms.numpy(), self.caps.numpy()
        for index, rows in self.objective.design.in_order(order):
            if fresh:
                self.norms[index] = torch.linalg.vector_norm(rows, dim=1).to(torch.float64).square()
            ascend(rows.numpy(), index.numpy(), labels, norms, caps, W, alpha)
        self.changing[order] = (self.alpha[order] != former).any(dim=1)
        return len(order) / len(self.alpha)

    @property
    def random(self) -> Tensor:
        """The state of the generator."""
        return self.generator.get_state()

    @random.setter
    def random(self, state: Tensor) -> None:
        self.generator.set_state(state)

    def state(self) -> AscentState:
        """See `sequential.DualSubproblem.state`."""
        return taken_from(AscentState, self)

    @classmethod
    def restored(cls, objective: Objective, tol: float, state: AscentState) -> AscentSubproblem:
        """Return the fit whose `state` this is."""
        fit = cls(objective, tol, torch.zeros_like(state.alpha)[:, None], torch.Generator())
        given_to(fit, state)
        return fit


def needs_of_dual_ascent(objective: Objective) -> str | None:
    """Return what is missing for dual coordinate ascent to solve this objective, or None."""
    return missing(
        (objective.loss.geometry in ROW_UPDATES, f"exact updates of one row, and {objective.loss.name} has none"),
        (objective.penalty.uniform, "a ridge with a penalised bias"),
        (objective.design.one_map, "one map for all configurations"),
        (bool(objective.penalty.bounds_below.all()), "reg > 0"),
        (objective.device.type == "cpu" and objective.design.in_memory, "rows in the CPU's memory"),
        (objective.communicator.size == 1, "one process"),
    )


def is_weakly_coupled(objective: Objective) -> bool:
    """Return whether dual ascent suits, and is the faster one: rows hardly disturb one another."""
    if DualAscent.supports(objective) is not None:
        return False
    return row_coupling(objective) <= WEAK_COUPLING  # of the problem alone: cores change no answer


def row_coupling(objective: Objective) -> float:
    """Return ρ at the smallest reg; see `row_couplings`."""
    return float(row_couplings(objective).max())


def row_couplings(objective: Objective) -> Tensor:
    """Return ρ = mean ‖x̂‖²/(2 reg N) of each configuration (K,), from evenly spaced rows.

    It is how much the step of one row moves the margins of another like it, N of them being visited in an epoch.
    """
    curvature = objective.penalty.curvature.clamp_min(1e-300)
    return objective.design.mean_square_norm() / (curvature * objective.n_total)


def usual_epochs(objective: Objective) -> Tensor:
    """Return (K,) the epochs that a usual fit of each configuration takes."""
    return (EPOCHS_PER_COUPLING * row_couplings(objective)).clamp_min(LEAST_EPOCHS)
