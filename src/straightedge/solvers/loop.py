"""One loop for every solver.

A solver proposes, step by step, a W and two bounds for each configuration. The loop keeps the best of each,
lets configurations leave when their certified gap is small enough, writes the trace, obeys limits and Ctrl-C,
and at the end proves the answer in float64. "Certified" is said here and nowhere else.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from straightedge.objective import Objective
from straightedge.solvers.best import Best
from straightedge.solvers.loop_state import LoopState, Turns, as_bytes
from straightedge.solvers.path_in_parts import between
from straightedge.solvers.protocol import Progress, Solver
from straightedge.solvers.solution import Solution
from straightedge.solvers.state import pack, unpack
from straightedge.status import Callback, Status, TraceRow
from straightedge.workers import STOP_REQUESTED, torch_threads

SMALL_PROBLEM = 200_000  # entries of W


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
    unwatched = not callbacks and checkpoint is None and resume is None and math.isinf(limits.max_seconds)
    with _threads_for(objective, solver):
        if W is None and unwatched and (found := solver.at_once(objective, loop.tol)) is not None:
            return found
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
        K = objective.n_configs
        self.given = self.objective = objective  # and the same in float64 where float32 has no more digits
        self.solver, self.limits, self.callbacks = solver, limits, callbacks
        self.active = torch.arange(K)
        self.turns = Turns([self.active])
        self.tol = torch.as_tensor(limits.tol, dtype=torch.float64).expand(K)
        self.best = Best.nothing(objective.shape)
        self.status = [Status.MAX_PASSES] * K
        self.waiting = torch.zeros(K, dtype=torch.bool)  # left the solver, to be settled
        self.trace: list[TraceRow] = []
        self.iteration = 0
        self.interrupted = False
        self._began = time.perf_counter()  # less what earlier parts of a resumed run took
        solver.most_passes = limits.max_passes

    @property
    def seconds(self) -> float:
        """Wall time so far, s, of earlier parts of a resumed run too."""
        return time.perf_counter() - self._began

    def start(self, W: Tensor | None) -> None:
        """Take the solver's first point, of all configurations or of those whose turn it is."""

        def begin() -> Progress:
            turns = self.solver.turns(self.given)
            if W is None and math.isinf(self.limits.max_seconds):  # in a given time each gets its share
                self.turns, self.active = Turns(turns), turns[0]
            return self._take_turn(W)

        self._guarded(begin)

    def _take_turn(self, W: Tensor | None) -> Progress:
        """Begin with the active configurations at W (K', C, D + 1)."""
        self.turns.begun = False
        whole = len(self.active) == len(self.tol)
        part = self.objective if whole else self.objective.select(self.active)
        progress = self.solver.start(part, W, self.tol[self.active])
        self.turns.begun = True
        return progress

    def _go_on(self) -> None:
        """Begin with the active configurations at their best W, or at what the answers of earlier turns lead to."""
        W, begun = self.best.W[self.active], self.best.primal.isfinite()
        new, known = ~begun[self.active], begun.nonzero().flatten()
        if len(known) and bool(new.any()):
            W[new] = between(self.given.reg, self.given.fold, self.active[new], known, self.best.W)
        self._guarded(lambda: self._take_turn(W))

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
        self.best.take(active, progress)
        spent = torch.as_tensor(progress.n_passes).expand(len(active))
        gap = self.best.gap
        self._record(active if self.iteration == 1 else active[spent > 0], gap)
        self._leave(progress.exhausted, gap)

    def _record(self, active: Tensor, gap: Tensor) -> None:
        best = self.best
        for k in active.tolist():
            row: TraceRow = {
                "iteration": self.iteration,
                "n_passes": float(best.n_passes[k]),
                "seconds": self.seconds,
                "reg": float(self.objective.reg[k]),
                "objective": float(best.primal[k]),
                "dual": float(best.dual[k]),
                "gap": float(gap[k]),
                "solver": self.solver.name,
            }
            self.trace.append(row)
            for callback in self.callbacks:
                callback(row)

    def _leave(self, exhausted: Tensor, gap: Tensor) -> None:
        """Retire configurations that look done; when none is active, verify all of them in one float64 pass."""
        active = self.active
        to_prove = gap if self.objective.dtype == torch.float64 else self.best.own_gap
        claimed = to_prove[active] <= self.tol[active]
        late = self.best.n_passes[active] >= self.limits.max_passes
        out_of_time = self._out_of_time()
        leaving = (claimed | exhausted).logical_or_(late).logical_or_(torch.full_like(late, out_of_time))
        if bool(leaving.any()):
            for position in leaving.nonzero().flatten().tolist():
                self.status[int(active[position])] = self._reason(out_of_time, bool(late[position]))
            self._prove((leaving & ~self.best.proven[active]).nonzero().flatten())
            self.waiting[active[leaving]] = True
            stays = (~leaving).nonzero().flatten()
            self.active = active[stays]
            if self.active.numel():
                self.solver.keep(stays)
        if not self.active.numel():
            self._settle()

    def _reason(self, out_of_time: bool, late: bool) -> Status:
        """Return why a configuration leaves, unless its gap turns out to be reached."""
        if out_of_time:
            return Status.MAX_SECONDS
        if late:
            return Status.MAX_PASSES
        return Status.STALLED if self.solver.refines else Status.EPOCHS

    def _settle(self) -> None:
        """Prove in one float64 pass all that wait for it; where the proof falls short, go on in float64."""
        indices = self.waiting.nonzero().flatten()
        self._prove_at_best(indices)
        if self.interrupted:
            return
        certified = self.best.gap[indices] <= self.tol[indices]
        again = []
        for k, is_certified in zip(indices.tolist(), certified.tolist(), strict=True):
            if is_certified:
                self.status[k] = Status.CERTIFIED
            elif self.status[k] is Status.STALLED and self.objective.dtype != torch.float64:
                again.append(k)
        self.waiting[:] = False
        if again:
            self._start_again(torch.tensor(again))
        elif len(self.turns.ahead):
            self.turns.now += 1
            self.objective, self.active = self.given, self.turns.all[self.turns.now]
            self._go_on()

    def _start_again(self, indices: Tensor) -> None:
        """Go on with these configurations in float64, from the best W."""
        self.active, self.best.proven[indices] = indices, False
        self.objective = self.objective.in_dtype(torch.float64)
        self._go_on()

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
        """Replace the bounds of these active configurations by the solver's own, if it has some, in float64."""
        if len(positions) and (own := self.solver.certify(positions)) is not None:
            self.best.take_proof(self.active[positions], *own)

    def _prove_at_best(self, indices: Tensor) -> None:
        """Replace the bounds of these configurations by those that one float64 pass at W gives."""
        best = self.best
        unproven = indices[~best.proven[indices]]
        if not len(unproven) or self.objective.dtype == torch.float64:
            best.proven[unproven] = True
            return
        whole = self.objective.in_dtype(torch.float64).select(unproven)
        W = best.W[unproven]
        try:
            evaluation = whole.evaluate(W.to(whole.device))
        except KeyboardInterrupt:
            self.interrupted = True
            return
        best.absolute_gap[unproven] = evaluation.gap
        best.take_proof(unproven, W, evaluation.objective, evaluation.dual)

    def finish(self) -> Solution:
        """Return the solution; a run that was interrupted keeps the bounds it had."""
        if self.interrupted:
            ahead = self.turns.ahead
            self.best.primal[ahead], self.best.dual[ahead] = self.given.value_at_zero()[ahead], 0.0
            for k in torch.cat([self.active, self.waiting.nonzero().flatten(), ahead]).tolist():
                self.status[k] = Status.INTERRUPTED
        best, gap, seconds = self.best, self.best.gap, self.seconds
        message = [
            status.explain(float(gap[k]), float(self.tol[k]), float(best.n_passes[k]))
            for k, status in enumerate(self.status)
        ]
        return Solution(
            best.W, best.primal, best.dual, gap, self.status, message, best.n_passes, seconds, self.trace
        )

    # ---------------------------------------------------------------- checkpoints

    def state(self, *, copy: bool = True) -> dict[str, Tensor]:
        """Return all that `restore` needs to go on to the same bits, as named tensors; see `state.pack`.

        Args:
            copy: Whether the tensors stay as they are while the loop goes on; not needed for what is saved at once.
        """
        own = LoopState(
            self.best,
            self.active,
            self.waiting,
            torch.tensor([list(Status).index(status) for status in self.status]),
            self.iteration,
            self.seconds,
            self.objective.dtype == torch.float64,
            self.turns.now if len(self.turns.all) > 1 else -1,
            as_bytes(self.solver.name if self.turns.begun else ""),
        )
        at_work = pack(self.solver.state(), "solver", copy=copy) if self.turns.begun else {}
        return pack(own, "loop", copy=copy) | at_work

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take up a `state` of the same problem; another solver begins anew from the best W."""
        own = unpack(LoopState, state, "loop")
        self.best, self.active, self.waiting = own.best, own.active, own.waiting
        self.status = [list(Status)[i] for i in own.status.tolist()]
        self.iteration = own.iteration
        self._began -= own.seconds
        if own.in_double:
            self.objective = self.objective.in_dtype(torch.float64)
        turns = self.solver.turns(self.given)
        if 0 <= own.turn < len(turns) > 1:
            self.turns = Turns(turns, own.turn)
        elif own.turn >= 0:  # another solver goes on with all that are left
            ahead = (~self.best.primal.isfinite() & ~self.waiting).nonzero().flatten()
            self.active = torch.cat([self.active, ahead]).unique()
        if self.active.numel() and torch.equal(own.solver, as_bytes(self.solver.name)):
            self._restore_solver(state)
        elif self.active.numel():
            self._go_on()
        elif bool(self.waiting.any()):
            self._settle()

    def _restore_solver(self, state: dict[str, Tensor]) -> None:
        part = self.objective.select(self.active)
        own: Any = unpack(self.solver.State, state, "solver")
        progress = self.solver.restore(part, own, self.tol[self.active])
        self.turns.begun = True
        try:  # a Ctrl-C in the midst of a proof left configurations that have only that before them
            self._leave(progress.exhausted, self.best.gap)
        except KeyboardInterrupt:
            self.interrupted = True
