"""The choice that is made when nobody said how: how many values, which rows are held out, and how often."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from straightedge.selection.folds import OutOfFold, cross_validate
from straightedge.selection.path import joined
from straightedge.splits import NEVER
from straightedge.training import TrainingRows

VALUES = 8
"""Values of reg tried, over the range of the path: neighbours differ by a factor of five, and by less than the
standard error of 2,000 judged rows in accuracy."""
COMPARED_TOL = 1e-2
"""Relative gap of fits that nobody sees: on digits, wine, breast cancer and made features of few images the
test accuracy of every value is that of a gap of 1e-3 to four digits."""
FEW_ROWS = 2_000
"""Training rows up to which folds choose: a tenth of them held out would have a standard error over 2 %."""
HELD_OUT = 0.1
"""Share of more rows than that which chooses."""
FOLDS = 5
FEW_SHOT = 20
"""Rows a class below which folds are dealt several times, as one deal of so few is a draw of luck."""
REPEATS = 2
"""Deals of the folds of few rows a class."""
FEW_SHOT_VALUES = 6
"""Values tried there: neighbours differ by a factor of ten, which so few rows hardly tell apart."""
AT_ONCE = 3
"""Values, the largest ones, that are tried before it is asked whether smaller ones are worth their time."""
WORTH_STOPPING = 2**18
"""Entries of X from which on a fit of one value takes longer than starting it."""


def is_few_shot(y: np.ndarray) -> bool:
    """Return whether labels (N,) are of few rows a class."""
    return len(y) < FEW_SHOT * len(np.unique(y))


def number_of_values(y: np.ndarray) -> int:
    """Return how many values of reg are tried for rows with these labels (N,)."""
    return FEW_SHOT_VALUES if is_few_shot(y) else VALUES


def number_of_deals(y: np.ndarray) -> int:
    """Return how often the folds of rows with these labels (N,) are dealt."""
    return REPEATS if is_few_shot(y) else 1


def averaged(found: Sequence[OutOfFold]) -> OutOfFold:
    """Return several deals of the same rows as one, with the mean of scores that never are of a row's own fit."""
    scores = torch.stack([one.scores for one in found]).mean(dim=0)
    return OutOfFold(found[0].rows, scores, [fit for one in found for fit in one.fits])


def scored_while_better(
    training: TrainingRows, reg: Sequence[float], fold: np.ndarray, *, may_stop: bool
) -> OutOfFold:
    """Score held-out rows at the largest values of reg, down to where those of the first fold are past the best.

    Small values take the most steps: of 784 pixels, the last three of eight take two thirds of the time.

    Args:
        training: The training rows.
        reg: K values, largest first.
        fold: (N,) the fold that holds each row out.
        may_stop: Whether values may be left out: where scores are log-odds.

    Returns:
        Scores of as many values as were tried.
    """
    if not may_stop or training.X.shape[0] * training.X[:1].size < WORTH_STOPPING or len(reg) <= AT_ONCE:
        return cross_validate(training, reg, fold)
    only = np.where(fold == 0, 0, NEVER)
    first = cross_validate(training, reg[:AT_ONCE], only)
    for value in reg[AT_ONCE:]:
        if _is_past_the_best(first.scores, torch.from_numpy(training.y[first.rows])):
            break
        first = _with_next(training, value, first, only)
    others = np.where(fold > 0, fold - 1, NEVER)
    if others.max() == NEVER:
        return first
    return _together(first, cross_validate(training, reg[: first.scores.shape[1]], others))


def _with_next(training: TrainingRows, value: float, found: OutOfFold, fold: np.ndarray) -> OutOfFold:
    """Return what one fold found with one more value, from its answer at the value before."""
    more = cross_validate(training, [value], fold, W=found.fits[0].W[-1:])
    fit = joined([found.fits[0], more.fits[0]])
    return OutOfFold(found.rows, torch.cat([found.scores, more.scores], dim=1), [fit])


def _together(first: OutOfFold, others: OutOfFold) -> OutOfFold:
    """Return what different folds of the same values found."""
    rows = np.concatenate([first.rows, others.rows])
    order = np.argsort(rows)
    scores = torch.cat([first.scores, others.scores])[torch.from_numpy(order)]
    return OutOfFold(rows[order], scores, first.fits + others.fits)


def _is_past_the_best(scores: Tensor, y: Tensor) -> bool:
    """Return whether the last value of (n, K, C) has more log loss than the one before, and no more rows right.

    More is by a standard error of the difference, whose rows are paired.
    """
    right = (scores.argmax(dim=2) == y[:, None]).double().mean(dim=0)
    index = y[:, None].expand(-1, 2)[..., None]
    log = torch.log_softmax(scores[:, -2:].double(), dim=2).gather(2, index)[..., 0]
    rise = log[:, 0] - log[:, 1]
    error = float(rise.std()) / len(y) ** 0.5
    return float(rise.mean()) > error and float(right[-1]) <= float(right[:-1].max())
