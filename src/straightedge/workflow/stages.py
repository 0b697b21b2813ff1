"""Solves that survive a kill: each is a stage of the run, saved as it goes, skipped when it is done."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from straightedge.fitting import FitSettings
from straightedge.fitting import solve as solve_once
from straightedge.objective import Objective
from straightedge.runs import RunFolder
from straightedge.solvers.base import Callback, Loop, Solution, Status

_TENSORS = ("W", "objective", "dual", "gap", "n_passes")


class Stopped(Exception):  # noqa: N818  (not an error: the user asked for it)
    """Ctrl-C ended a stage; a checkpoint is on disk. `solution` is the best so far."""

    def __init__(self, solution: Solution) -> None:
        self.solution = solution
        super().__init__("stopped")


class Stages:
    """The solves of one run, in the order they are asked for.

    Args:
        run: The run folder that keeps the checkpoint; None keeps none.
        every: Seconds between checkpoints; the first comes that long after the start, so short runs have none.
        callbacks: Called with each trace row.
    """

    def __init__(self, run: RunFolder | None, every: float, callbacks: Sequence[Callback] = ()) -> None:
        self.run, self.every, self.callbacks = run, every, list(callbacks)
        self._done: list[Solution] = []
        self._earlier: list[Solution] = []
        self._state: dict[str, Tensor] | None = None
        self._trace: list[dict[str, Any]] = []
        self._last = time.monotonic()

    def restore(self, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
        """Take up the stages of a checkpoint."""
        for index, facts in enumerate(meta["stages"]):
            own = {name: tensors[f"done.{index}.{name}"] for name in _TENSORS}
            self._earlier.append(_solution(own, facts))
        state = {key.removeprefix("now."): v for key, v in tensors.items() if key.startswith("now.")}
        self._state = state or None
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
        index = len(self._done)
        if index < len(self._earlier):
            self._done.append(self._earlier[index])
            return self._done[-1]
        resume, self._state = self._state, None
        solution = solve_once(
            objective,
            settings,
            W=W,
            callbacks=[*self.callbacks, *callbacks],
            checkpoint=self._checkpoint,
            resume=resume,
        )
        if resume is not None:
            solution.trace[:0] = self._trace
        if Status.INTERRUPTED in solution.status:
            raise Stopped(solution)
        self._done.append(solution)
        return solution

    def _checkpoint(self, loop: Loop) -> None:
        due = time.monotonic() - self._last >= self.every
        if self.run is None or math.isinf(self.every) or not (due or loop.interrupted):
            return
        self.save(loop)
        self._last = time.monotonic()

    def save(self, loop: Loop) -> None:
        """Write the checkpoint: stages that are done, and the state of the one at work."""
        assert self.run is not None
        tensors = {f"now.{name}": value for name, value in loop.state().items()}
        for index, solution in enumerate(self._done):
            tensors |= {f"done.{index}.{name}": getattr(solution, name) for name in _TENSORS}
        meta = {"stages": [_facts(solution) for solution in self._done], "trace": self._trace + loop.trace}
        self.run.save_checkpoint({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, meta)


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
