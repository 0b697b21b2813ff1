"""One configuration of the augmented Lagrangian: W, the centre, and the steps of both (see `blocks`)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from straightedge.objective import Objective
from straightedge.solvers.hinge.blocks.active_margins import adjoint_of_change
from straightedge.solvers.hinge.blocks.directions import gcr, pcg
from straightedge.solvers.hinge.blocks.dual_bundle import BundleState, DualBundle
from straightedge.solvers.hinge.blocks.hessian import Hessian
from straightedge.solvers.hinge.blocks.preconditioner import Metric
from straightedge.solvers.hinge.blocks.records import (
    FORCING_FINE,
    BlockSubproblemState,
    Change,
    Control,
    DualVariables,
)
from straightedge.solvers.hinge.blocks.subspace import SPAN, Span
from straightedge.solvers.hinge.half_pass import adjoint, row_weights, scores
from straightedge.solvers.hinge.sequential import SAFE, BestPoint, DualSubproblem
from straightedge.solvers.state import taken_from

FIRST_MU = 4.0  # margins are of size 1 at W = 0: every pair starts between its bounds
WARM_MU = 0.5
MU_FACTOR = 0.3
SLOW_MU_FACTOR = 0.5
LEAST_MU = 2.0**-10
SETTLED = 0.1  # f within this part of the smoothing's share of the gap: move the centre
SOLVED = 0.3  # the dual within so many times it: b is near enough to the solution of the smoothed problem
NEAR = 1.0  # times the tolerance: a smoothing's share up to which the dual is solved before the centre moves
FINE_NEAR = 4.0  # and from which a fine fit leaves no row out
MOST_DUAL_STEPS = 6
BLUNT = 50.0  # times as much of I in the metric of such steps: the longest ones take half the iterations
FORCING = 0.3, 0.2  # the same of dual steps: the first is clipped most, so it is solved most loosely
SHRINK = 4.0  # times the tolerance: a smoothing's share from which μ falls as the centre moves
STUCK = 5  # steps without a better gap before a fine fit raises μ
DAMPING = 0.6, 0.9, 0.5  # lengths of a Newton step that call for more damping or less, and the least there is
FINE_DAMPING = 0.2, 0.7, 0.02
PATIENCE = 100  # steps without a better gap before the float type is called exhausted
FINE = 1e-4
"""Gaps below this are reached in the primal, with small μ and margins computed anew at each centre."""
COARSE = 1e-3  # gaps above this are reached with fewer and larger steps of μ
MOST_UPDATES = 16  # of V before it is summed anew


@dataclass
class BlockSubproblem(DualSubproblem):
    """One configuration on its way.

    Attributes:
        objective: The one configuration.
        metric: Of its rows, shared by all configurations.
        tol: Relative gap asked for.
        weights: (N,) row weights.
        W: (C, D + 1).
        z: (N, 1, C) margins at W.
        centre: (N, 1, C) c.
        control: What steers the steps.
        hull: Dual points, and the best bound from them.
        best: The best W so far.
        changes: The last few steps.
        dual: The present dual variables.
        gradient: (C, D + 1) ∇f at W.
        smoothing: What the gap has of the smoothing.
    """

    objective: Objective
    metric: Metric
    tol: float
    weights: Tensor
    W: Tensor
    z: Tensor
    centre: Tensor
    control: Control
    hull: DualBundle
    best: BestPoint
    changes: list[Change] = field(default_factory=list)
    dual: DualVariables = field(default_factory=DualVariables)
    gradient: Tensor = field(default_factory=lambda: torch.empty(0))
    smoothing: float = float("inf")

    @property
    def b(self) -> Tensor:
        """(N, 1, C) the present dual variables."""
        return self.dual.b

    @property
    def bound(self) -> float:
        """The best lower bound so far."""
        return self.hull.bound

    @property
    def dual_point(self) -> Tensor:
        """(N, 1, C) the dual variables that `bound` belongs to."""
        return self.hull.b

    @property
    def exhausted(self) -> bool:
        """Whether steps have stopped helping."""
        return self.control.stalled >= PATIENCE

    @property
    def fine(self) -> bool:
        """Whether the tolerance is one that steps of the dual would not reach."""
        return self.tol < FINE

    @property
    def near(self) -> bool:
        """Whether the smoothing's share of the gap is nearly small enough."""
        return self.smoothing <= (FINE_NEAR if self.fine else NEAR) * self.tol * self.best.primal

    def state(self) -> BlockSubproblemState:
        """See `sequential.DualSubproblem.state`."""
        return taken_from(BlockSubproblemState, self)

    @property
    def bundle(self) -> BundleState:
        """The state of the dual points."""
        return self.hull.state

    @classmethod
    def restored(
        cls, objective: Objective, metric: Metric, tol: float, state: BlockSubproblemState
    ) -> BlockSubproblem:
        """Return the fit whose `state` this is."""
        own = dict(vars(state))
        hull = DualBundle(objective, own.pop("bundle"))
        return cls(objective, metric, tol, row_weights(objective), hull=hull, **own)

    def sum(self, *arrays: Tensor) -> list[float]:
        """Return the weighted sums of arrays (N, 1, C) over rows and classes, and over all ranks, in float64."""
        parts = torch.stack([(self.weights @ array[:, 0].to(torch.float64)).sum() for array in arrays])
        return [float(v) for v in self.objective.communicator.all_reduce(parts)]

    def look(self) -> None:
        """Take bounds, b and ∇f at W; half a pass."""
        objective, loss = self.objective, self.loss
        z = self.z
        V = self._take_dual(loss.project(self.centre + z / self.control.mu, objective.y))
        linear, conjugate = self.sum(self.b * z, self._neg_conjugate())
        mean = self.sum(loss.support(z)[:, :, None])[0]
        self.gradient = self._gradient_at(self.W, V)
        self.smoothing = mean - linear
        before = self.gap
        self._take(self.W, z, mean)
        self.hull.add(self.b, V, conjugate)
        self.control.stalled = 0 if self.gap < 0.999 * before else self.control.stalled + 1

    def _neg_conjugate(self) -> Tensor:
        """Return −ℓ* of each row's dual variables, (N, 1, 1)."""
        return self.loss.neg_conjugate(self.b, self.objective.y)[:, :, None]

    def _gradient_at(self, W: Tensor, V: Tensor) -> Tensor:
        """Return V + 2 reg W (C, D + 1), which is ∇f where V is of b at W, in the type of W."""
        return (V + self.objective.penalty.gradient(W[None].to(torch.float64))[0]).to(W.dtype)

    def _distance(self, gradient: Tensor) -> float:
        """Return ‖V + 2 reg W‖²/(4 reg): what a lower bound is off by, beside the smoothing."""
        return float(self.objective.penalty.distance(gradient[None])[0])

    def _take_dual(self, b: Tensor) -> Tensor:
        """Go on with other dual variables (N, 1, C); return their V. Most of them have not changed."""
        objective, dual, change = self.objective, self.dual, None
        if len(dual.V) > 0 and dual.updates < MOST_UPDATES:
            change = adjoint_of_change(objective, dual.b, b, self.weights)
        if change is None:
            V = adjoint(objective, self.loss.to_scores(b.clone(), objective.y), self.weights)
            self.dual = DualVariables(V, 0, b)
        else:
            self.dual = DualVariables(dual.V + change, dual.updates + 1, b)
        return self.dual.V

    def _take(self, W: Tensor, z: Tensor, mean: float) -> None:
        """Keep W and its margins if, with this mean loss, it is the best so far."""
        self.best.offer(W, mean + float(self.objective.penalty.value(W[None])[0]), z)

    def advance(self) -> float:
        """Take one Newton step, after moving the centre if it is time to; return the passes it took."""
        cost, self.control.pending = self.control.pending, 0.0
        if self.fine and self.control.stalled >= STUCK and not self.control.outer_exact:
            cost += self._take_centre_back()
        direction, spent = self._direction()
        cost += spent
        if self._settled(direction):
            cost += self._move_centre()
            if self.gap <= SAFE * self.tol:
                return cost
            cost += self._look_again()
            direction, spent = self._direction()
            cost += spent
        length = self._search(direction)
        change = self.changes[-1]
        self._adapt(length)
        self.W, self.z = self.W + change.step, self.z + change.margins
        self.look()
        return cost + 1.0

    def _take_centre_back(self) -> float:
        """Go back to the best dual point with a larger μ, since the centre ran ahead of W; return the passes."""
        self.control.outer_exact = True
        self.control.mu, self.centre, self.changes = min(self.control.mu * 8, FIRST_MU), self.hull.b, []
        return self._look_again()

    def _settled(self, direction: Tensor) -> bool:
        """Tell whether W is near the smoothed optimum while the smoothing is what holds the gap."""
        small = 0.5 * self.tol * self.best.primal
        if self.fine and self.smoothing <= small:
            return False
        if self.control.outer_exact:
            return self._distance(self.gradient) <= SETTLED * self.smoothing
        decrement = -float((self.gradient * direction).sum(dtype=torch.float64))
        return decrement <= SETTLED * max(self.smoothing, small)

    def _move_centre(self) -> float:
        """Move the centre to b, once b solves the smoothed problem where that counts; return the passes."""
        cost = self._solve_dual() if self.near and not self.fine else 0.0
        if self.smoothing > SHRINK * self.tol * self.best.primal:
            self.control.mu = max(self.control.mu * (MU_FACTOR if self.tol >= COARSE else SLOW_MU_FACTOR), LEAST_MU)
        self.centre = self.b
        return cost

    def _solve_dual(self) -> float:
        """Bring b to the solution of the smoothed problem's dual by projected Newton steps; return the passes.

        In the primal the last digits come slowly: a step changes which pairs are between their bounds, and
        ‖∇f‖²/(4 reg) suffers from each. In the dual these pairs are known by now, and a step only finds that
        some of them leave: b moves by T J X̂Δ/μ, is cut off at its bounds, and Δ answers to what is left of
        V + 2 reg W (Bertsekas, "Projected Newton methods", SIAM J. Control Optim. 20, 1982).

        What the steps come to in W is too far in the primal, but a good direction there: the next search has it.
        """
        objective, metric, residual = self.objective, self.metric, self.gradient
        W, cost, goal = self.W, 0.5, SAFE * self.tol * self.best.primal
        for step in range(MOST_DUAL_STEPS):
            hessian = Hessian.at(objective, metric, self.b, self.control.mu, self.weights, complete=True)
            if metric.is_stale(objective, hessian.cost, hessian.index):
                metric.refit(objective, hessian.index)
                cost += hessian.cost / 2
            hessian.metric = metric.blunt
            hessian.metric.fit(hessian.curvature / BLUNT, objective.penalty)
            direction, products = gcr(hessian, residual, FORCING[min(step, 1)])
            metric.products += products
            W = W + direction
            V = self._take_dual(self._moved(hessian, direction))
            residual = self._gradient_at(W, V)
            self.hull.add(self.b, V, self.sum(self._neg_conjugate())[0])
            cost += products * hessian.cost + (hessian.cost if hessian.rest is None else 1.0)
            distance = self._distance(residual)
            if self.gap <= SAFE * self.tol or distance <= max(SOLVED * self.smoothing, goal - self.smoothing):
                break
        z = self.loss.margins(scores(objective, W), objective.y)
        self._take(W, z, self.sum(self.loss.support(z)[:, :, None])[0])
        self.changes.append(Change(W - self.W, z - self.z))
        return cost

    def _moved(self, hessian: Hessian, direction: Tensor) -> Tensor:
        """Return b (N, 1, C) moved along a direction (C, D + 1) by T J X̂Δ/μ, and cut off at its bounds."""
        loss, y = self.loss, self.objective.y
        rows: Tensor | slice = slice(None)
        if hessian.rest is None:  # all rows that move are at hand
            rows, change = hessian.index, hessian.moves(direction)
        else:
            change = loss.margin_change(scores(self.objective, direction), y)
            loss.projection_jacobian(self.b).apply(change)
        b = self.b.clone()
        b[rows] = loss.project(b[rows] + change / self.control.mu, y[rows])
        return b

    def _look_again(self) -> float:
        cost = 0.5
        if self.fine:  # rounding of the running margins would show
            self.z = self.loss.margins(scores(self.objective, self.W), self.objective.y)
            cost += 0.5
        self.look()
        return cost

    def _direction(self) -> tuple[Tensor, float]:
        """Return a Newton direction and the passes it cost."""
        last = self.fine and self.near
        hessian = Hessian.at(
            self.objective,
            self.metric,
            self.b,
            self.control.mu,
            self.weights,
            damping=self.control.damping,
            complete=last,
        )
        self.metric.fit(hessian.curvature, self.objective.penalty)
        direction, products = pcg(hessian, self.gradient, FORCING_FINE if last else self.control.forcing)
        return direction, products * hessian.cost

    def _search(self, direction: Tensor) -> float:
        """Find the best point of the span of the direction and the last steps; it becomes the last step."""
        dz = self.loss.margin_change(scores(self.objective, direction), self.objective.y)
        self.changes = [*self.changes[-(SPAN - 1) :], Change(direction, dz)]
        pairs = [(change.step, change.margins) for change in self.changes]
        tau = Span(self.objective, self.weights, self.W, self.z, self.centre, self.control.mu, pairs).minimiser()
        step = sum(float(t) * x for t, (x, _) in zip(tau, pairs, strict=True))
        change = sum(float(t) * d for t, (_, d) in zip(tau, pairs, strict=True))
        assert isinstance(step, Tensor) and isinstance(change, Tensor)
        self.changes[-1] = Change(step, change)
        return float(tau[-1])

    def _adapt(self, length: float) -> None:
        """Damp the next Newton step if this one was far too long, less if it was about right."""
        short, long, least = FINE_DAMPING if self.fine else DAMPING
        if length < short:
            self.control.damping = max(4 * self.control.damping, least)
        elif length > long:
            self.control.damping = 0.0 if self.control.damping <= least else self.control.damping / 4
