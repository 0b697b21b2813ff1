"""Folds that share their passes: each is some of the configurations of one objective, with a map of its own.

A fold is a set of row weights, 0 on the rows that it holds out. Rows in memory are seen fold by fold, so that the
product of a block leaves out the configurations that do not train on it. Nothing but rounding goes from a fold to
another: each has its own map, its own share of the preconditioner and its own line search.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from straightedge.fitting import build_objective
from straightedge.kinds import is_sparse
from straightedge.objective import Objective
from straightedge.rows import Rows
from straightedge.selection.path import Solve, group_size, in_groups
from straightedge.solvers import choose_solver
from straightedge.solvers.base import Callback, Solution
from straightedge.solvers.solution import joined
from straightedge.training import TrainingPart, TrainingRows

MOST_COLUMNS = 1024  # of one product; wider ones are no faster for each column
MOST_BYTES = 2.0**30  # of the vectors of all configurations and the weights of the rows
WEIGHT_BYTES = 9  # of a row in each fold: a float64, and whether it counts


@dataclass(frozen=True)
class SharedFolds:
    """F folds of the same training rows.

    Attributes:
        training: The training rows, of one rank.
        fold: (N,) the fold that holds each row out, or `splits.NEVER`.
        parts: The training rows of each fold, with their map.
    """

    training: TrainingRows
    fold: np.ndarray
    parts: list[TrainingPart]

    def objective(self, reg: Sequence[float]) -> Objective:
        """Return the objective of F · K configurations, fold by fold."""
        training, n_folds = self.training, len(self.parts)
        rows, _ = training.own(None)
        order = np.argsort(self.fold, kind="stable") if rows.in_memory else np.arange(len(self.fold))
        own = torch.from_numpy(order)
        return build_objective(
            Rows(training.X, device=training.device, order=own) if rows.in_memory else rows,
            torch.from_numpy(training.y[order]),
            training.n_classes,
            list(reg) * n_folds,
            training.settings,
            weights=self._weights()[:, own],
            fold=torch.arange(n_folds).repeat_interleave(len(reg)),
            maps=[part.affine for part in self.parts for _ in reg],
        )

    def _weights(self) -> Tensor:
        """Return the weights (F, N) of the rows in each fold."""
        table = torch.zeros(len(self.parts), len(self.fold), dtype=torch.float64)
        for own, part in zip(table, self.parts, strict=True):
            weights = self.training.own_weights(part.index)
            own[torch.from_numpy(part.index)] = 1.0 if weights is None else weights
        return table

    def solve(
        self,
        reg: Sequence[float],
        solver: str,
        *,
        memory: float,
        starts: Sequence[Tensor] | None,
        callbacks: Sequence[Callback],
        solve: Solve,
    ) -> list[Solution]:
        """Solve all values of reg in all folds, as many at once as memory and products take.

        Args:
            reg: K values.
            solver: Name of the solver.
            memory: Bytes of the solver's vectors.
            starts: (K, C, D + 1) start of each of the F folds, or None.
            callbacks: See `cross_validate`.
            solve: See `cross_validate`.

        Returns:
            F solutions of K values; the trace of all is the first one's.
        """
        settings = replace(self.training.settings, solver=solver)
        groups, place = in_groups(reg, values_at_once(self.parts, len(reg), memory))
        found: list[list[Solution]] = [[] for _ in self.parts]
        for group in groups:
            start = None if starts is None else torch.cat([W[group] for W in starts])
            whole = solve(self.objective([reg[k] for k in group]), settings, W=start, callbacks=callbacks)
            for own, index in zip(found, torch.arange(len(whole.gap)).split(len(group)), strict=True):
                own.append(whole.select(index))
            found[0][-1] = replace(found[0][-1], trace=whole.trace)
        return [joined(own, place) for own in found]


def values_at_once(parts: Sequence[TrainingPart], n_values: int, memory: float) -> int:
    """Return how many values of reg are solved at once in all folds; 0 where not even one is."""
    training, n_folds = parts[0].training, len(parts)
    left = min(memory, MOST_BYTES) - WEIGHT_BYTES * n_folds * len(training.y)
    shape = (1, training.n_classes, len(parts[0].affine.shift) + 1)
    fitting = group_size(shape, n_values * n_folds, max(left, 0.0)) // n_folds
    return min(n_values, MOST_COLUMNS // (training.n_classes * n_folds), fitting)


def shared_solver(parts: Sequence[TrainingPart], reg: Sequence[float], memory: float) -> str | None:
    """Return the solver of folds that go together, or None where they do not.

    They do where a fold by itself is solved by one that takes all configurations through the same passes, each with
    its own X̂. Folds of a table may have different features, and ranks own other rows of each fold: those go one by
    one, and so do folds of sparse rows.
    """
    training = parts[0].training
    if training.communicator.size > 1 or training.table is not None or is_sparse(training.X):
        return None
    if len(parts) < 2 or values_at_once(parts, len(reg), memory) < 1:
        return None
    settings = training.settings
    solver = choose_solver(settings.solver, parts[0].objective(reg), seed=settings.seed)
    return solver.name if solver.together else None
