"""Dual coordinate ascent over compressed rows as a `Solver`: one configuration after another."""

from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from torch import Tensor

from straightedge.objective import Objective
from straightedge.solvers.hinge.blocks.solver import HingeALM, HingeALMState
from straightedge.solvers.protocol import Progress, Solver, missing
from straightedge.solvers.sparse.bounds import Array, Ascent
from straightedge.solvers.sparse.dense_rows import compressed, follows_lagrangian, needs_of_dense_rows
from straightedge.solvers.sparse.duals import FORMS
from straightedge.solvers.sparse.narrow import Narrow, NarrowProblem, fits
from straightedge.solvers.sparse.problem import Configuration, SparseProblem
from straightedge.solvers.sparse.starts import AnyState, ascent_of, continued, first_point
from straightedge.solvers.sparse.two_classes import problem_of
from straightedge.solvers.state import OF_ROWS
from straightedge.solvers.work import LOADING, pass_work
from straightedge.status import Status

USUAL_EPOCHS = 30
LEAD = 60.0
"""Passes of the augmented Lagrangian before the first epoch, where rows disturb one another much: its b is then
worth 150 epochs at ρ = 20, in the time of 50."""


@dataclass
class Finished:
    """Where the next configuration begins.

    Attributes:
        W: (D + 1, C) that belongs to the last one's dual variables.
        curvature: Twice its reg.
        bias: (C,) its bias, where that is free.
        b: (N, C) its dual variables.
    """

    W: Array
    curvature: float
    bias: Array
    b: Array = field(metadata=OF_ROWS)


@dataclass
class SparseAscentState:
    """What a checkpoint keeps of `SparseDualAscent`.

    Attributes:
        W: (K', C, D + 1) the best points.
        primal: (K',) their P.
        bound: (K',) the best lower bounds.
        current: Position of the configuration that is being worked on, or −1.
        fit: Its state.
        last: The one before.
        lead: Of the augmented Lagrangian, where that still leads.
        led: Passes that it has taken.
    """

    W: Tensor
    primal: Tensor
    bound: Tensor
    current: int
    fit: AnyState | None
    last: Finished | None
    lead: HingeALMState | None
    led: float


class SparseDualAscent(Solver):
    """Exact dual problems of one row after another, on compressed rows; one process.

    Configurations are taken from the largest reg to the smallest, each from the dual variables of the one before.

    Args:
        seed: Of the orders in which rows are visited.
    """

    name = "sparse_dual_ascent"
    State = SparseAscentState
    one_thread = True
    seeded = True
    sparse = True

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.fit: Ascent | None = None
        self.lead: HingeALM | None = None
        self.led = 0.0
        self.current = -1
        self.last: Finished | None = None

    @classmethod
    def supports(cls, objective: Objective) -> str | None:
        """See `Solver.supports`."""
        dense = None if objective.design.sparse else needs_of_dense_rows(objective)
        return dense or missing(
            (objective.loss.geometry in FORMS, f"exact updates of one row, and {objective.loss.name} has none"),
            (objective.penalty.plain, "a plain ridge"),
            (bool(objective.penalty.bounds_below.all()), "reg > 0"),
            (objective.row_weights.n_sets == 1, "the same row weights for all configurations"),
            (objective.communicator.size == 1, "one process"),
        )

    @classmethod
    def cost(cls, objective: Objective) -> float:
        """See `Solver.cost`: epochs, as if rows were dense; no other solver takes sparse ones as they are."""
        return LOADING + objective.n_configs * USUAL_EPOCHS * pass_work(objective)

    def start(self, objective: Objective, W: Tensor | None, tol: Tensor) -> Progress:
        """See `Solver.start`. At W = 0, the default, value and bound are known without a pass."""
        self._take_up(objective, tol)
        self.W = torch.from_numpy(np.zeros(objective.shape)) if W is None else W.double().clone()
        self.primal = objective.value_at_zero()
        if W is not None and bool(W.any()):
            values = [self._all_classes(k).primal(self._given(k)) for k in range(objective.n_configs)]
            self.primal = torch.tensor(values, dtype=torch.float64)
        self.bound = torch.zeros_like(self.primal)
        return self._progress(0.0)

    def _given(self, k: int) -> Array:
        """Return the W (D + 1, C) of a configuration for rows as they are compressed."""
        W = self.W[k].numpy().T.copy()
        W[-1] += self.shift @ W[:-1]
        return W

    def _take_up(self, objective: Objective, tol: Tensor) -> None:
        if self.last is not None and len(self.last.b) != objective.n_samples:
            self.last = None
        self.objective, self.tols = objective, tol
        self.rows, self.shift = compressed(objective)
        self.fit, self.lead, self.current = None, None, -1

    def step(self) -> Progress:
        """See `Solver.step`: epochs of the configuration that is being worked on, a pass at least."""
        if self.fit is None and (passes := self._by_newton() or self._by_lagrangian()):
            return self._progress(passes)
        fit = self.fit or self._begin()
        fit.most_passes = self.most_passes
        cost = fit.advance()
        while cost < 1.0 and fit.gap > fit.tol and not fit.exhausted:
            cost += fit.advance()
        self._take(fit)
        return self._progress(cost)

    def _by_newton(self) -> float:
        """Solve the next configuration whole where it is narrow; return the passes it took, 0 where it is not."""
        k = self.current = int(self.objective.reg.argmax())
        given = self._configuration(k)
        if not fits(given):
            return 0.0
        reg, tol = float(self.objective.reg[k]), float(self.tols[k])
        fit = Narrow(NarrowProblem.of(given), reg, tol, self.most_passes)
        if self.last is not None:
            fit.w = self.last.W[:, 0].astype(np.float64)
        elif bool(self.W[k].any()):
            fit.w = (self.W[k, 1] - self.W[k, 0]).numpy() / (2 * fit.share)
        answer = fit.fit()
        if answer.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        if answer.objective < float(self.primal[k]):
            self.primal[k], self.W[k] = answer.objective, torch.from_numpy(answer.W)
        self.bound[k] = max(float(self.bound[k]), answer.dual)
        self.last = Finished(fit.w[:, None], given.curvature, fit.w[-1:], np.zeros((len(given.y), 1)))
        if answer.status is not Status.STALLED:
            return answer.n_passes
        self.last = None
        return 0.0

    def _by_lagrangian(self) -> float:
        """Take a step of the augmented Lagrangian where it leads; return the passes it took, 0 where it does not.

        Its bounds are float32's. That of b is the ascent's to prove, and so is P once the lead is over.
        """
        k, kept = self.current, torch.tensor([self.current])
        if self.lead is None:
            part, begun = self.objective.select(kept), self.last is not None or bool(self.W[k].any())
            if begun or self.objective.design.sparse or not follows_lagrangian(part):
                return 0.0
            self.lead, self.led = HingeALM(), 0.0
            self.lead.start(part, None, self.tols[kept])
        if self.led >= min(LEAD, self.most_passes):
            return 0.0
        progress = self.lead.step()
        passes = float(torch.as_tensor(progress.n_passes)[0])
        enough = self.lead.fit is not None and self.lead.fit.gap <= float(self.tols[k])
        self.led = LEAD if enough else self.led + passes
        self.W[k], self.primal[k] = progress.W[0].double(), progress.primal[0]
        return passes

    def _take(self, fit: Ascent) -> None:
        """Take the best W and bounds of the configuration that is being worked on."""
        k = self.current
        if fit.best_primal < float(self.primal[k]):
            self.primal[k] = fit.best_primal
            whole = self.W[k].numpy()
            fit.problem.write_whole(fit.best_weight, whole)
            whole[:, -1] -= whole[:, :-1] @ self.shift
        self.bound[k] = max(0.0, fit.bound)

    def _progress(self, cost: float) -> Progress:
        passes = torch.zeros(len(self.primal), dtype=torch.float64)
        exhausted = torch.zeros(len(self.primal), dtype=torch.bool)
        if self.current >= 0:
            passes[self.current] = cost
            exhausted[self.current] = self.fit is not None and self.fit.exhausted
        return Progress(self.W, self.primal.clone(), self.bound.clone(), passes, exhausted)

    def _begin(self) -> Ascent:
        self.current = int(self.objective.reg.argmax())
        problem = self._problem(self.current)
        W = self._given(self.current)
        point: tuple[np.ndarray, np.ndarray | None]
        if self.last is not None:
            point = continued(problem, self.last.b, self.last.W, self.last.curvature)
            problem.first_bias = self.last.bias
        elif self.lead is not None and self.lead.fit is not None:
            b = self.lead.fit.dual_point[:, 0].double().numpy()
            point = continued(problem, b, problem.minimiser(b), problem.curvature)
            problem.first_bias, self.lead = W[-1], None
            self.primal[self.current] = problem.primal(W)
        elif W.any():
            b = self._all_classes(self.current).subgradient_point(W)
            point = problem.own_dual(b), None
            problem.first_bias = W[-1]
        else:
            point = first_point(problem)
        start, its_weight = point
        tol = float(self.tols[self.current])
        self.fit = ascent_of(problem)(problem, tol, start, its_weight, self.seed)
        return self.fit

    def _problem(self, k: int) -> SparseProblem:
        return problem_of(self._configuration(k), float(self.tols[k]))

    def _all_classes(self, k: int) -> SparseProblem:
        return SparseProblem(self._configuration(k), float(self.tols[k]))

    def _configuration(self, k: int) -> Configuration:
        return Configuration.of(self.objective.select(torch.tensor([k])), self.rows)

    def keep(self, positions: Tensor) -> None:
        """See `Solver.keep`. The configuration that left starts the next one."""
        kept = positions.tolist()
        self.objective, self.tols = self.objective.select(positions), self.tols[positions]
        self.W, self.primal, self.bound = _kept(self.W, kept), self.primal[positions], self.bound[positions]
        if self.current in kept:
            self.current = kept.index(self.current)
            return
        if self.fit is not None:
            fit, bias = self.fit, self.fit.W[-1].astype(np.float64)
            self.last = Finished(fit.own_weight(), fit.problem.curvature, bias, fit.b)
        self.fit, self.lead, self.current = None, None, -1

    def certify(self, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `Solver.certify`: bounds are float64's, and are taken where the fit had not yet."""
        fit = self.fit
        if fit is not None and self.current in positions.tolist() and fit.gap > fit.tol:
            fit.finish()
            self._take(fit)
        W = _kept(self.W, positions.tolist())
        if self.shift.any() or self.lead is not None:  # P is that of the rows as they are, in float64
            part = self.objective.select(positions).in_dtype(torch.float64)
            self.primal[positions] = part.evaluate(W).objective
        return W, self.primal[positions], self.bound[positions]

    # ---------------------------------------------------------------- checkpoints

    def state(self) -> SparseAscentState:
        """See `Solver.state`."""
        fit = None if self.fit is None else self.fit.state()
        lead = None if self.lead is None else cast("HingeALMState", self.lead.state())
        return SparseAscentState(self.W, self.primal, self.bound, self.current, fit, self.last, lead, self.led)

    def restore(self, objective: Objective, state: SparseAscentState, tol: Tensor) -> Progress:
        """See `Solver.restore`."""
        self._take_up(objective, tol)
        self.W, self.primal, self.bound = state.W, state.primal, state.bound
        self.last, self.led = state.last, state.led
        if state.lead is not None:
            self.current, kept = state.current, torch.tensor([state.current])
            self.lead = HingeALM()
            self.lead.restore(objective.select(kept), state.lead, tol[kept])
        if state.fit is not None:
            self.current = state.current
            problem = self._problem(self.current)
            self.fit = ascent_of(problem).restored(problem, float(tol[self.current]), state.fit)
        return self._progress(0.0)


def _kept(W: Tensor, positions: list[int]) -> Tensor:
    """Return some configurations of W (K, C, D + 1), positions rising; neighbours without a copy."""
    first, stop = min(positions, default=0), max(positions, default=-1) + 1
    return W[first:stop] if stop - first == len(positions) else W[positions]
