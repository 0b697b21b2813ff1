"""One configuration of the augmented Lagrangian: W, the centre, and the steps of both (see `hinge_alm`)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from straightedge.objective import Objective
from straightedge.solvers.hinge_hull import DualHull
from straightedge.solvers.hinge_newton import (
    Hessian,
    Metric,
    least_residual,
    newton_direction,
)
from straightedge.solvers.hinge_pairs import adjoint_of_change
from straightedge.solvers.hinge_products import adjoint, row_weights, scores
from straightedge.solvers.hinge_span import SPAN, Span
from straightedge.solvers.one_by_one import SAFE, OneHinge
from straightedge.solvers.protocol import state_under

FIRST_MU = 4.0  # margins are of size 1 at W = 0: every pair starts between its bounds
WARM_MU = 0.5
MU_FACTOR = 0.3
SLOW_MU_FACTOR = 0.5
LEAST_MU = 2.0**-10
SETTLED = 0.1  # f within this part of the smoothing's share of the gap: move the centre
SOLVED = 1.0  # the dual within so many times it: b is near enough to the solution of the smoothed problem
NEAR = 1.0  # times the tolerance: a smoothing's share up to which the dual is solved before the centre moves
FINE_NEAR = 4.0  # and from which a fine fit leaves no row out
MOST_DUAL_STEPS = 6
BLUNT = 50.0  # times as much of I in the metric of such steps: the longest ones take half the iterations
RESIDUAL, WARM_RESIDUAL, FINE_RESIDUAL = 0.3, 0.4, 0.01  # of ∇f that a Newton step of the primal may leave
FORCING = 0.3, 0.2  # residuals of the first such step, whose b is cut off most, and of the others
SHRINK = 4.0  # times the tolerance: a smoothing's share from which μ falls as the centre moves
STUCK = 5  # steps without a better gap before a fine fit raises μ
DAMPING = 0.6, 0.9, 0.5  # lengths of a Newton step that call for more damping or less, and the least there is
FINE_DAMPING = 0.2, 0.7, 0.02
PATIENCE = 100  # steps without a better gap before the float type is called exhausted
FINE = (
    1e-4  # gaps below this are reached in the primal, with small μ and margins computed anew at each centre
)
COARSE = 1e-3  # gaps above this are reached with fewer and larger steps of μ
MOST_CHANGES = 16  # of V before it is summed anew
TENSORS = ("W", "z", "centre", "b", "V", "gradient", "best_weight", "best_margins")


@dataclass
class HingeFit(OneHinge):
    """One configuration on its way.

    Attributes:
        objective: The one configuration.
        metric: Of its rows, shared by all configurations.
        tol: Relative gap asked for.
        weights: (N,) row weights.
        W: (C, D + 1).
        z: (N, 1, C) margins at W.
        centre: (N, 1, C) c.
        mu: μ.
        hull: Dual points, and the best bound from them.
        changes: Last few directions with the margins' change along them: (C, D + 1) and (N, 1, C).
        b: (N, 1, C) dual variables.
        V: (C, D + 1) float64 Σ w x̂ (Jᵀb)ᵀ.
        damping: See `Hessian.at`.
        residual: Of ∇f that a Newton step may leave: more where the start is near, and steps soon change b.
        v_changes: Since it was summed over all rows.
        spent: Passes that the start took, to be told with the first step.
    """

    objective: Objective
    metric: Metric
    tol: float
    weights: Tensor
    W: Tensor
    z: Tensor
    centre: Tensor
    mu: float
    hull: DualHull
    changes: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    b: Tensor = field(default_factory=lambda: torch.empty(0))
    V: Tensor = field(default_factory=lambda: torch.empty(0))
    v_changes: int = 0
    gradient: Tensor = field(default_factory=lambda: torch.empty(0))
    smoothing: float = float("inf")
    best_objective: float = float("inf")
    best_weight: Tensor = field(default_factory=lambda: torch.empty(0))
    best_margins: Tensor = field(default_factory=lambda: torch.empty(0))
    idle: int = 0
    damping: float = 0.0
    residual: float = RESIDUAL
    strict: bool = False
    spent: float = 0.0

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
        return self.idle >= PATIENCE

    @property
    def fine(self) -> bool:
        """Whether the tolerance is one that steps of the dual would not reach."""
        return self.tol < FINE

    @property
    def near(self) -> bool:
        """Whether the smoothing's share of the gap is nearly small enough."""
        return self.smoothing <= (FINE_NEAR if self.fine else NEAR) * self.tol * self.best_objective

    def state(self) -> dict[str, Tensor]:
        """Return the tensors that `restored` makes the same fit of."""
        numbers = [
            self.mu,
            self.smoothing,
            self.best_objective,
            float(self.idle),
            self.damping,
            float(self.strict),
            self.spent,
            float(self.v_changes),
            self.residual,
        ]
        own = {name: getattr(self, name) for name in TENSORS}
        own["numbers"] = torch.tensor(numbers, dtype=torch.float64)
        for i, (direction, change) in enumerate(self.changes):
            own |= {f"direction.{i}": direction, f"change.{i}": change}
        return own | {f"hull.{name}": value for name, value in self.hull.state().items()}

    @classmethod
    def restored(cls, objective: Objective, metric: Metric, tol: float, state: dict[str, Tensor]) -> HingeFit:
        """Return the fit whose `state` this is."""
        own = {name: state[name] for name in TENSORS}
        mu, smoothing, best, idle, damping, strict, spent, v_changes, residual = state["numbers"].tolist()
        hull = DualHull.restored(objective, state_under("hull.", state))
        count = sum(1 for name in state if name.startswith("direction."))
        changes = [(state[f"direction.{i}"], state[f"change.{i}"]) for i in range(count)]
        fit = cls(
            objective,
            metric,
            tol,
            row_weights(objective),
            own["W"],
            own["z"],
            own["centre"],
            mu,
            hull,
            changes,
        )
        for name in TENSORS:
            setattr(fit, name, own[name])
        fit.smoothing, fit.best_objective, fit.idle, fit.damping = smoothing, best, int(idle), damping
        fit.strict, fit.spent, fit.v_changes, fit.residual = bool(strict), spent, int(v_changes), residual
        return fit

    def sum(self, *arrays: Tensor) -> list[float]:
        """Return the weighted sums of arrays (N, 1, C) over rows and classes, and over all ranks, in float64."""
        parts = torch.stack([(self.weights @ array[:, 0].to(torch.float64)).sum() for array in arrays])
        return [float(v) for v in self.objective.communicator.all_reduce(parts)]

    def look(self) -> None:
        """Take bounds, b and ∇f at W; half a pass."""
        objective, loss = self.objective, self.loss
        z = self.z
        V = self._take_dual(loss.project(self.centre + z / self.mu, objective.y))
        linear, conjugate = self.sum(self.b * z, self._neg_conjugate())
        mean = self.sum(loss.support(z)[:, :, None])[0]
        self.gradient = self._gradient_at(self.W, V)
        self.smoothing = mean - linear
        before = self.gap
        self._take(self.W, z, mean)
        self.hull.add(self.b, V, conjugate)
        self.idle = 0 if self.gap < 0.999 * before else self.idle + 1

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
        objective, change = self.objective, None
        if len(self.V) > 0 and self.v_changes < MOST_CHANGES:
            change = adjoint_of_change(objective, self.b, b, self.weights)
        if change is None:
            self.V = adjoint(objective, self.loss.to_scores(b.clone(), objective.y), self.weights)
            self.v_changes = 0
        else:
            self.V = self.V + change
            self.v_changes += 1
        self.b = b
        return self.V

    def _take(self, W: Tensor, z: Tensor, mean: float) -> None:
        """Keep W and its margins if, with this mean loss, it is the best so far."""
        value = mean + float(self.objective.penalty.value(W[None])[0])
        if value < self.best_objective:
            self.best_objective, self.best_weight, self.best_margins = value, W.clone(), z

    def advance(self) -> float:
        """Take one Newton step, after moving the centre if it is time to; return the passes it took."""
        cost, self.spent = self.spent, 0.0
        if self.fine and self.idle >= STUCK and not self.strict:  # the centre ran ahead of W
            self.strict = True
            self.mu, self.centre, self.changes = min(self.mu * 8, FIRST_MU), self.hull.b, []
            cost += self._look_again()
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
        step, change = self.changes[-1]
        self._adapt(length)
        self.W, self.z = self.W + step, self.z + change
        self.look()
        return cost + 1.0

    def _settled(self, direction: Tensor) -> bool:
        """Tell whether W is near the smoothed optimum while the smoothing is what holds the gap."""
        small = 0.5 * self.tol * self.best_objective
        if self.fine and self.smoothing <= small:
            return False
        if self.strict:
            return self._distance(self.gradient) <= SETTLED * self.smoothing
        decrement = -float((self.gradient * direction).sum(dtype=torch.float64))
        return decrement <= SETTLED * max(self.smoothing, small)

    def _move_centre(self) -> float:
        """Move the centre to b, once b solves the smoothed problem where that counts; return the passes."""
        cost = self._solve_dual() if self.near and not self.fine else 0.0
        if self.smoothing > SHRINK * self.tol * self.best_objective:
            self.mu = max(self.mu * (MU_FACTOR if self.tol >= COARSE else SLOW_MU_FACTOR), LEAST_MU)
        self.centre = self.b
        return cost

    def _solve_dual(self) -> float:
        """Bring b to the solution of the smoothed problem's dual by projected Newton steps; return the passes.

        In the primal the last digits come slowly: a step changes which pairs are between their bounds, and
        ‖∇f‖²/(4 reg) suffers from each. In the dual these pairs are known by now, and a step only finds that
        some of them leave: b moves by T J X̂Δ/μ, is cut off at its bounds, and Δ answers to what is left of
        V + 2 reg W (Bertsekas, "Projected Newton methods", SIAM J. Control Optim. 20, 1982).
        """
        objective, metric, residual = self.objective, self.metric, self.gradient
        W, cost, goal = self.W, 0.5, SAFE * self.tol * self.best_objective
        for step in range(MOST_DUAL_STEPS):
            hessian = Hessian.at(objective, metric, self.b, self.mu, self.weights, complete=True)
            if metric.outworn(hessian):
                metric.renew(objective, hessian.index)
                cost += hessian.cost / 2
            hessian.metric = metric.blunt
            hessian.metric.fit(hessian.curvature / BLUNT, objective.penalty)
            direction, products = least_residual(hessian, residual, FORCING[min(step, 1)])
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
        b[rows] = loss.project(b[rows] + change / self.mu, y[rows])
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
            self.objective, self.metric, self.b, self.mu, self.weights, damping=self.damping, complete=last
        )
        self.metric.fit(hessian.curvature, self.objective.penalty)
        direction, products = newton_direction(
            hessian, self.gradient, FINE_RESIDUAL if last else self.residual
        )
        return direction, products * hessian.cost

    def _search(self, direction: Tensor) -> float:
        """Find the best point of the span of the direction and the last steps; it becomes the last step."""
        dz = self.loss.margin_change(scores(self.objective, direction), self.objective.y)
        self.changes = [*self.changes[-(SPAN - 1) :], (direction, dz)]
        tau = Span(
            self.objective, self.weights, self.W, self.z, self.centre, self.mu, self.changes
        ).minimiser()
        step = sum(float(t) * x for t, (x, _) in zip(tau, self.changes, strict=True))
        change = sum(float(t) * d for t, (_, d) in zip(tau, self.changes, strict=True))
        assert isinstance(step, Tensor) and isinstance(change, Tensor)
        self.changes[-1] = (step, change)
        return float(tau[-1])

    def _adapt(self, length: float) -> None:
        """Damp the next Newton step if this one was far too long, less if it was about right."""
        short, long, least = FINE_DAMPING if self.fine else DAMPING
        if length < short:
            self.damping = max(4 * self.damping, least)
        elif length > long:
            self.damping = 0.0 if self.damping <= least else self.damping / 4
