"""Cross-validation: a fold is a fit of its own training rows, with its own map."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from straightedge.fitting import solve
from straightedge.selection.path import Solve, solve_path
from straightedge.selection.shared_folds import SharedFolds, shared_solver
from straightedge.solvers.base import Callback, Solution, Status
from straightedge.training import TrainingPart, TrainingRows

LEAST_SECONDS = 1e-3  # time limit of a fold whose turn comes after the time is up: it ends at its start


@dataclass(frozen=True)
class OutOfFold:
    """What cross-validation found.

    Attributes:
        rows: (n,) positions of the rows that a fold holds out, rising.
        scores: (n, K, C) their scores, each from the fold that has not seen the row.
        fits: F solutions of K values each. Folds of a table may have different features.
        parts: The training rows of each fold, with their map.
    """

    rows: np.ndarray
    scores: Tensor
    fits: list[Solution]
    parts: list[TrainingPart] = field(default_factory=list)

    @property
    def trace(self) -> list[dict[str, Any]]:
        """Trace rows of all folds."""
        return [row for fit in self.fits for row in fit.trace]

    def uncertified(self, index: int) -> str | None:
        """Return a sentence that counts the fits that are not certified, or None: ``index`` is the chosen reg's."""
        status = np.array([[one is Status.CERTIFIED for one in fit.status] for fit in self.fits])
        if status.all():
            return None
        gaps = torch.stack([fit.gap for fit in self.fits])
        own = int((~status[:, index]).sum())
        rests = f"{own} of the chosen reg's {len(status)}, gap up to {float(gaps[:, index].max()):.1e}"
        return (
            f"{int((~status).sum())} of {status.size} fits of folds are not certified, gap up to "
            f"{float(gaps.max()):.1e} ({rests if own else 'none of the chosen reg'}): their scores are not "
            "those of the optimum"
        )


def cross_validate(
    training: TrainingRows,
    reg: Sequence[float],
    fold: np.ndarray,
    *,
    former: OutOfFold | None = None,
    memory: float = math.inf,
    callbacks: Sequence[Callback] = (),
    solve: Solve = solve,
) -> OutOfFold:
    """Fit every fold's training rows by themselves, and score the rows that it holds out.

    A fold's answer is a function of its own training rows alone: its map, start, preconditioner and W. Where a
    solver takes all of them through the same passes, they share these; see `shared_folds`.

    Args:
        training: The training rows.
        reg: K values.
        fold: (N,) the fold that holds each row out, or `splits.NEVER`.
        former: What the same folds found at other values: each starts from its own last answer there, and keeps
            its map. None starts at 0.
        memory: Bytes the solver's vectors may take.
        callbacks: Called with each trace row.
        solve: What solves one group of values.
    """
    held = [np.flatnonzero(fold == k) for k in range(int(fold.max()) + 1)]
    if former is None:
        parts = [training.part(np.flatnonzero(fold != k)) for k in range(len(held))]
        starts = None
    else:
        parts, starts = former.parts, [fit.W[-1:].expand(len(reg), -1, -1) for fit in former.fits]
    asked: dict[str, Any] = {"memory": memory, "callbacks": callbacks, "starts": starts, "solve": solve}
    solver = shared_solver(parts, reg, memory)
    if solver is None:
        fits = one_by_one(parts, reg, **asked)
    else:
        fits = SharedFolds(training, fold, parts).solve(reg, solver, **asked)
    scores = [part.scores(fit.W, index=own) for part, fit, own in zip(parts, fits, held, strict=True)]
    rows = np.concatenate(held)
    order = np.argsort(rows)
    return OutOfFold(rows[order], torch.cat(scores)[torch.from_numpy(order)], fits, parts)


def one_by_one(
    parts: Sequence[TrainingPart], reg: Sequence[float], *, starts: Sequence[Tensor] | None, **asked: Any
) -> list[Solution]:
    """Solve the folds one after the other, in the time that is left; see `SharedFolds.solve`."""
    settings = parts[0].training.settings
    ends, found = time.monotonic() + settings.max_seconds, []
    for k, part in enumerate(parts):
        left = replace(settings, max_seconds=max(ends - time.monotonic(), LEAST_SECONDS))
        W = None if starts is None else starts[k]
        found.append(solve_path(part.objective, reg, left, W=W, **asked))
    return found
