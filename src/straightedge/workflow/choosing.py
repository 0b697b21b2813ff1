"""From training (and validation) samples to one W: a single reg, a path with a choice, or a search by SGD."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from straightedge import protocols
from straightedge.kinds import is_sparse
from straightedge.losses import is_probabilistic
from straightedge.objective import Objective
from straightedge.parameters import checked_reg
from straightedge.preprocess import AffineMap
from straightedge.selection import (
    RegChoice,
    SelectionSettings,
    cautions,
    choose,
    cross_validate,
    default_grid,
    judge,
    rule_in_words,
    solve_path,
)
from straightedge.selection.automatic import number_of_values
from straightedge.selection.path import DEFAULT_SIZE
from straightedge.solvers.base import Limits, Solution, Status
from straightedge.solvers.sgd import MinibatchSGD
from straightedge.splits import undivided
from straightedge.training import TrainingPart
from straightedge.workflow.automatic import scored_by_folds
from straightedge.workflow.problem import Problem
from straightedge.workflow.stages import Stages

DEFAULT_REG = 5e-5  # of the mean square norm of a row of pixels, whose spectrum is steep
STANDARD_REG = 5e-4  # of the mean square of a standardised feature: C = 1 at a thousand samples
SUSPECT_FOLDS = 5
SUSPECT_TOL = 1e-2  # a ranking does not need more


@dataclass
class Fitted:
    """The final W and what it rests on.

    Attributes:
        W: (C, D + 1) float64.
        part: The training rows it was fitted on, with their map and features.
        reg: Its reg.
        solution: The solution W is a part of, at `index`.
        index: Position in `solution`.
        choice: What was looked at for the choice, if there was one.
        held_out_scores: (n, C) scores of samples their model had not seen, or None.
        held_out_labels: Their labels.
        held_out_rows: (n,) their positions among the training rows; None where the data bring a validation split.
        out_of_fold: (n, C) out-of-fold scores of the training rows that a fold holds out, or None.
        out_of_fold_rows: (n,) their positions.
        path_points: (reg, weight (D, C), bias (C,)) of every value tried, on raw rows.
        trace: All trace rows.
        grid: Facts of an SGD search: the heads' learning rates.
        notes: Warnings for the user.
    """

    W: Tensor
    part: TrainingPart
    reg: float
    solution: Solution
    index: int
    choice: RegChoice | None = None
    held_out_scores: np.ndarray | None = None
    held_out_labels: np.ndarray | None = None
    held_out_rows: np.ndarray | None = None
    out_of_fold: np.ndarray | None = None
    out_of_fold_rows: np.ndarray | None = None
    path_points: list[tuple[float, Tensor, Tensor]] = field(default_factory=list)
    trace: list[dict[str, Any]] = field(default_factory=list)
    grid: list[dict[str, float]] | None = None
    notes: list[str] = field(default_factory=list)


def _natural_reg(problem: Problem) -> float:
    """Return a reg of two digits from the data's scale, for those who ask for none."""
    if problem.affine.kind == "standardize":
        return float(f"{STANDARD_REG * problem.scale / problem.affine.n_features:.2g}")
    return float(f"{DEFAULT_REG * problem.scale:.2g}")


Points = list[tuple[float, Tensor, Tensor]]


def _points_of(problem: Problem, part: TrainingPart, fitted_on: TrainingPart, points: Points) -> Points:
    """Return the classifiers of a part on the features of the final model, 0 where the part has no such term."""
    parts, columns = problem.dataset.parts, part.training.columns
    if parts is None or fitted_on is part or columns is None or not hasattr(parts, "places"):
        return points
    places = torch.from_numpy(parts.places(columns))
    known = places >= 0
    out = []
    for reg, weight, bias in points:
        whole = weight.new_zeros(fitted_on.affine.n_features, weight.shape[1])
        whole[places[known]] = weight[known]
        out.append((reg, whole, bias))
    return out


def _points(grid: Sequence[float], W: Tensor, affine: AffineMap) -> list[tuple[float, Tensor, Tensor]]:
    """Return every reg with its classifier on raw rows, from W (K, C, D + 1) behind a map."""
    return [(reg, *affine.fold(one.t())) for reg, one in zip(grid, W, strict=True)]


def fit_single(problem: Problem, stages: Stages) -> Fitted:
    """Fit one value of reg on all training samples."""
    options = problem.options
    reg = options.fit.reg if options.fit.reg is not None else _natural_reg(problem)
    return _fit_value(problem, stages, reg)


def _fit_value(problem: Problem, stages: Stages, reg: float) -> Fitted:
    """Fit this reg on all training samples, and judge it on the data's own validation split, if any."""
    options, whole = problem.options, problem.whole
    if options.fit.solver == "sgd":
        rate = [options.sgd.learning_rate] if options.sgd.learning_rate else None
        solution = train_by_sgd(whole.objective([reg]), problem, rate, stages)
    else:
        solution = stages.solve(whole.objective([reg]), problem.settings)
    fitted = Fitted(solution.W[0], whole, reg, solution, 0, trace=list(solution.trace))
    fitted.path_points = _points([reg], solution.W, whole.affine)
    if problem.dataset.validation is not None:
        scores = whole.scores(solution.W, problem.dataset.validation.X)[:, 0].numpy()
        fitted.held_out_scores, fitted.held_out_labels = scores, problem.dataset.validation.y
    return fitted


def grid_of(problem: Problem, n_train: int) -> list[float]:
    """Return the values of reg to try for n_train samples."""
    options = problem.options
    if options.choice.protocol is not None:
        return list(protocols.protocol(options.choice.protocol).reg_values(n_train, len(problem.classes)))
    if options.choice.regs is not None:
        return checked_reg(options.choice.regs)
    size = number_of_values(problem.y) if options.is_automatic else DEFAULT_SIZE
    return default_grid(problem.scale, size, sparse=is_sparse(problem.X))


def fit_chosen(problem: Problem, stages: Stages) -> Fitted:
    """Fit the path, choose reg on samples it has not seen, and fit the choice on all of them."""
    selection, memory = problem.selection, float(problem.options.data.usable_memory)
    if not can_be_judged(problem):
        return fit_unchosen(problem, stages)
    if problem.options.split.folds is not None:
        return _chosen_by_folds(problem, stages, selection, memory)
    part, X_validation, held_out, y_validation = held_out_part(problem, selection)
    n_train = len(problem.y) if part.index is None else len(part.index)
    grid = grid_of(problem, n_train)
    settings = problem.path_settings
    path = solve_path(part.objective, grid, settings, memory=memory, solve=stages.solve)
    scores = part.scores(path.W, X_validation, held_out)
    choice = choice_of(problem, selection, scores, grid, path, held_out)
    final, fitted_on, reg = _refit(problem, stages, choice, part)
    return Fitted(
        final.W[0],
        fitted_on,
        reg,
        final,
        0,
        choice,
        choice.scores,
        y_validation,
        held_out,
        path_points=_points_of(problem, part, fitted_on, _points(grid, path.W, part.affine)),
        trace=path.trace + final.trace,
        notes=_undivided(problem),
    )


def can_be_judged(problem: Problem) -> bool:
    """Return whether any sample can be held out, or the data bring a validation split."""
    return problem.dataset.validation is not None or int(np.bincount(problem.y).max()) > 1


def fit_unchosen(problem: Problem, stages: Stages) -> Fitted:
    """Fit the value tried that is nearest to the default, where no sample can be held out to choose by."""
    natural = _natural_reg(problem)
    reg = min(grid_of(problem, len(problem.y)), key=lambda value: abs(math.log(value / natural)))
    fitted = _fit_value(problem, stages, reg)
    fitted.notes.append(
        f"every class has one training sample, so none could be held out to choose reg by: {reg:.3g} is the "
        "value tried that is nearest to the default"
    )
    return fitted


def _undivided(problem: Problem) -> list[str]:
    """Return the note on classes of one sample, where training samples are held out."""
    note = None if problem.dataset.validation is not None else undivided(problem.y, problem.classes)
    return [note] if note else []


def held_out_part(
    problem: Problem, selection: SelectionSettings
) -> tuple[TrainingPart, Any, np.ndarray | None, np.ndarray]:
    """Return the rows to train on, and those to judge by: X (None: the training rows), places (None: all), y."""
    own = problem.dataset.validation
    if own is not None:
        return problem.whole, own.X, None, own.y
    size: float | int = selection.validation_size
    if problem.options.choice.protocol is not None:
        size = protocols.protocol(problem.options.choice.protocol).split.size(len(problem.y))
    train, validation = problem.hold_out(size, selection.seed)
    return problem.training.part(train), None, validation, problem.y[validation]


def choice_of(
    problem: Problem,
    selection: SelectionSettings,
    scores: Tensor,
    grid: list[float],
    path: Solution,
    rows: np.ndarray | None,
) -> RegChoice:
    """Return the choice among values of reg by scores of samples that they have not seen (`rows`: see `Fitted`)."""
    y, counts = problem.labels_of(rows), problem.counts_of(rows)
    scored = judge(scores, y, grid, selection, is_probabilistic(problem.settings.loss), counts)
    index = choose(scored, selection)
    choice = RegChoice(index, grid[index], scored, scores[:, index].numpy(), y, path, rule_in_words(selection))
    said = cautions(scored, index, y, selection, counts)
    # `remarks` say the rest
    choice.notes += [said["choice-at-the-edge"]] if "choice-at-the-edge" in said else []
    if path.status[index] is not Status.CERTIFIED:
        choice.notes.append(f"the chosen reg's fit is {path.message[index]}")
    return choice


def _refit(
    problem: Problem, stages: Stages, choice: RegChoice, part: TrainingPart
) -> tuple[Solution, TrainingPart, float]:
    """Fit the chosen reg on training and validation samples from the path's W; return solution, part and reg."""
    own = problem.dataset.validation
    n_all = len(problem.y) + (own.n if own is not None else 0)
    reg = choice.reg
    if problem.options.choice.protocol is not None:
        protocol = protocols.protocol(problem.options.choice.protocol)
        if not protocol.refit:
            return choice.solution(), part, reg
        reg = protocol.reg(protocol.grid[choice.index], n_all, len(problem.classes))
    whole = problem.whole
    same = part.affine.n_features == whole.affine.n_features  # a part of a table may have other categories
    start = choice.path.W[choice.index][None] if same else None  # behind the part's map: a start only
    objective = whole.objective([reg]) if own is None else problem.objective_with(own, [reg])
    return stages.solve(objective, problem.settings, W=start), whole, reg


def _chosen_by_folds(problem: Problem, stages: Stages, selection: SelectionSettings, memory: float) -> Fitted:
    grid = grid_of(problem, len(problem.y))
    whole = problem.whole
    settings = problem.path_settings
    path = solve_path(whole.objective, grid, settings, memory=memory, solve=stages.solve)
    training = replace(problem.training, settings=settings)
    found = scored_by_folds(
        training, problem.options, grid, problem.fold_of_rows, memory=memory, solve=stages.solve
    )
    choice = choice_of(problem, selection, found.scores, grid, path, found.rows)
    if note := found.uncertified(choice.index):
        choice.notes.append(note)
    final = choice.solution()
    if settings.tol > problem.settings.tol:  # compared to less digits than were asked for
        final = stages.solve(whole.objective([choice.reg]), problem.settings, W=final.W)
    return Fitted(
        final.W[0],
        whole,
        choice.reg,
        final,
        0,
        choice,
        choice.scores,
        problem.labels_of(found.rows),
        found.rows,
        choice.scores,
        found.rows,
        path_points=_points(grid, path.W, whole.affine),
        trace=path.trace + found.trace,
        notes=_undivided(problem),
    )


def add_out_of_fold_scores(problem: Problem, fitted: Fitted, stages: Stages) -> None:
    """Add out-of-fold scores at the fitted reg, from folds that know nothing of the fitted W.

    Folds that were asked for are fits like the final one; those that only rank suspects are less exact.
    """
    together = np.arange(len(problem.y)) if problem.groups is None else problem.groups
    divisible = len(np.unique(together[np.bincount(problem.y)[problem.y] > 1]))
    folds = min(problem.options.split.folds or SUSPECT_FOLDS, divisible)
    settings = problem.settings
    if problem.options.split.folds is None:
        settings = replace(settings, tol=max(SUSPECT_TOL, settings.tol), solver="auto")
    training = replace(problem.training, settings=settings)
    fold = problem.fold_of_rows(folds, problem.options.split.seed)
    found = cross_validate(training, [fitted.reg], fold, solve=stages.solve)
    fitted.out_of_fold, fitted.out_of_fold_rows = found.scores[:, 0].numpy(), found.rows
    notes = [found.uncertified(0), *_undivided(problem)]
    fitted.notes += [note for note in notes if note and note not in fitted.notes]


# -------------------------------------------------------------------- SGD


def train_by_sgd(objective: Objective, problem: Problem, rates: Sequence[float] | None, stages: Stages) -> Solution:
    """Train by minibatch SGD, at one rate for all configurations or one for each; None is the natural one."""
    sgd, settings = problem.options.sgd, problem.settings
    solver = MinibatchSGD(
        rates,
        batch_size=sgd.batch_size,
        epochs=sgd.epochs,
        momentum=sgd.momentum,
        schedule=sgd.schedule,
        seed=settings.seed,
    )
    limits = Limits(settings.tol, settings.max_passes, settings.max_seconds)
    return stages.minimize(objective, solver, limits)
