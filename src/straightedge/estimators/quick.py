"""Plain NumPy tables without torch: small fits, and scores.

A table of a hundred rows is fitted in a millisecond. What larger or odder data need (blocks, threads, devices,
maps, weights, messages that say which entry is wrong) costs more than that, and importing torch a second. So data
about which there is nothing to say go the short way, with the same Newton steps and the same bounds.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from straightedge.cores import available_cores
from straightedge.newton import column, direct, tall, wide
from straightedge.newton.blocks import WORTH_THREADS, RowBlocks, extremes, shared
from straightedge.newton.direct import LARGEST, Answer
from straightedge.newton.free_bias import Reference
from straightedge.newton.rules import OF_TWO, SECOND_ORDER
from straightedge.newton.work import Size

# what `penalties.BIASES` says; that module imports torch
BIASES = ("penalized", "free")

LARGEST_VALUE = 1e15  # see `rows.LARGEST_VALUE`
SCORED = 2**17  # entries scored together: a block is in cache when its extremes are asked for
LONG = 1000  # passes, or products, that a fit of a wide table is never short of
FINE = 1e-6  # relative gaps below this are float64's from the start
SHORT_SETTINGS = {
    "bias": BIASES,
    "class_weight": (None,),
    "preprocess": ("none",),
    "solver": ("auto", "newton"),
    "warm_start": (False,),
    "device": (None, "cpu"),
    "verbose": (0,),
    "callbacks": (None,),
}
"""Parameters of an estimator for which there is a short way."""


def is_plain(X: Any) -> bool:
    """Return whether X is a table of numbers in memory, as NumPy has them."""
    return is_scored(X) and bool(X.dtype.isnative)


def is_scored(X: Any) -> bool:
    """Return whether X can be scored by blocks: a table of numbers in memory, in either order of bytes."""
    return type(X) is np.ndarray and X.ndim == 2 and X.dtype.kind in "fiu" and X.size > 0


def has_short_settings(estimator: Any) -> bool:
    """Return whether a classifier's parameters say nothing that the short way does not know."""
    return all(_is_among(getattr(estimator, name), known) for name, known in SHORT_SETTINGS.items())


def _is_among(value: Any, known: tuple[Any, ...]) -> bool:
    return any(value is one or (type(value) is type(one) and value == one) for one in known)


def table_of(X: np.ndarray) -> tuple[np.ndarray, tuple[float, float]] | None:
    """Return X in float64 with the constant, and its (min, max |x|); None where an entry is no usable number."""
    value_range = range_of(X)
    if value_range is None:
        return None
    table = np.empty((len(X), X.shape[1] + 1))
    table[:, :-1] = X
    table[:, -1] = 1.0
    return table, value_range


def range_of(X: np.ndarray) -> tuple[float, float] | None:
    """Return (min, max |x|) of a plain table; None where an entry is no usable number."""
    low, high = extremes(X)
    return (low, max(abs(low), abs(high))) if _is_usable(low, high) else None


def _is_usable(low: float, high: float) -> bool:
    """Return whether all entries are usable numbers, by the extremes, which are NaN where one is."""
    return low >= -LARGEST_VALUE and high <= LARGEST_VALUE


def classes_of(y: Any, n_rows: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the sorted classes (C,) and the index of each label (N,); None where there is something to say."""
    plain = type(y) is np.ndarray and y.shape == (n_rows,) and y.dtype.kind in "iubU"
    if not plain:
        return None
    classes, index = counted(y) if y.dtype.kind in "iu" else np.unique(y, return_inverse=True)
    return (classes, index) if 2 <= len(classes) <= n_rows / 2 else None


def counted(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted values of whole numbers and the index of each, without sorting where they are few."""
    low, high = int(y.min()), int(y.max())
    if high - low > len(y):
        return np.unique(y, return_inverse=True)
    # differences may be past the type
    places = (y - y.dtype.type(low)).view(f"u{y.itemsize}").astype(np.int64)
    present = np.bincount(places) > 0
    index = places if present.all() else (np.cumsum(present) - 1)[places]
    return np.flatnonzero(present).astype(y.dtype) + y.dtype.type(low), index


def fit(
    loss: str, X: np.ndarray, y: Any, reg: float, tol: float, most: float, *, bias: str = "penalized"
) -> tuple[Answer, np.ndarray, tuple[float, float]] | None:
    """Return the answer after `most` passes at most, the classes and the range of X, a plain table.

    None where the long way must be gone.
    """
    rule, free = SECOND_ORDER.get(loss), bias == "free"
    labels = classes_of(y, len(X)) if rule is not None else None
    if rule is None or labels is None:
        return None
    classes, index = labels
    C = len(classes)
    size = Size(len(X), X.shape[1] + 1, C, C - rule.shift_invariant, rule.curved)
    rows = RowBlocks(X, index, C, rule, free)
    reference = None
    if not rows.is_bounded:
        if C == 2 or not direct.fits(size):
            return None
        reference = reference_of(loss, index, C)
    if column.fits(size):
        value_range = range_of(X)
        answer = value_range and column.minimise(rows, OF_TWO[loss], reg, tol, most)
        return (answer, classes, value_range) if answer and value_range else None
    if direct.fits(size):
        found = table_of(X)
        own = OF_TWO.get(loss, rule) if C == 2 else rule
        answer = found and direct.minimise(
            found[0], index, size, reg, own, tol, most, free_bias=free, reference=reference
        )
        return (answer, classes, found[1]) if found and answer else None
    value_range = range_of(X) if tall.fits(size) or wide.fits(size, rule) else None
    answer = _of_rows(rows, size, reg, tol, most) if value_range else None
    return (answer, classes, value_range) if answer and value_range else None


def reference_of(loss: str, y: np.ndarray, n_classes: int) -> Reference:
    """Return what a loss's `dual_reference` is to labels y (N,) that weigh the same; it asks for torch."""
    from straightedge.losses import get_loss
    from straightedge.solvers.hinge.gathered.layout import reference_by

    return reference_by(get_loss(loss), np.bincount(y, minlength=n_classes) / len(y))


def _of_rows(rows: RowBlocks, size: Size, reg: float, tol: float, most: float) -> Answer | None:
    """Return the answer for many rows, or for fewer rows than features; None where neither serves."""
    if tall.fits(size):
        return tall.minimise(rows, size, reg, tol, most)
    if most < LONG or not wide.is_cheaper(rows, size, reg):
        return None
    rough = rows.X.dtype == np.float32 and rows.X.size > LARGEST and tol >= FINE
    return wide.minimise(rows, size, reg, tol, rough=rough)


def score(X: np.ndarray, coef: np.ndarray, intercept: np.ndarray) -> tuple[np.ndarray, tuple[float, float]] | None:
    """Return X coefᵀ + intercept (N, C) and X's (min, max); None where an entry is no usable number.

    Numerics:
        Products are float64, for large tables of float32 or small integers float32.
    """
    out: np.ndarray = np.empty((len(X), len(coef)), dtype=_product_type(X))

    def keep(start: int, S: np.ndarray) -> None:
        out[start : start + S.shape[1]] = S.T

    value_range = _each_block(X, coef, intercept, keep)
    return None if value_range is None else (out, value_range)


def predict(
    X: np.ndarray, coef: np.ndarray, intercept: np.ndarray
) -> tuple[np.ndarray, tuple[float, float]] | None:
    """Return the class of the largest score (N,), the first of equal ones, and X's (min, max); see `score`."""
    out = np.zeros(len(X), dtype=np.int64)

    def keep(start: int, S: np.ndarray) -> None:
        own = out[start : start + S.shape[1]]
        if len(S) == 1:  # of two classes: the second's score minus the first's
            own[:] = S[0] > 0
            return
        best = S[0].copy()
        for j in range(1, len(S)):
            np.putmask(own, S[j] > best, j)
            np.maximum(best, S[j], out=best)

    value_range = _each_block(X, coef, intercept, keep)
    return None if value_range is None else (out, value_range)


def _product_type(X: np.ndarray) -> type:
    single = X.dtype.itemsize < 4 + (X.dtype.kind == "f")  # what float32 holds
    return np.float32 if X.size >= LARGEST and single else np.float64


def _each_block(
    X: np.ndarray, coef: np.ndarray, intercept: np.ndarray, keep: Callable[[int, np.ndarray], None]
) -> tuple[float, float] | None:
    """Call ``keep(first row, scores (C, n))`` for each block, on every core; return X's (min, max) or None."""
    dtype = _product_type(X)
    weight: np.ndarray = coef.astype(dtype)
    bias: np.ndarray = intercept.astype(dtype)[:, None]
    step = max(1, SCORED // X.shape[1])

    def of_share(starts: range) -> tuple[float, float]:
        ranges = []
        for start in starts:
            block = X[start : start + step]
            ranges.append((float(block.min()), float(block.max())))
            if not _is_usable(*ranges[-1]):
                return np.nan, np.nan
            S = weight @ block.astype(dtype, copy=False).T
            S += bias
            keep(start, S)
        return min(low for low, _ in ranges), max(high for _, high in ranges)

    found = np.array(shared(len(X), step, of_share, available_cores() if X.nbytes > WORTH_THREADS else 1))
    low, high = float(found[:, 0].min()), float(found[:, 1].max())
    return (low, high) if _is_usable(low, high) else None
