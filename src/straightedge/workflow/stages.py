"""Solves that survive a kill: each is a stage of the run, saved as it goes, skipped when it is done."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from straightedge.distributed import Communicator, local
from straightedge.fitting import FitSettings
from straightedge.fitting import solve as solve_once
from straightedge.objective import Objective
from straightedge.runs import RunFolder
from straightedge.solvers.base import Callback, Limits, Loop, Solution, Solver, Status, minimize
from straightedge.solvers.state import ROWS

_TENSORS = ("W", "objective", "dual", "gap", "n_passes")


class Stopped(Exception):  # noqa: N818  (not an error: the user asked for it)
    """Ctrl-C ended a stage; a checkpoint is on disk. `solution` is the best so far."""

    def __init__(self, solution: Solution) -> None:
        self.solution = solution
        super().__init__("stopped")


class Stages:
    """The solves of one run, in the order they are asked for.

    Args:
        run: The run folder that keeps the checkpoint; None keeps none (ranks but the first have none).
        every: Seconds between checkpoints; the first comes that long after the start, so short runs have none.
        callbacks: Called with each trace row.
        communicator: The ranks that solve together; the first one writes for all.
    """

    def __init__(
        self,
        run: RunFolder | None,
        every: float,
        callbacks: Sequence[Callback] = (),
        communicator: Communicator | None = None,
    ) -> None:
        self.run, self.every, self.callbacks = run, every, list(callbacks)
        self.communicator = communicator or local()
        self._done: list[Solution] = []
        self._earlier: list[Solution] = []
        self._state: dict[str, Tensor] | None = None
        self._trace: list[dict[str, Any]] = []
        self._last = time.monotonic()

    def resume(self, saved: tuple[dict[str, Tensor], dict[str, Any]] | None) -> None:
        """Take up a checkpoint on every rank, as the first one has read it; None there is a fresh start."""
        meta = self.communicator.broadcast_object(None if saved is None else saved[1])
        if meta is None:
            return
        self.restore(self.communicator.broadcast_tensors(None if saved is None else saved[0]), meta)

    def restore(self, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
        """Take up the stages of a checkpoint."""
        for index, facts in enumerate(meta["stages"]):
            own = {name: tensors[f"done.{index}.{name}"] for name in _TENSORS}
            self._earlier.append(_solution(own, facts))
        now = {key.removeprefix("now."): v for key, v in tensors.items() if key.startswith("now.")}
        self._state = now or None
        self._trace = meta["trace"]

    def solve(
        self,
        objective: Objective,
        settings: FitSettings,
        *,
        W: Tensor | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> Solution:
        """Solve one stage: from the checkpoint where it was done or begun, else from the start.

        Raises:
            Stopped: Ctrl-C; the state is saved.
        """
        return self._stage(
            objective,
            lambda resume: solve_once(
                objective,
                settings,
                W=W,
                callbacks=[*self.callbacks, *callbacks],
                checkpoint=self._checkpoint,
                resume=resume,
            ),
        )

    def minimize(self, objective: Objective, solver: Solver, limits: Limits) -> Solution:
        """Run one stage with a solver of the caller's (as `solve`)."""
        return self._stage(
            objective,
            lambda resume: minimize(
                objective, solver, limits, callbacks=self.callbacks, checkpoint=self._checkpoint, resume=resume
            ),
        )

    def _stage(self, objective: Objective, work: Callable[[dict[str, Tensor] | None], Solution]) -> Solution:
        index = len(self._done)
        if index < len(self._earlier):
            self._done.append(self._earlier[index])
            return self._done[-1]
        resume, self._state = self._own_state(objective), None
        solution = work(resume)
        if resume is not None:
            solution.trace[:0] = self._trace
            self._trace = []
        if Status.INTERRUPTED in solution.status:
            raise Stopped(solution)
        self._done.append(solution)
        return solution

    def _checkpoint(self, loop: Loop) -> None:
        if math.isinf(self.every):
            return
        due = self.run is not None and (time.monotonic() - self._last >= self.every or loop.interrupted)
        if self.communicator.size > 1:  # each rank may have a part of the state
            due = bool(self.communicator.all_reduce_max(torch.tensor([float(due)])))
        if due:
            self.save(loop)
            self._last = time.monotonic()

    def save(self, loop: Loop) -> None:
        """Write the checkpoint: stages that are done, and the state of the one at work."""
        gather = self.communicator.gather_rows
        tensors = {
            f"now.{name}": gather(value) if _is_of_rows(name, value) else value
            for name, value in loop.state(copy=False).items()
        }
        if self.run is None:
            return
        for index, solution in enumerate(self._done):
            tensors |= {f"done.{index}.{name}": getattr(solution, name) for name in _TENSORS}
        meta = {"stages": [_facts(solution) for solution in self._done], "trace": self._trace + loop.trace}
        self.run.save_checkpoint({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, meta)

    def _own_state(self, objective: Objective) -> dict[str, Tensor] | None:
        """Return the state to go on from, with this rank's part of what belongs to rows."""
        if self._state is None:
            return None
        n = objective.n_samples
        counts = self.communicator.gather_rows(torch.tensor([n])).tolist()
        first = sum(counts[: self.communicator.rank])
        return {
            name: value[first : first + n] if _is_of_rows(name, value) else value
            for name, value in self._state.items()
        }


def _is_of_rows(name: str, value: Tensor) -> bool:
    """Tell whether a part of a state has an entry for each row, so that every rank has its part of it."""
    return name.startswith(ROWS) and value.numel() > 0


def _facts(solution: Solution) -> dict[str, Any]:
    return {
        "status": [status.value for status in solution.status],
        "message": solution.message,
        "seconds": solution.seconds,
        "trace": solution.trace,
    }


def _solution(tensors: dict[str, Tensor], facts: dict[str, Any]) -> Solution:
    status = [Status(word) for word in facts["status"]]
    trace = [{k: math.inf if v is None else v for k, v in row.items()} for row in facts["trace"]]
    return Solution(
        W=tensors["W"].to(torch.float64),
        objective=tensors["objective"],
        dual=tensors["dual"],
        gap=tensors["gap"],
        status=status,
        message=facts["message"],
        n_passes=tensors["n_passes"],
        seconds=facts["seconds"],
        trace=trace,
    )
