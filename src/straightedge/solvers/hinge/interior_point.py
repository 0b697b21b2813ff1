"""Small hinge problems by a primal–dual interior-point method: some twenty steps to any gap, whatever the data.

With b in B, u = ξ − z ≥ 0 paired with b and ξ ≥ 0 paired with what b lacks of its bound, the optimum is where
∇: 2 reg W + Σ w x̂ (Jᵀb)ᵀ = 0 and all pairs have product 0. Steps of Newton's method go for products τ instead,
and τ shrinks to 0 (Mehrotra's predictor and corrector). Given the margins' change dz, db = Θ(dz + ρ) row by
row, so each step solves one system of size C(D + 1) with

    H = 2 reg I + Σ_i w_i JᵀΘ_i J ⊗ x̂_i x̂_iᵀ.

Unlike the augmented Lagrangian it neither minds separable data nor a tiny reg; but H is dense, so it is for few
columns. b is inside its bounds at every step: a dual point, with the bound that goes with it.

References:
    Mehrotra, "On the implementation of a primal-dual interior point method", SIAM J. Optim. 2, 1992. Fine and
    Scheinberg, "Efficient SVM training using low-rank kernel representations", JMLR 2001.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from straightedge.losses import piecewise
from straightedge.objective import Objective
from straightedge.solvers.hinge.half_pass import row_weights
from straightedge.solvers.hinge.sequential import (
    BestPoint,
    DualSubproblem,
    SequentialSolver,
    SequentialState,
    WarmStart,
)
from straightedge.solvers.protocol import missing
from straightedge.solvers.state import OF_ROWS, given_to, taken_from
from straightedge.solvers.work import CALL

INWARD = 0.995  # of the way to the nearest bound
PATIENCE = 8  # steps without a better gap: rounding has the last word
MOST_UNKNOWNS = 1500  # C(D + 1): beyond, forming H costs more than the augmented Lagrangian
MOST_ENTRIES = 2_000_000  # of X, kept in float64
MOST_WORK = 4e9  # operations of one H
USUAL_STEPS = 25
CALLS, CALLS_A_BLOCK = 60, 4  # of torch in a step, and for each block of H


@dataclass
class InteriorState:
    """What a checkpoint keeps of an `InteriorSubproblem`; see there."""

    W: Tensor
    best: BestPoint
    lower: float
    idle: int
    inside: Tensor = field(metadata=OF_ROWS)
    u: Tensor = field(metadata=OF_ROWS)
    slack: Tensor = field(metadata=OF_ROWS)
    dual_point: Tensor = field(metadata=OF_ROWS)


@dataclass
class InteriorPointState(SequentialState):
    """See `SequentialState`."""

    fit: InteriorState | None


class InteriorPoint(SequentialSolver):
    """The interior-point method for `svm`, `crammer_singer` and `one_vs_rest`, in one process."""

    name = "interior_point"
    State = InteriorPointState

    @classmethod
    def supports(cls, objective: Objective) -> str | None:
        """See `Solver.supports`."""
        return super().supports(objective) or missing(
            (objective.communicator.size == 1, "one process"),
            (_is_small(objective), f"few rows and features; this loss is {objective.loss.name}"),
            (bool(objective.penalty.bounds_below.all()), "reg > 0"),
        )

    @classmethod
    def cost(cls, objective: Objective) -> float:
        """See `Solver.cost`: as many H, each with its factor; configurations start afresh."""
        K, C, width = objective.shape
        step = _work_of_hessian(objective) + (C * width) ** 3 / 3 + (CALLS + CALLS_A_BLOCK * C * C) * CALL
        return K * USUAL_STEPS * step

    def first_fit(self, part: Objective, W: Tensor, last: WarmStart | None) -> InteriorSubproblem:
        """See `SequentialSolver.first_fit`. Every configuration starts in the middle: a path ends at corners."""
        return InteriorSubproblem(part)

    def restored_fit(self, part: Objective, state: Any) -> InteriorSubproblem:
        """See `SequentialSolver.restored_fit`."""
        return InteriorSubproblem.restored(part, state)


@dataclass
class Step:
    """Changes of W, b, u and ξ."""

    W: Tensor
    b: Tensor
    u: Tensor
    slack: Tensor


class InteriorSubproblem(DualSubproblem):
    """One configuration; see `sequential.DualSubproblem`.

    Args:
        objective: The one configuration.
    """

    dual_point = torch.empty(0)

    def __init__(self, objective: Objective) -> None:
        self.objective = objective.in_dtype(torch.float64)
        self.X = self.objective.design.table()
        self.penalty = objective.penalty
        self.weights = row_weights(objective)[:, None]
        self.W = torch.zeros(objective.shape[1:], dtype=torch.float64, device=objective.device)
        self.margins_used = self._used()
        self.shared = self.loss.sum_bounded
        z = self._margins()
        count = self.margins_used.sum(dim=1, keepdim=True) + 1 if self.shared else 2.0
        self.inside = self.margins_used / count
        top = z.amax(dim=1, keepdim=True) if self.shared else z
        self.slack = top.clamp_min(0.0) + 1.0
        self.u = torch.where(self.margins_used > 0, self.slack - z, 1.0)
        self.best, self.idle = BestPoint(self.W), 0
        self.lower, self.dual_point = -float("inf"), self.b

    # ---------------------------------------------------------------- what `SequentialSolver` asks for

    @property
    def b(self) -> Tensor:
        """(N, 1, C) dual variables."""
        return self.inside[:, None]

    @property
    def bound(self) -> float:
        """The best lower bound so far."""
        return self.lower

    @property
    def exhausted(self) -> bool:
        """Whether steps have stopped helping."""
        return self.idle >= PATIENCE

    def advance(self) -> float:
        """Take a predictor–corrector step and its bounds; two passes' worth of products, and H."""
        factor = self._factor()
        lack, target = self._lack(), self._mean_product()
        predictor = self._solve(factor, -self.inside * self.u, -lack * self.slack)
        aimed = self._mean_product(predictor, self._length(predictor))
        goal = target * min(1.0, (aimed / max(target, 1e-300)) ** 3)
        second = predictor.b.sum(dim=1, keepdim=True) if self.shared else predictor.b
        step = self._solve(
            factor,
            goal - self.inside * self.u - predictor.b * predictor.u,
            goal - lack * self.slack + second * predictor.slack,
        )
        length = INWARD * self._length(step) if self._length(step) < 1 else 1.0 - 1e-3
        self.W = self.W + length * step.W
        self.inside = self.inside + length * step.b
        self.u, self.slack = self.u + length * step.u, self.slack + length * step.slack
        self._look()
        return 2.0

    # ---------------------------------------------------------------- the method

    def _used(self) -> Tensor:
        """Return (N, C): 1 where a row has a margin, 0 in the right class's column of `svm`."""
        used = torch.ones(len(self.X), self.W.shape[0], dtype=torch.float64, device=self.X.device)
        if self.loss.own_margin:
            return used
        return used.scatter_(1, self.objective.y[:, None], 0.0)

    def _margins(self) -> Tensor:
        return self.loss.margins((self.X @ self.W.t())[:, None], self.objective.y)[:, 0]

    def _change(self, step: Tensor) -> Tensor:
        """Return J X̂ dW (N, C)."""
        return self.loss.margin_change((self.X @ step.t())[:, None], self.objective.y)[:, 0]

    def _adjoint(self, b: Tensor) -> Tensor:
        """Return Σ_i w_i (Jᵀb_i) x̂_iᵀ (C, D + 1)."""
        A = self.loss.to_scores((b * self.margins_used)[:, None].clone(), self.objective.y)[:, 0]
        return (A * self.weights).t() @ self.X

    def _lack(self) -> Tensor:
        """Return what b lacks of its upper bound: 1 − b, or 1 − Σ b."""
        total = self.inside.sum(dim=1, keepdim=True) if self.shared else self.inside
        return (1.0 - total).clamp_min(1e-300)

    def _mean_product(self, step: Step | None = None, length: float = 0.0) -> float:
        """Return the mean of all products after a step."""
        if step is None:
            low, high = self.inside * self.u, self._lack() * self.slack
        else:
            second = step.b.sum(dim=1, keepdim=True) if self.shared else step.b
            low = (self.inside + length * step.b) * (self.u + length * step.u)
            high = (self._lack() - length * second) * (self.slack + length * step.slack)
        used = self.margins_used
        high_used = torch.ones_like(high) if self.shared else used
        return float(((low * used).sum() + (high * high_used).sum()) / (used.sum() + high_used.sum()))

    def _factor(self) -> tuple[Tensor, Tensor]:
        """Return H's Cholesky factor, and p = b/u with which Θ is applied."""
        used = self.margins_used
        p = self.inside / self.u * used
        theta = (
            p if self.shared else used / (self.slack / self._lack() + self.u / self.inside.clamp_min(1e-300))
        )
        C, width = self.W.shape
        H = torch.zeros(C, C, width, width, dtype=torch.float64, device=self.X.device)
        classes = torch.arange(C)
        for label in range(C):
            plus, minus = self.loss.differences(classes, torch.full_like(classes, label))
            rows = (self.objective.y == label).nonzero().flatten()
            X, weight = self.X[rows], (theta * self.weights)[rows]
            for j in range(C):
                if self.loss.own_margin or j != label:
                    gram = (X * weight[:, j : j + 1]).t() @ X
                    _add_outer(H, gram, int(plus[j]), int(minus[j]))
        flat = H.permute(0, 2, 1, 3).reshape(C * width, C * width)
        if self.shared:
            flat -= self._shared_part(p)
        ridge = self.penalty.ridge(self.W[0]).repeat(C)
        scale = float(flat.diagonal().mean()) + float(self.penalty.curvature[0])
        flat.diagonal().add_(ridge + 1e-14 * scale)
        factor, info = torch.linalg.cholesky_ex(flat)
        while int(info):
            flat.diagonal().add_(1e-12 * scale)
            scale *= 10
            factor, info = torch.linalg.cholesky_ex(flat)
        return factor, p

    def _shared_part(self, p: Tensor) -> Tensor:
        """Return what a slack shared by a row's margins takes from H: one outer product a row."""
        total = self._lack() + self.slack * p.sum(dim=1, keepdim=True)
        A = self.loss.to_scores(p[:, None].clone(), self.objective.y)[:, 0]
        Q = (A[:, :, None] * self.X[:, None, :]).flatten(1)
        return Q.t() @ (Q * (self.weights * self.slack / total))

    def _solve(self, factor: tuple[Tensor, Tensor], low: Tensor, high: Tensor) -> Step:
        """Return the step on which the products b u and (what b lacks) ξ change by ``low`` and ``high``."""
        H, p = factor
        residual = self.penalty.gradient(self.W[None])[0] + self._adjoint(self.inside)
        constant = self._db(p, torch.zeros_like(self.inside), low, high)[0]
        right = -(residual + self._adjoint(constant))
        dW = torch.cholesky_solve(right.flatten()[:, None], H).view_as(self.W)
        db, slack = self._db(p, self._change(dW), low, high)
        u = torch.where(self.margins_used > 0, slack - self._change(dW), 0.0)
        return Step(dW, db, u, slack)

    def _db(self, p: Tensor, dz: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Return db and dξ for a change of margins: both pairs' equations, row by row."""
        used, lack = self.margins_used, self._lack()
        if self.shared:
            pull = ((low / self.u + p * dz) * used).sum(dim=1, keepdim=True)
            slack = (high + self.slack * pull) / (lack + self.slack * p.sum(dim=1, keepdim=True))
            return (low - self.inside * (slack - dz)) / self.u * used, slack
        inside = self.inside.clamp_min(1e-300)
        theta = used / (self.slack / lack + self.u / inside)
        db = theta * (dz - high / lack + low / inside)
        return db, (high + self.slack * db) / lack

    def _length(self, step: Step) -> float:
        """Return the length at which the step meets the first bound."""
        used = self.margins_used > 0
        every = torch.ones_like(self.slack, dtype=torch.bool) if self.shared else used
        second = step.b.sum(dim=1, keepdim=True) if self.shared else step.b
        pairs = [
            (self.inside[used], step.b[used]),
            (self.u[used], step.u[used]),
            (self.slack[every], step.slack[every]),
            (self._lack()[every], -second[every]),
        ]
        return min(float(torch.where(d < 0, -v / d, torch.inf).min()) for v, d in pairs)

    def _look(self) -> None:
        """Take P and the bound at the present point."""
        before = (self.best.primal, self.lower)
        z = self._margins()
        mean = float((self.loss.support(z[:, None]) * self.weights).sum())
        value = mean + float(self.penalty.value(self.W[None])[0])
        self.best.offer(self.W, value)
        gain = self.loss.neg_conjugate(self.inside[:, None], self.objective.y)
        conjugate = (gain * self.weights).sum()[None].cpu()
        bound = float(self.objective.dual_value(self._adjoint(self.inside)[None], conjugate)[0])
        if bound > self.lower:
            self.lower, self.dual_point = bound, self.b
        better = self.best.primal < before[0] or self.lower > before[1]
        self.idle = 0 if better else self.idle + 1

    # ---------------------------------------------------------------- checkpoints

    def state(self) -> InteriorState:
        """See `sequential.DualSubproblem.state`."""
        return taken_from(InteriorState, self)

    @classmethod
    def restored(cls, objective: Objective, state: InteriorState) -> InteriorSubproblem:
        """Return the fit whose `state` this is."""
        fit = cls(objective)
        given_to(fit, state)
        return fit


def _add_outer(H: Tensor, gram: Tensor, plus: int, minus: int) -> None:
    """Add (e_plus − e_minus)(e_plus − e_minus)ᵀ ⊗ gram to H (C, C, D + 1, D + 1); −1 stands for no class."""
    for one in (plus, minus):
        if one >= 0:
            H[one, one] += gram
    if plus >= 0 and minus >= 0:
        H[plus, minus] -= gram
        H[minus, plus] -= gram


def _is_small(objective: Objective) -> bool:
    """Tell whether H can be formed: by its size, the rows' and the operations it takes."""
    _, C, width = objective.shape
    few = C * width <= MOST_UNKNOWNS and objective.n_samples * width <= MOST_ENTRIES
    return few and _work_of_hessian(objective) <= MOST_WORK


def _work_of_hessian(objective: Objective) -> float:
    """Return the operations of one H."""
    _, C, width = objective.shape
    outer = C * C if piecewise(objective.loss).sum_bounded else C
    return 2.0 * objective.n_samples * outer * width * width
