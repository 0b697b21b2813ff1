"""Cross-validation: a fold is a fit of its own training rows, with its own map."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from straightedge.fitting import solve
from straightedge.selection.path import Solve, solve_path
from straightedge.solvers.base import Callback, Solution, Status
from straightedge.training import TrainingRows

LEAST_SECONDS = 1e-3  # time limit of a fold whose turn comes after the time is up: it ends at its start


@dataclass(frozen=True)
class OutOfFold:
    """What cross-validation found.

    Attributes:
        rows: (n,) positions of the rows that a fold holds out, rising.
        scores: (n, K, C) their scores, each from the fold that has not seen the row.
        fits: F solutions of K values each. Folds of a table may have different features.
    """

    rows: np.ndarray
    scores: Tensor
    fits: list[Solution]

    @property
    def trace(self) -> list[dict[str, Any]]:
        """Trace rows of all folds."""
        return [row for fit in self.fits for row in fit.trace]

    def uncertified(self, reg: Sequence[float], index: int) -> str | None:
        """Return a sentence that counts the fits that are not certified, or None where all are.

        Args:
            reg: The K values.
            index: Position of the chosen one.
        """
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
    W: Tensor | None = None,
    memory: float = math.inf,
    callbacks: Sequence[Callback] = (),
    solve: Solve = solve,
) -> OutOfFold:
    """Fit every fold's training rows by themselves, and score the rows that it holds out.

    A fold's answer is a function of its own training rows alone: its map, start, preconditioner and W. Five folds
    cost as much as four fits of all rows, each reading X once for all values of reg.

    Args:
        training: The training rows.
        reg: K values.
        fold: (N,) the fold that holds each row out, or `splits.NEVER`.
        W: (K, C, D + 1) start of every fold, from a W that has seen none of these rows; by default 0. A fold that
            stops at once returns it.
        memory: Bytes the solver's vectors may take.
        callbacks: Called with each trace row.
        solve: What solves one group of values.
    """
    ends = time.monotonic() + training.settings.max_seconds
    parts, held, scores = [], [], []
    for k in range(int(fold.max()) + 1):
        part = training.part(np.flatnonzero(fold != k))
        left = max(ends - time.monotonic(), LEAST_SECONDS)
        settings = replace(training.settings, max_seconds=left)
        found = solve_path(
            part.objective, reg, settings, memory=memory, callbacks=callbacks, W=W, solve=solve
        )
        parts.append(found)
        held.append(np.flatnonzero(fold == k))
        scores.append(part.scores(found.W, index=held[-1]))
    rows = np.concatenate(held)
    order = np.argsort(rows)
    return OutOfFold(rows[order], torch.cat(scores)[torch.from_numpy(order)], parts)
