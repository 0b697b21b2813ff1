"""Hinges by an augmented Lagrangian: smooth around a moving centre, Newton steps, a certificate in each.

A hinge is max over b in B of ⟨b, z⟩. With −μ/2 ‖b − c‖² inside it is smooth, b = project(c + z/μ) is its gradient
and a dual point; when W is near the smoothed optimum, c moves to b, and the smoothing costs nothing in the
limit: μ need not go to zero (this is the proximal point method on the dual). For every W

    P(W) − D(b) = Σ_i w_i [ℓ(z_i) − ⟨b_i, z_i⟩] + ‖∇f(W)‖²/(4 reg),

the first term from the smoothing, the second from the distance to the smoothed optimum: the two are what
decides whether to go on with W or to move the centre. The bound is taken over the convex hull of the last few
dual points, whose V = X̂ᵀA are at hand.

Configurations are solved one after another, large reg first, each from the answer of the one before: W and b
are continuous in reg, and a path costs a few passes a value.

References:
    Rockafellar, "Augmented Lagrangians and applications of the proximal point algorithm in convex programming",
    Math. Oper. Res. 1, 1976. Li, Sun and Toh, "A highly efficient semismooth Newton augmented Lagrangian method
    for solving Lasso problems", SIAM J. Optim. 28, 2018.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from straightedge.losses.hinge import HingeLoss
from straightedge.objective import Block, Objective
from straightedge.solvers.base import Progress
from straightedge.solvers.hinge_fit import FIRST_MU, PATIENCE, WARM_MU, Fit
from straightedge.solvers.hinge_hull import DualHull
from straightedge.solvers.hinge_newton import Metric
from straightedge.solvers.hinge_products import row_weights, scores

ROUNDING = 2e-6  # of P: what sums of float32 products may be off by


class HingeALM:
    """The augmented Lagrangian for every hinge with a projection: `svm`, `crammer_singer`, `one_vs_rest`."""

    name = "hinge_alm"
    own_certificate = True
    refines = True

    def __init__(self) -> None:
        self.metric: Metric | None = None
        self.fit: Fit | None = None
        self.current = -1
        self._last: Fit | None = None

    def start(self, objective: Objective, W: Tensor | None, tol: float) -> Progress:
        """See `Solver.start`. At W = 0, the default, value and bound are known without a pass."""
        self._last = self._last if self.fit is None else self.fit
        self.objective, self.tol = objective, tol
        self.fit, self.current = None, -1
        first = torch.zeros(objective.shape) if W is None else W
        self.W = first.to(objective.device, objective.dtype)
        self._value = _objective_at_zero(objective)
        self._bound = torch.zeros_like(self._value)
        cost = torch.zeros(objective.n_configs, dtype=torch.float64)
        moved = (self.W != 0).flatten(1).any(dim=1)
        if bool(moved.any()):
            known = objective.evaluate(self.W)
            self._value, cost = known.objective.clone(), cost + 1.0
        return self._progress(cost)

    def step(self) -> Progress:
        """See `Solver.step`: a Newton step of the configuration that is being worked on."""
        cost = torch.zeros(len(self._value), dtype=torch.float64)
        if self.fit is None:
            self._begin()
        fit, metric = self.fit, self.metric
        assert fit is not None and metric is not None
        cost[self.current] = fit.advance(metric, self.tol)
        self._value[self.current] = fit.best_objective
        self._bound[self.current] = max(0.0, fit.hull.bound - self._slack() * fit.best_objective)
        self.W[self.current] = fit.best_weight
        return self._progress(cost)

    def _slack(self) -> float:
        """Return what a float32 bound is lowered by, so that the proof in float64 does not come out worse."""
        return 0.0 if self.objective.dtype == torch.float64 else min(0.02 * self.tol, ROUNDING)

    def _progress(self, cost: Tensor) -> Progress:
        exhausted = torch.zeros(len(self._value), dtype=torch.bool)
        if self.fit is not None:
            exhausted[self.current] = self.fit.idle >= PATIENCE
        return Progress(self.W.clone(), self._value.clone(), self._bound.clone(), cost, exhausted)

    def _begin(self) -> None:
        """Take up the next configuration: the largest reg of the first fold that is left."""
        objective = self.objective
        order = sorted(
            range(objective.n_configs), key=lambda k: (int(objective.fold[k]), -float(objective.reg[k]))
        )
        self.current = order[0]
        if self.metric is None or self.metric.moment.dtype != objective.dtype:
            self.metric = Metric(objective)
        part = objective.select(torch.tensor([self.current]))
        self.fit = self._first_fit(part, self.W[self.current])
        self.fit.look()

    def _first_fit(self, part: Objective, W: Tensor) -> Fit:
        """Return a fit from the last configuration's answer, from W, or from 0."""
        last, loss = self._last, part.loss
        assert isinstance(loss, HingeLoss)
        mu, centre = (
            FIRST_MU,
            torch.zeros(len(part.y), 1, part.n_classes, dtype=part.dtype, device=part.device),
        )
        if last is not None and len(last.b) == len(part.y):
            mu, centre = WARM_MU, last.b.to(part.dtype)
            W = last.W.to(part.dtype)
        elif bool((W != 0).any()):
            mu = WARM_MU
        if bool((W != 0).any()):
            S = scores(part, W)
        else:
            S = torch.zeros_like(centre)
        return Fit(part, row_weights(part), W, loss.margins(S, part.y), centre, mu, DualHull(part))

    def keep(self, positions: Tensor) -> None:
        """See `Solver.keep`. The configuration that left starts the next one."""
        kept = positions.tolist()
        self.objective = self.objective.select(positions)
        self.W, self._value, self._bound = self.W[positions], self._value[positions], self._bound[positions]
        if self.current in kept:
            self.current = kept.index(self.current)
        elif self.fit is not None:
            self._last, self.fit, self.current = self.fit, None, -1

    def certify(self, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `Solver.certify`: one pass in float64 at the best W, with the best dual point for the bound."""
        W, value, bound = self.W[positions].to(torch.float64), self._value[positions], self._bound[positions]
        for place, k in enumerate(positions.tolist()):
            if self.fit is not None and k == self.current and len(self.fit.hull.b):
                part = self.fit.objective.in_dtype(torch.float64)
                value[place], bound[place] = proven(part, W[place], self.fit.hull.b)
            else:
                whole = self.objective.in_dtype(torch.float64).select(positions[place : place + 1])
                value[place] = whole.evaluate(W[place : place + 1]).objective[0]
        return W, value, bound

    def state(self) -> dict[str, Tensor]:
        """See `Solver.state`."""
        state = {"W": self.W, "value": self._value, "bound": self._bound}
        state["current"] = torch.tensor(self.current)
        if self.metric is not None:
            state["metric"] = torch.tensor([self.metric.made_for], dtype=torch.float64)
        for name, fit in (("fit", self.fit), ("last", self._last)):
            if fit is not None:
                state |= {f"{name}.{key}": value for key, value in fit.state().items()}
        return state

    def restore(self, objective: Objective, state: dict[str, Tensor], tol: float) -> Progress:
        """See `Solver.restore`. Σ and its factor are computed anew: they depend on the data alone."""
        self.objective, self.tol = objective, tol
        self.W, self._value, self._bound = (state[name].clone() for name in ("W", "value", "bound"))
        self.current = int(state["current"])
        if "metric" in state:
            kappa, reg = state["metric"][0].tolist()
            self.metric = Metric(objective)
            if reg > 0:
                self.metric.fit(kappa, reg)
        self.fit, self._last = (self._restored(name, state) for name in ("fit", "last"))
        return self._progress(torch.zeros(objective.n_configs, dtype=torch.float64))

    def _restored(self, name: str, state: dict[str, Tensor]) -> Fit | None:
        own = {k.removeprefix(f"{name}."): v for k, v in state.items() if k.startswith(f"{name}.")}
        if not own:
            return None
        part = self.objective.select(torch.tensor([max(0, self.current)]))
        return Fit.restored(part, own)


def proven(objective: Objective, W: Tensor, b: Tensor) -> tuple[float, float]:
    """Return P(W) and D(b), sums and products in the objective's float type; one pass.

    Args:
        objective: One configuration, in float64.
        W: (C, D + 1).
        b: (N, 1, C) dual variables, in B up to rounding.
    """
    loss = objective.loss
    assert isinstance(loss, HingeLoss)

    def score_function(S: Tensor, block: Block) -> Sequence[Tensor]:
        y = objective.y[block.start : block.stop]
        value = loss.support(loss.margins(S, y))
        own = loss.project(b[block.start : block.stop].to(S.dtype, copy=True), y)
        conjugate = own.sum(dim=2)
        S.copy_(loss.to_scores(own, y))
        return value, conjugate

    sums, V = objective.sweep(W[None], score_function)
    value = sums[0] + objective.reg * objective.square_norm(W[None])
    return float(value[0]), float(objective.dual_value(V, sums[1])[0])


def _objective_at_zero(objective: Objective) -> Tensor:
    """Return (K,) float64: P(0), the loss of a row of zero scores, whatever the data."""
    S = torch.zeros(1, objective.n_configs, objective.n_classes, dtype=torch.float64)
    return objective.loss.value_and_gradient(S, torch.zeros(1, dtype=torch.int64))[0]
