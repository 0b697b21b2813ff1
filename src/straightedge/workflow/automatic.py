"""How reg is chosen when nobody said: by folds where rows are few, by a held-out split where they are many."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from straightedge.data import Dataset
from straightedge.fitting import FitSettings
from straightedge.selection import OutOfFold, cross_validate
from straightedge.selection.automatic import FEW_ROWS, FOLDS, averaged, number_of_deals, number_of_folds
from straightedge.selection.path import Solve
from straightedge.training import TrainingRows
from straightedge.workflow.options import FitOptions

PATH_TOL = 1e-3
"""Relative gap of the fits that are only compared, which the page draws; the chosen value is fitted to the gap that
was asked for."""


def decided(options: FitOptions, dataset: Dataset) -> FitOptions:
    """Return the options with the way in which reg is chosen, where it was left open.

    Args:
        options: What was asked for.
        dataset: Its training rows are counted; a validation split of its own is what chooses.
    """
    y = dataset.train.y
    split = options.split
    left_open = options.is_automatic and split.folds is None and dataset.validation is None
    left_open = left_open and split.groups is None  # groups may be fewer than folds: a held-out share chooses
    folds = number_of_folds(y)
    if not left_open or dataset.train.n > FEW_ROWS or folds < 2:
        return options
    split = replace(split, folds=folds)
    return replace(options, split=split, choice=replace(options.choice, one_standard_error=True))


def path_settings(options: FitOptions, settings: FitSettings) -> FitSettings:
    """Return the settings of fits that are only compared."""
    return replace(settings, tol=max(settings.tol, PATH_TOL)) if options.is_automatic else settings


def scored_by_folds(
    training: TrainingRows,
    options: FitOptions,
    reg: Sequence[float],
    fold_of_rows: Callable[[int, int], np.ndarray],
    *,
    memory: float,
    solve: Solve,
) -> OutOfFold:
    """Score the training rows by folds at K values of reg, several deals of few rows a class.

    Scores of several deals are averaged: each is of folds that have not seen the row.
    """
    repeated = options.is_automatic and options.split.groups is None
    found = [
        cross_validate(
            training,
            reg,
            fold_of_rows(options.split.folds or FOLDS, options.split.seed + deal),
            memory=memory,
            solve=solve,
        )
        for deal in range(number_of_deals(training.y) if repeated else 1)
    ]
    return averaged(found)
