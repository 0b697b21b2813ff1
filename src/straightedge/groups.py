"""Which samples are held out together: groups that a split never tears apart, and splits that are given."""

import math
from typing import Any

import numpy as np
from torch import Tensor

from straightedge.errors import InputError
from straightedge.splits import NEVER, folds_that_count


def checked_groups(groups: Any, n: int) -> np.ndarray:
    """Return groups as (n,) values that can be sorted.

    Raises:
        InputError: ``groups-invalid`` for another shape, or a missing group.
    """
    found = np.asarray(groups)
    if found.shape != (n,):
        what = f"groups have shape {found.shape} for {n} rows"
        raise InputError("groups-invalid", what, mend="give one group for each row")
    missing = [value is None or (isinstance(value, float) and math.isnan(value)) for value in found.tolist()]
    if any(missing):
        at = f"row {missing.index(True)}"
        raise InputError("groups-invalid", "a group is missing", at, "give each row its group")
    return found.astype(str) if found.dtype == object else found


def fold_of_groups(y: np.ndarray, groups: np.ndarray, folds: int, seed: int = 0) -> np.ndarray:
    """Return the fold (N,) in [0, folds) that holds each row out; all rows of a group are in one fold.

    Groups are dealt out one after another, large ones first, each to the fold where the classes are then spread
    most evenly. The only group that has rows of some class is held out by no fold (`NEVER`).

    Args:
        y: (N,) int64 labels.
        groups: (N,) as `checked_groups` gives them; equal values are one group.
        folds: How many.
        seed: Seed of the order of groups of one size.

    Raises:
        InputError: ``groups-invalid`` for fewer groups that can be held out than folds.
    """
    _, group = np.unique(groups, return_inverse=True)
    counts = np.zeros((int(group.max()) + 1, int(y.max()) + 1))
    np.add.at(counts, (group, y), 1)
    alone = counts[:, (counts > 0).sum(axis=0) == 1].any(axis=1)
    movable = np.flatnonzero(~alone)
    if not 2 <= folds <= len(movable):
        what = f"folds is {folds} for {len(movable)} groups that can be held out"
        raise InputError("groups-invalid", what, mend="give 2 folds or more, at most one a group")
    order = np.random.default_rng(seed).permutation(movable)
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    dealt = np.full(len(counts), NEVER, dtype=np.int64)
    dealt[order] = _dealt(counts[order], folds)
    return np.asarray(_with_every_class_left(dealt, counts)[group])


def _dealt(counts: np.ndarray, folds: int) -> np.ndarray:
    """Return the fold of each group, from its rows of each class: counts (G, C)."""
    share = counts / np.maximum(counts.sum(axis=0), 1)
    held, chosen = np.zeros((folds, counts.shape[1])), np.empty(len(counts), dtype=np.int64)
    for place, own in enumerate(share):
        crowding = ((held + own) ** 2).sum(axis=1) - (held**2).sum(axis=1)
        chosen[place] = np.lexsort((held.sum(axis=1), crowding))[0]
        held[chosen[place]] += own
    return chosen


def _with_every_class_left(dealt: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Keep one group of a class in training where a single fold would hold out all of them."""
    for own in counts.T > 0:
        if own.any() and (dealt[own] == dealt[own][0]).all():
            dealt[np.flatnonzero(own)[0]] = NEVER
    return dealt


def folds_of(y: np.ndarray, weights: Tensor | None, groups: np.ndarray | None, folds: int, seed: int) -> np.ndarray:
    """Return the fold (N,) that holds each row out: of whole groups if there are any, else of rows that count."""
    if groups is None:
        return folds_that_count(y, weights, folds, seed)
    return fold_of_groups(y, groups, folds, seed)


def hold_out_groups(y: np.ndarray, groups: np.ndarray, size: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return (training, validation) row indices, about a share `size` held out, no group in both.

    Raises:
        InputError: See `fold_of_groups`.
    """
    folds = max(2, min(round(1 / size), len(np.unique(groups)) - 1))
    held_out = fold_of_groups(y, groups, folds, seed) == 0
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
