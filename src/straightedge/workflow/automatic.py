"""How reg is chosen when nobody said: by folds where rows are few, by a held-out split where they are many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from straightedge.data import Dataset
from straightedge.fitting import FitSettings
from straightedge.selection import OutOfFold, cross_validate
from straightedge.selection.path import Solve
from straightedge.training import TrainingRows
from straightedge.workflow.options import FitOptions

VALUES = 8
"""Values of reg tried, over the range of the path: neighbours differ by a factor of five, and by less than the
standard error of 2,000 judged rows in accuracy."""
PATH_TOL = 1e-3
"""Relative gap of the fits that are only compared; the chosen value is fitted to the gap that was asked for."""
FEW_ROWS = 2_000
"""Training rows up to which folds choose: a tenth of them held out would have a standard error over 2 %."""
FOLDS = 5
FEW_SHOT = 20
"""Rows a class below which folds are dealt several times, as one deal of so few is a draw of luck."""
REPEATS = 3
"""Deals of the folds of few rows a class."""


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
    counts = np.bincount(y)
    divisible = int(counts[counts > 1].sum())
    if not left_open or dataset.train.n > FEW_ROWS or divisible < 2:
        return options
    split = replace(split, folds=min(FOLDS, divisible))
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
    y = training.y
    few = options.is_automatic and options.split.groups is None and len(y) < FEW_SHOT * len(np.unique(y))
    found = [
        cross_validate(
            training,
            reg,
            fold_of_rows(options.split.folds or FOLDS, options.split.seed + deal),
            memory=memory,
            solve=solve,
        )
        for deal in range(REPEATS if few else 1)
    ]
    scores = torch.stack([one.scores for one in found]).mean(dim=0)
    return OutOfFold(found[0].rows, scores, [fit for one in found for fit in one.fits])
