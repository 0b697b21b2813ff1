"""Fits on the training rows of one layer, which share its moments, its map and its preconditioner."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from straightedge.fitting import SMALL, FitSettings, build_objective, solve
from straightedge.layers.gathering import BLOCK_ROWS, Linear, Part
from straightedge.losses import get_loss, is_probabilistic
from straightedge.moments import affine_from, moments
from straightedge.parameters import checked_reg
from straightedge.row_weights import row_weights
from straightedge.rows import Rows
from straightedge.selection import CandidateScore, SelectionSettings, choose, default_grid, judge
from straightedge.solvers.base import Solution, Status

GROUP = 4
"""Values of the path that are fitted together, between two questions whether to go on; of few classes twice as many
begin, since a pass over the rows costs as much for a few columns as for fifty."""
FEW_CLASSES = 6
LAST = 4  # values in a row that must be worse than the best for the path to end
SURE = 2.0  # standard errors by which their log loss must be worse


@dataclass(frozen=True)
class ProbeSettings:
    """How each layer's probe is fitted.

    Attributes:
        fit: Loss, gap, limits.
        reg: Values of the path; None for those around each layer's own scale.
        preprocess: See `moments.fit_affine`.
        class_weight: See `row_weights`.
    """

    fit: FitSettings
    reg: Sequence[float] | None = None
    preprocess: str = "standardize"
    class_weight: Any = None


@dataclass
class JudgedPath:
    """A path, the largest value first, as validation rows see it.

    Attributes:
        reg: Values that were fitted.
        fits: One classifier a value.
        scored: What each reaches on the validation rows.
        losses: (n,) log loss of each validation row, for each value; None where scores are no probabilities.
        certified: How many of them are proven.
    """

    reg: list[float] = field(default_factory=list)
    fits: list[Linear] = field(default_factory=list)
    scored: list[CandidateScore] = field(default_factory=list)
    losses: list[np.ndarray | None] = field(default_factory=list)
    certified: int = 0

    def add(self, reg: float, fit: Linear, scored: CandidateScore, losses: np.ndarray | None) -> None:
        """Add the next smaller value."""
        self.reg.append(reg)
        self.fits.append(fit)
        self.scored.append(scored)
        self.losses.append(losses)

    def is_past(self) -> bool:
        """Whether the last values are so much worse that smaller ones need not be fitted.

        Their log loss is surely worse, row by row, than the best before, and none has an accuracy that is better by
        a standard error.
        """
        known = [losses for losses in self.losses if losses is not None]
        before, last = range(len(known) - LAST), range(max(0, len(known) - LAST), len(known))
        if not before or len(known) < len(self.reg):
            return False
        best = known[min(before, key=lambda k: float(known[k].mean()))]
        right = max((self.scored[k] for k in before), key=lambda one: one.value)
        return all(
            _surely_larger(known[k], best) and self.scored[k].value <= right.value + right.error for k in last
        )


def _surely_larger(losses: np.ndarray, best: np.ndarray) -> bool:
    excess = losses - best
    return bool(excess.mean() > SURE * excess.std() / np.sqrt(len(excess)))


class LayerFits:
    """The fits of one layer's training rows.

    Args:
        X: (n, D) training rows, in memory.
        y: (n,) int64 labels.
        n_classes: C.
        settings: How they are fitted.
    """

    def __init__(self, X: np.ndarray, y: np.ndarray, n_classes: int, settings: ProbeSettings) -> None:
        self.settings = settings
        rows, labels = Rows(X, device=settings.fit.device), torch.from_numpy(y)
        names = [str(k) for k in range(n_classes)]
        weights = row_weights(labels, n_classes, None, settings.class_weight, names)
        self.facts = moments(rows, weights=weights, block_rows=BLOCK_ROWS)
        self.affine = affine_from(self.facts, settings.preprocess)
        self.fit_settings = _with_solver(settings.fit, X.size)
        first = build_objective(
            rows, labels, n_classes, [1.0], self.fit_settings, affine=self.affine, weights=weights
        )
        first.design = first.design.remembering()
        self._objective = first

    def reg(self) -> list[float]:
        """Return the values of the path, the largest first."""
        if self.settings.reg is not None:
            return checked_reg(self.settings.reg)
        return default_grid(self.facts.mean_square_norm(self.affine))

    def fitted(self, reg: Sequence[float]) -> tuple[list[Linear], int]:
        """Return the classifiers of some values of reg, and how many of them are certified."""
        solution = solve(self._objective.for_reg(reg), self.fit_settings)
        return self._folded(solution), sum(status == Status.CERTIFIED for status in solution.status)

    def controls(self, reg: float, labels: Sequence[np.ndarray], tol: float) -> list[Linear]:
        """Return the classifiers of other labels (n,) of the same rows, each to a relative gap."""
        table, settings = torch.from_numpy(np.stack(labels)), self.fit_settings
        if settings.solver == "lbfgs" and settings.bias == "penalized":  # asks for values and gradients alone
            together = self._objective.for_reg([reg] * len(table), table)
            return self._folded(solve(together, settings, tol=[tol] * len(table)))
        apart = [self._objective.for_labels(y).for_reg([reg]) for y in table]
        return [fit for one in apart for fit in self._folded(solve(one, settings, tol=[tol]))]

    def _folded(self, solution: Solution) -> list[Linear]:
        folded = [self.affine.fold(W.t()) for W in solution.W]
        return [Linear(coef.t().numpy().copy(), intercept.numpy().copy()) for coef, intercept in folded]

    def path(self, rows: Part, y: np.ndarray) -> JudgedPath:
        """Fit the path from its largest value down and judge each value on validation rows and their labels.

        A path of one's own values is fitted whole. The default one ends where smaller values can only be worse.
        """
        found, values = JudgedPath(), self.reg()
        probabilistic = is_probabilistic(self.settings.fit.loss)
        whole, n_classes = self.settings.reg is not None or not probabilistic, self._objective.n_classes
        while len(found.reg) < len(values):
            size = len(values) if whole else GROUP if found.reg or n_classes > FEW_CLASSES else 2 * GROUP
            group = values[len(found.reg) :][:size]
            fits, certified = self.fitted(group)
            found.certified += certified
            for value, fit, scores in zip(group, fits, rows.scores(*fits), strict=True):
                own = torch.from_numpy(scores)[:, None]
                (scored,) = judge(own, y, [value], SelectionSettings(), probabilistic, whole=False)
                known = scored.happened.loss if probabilistic and scored.happened is not None else None
                found.add(value, fit, scored, known)
            if found.is_past():
                break
        return found


def _with_solver(settings: FitSettings, n_entries: int) -> FitSettings:
    """Return the settings with the solver that keeps no table of its own where the rows are many entries."""
    large = n_entries > SMALL and settings.solver == "auto" and get_loss(settings.loss).smooth
    return FitSettings(**{**vars(settings), "solver": "lbfgs"}) if large else settings


def chosen(path: JudgedPath) -> int:
    """Return the position of the value that is best on the validation rows."""
    return choose(path.scored, SelectionSettings())
