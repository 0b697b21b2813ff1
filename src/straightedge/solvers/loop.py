"""One loop for every solver.

A solver proposes, step by step, a W and two bounds for each configuration. The loop keeps the best of each,
lets configurations leave when their certified gap is small enough, writes the trace, obeys limits and Ctrl-C,
and at the end proves the answer in float64. "Certified" is said here and nowhere else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from straightedge.objective import Objective
from straightedge.solvers.protocol import Progress, Solver, TakesManyPasses, state_under
from straightedge.solvers.solution import Solution, relative_gap
from straightedge.status import Callback, Status, TraceRow
from straightedge.workers import STOP_REQUESTED, torch_threads

SMALL_PROBLEM = 200_000  # entries of W
NOISE = 1e-15  # relative changes of P below this are rounding
FINEST_DIFFERENCE = 1e-12  # relative gaps below this are lost in the difference P − D


@dataclass
class Limits:
    """When to stop short of the gap.

    Attributes:
        tol: Relative gap asked for; one for all, or (K,) one for each configuration.
        max_passes: Passes over the data for one configuration.
        max_seconds: Wall time, s.
    """

    tol: float | Sequence[float] = 1e-4
    max_passes: float = 1000
    max_seconds: float = float("inf")


def minimize(
    objective: Objective,
    solver: Solver,
    limits: Limits,
    *,
    W: Tensor | None = None,
    callbacks: Sequence[Callback] = (),
    checkpoint: Callable[[Loop], None] | None = None,
    resume: dict[str, Tensor] | None = None,
) -> Solution:
    """Minimise every configuration of an objective to a certified relative gap.

    Args:
        objective: K configurations.
        solver: A fresh solver.
        limits: Gap asked for and limits.
        W: (K, C, D + 1) start, or None.
        callbacks: Called with each trace row.
        checkpoint: Called after each step with the loop, to save its `state`.
        resume: A `state` saved by a checkpoint of the same problem.

    Returns:
        The solution; never raises for want of convergence: the status says it.
    """
    loop = Loop(objective, solver, limits, callbacks)
    with _threads_for(objective, solver):
        if resume is not None:
            loop.restore(resume)
        else:
            loop.start(W)
        while loop.active.numel() and not loop.interrupted:
            loop.step()
            if checkpoint is not None:
                checkpoint(loop)
    return loop.finish()


def _threads_for(objective: Objective, solver: Solver) -> AbstractContextManager[None]:
    """Give small problems one thread: a team's start costs more than their products."""
    K, C, width = objective.shape
    small = K * C * width < SMALL_PROBLEM and width < 512
    return torch_threads(1) if small or solver.one_thread else nullcontext()


class Loop:
    """The state of `minimize`: best bounds so far, who is still being worked on, the clock."""

    def __init__(
        self, objective: Objective, solver: Solver, limits: Limits, callbacks: Sequence[Callback] = ()
    ) -> None:
        K, C, width = objective.shape
        self.objective, self.solver, self.limits, self.callbacks = objective, solver, limits, callbacks
        self.active = torch.arange(K)
        self.tol = torch.as_tensor(limits.tol, dtype=torch.float64).expand(K)
        self.W = torch.zeros(K, C, width, dtype=torch.float64)
        self.best_objective = torch.full((K,), torch.inf, dtype=torch.float64)
        self.best_dual = torch.full((K,), -torch.inf, dtype=torch.float64)
        self.best_gap = torch.full((K,), torch.inf, dtype=torch.float64)  # of W itself, absolute
        self.n_passes = torch.zeros(K, dtype=torch.float64)
        self.status = [Status.MAX_PASSES] * K
        self.proven = torch.zeros(K, dtype=torch.bool)  # bounds are float64's
        self.waiting = torch.zeros(K, dtype=torch.bool)  # left the solver, to be settled
        self.trace: list[TraceRow] = []
        self.iteration = 0
        self.interrupted = False
        self._began = time.perf_counter()
        self._seconds_before = 0.0
        if isinstance(solver, TakesManyPasses):
            solver.most_passes = limits.max_passes

    @property
    def seconds(self) -> float:
        """Wall time so far, s, of earlier parts of a resumed run too."""
        return self._seconds_before + time.perf_counter() - self._began

    def start(self, W: Tensor | None) -> None:
        """Take the solver's first point."""
        self._guarded(lambda: self.solver.start(self.objective, W, self.tol))

    def step(self) -> None:
        """Let the solver take a step, and let configurations leave that are done."""
        if STOP_REQUESTED.is_set() and self.objective.communicator.size == 1:
            self.interrupted = True  # a step without a pass would not notice
            return
        self._guarded(self.solver.step)

    def _guarded(self, work: Callable[[], Progress]) -> None:
        try:
            self._absorb(work())
        except KeyboardInterrupt:
            self.interrupted = True

    def _absorb(self, progress: Progress) -> None:
        active = self.active
        self.iteration += 1
        self.n_passes[active] += progress.n_passes
        own_gap = torch.full_like(progress.objective, torch.inf) if progress.gap is None else progress.gap
        noise = NOISE * self.best_objective[active].abs().nan_to_num(posinf=0.0)
        change = progress.objective - self.best_objective[active]
        better = (change < -noise) | ((change <= noise) & (own_gap < self.best_gap[active]))
        improved = active[better]
        self.W[improved] = progress.W[better.to(progress.W.device)].to("cpu", torch.float64)
        self.best_objective[improved] = progress.objective[better]
        self.best_gap[improved] = own_gap[better]
        self.best_dual[active] = torch.fmax(self.best_dual[active], progress.dual)  # a NaN proves nothing
        spent = torch.as_tensor(progress.n_passes).expand(len(active))
        gap = self.gap
        self._record(active if self.iteration == 1 else active[spent > 0], gap)
        self._leave(progress.exhausted, gap)

    @property
    def gap(self) -> Tensor:
        """(K,) float64 relative gaps of the best W: by the best bounds, or by W's own where that is finer."""
        difference = relative_gap(self.best_objective, self.best_dual)
        own = self.best_gap / self.best_objective.clamp_min(1e-300)
        fine = torch.where(difference > FINEST_DIFFERENCE, torch.minimum(difference, own), own)
        return torch.where(own.isfinite(), fine, difference)

    def _record(self, active: Tensor, gap: Tensor) -> None:
        for k in active.tolist():
            row: TraceRow = {
                "iteration": self.iteration,
                "n_passes": float(self.n_passes[k]),
                "seconds": self.seconds,
                "reg": float(self.objective.reg[k]),
                "objective": float(self.best_objective[k]),
                "dual": float(self.best_dual[k]),
                "gap": float(gap[k]),
                "solver": self.solver.name,
            }
            self.trace.append(row)
            for callback in self.callbacks:
                callback(row)

    def _leave(self, exhausted: Tensor, gap: Tensor) -> None:
        """Let configurations go that look done, and settle them when none is left (at once, if they must)."""
        active, limits = self.active, self.limits
        claimed = gap[active] <= self.tol[active]
        late = self.n_passes[active] >= limits.max_passes
        out_of_time = torch.full_like(late, self._out_of_time())
        leaving = (claimed | exhausted).logical_or_(late).logical_or_(out_of_time)
        if bool(leaving.any()):
            for position in leaving.nonzero().flatten().tolist():
                if out_of_time[position]:
                    reason = Status.MAX_SECONDS
                elif late[position]:
                    reason = Status.MAX_PASSES
                else:
                    reason = Status.STALLED if self.solver.refines else Status.EPOCHS
                self.status[int(active[position])] = reason
            if self.solver.own_certificate:
                self._prove(leaving.nonzero().flatten())
            self.waiting[active[leaving]] = True
            stays = (~leaving).nonzero().flatten()
            self.active = active[stays]
            if self.active.numel():
                self.solver.keep(stays)
        if not self.active.numel():
            self._settle()

    def _settle(self) -> None:
        """Prove in one float64 pass all that wait for it; where the proof falls short, go on in float64."""
        indices = self.waiting.nonzero().flatten()
        self._prove_at_best(indices)
        if self.interrupted:
            return
        certified = self.gap[indices] <= self.tol[indices]
        again = []
        for k, is_certified in zip(indices.tolist(), certified.tolist(), strict=True):
            if is_certified:
                self.status[k] = Status.CERTIFIED
            elif self.status[k] is Status.STALLED and self.objective.dtype != torch.float64:
                again.append(k)
        self.waiting[:] = False
        if again:
            self.active = torch.tensor(again)
            self.objective = self.objective.in_dtype(torch.float64)
            part, W = self.objective.select(self.active), self.W[self.active]
            self._guarded(lambda: self.solver.start(part, W, self.tol[self.active]))

    def _out_of_time(self) -> bool:
        """Return whether the time is up on any rank; take notice of Ctrl-C on any rank."""
        late, communicator = self.seconds > self.limits.max_seconds, self.objective.communicator
        if communicator.size == 1:
            return late
        own = torch.tensor([late, STOP_REQUESTED.is_set()], dtype=torch.float64)
        any_late, any_stop = communicator.all_reduce_max(own).tolist()
        self.interrupted |= bool(any_stop)
        return bool(any_late)

    def _prove(self, positions: Tensor) -> None:
        """Replace the bounds of these active configurations by the solver's own, computed in float64."""
        W, value, dual = self.solver.certify(positions)
        self._take_proof(self.active[positions], W, value, dual)

    def _prove_at_best(self, indices: Tensor) -> None:
        """Replace the bounds of these configurations by those that one float64 pass at W gives."""
        unproven = indices[~self.proven[indices]]
        if not len(unproven) or self.objective.dtype == torch.float64:
            self.proven[unproven] = True
            return
        whole = self.objective.in_dtype(torch.float64).select(unproven)
        W = self.W[unproven]
        try:
            evaluation = whole.evaluate(W.to(whole.device))
        except KeyboardInterrupt:
            self.interrupted = True
            return
        self.best_gap[unproven] = evaluation.gap
        self._take_proof(unproven, W, evaluation.objective, evaluation.dual)

    def _take_proof(self, indices: Tensor, W: Tensor, value: Tensor, dual: Tensor) -> None:
        self.W[indices] = W.to("cpu", torch.float64)
        self.best_objective[indices] = value
        self.best_dual[indices] = dual
        self.n_passes[indices] += 1
        self.proven[indices] = True

    def finish(self) -> Solution:
        """Return the solution; a run that was interrupted keeps the bounds it had."""
        gap = self.gap
        if self.interrupted:
            for k in [*self.active.tolist(), *self.waiting.nonzero().flatten().tolist()]:
                self.status[k] = Status.INTERRUPTED
        message = [
            status.explain(float(gap[k]), float(self.tol[k]), float(self.n_passes[k]))
            for k, status in enumerate(self.status)
        ]
        return Solution(
            self.W,
            self.best_objective,
            self.best_dual,
            gap,
            self.status,
            message,
            self.n_passes,
            self.seconds,
            self.trace,
        )

    # ---------------------------------------------------------------- checkpoints

    def state(self) -> dict[str, Tensor]:
        """Return all that `restore` needs to go on to the same bits."""
        scalars = torch.tensor(
            [self.iteration, self.seconds, float(self.objective.dtype == torch.float64)], dtype=torch.float64
        )
        own = {
            "loop.W": self.W,
            "loop.objective": self.best_objective,
            "loop.gap": self.best_gap,
            "loop.dual": self.best_dual,
            "loop.n_passes": self.n_passes,
            "loop.active": self.active,
            "loop.proven": self.proven,
            "loop.waiting": self.waiting,
            "loop.status": torch.tensor([list(Status).index(s) for s in self.status]),
            "loop.scalars": scalars,
        }
        own = {name: value.clone() for name, value in own.items()}  # the loop goes on, the state stays
        return own | {f"solver.{name}": value for name, value in self.solver.state().items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take up a `state` of the same problem."""
        self.W, self.active = state["loop.W"].clone(), state["loop.active"].clone()
        self.best_objective, self.best_dual = state["loop.objective"].clone(), state["loop.dual"].clone()
        self.best_gap = state["loop.gap"].clone()
        self.n_passes, self.proven = state["loop.n_passes"].clone(), state["loop.proven"].clone()
        self.waiting = state["loop.waiting"].clone()
        self.status = [list(Status)[i] for i in state["loop.status"].tolist()]
        iteration, self._seconds_before, double = state["loop.scalars"].tolist()
        self.iteration = int(iteration)
        if double:
            self.objective = self.objective.in_dtype(torch.float64)
        if self.active.numel():
            part = self.objective.select(self.active)
            own = state_under("solver.", state)
            progress = self.solver.restore(part, own, self.tol[self.active])
            try:  # a Ctrl-C in the midst of a proof left configurations that have only that before them
                self._leave(progress.exhausted, self.gap)
            except KeyboardInterrupt:
                self.interrupted = True
        elif bool(self.waiting.any()):
            self._settle()
