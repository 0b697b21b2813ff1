"""Which samples are held out: a validation split, or folds; every class keeps samples to train on."""

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from straightedge.errors import InputError

NEVER = -1  # the fold of a sample that no fold holds out
MOST_NAMED = 5  # classes named in a message


def hold_out(y: np.ndarray, size: float | int = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return (training, validation) row indices, stratified by class where there is a sample for each.

    Every class keeps a sample to train on: a class of one is never held out. Validation is empty where no class
    has two samples, and smaller than asked for where classes are too small.

    Args:
        y: (N,) labels.
        size: A share in (0, 1), or a number of samples.
        seed: Seed of the shuffle.
    """
    asked = size if isinstance(size, int) and size >= 1 else math.ceil(len(y) * size)
    divisible = np.flatnonzero(np.bincount(y)[y] >= 2)
    n_classes = len(np.unique(y[divisible]))
    n = min(int(asked), len(divisible) - n_classes)
    if n_classes <= n and n_classes <= len(divisible) - n and n > 0:
        chosen = divisible[_stratified(y[divisible], n, seed)]
    else:
        chosen = np.random.default_rng(seed).permutation(divisible)
    validation = np.sort(_with_class_left(chosen, y)[:n])
    return np.setdiff1d(np.arange(len(y)), validation), validation


def _stratified(y: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Return n of the rows, of each class its share.

    Numerics:
        The same rows as the test set of scikit-learn's `StratifiedShuffleSplit` with this seed.
    """
    _, label, counts = np.unique(y, return_inverse=True, return_counts=True)
    rng = np.random.RandomState(seed)
    kept = _shares(counts, len(y) - n, rng)
    _shares(counts - kept, n, rng)  # what is left: drawn there, too, and random numbers with it
    of_class = np.split(np.argsort(label, kind="stable"), np.cumsum(counts)[:-1])
    shuffled = [rows[rng.permutation(len(rows))] for rows in of_class]
    return np.concatenate([rows[own:] for rows, own in zip(shuffled, kept, strict=True)])


def _shares(counts: np.ndarray, n: int, rng: np.random.RandomState) -> np.ndarray:
    """Return how many of n rows each class has: its share rounded down, and the largest remainders get the rest."""
    exact = counts / counts.sum() * n
    given = np.floor(exact)
    remainder, missing = exact - given, int(n - given.sum())
    for value in np.sort(np.unique(remainder))[::-1]:
        if missing <= 0:
            break
        (equal,) = np.where(remainder == value)
        chosen = rng.choice(equal, size=min(len(equal), missing), replace=False)
        given[chosen] += 1
        missing -= len(chosen)
    return np.asarray(given, dtype=np.int64)


def _with_class_left(chosen: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Leave out the last sample of each class of which nothing else would be left to train on."""
    left = np.bincount(y) - np.bincount(y[chosen], minlength=int(y.max()) + 1)
    last = {int(y[row]): place for place, row in enumerate(chosen)}
    return np.delete(chosen, [place for label, place in last.items() if left[label] == 0])


def fold_of_rows(y: np.ndarray, folds: int, seed: int = 0) -> np.ndarray:
    """Return the fold (N,) in [0, folds) that holds each row out, stratified by class.

    A class of fewer samples than folds is held out by as many folds as it has samples. A class of one sample is
    held out by none (`NEVER`): it would have nothing to train on.

    Numerics:
        The same folds as scikit-learn's `StratifiedKFold` with a shuffle and this seed, where that allows them.

    Raises:
        InputError: ``folds-invalid`` for fewer than 2 folds, or more than samples that can be held out.
    """
    divisible = np.flatnonzero(np.bincount(y)[y] >= 2)
    if not 2 <= folds <= len(divisible):
        what = f"folds is {folds} for {len(divisible)} samples of classes with two or more"
        raise InputError("folds-invalid", what, mend="give 2 folds or more, at most one a sample")
    _, first, index = np.unique(y[divisible], return_index=True, return_inverse=True)
    label = np.argsort(np.argsort(first))[index]  # classes numbered as they appear, like scikit-learn's
    rising, rng = np.sort(label), np.random.RandomState(seed)
    counts = np.stack([np.bincount(rising[fold::folds], minlength=len(first)) for fold in range(folds)])
    out = np.full(len(y), NEVER, dtype=np.int64)
    for own in range(len(first)):
        dealt = np.repeat(np.arange(folds), counts[:, own])
        rng.shuffle(dealt)
        out[divisible[label == own]] = dealt
    return out


def hold_out_that_counts(
    y: np.ndarray, weights: Tensor | None, size: float | int = 0.1, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return `hold_out` of the rows of positive weight; the others, which count nowhere, stay in training."""
    if weights is None or bool((weights > 0).all()):
        return hold_out(y, size, seed)
    kept = np.flatnonzero((weights > 0).numpy())
    validation = kept[hold_out(y[kept], size, seed)[1]]
    return np.setdiff1d(np.arange(len(y)), validation), validation


def folds_that_count(y: np.ndarray, weights: Tensor | None, folds: int, seed: int = 0) -> np.ndarray:
    """Return `fold_of_rows` of the rows of positive weight; no fold holds the others out, which count nowhere."""
    if weights is None or bool((weights > 0).all()):
        return fold_of_rows(y, folds, seed)
    out, kept = np.full(len(y), NEVER, dtype=np.int64), (weights > 0).numpy()
    out[kept] = fold_of_rows(y[kept], folds, seed)
    return out


def undivided(y: np.ndarray, names: Sequence[object]) -> str | None:
    """Return a sentence that names the classes of one sample, or None where there are none."""
    alone = np.flatnonzero(np.bincount(y, minlength=len(names)) == 1)
    if not len(alone):
        return None
    shown = ", ".join(str(names[label]) for label in alone[:MOST_NAMED])
    more = f" and {len(alone) - MOST_NAMED} more" if len(alone) > MOST_NAMED else ""
    one = "class has" if len(alone) == 1 else "classes have"
    return (
        f"{len(alone)} {one} one sample, which stays in training: {shown}{more}; "
        "no validation number says anything of them"
    )
