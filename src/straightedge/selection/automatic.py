"""The choice that is made when nobody said how: how many values, which rows are held out, and how often."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from straightedge.selection.folds import OutOfFold, cross_validate
from straightedge.solvers.solution import joined
from straightedge.training import TrainingRows

VALUES = 8
"""Values of reg tried, over the range of the path: neighbours differ by a factor of five, and by less than the
standard error of 2,000 judged rows in accuracy."""
COMPARED_TOL = 1e-2
"""Relative gap of fits that nobody sees: on digits, wine, breast cancer and made features of few images the
test accuracy of every value is that of a gap of 1e-3 to four digits."""
FEW_ROWS = 2_000
"""Training rows up to which folds choose: a tenth of them held out would have a standard error over 2 %."""
HELD_OUT = 0.1  # share of more rows than that which chooses
FOLDS = 5
MANY_FOLDED = 1_000
"""Training rows from which on three folds choose: two thirds of them tell values of reg apart as four fifths do, in
half of the time."""
FEW_FOLDS = 3
FEW_SHOT = 20  # rows a class below which folds are dealt several times, as one deal of so few is a draw of luck
REPEATS = 2  # deals of the folds of few rows a class
FEW_SHOT_VALUES = 6  # values tried there: neighbours differ by a factor of ten, which so few rows hardly tell apart
AT_ONCE = 3  # values, the largest ones, that are tried before it is asked whether smaller ones are worth their time
PATIENCE = 2
"""Values in a row that have no more rows right than a larger one: the next, of more steps, is not tried."""
WORTH_STOPPING = 2**18
"""Entries of X, once for each class, from which on a fit of one value takes longer than starting it."""


def is_few_shot(y: np.ndarray) -> bool:
    """Return whether labels (N,) are of few rows a class."""
    return len(y) < FEW_SHOT * len(np.unique(y))


def number_of_values(y: np.ndarray) -> int:
    """Return how many values of reg are tried for rows with these labels (N,)."""
    return FEW_SHOT_VALUES if is_few_shot(y) else VALUES


def number_of_deals(y: np.ndarray) -> int:
    """Return how often the folds of rows with these labels (N,) are dealt."""
    return REPEATS if is_few_shot(y) else 1


def number_of_folds(y: np.ndarray) -> int:
    """Return how many folds choose for rows with these labels (N,): no more than rows that can be held out."""
    counts = np.bincount(y)
    asked = FOLDS if len(y) < MANY_FOLDED or is_few_shot(y) else FEW_FOLDS
    return min(asked, int(counts[counts > 1].sum()))


def averaged(found: Sequence[OutOfFold]) -> OutOfFold:
    """Return several deals of the same rows as one, with the mean of scores that never are of a row's own fit."""
    scores = torch.stack([one.scores for one in found]).mean(dim=0)
    return OutOfFold(found[0].rows, scores, [fit for one in found for fit in one.fits])


def scored_while_better(
    training: TrainingRows, reg: Sequence[float], deals: Sequence[np.ndarray], *, may_stop: bool
) -> OutOfFold:
    """Return mean scores over the deals at the largest values of reg, down to where they are past the best one.

    Small values take the most steps: of 784 pixels, the last three of eight take two thirds of the time.

    Args:
        training: The training rows.
        reg: K values, largest first.
        deals: For each deal of the folds, (N,) the fold that holds each row out.
        may_stop: Whether values may be left out: where scores are log-odds.
    """
    size = training.X.shape[0] * math.prod(training.X.shape[1:]) * training.n_classes
    begun = len(reg) if not may_stop or size < WORTH_STOPPING else AT_ONCE
    found = [cross_validate(training, reg[:begun], fold) for fold in deals]
    for value in reg[begun:]:
        known = averaged(found)
        if is_past_the_best(known.scores, torch.from_numpy(training.y[known.rows])):
            break
        found = [_with_next(training, value, *one) for one in zip(found, deals, strict=True)]
    return averaged(found)


def _with_next(training: TrainingRows, value: float, found: OutOfFold, fold: np.ndarray) -> OutOfFold:
    """Return what folds found with one more value, each fold from its own answer at the value before."""
    more = cross_validate(training, [value], fold, former=found)
    fits = [joined(pair) for pair in zip(found.fits, more.fits, strict=True)]
    return replace(found, scores=torch.cat([found.scores, more.scores], dim=1), fits=fits)


def is_past_the_best(scores: Tensor, y: Tensor) -> bool:
    """Return whether smaller values than the last of (n, K, C) are not worth their time.

    They are not where the last `PATIENCE` values have no more rows right than a larger one. One such value is
    enough where it has more log loss than the one before, by a standard error of the difference, whose rows are
    paired.
    """
    right = (scores.argmax(dim=2) == y[:, None]).double().mean(dim=0)
    since = len(right) - 1 - int(right.argmax())
    if since == 0 or since >= PATIENCE:
        return since > 0
    index = y[:, None].expand(-1, 2)[..., None]
    log = torch.log_softmax(scores[:, -2:].double(), dim=2).gather(2, index)[..., 0]
    rise = log[:, 0] - log[:, 1]
    return bool(rise.mean() > rise.std() / len(y) ** 0.5)
