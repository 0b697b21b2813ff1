"""From training (and validation) samples to one W: a single reg, a path with a choice, or a search by SGD."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from straightedge import protocols
from straightedge.fitting import checked_reg
from straightedge.losses import get_loss, is_probabilistic
from straightedge.objective import Objective
from straightedge.preprocess import AffineMap
from straightedge.selection import (
    Choice,
    SelectionSettings,
    choose,
    cross_validate,
    default_grid,
    fold_of_rows,
    hold_out,
    judge,
    rule_in_words,
    solve_path,
)
from straightedge.solvers.base import Limits, Solution, Status
from straightedge.solvers.sgd import MinibatchSGD
from straightedge.workflow.problem import Problem
from straightedge.workflow.stages import Stages

DEFAULT_REG = 5e-5  # of the mean square norm of a row of pixels, whose spectrum is steep
STANDARD_REG = 5e-4  # of the mean square of a standardised feature: C = 1 at a thousand samples
SEARCH_RATES = (0.3, 1.0, 3.0, 10.0)  # of the natural learning rate
SEARCH_REGS = (1e-7, 1e-6, 1e-5, 1e-4)  # of the mean square norm of a row
FURTHER, MOST_FURTHER = (
    4,
    8,
)  # values tried at once below the default grid, and in all, where its least did best
SUSPECT_FOLDS = 5
SUSPECT_TOL = 1e-2  # a ranking does not need more


@dataclass
class Fitted:
    """The final W and what it rests on.

    Attributes:
        W: (C, D + 1) float64.
        affine: The map it was fitted behind.
        reg: Its reg.
        solution: The solution W is a part of, at `index`.
        index: Position in `solution`.
        choice: What was looked at for the choice, if there was one.
        held_out_scores: (N, C) scores of samples their model had not seen, or None.
        held_out_labels: Their labels.
        out_of_fold: (N_train, C) out-of-fold scores of all training rows, or None.
        validation: The validation samples that were not trained on when judged, or None.
        path_points: (reg, W (C, D + 1)) of every value tried.
        trace: All trace rows.
        grid: Facts of an SGD search: the heads' learning rates.
        trained_on: Indices of the training rows W was fitted on; None for all.
    """

    W: Tensor
    affine: AffineMap
    reg: float
    solution: Solution
    index: int
    choice: Choice | None = None
    held_out_scores: np.ndarray | None = None
    held_out_labels: np.ndarray | None = None
    out_of_fold: np.ndarray | None = None
    path_points: list[tuple[float, Tensor]] = field(default_factory=list)
    trace: list[dict[str, Any]] = field(default_factory=list)
    grid: list[dict[str, float]] | None = None
    trained_on: np.ndarray | None = None


def _natural_reg(problem: Problem) -> float:
    """Return a reg of two digits from the data's scale, for those who ask for none."""
    if problem.affine.kind == "standardize":
        return float(f"{STANDARD_REG * problem.scale / problem.affine.n_features:.2g}")
    return float(f"{DEFAULT_REG * problem.scale:.2g}")


def fit_single(problem: Problem, stages: Stages) -> Fitted:
    """Fit one value of reg on all training samples."""
    options = problem.options
    reg = options.reg if options.reg is not None else _natural_reg(problem)
    checked_reg(reg, exact=options.solver != "sgd")
    if options.solver == "sgd":
        rate = [options.learning_rate] if options.learning_rate else None
        solution = _sgd(problem.objective([reg]), problem, rate, stages)
    else:
        solution = stages.solve(problem.objective([reg]), problem.settings)
    fitted = Fitted(solution.W[0], problem.affine, reg, solution, 0, trace=list(solution.trace))
    fitted.path_points = [(reg, solution.W[0])]
    if problem.dataset.validation is not None:
        scores = problem.scores(solution.W, problem.dataset.validation.X)[:, 0].numpy()
        fitted.held_out_scores, fitted.held_out_labels = scores, problem.dataset.validation.y
    return fitted


def grid_of(problem: Problem, n_train: int) -> list[float]:
    """Return the values of reg to try for n_train samples."""
    options = problem.options
    if options.protocol is not None:
        return list(protocols.protocol(options.protocol).reg_values(n_train, len(problem.classes)))
    if options.regs is not None:
        return checked_reg(options.regs)
    return default_grid(problem.scale)


def fit_chosen(problem: Problem, stages: Stages, memory: float) -> Fitted:
    """Fit the path, choose reg on samples it has not seen, and fit the choice on all of them."""
    options = problem.options
    selection = options.selection()
    if options.folds is not None:
        return _chosen_by_folds(problem, stages, selection, memory)
    train, X_validation, held_out, y_validation = _validation(problem, selection)
    n_train = len(problem.y) if train is None else len(train)
    grid = grid_of(problem, n_train)
    path = solve_path(
        lambda part: problem.objective(part, train), grid, problem.settings, memory=memory, solve=stages.solve
    )
    scores = problem.scores(path.W, X_validation, held_out)
    choice = _choice(problem, selection, scores, y_validation, grid, path)
    final, reg = _refit(problem, stages, choice, train, n_train)
    return Fitted(
        final.W[0],
        problem.affine,
        reg,
        final,
        0,
        choice,
        choice.scores,
        y_validation,
        path_points=list(zip(grid, path.W, strict=True)),
        trace=path.trace + final.trace,
    )


def _validation(
    problem: Problem, selection: SelectionSettings
) -> tuple[np.ndarray | None, Any, np.ndarray | None, np.ndarray]:
    """Return training indices (None for all), where validation rows are, which they are there, their labels."""
    own = problem.dataset.validation
    if own is not None:
        return None, own.X, None, own.y
    size: float | int = selection.validation_size
    if problem.options.protocol is not None:
        size = protocols.protocol(problem.options.protocol).split.size(len(problem.y))
    train, validation = hold_out(problem.y, size, selection.seed)
    return train, problem.X, validation, problem.y[validation]


def _choice(
    problem: Problem,
    selection: SelectionSettings,
    scores: Tensor,
    y: np.ndarray,
    grid: list[float],
    path: Solution,
) -> Choice:
    softmax = is_probabilistic(problem.settings.loss)
    scored = judge(scores, y, grid, selection, softmax)
    index = choose(scored, selection)
    choice = Choice(index, grid[index], scored, scores[:, index].numpy(), y, path, rule_in_words(selection))
    if index in {int(np.argmin(grid)), int(np.argmax(grid))} and len(grid) > 1:
        choice.notes.append(f"the chosen reg {grid[index]:.3g} is at the edge of the values tried")
    if path.status[index] is not Status.CERTIFIED:
        choice.notes.append(f"the chosen reg's fit is {path.message[index]}")
    return choice


def _refit(
    problem: Problem, stages: Stages, choice: Choice, train: np.ndarray | None, n_train: int
) -> tuple[Solution, float]:
    """Fit the chosen reg on training and validation samples together, starting from the path's W."""
    own = problem.dataset.validation
    n_all = len(problem.y) + (own.n if own is not None else 0)
    reg = choice.reg
    if problem.options.protocol is not None:
        protocol = protocols.protocol(problem.options.protocol)
        if not protocol.refit:
            return problem_solution(choice), reg
        reg = protocol.reg(protocol.grid[choice.index], n_all, len(problem.classes))
    start = choice.path.W[choice.index][None]
    if own is None:
        return stages.solve(problem.objective([reg]), problem.settings, W=start), reg
    objective = problem.objective_with(own.X, own.y, [reg])
    return stages.solve(objective, problem.settings, W=start), reg


def problem_solution(choice: Choice) -> Solution:
    """Return the chosen configuration of the path as a solution of its own."""
    path, k = choice.path, choice.index
    rows = [row for row in path.trace if row["reg"] == choice.reg]
    return Solution(
        path.W[k : k + 1],
        path.objective[k : k + 1],
        path.dual[k : k + 1],
        path.gap[k : k + 1],
        [path.status[k]],
        [path.message[k]],
        path.n_passes[k : k + 1],
        path.seconds,
        rows,
    )


def _chosen_by_folds(problem: Problem, stages: Stages, selection: SelectionSettings, memory: float) -> Fitted:
    grid = grid_of(problem, len(problem.y))
    path = solve_path(problem.objective, grid, problem.settings, memory=memory, solve=stages.solve)
    fold = fold_of_rows(problem.y, selection.folds or SUSPECT_FOLDS, selection.seed)
    scores, folds = cross_validate(
        problem.X,
        problem.y,
        len(problem.classes),
        grid,
        problem.settings,
        fold=fold,
        affine=problem.affine,
        W=path.W,
        memory=memory,
        solve=stages.solve,
        communicator=problem.communicator,
    )
    choice = _choice(problem, selection, scores, problem.y, grid, path)
    final = problem_solution(choice)
    return Fitted(
        final.W[0],
        problem.affine,
        choice.reg,
        final,
        0,
        choice,
        choice.scores,
        problem.y,
        choice.scores,
        path_points=list(zip(grid, path.W, strict=True)),
        trace=path.trace + folds.trace,
    )


def out_of_fold_scores(problem: Problem, fitted: Fitted, stages: Stages) -> np.ndarray:
    """Return out-of-fold scores (N, C) at the fitted reg: five folds in the same passes, from the fitted W."""
    from dataclasses import replace

    smallest = int(np.bincount(problem.y)[np.bincount(problem.y) > 0].min())
    folds = max(2, min(SUSPECT_FOLDS, smallest))
    settings = replace(problem.settings, tol=max(SUSPECT_TOL, problem.settings.tol), solver="auto")
    scores, _ = cross_validate(
        problem.X,
        problem.y,
        len(problem.classes),
        [fitted.reg],
        settings,
        fold=fold_of_rows(problem.y, folds, problem.options.seed),
        affine=problem.affine,
        W=fitted.W[None],
        solve=stages.solve,
        communicator=problem.communicator,
    )
    return scores[:, 0].numpy()


# -------------------------------------------------------------------- SGD


def fit_search(problem: Problem, stages: Stages) -> Fitted:
    """Train a grid of (learning rate, reg) heads in the same batches; the best on validation is the model."""
    selection = problem.options.selection()
    train, X_validation, held_out, y_validation = _validation(problem, selection)
    regs = problem.options.regs or [float(f"{problem.scale * r:.3g}") for r in SEARCH_REGS]
    natural = 0.1 * len(problem.classes) / problem.scale * get_loss(problem.settings.loss).learning_rate
    rates = (
        [problem.options.learning_rate]
        if problem.options.learning_rate
        else [natural * r for r in SEARCH_RATES]
    )
    heads = [(rate, reg) for rate in rates for reg in regs]
    objective = problem.objective([reg for _, reg in heads], train)
    solution = _sgd(objective, problem, [rate for rate, _ in heads], stages)
    scores = problem.scores(solution.W, X_validation, held_out)
    choice = _choice(problem, selection, scores, y_validation, [reg for _, reg in heads], solution)
    choice.notes = []  # the heads are not at their optima: the table says so
    index = choice.index
    return Fitted(
        solution.W[index],
        problem.affine,
        choice.reg,
        solution,
        index,
        choice,
        choice.scores,
        y_validation,
        path_points=[],
        trace=solution.trace,
        grid=[{"learning_rate": rate, "reg": reg} for rate, reg in heads],
        trained_on=train,
    )


def _sgd(objective: Objective, problem: Problem, rates: Sequence[float] | None, stages: Stages) -> Solution:
    options = problem.options
    solver = MinibatchSGD(
        rates,
        batch_size=options.batch_size,
        epochs=options.epochs,
        momentum=options.momentum,
        schedule=options.schedule,
        seed=options.seed,
    )
    limits = Limits(problem.settings.tol, options.max_passes, options.max_seconds)
    return stages.minimize(objective, solver, limits)
