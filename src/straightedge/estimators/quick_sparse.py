"""Sparse rows of two classes, and a hinge or few columns: the short way of `quick`, for some milliseconds."""

from typing import Any

import numpy as np

from straightedge.cores import available_cores
from straightedge.estimators import quick
from straightedge.estimators.quick_hinge import Found

MOST_STORED = 10_000_000  # entries; fits of more take so long that the other way costs nothing
MOST_COLUMNS = 500_000  # the same for W


def is_plain(X: Any) -> bool:
    """Return whether X is CSR of floats of the usual kinds, neither small enough to be made dense nor large."""
    if not (type(X).__module__.startswith("scipy.sparse") and X.format == "csr" and X.ndim == 2):
        return False
    from straightedge.fitting import SMALL

    usual = X.dtype in (np.float32, np.float64) and X.dtype.isnative
    size_fits = X.shape[0] * X.shape[1] > SMALL and 0 < X.nnz <= MOST_STORED and X.shape[1] <= MOST_COLUMNS
    return bool(usual and size_fits)


def range_of(X: Any) -> tuple[float, float] | None:
    """Return (min, max |x|) of X, what is not stored counted as 0; None where an entry is no usable number."""
    low, high = float(X.data.min()), float(X.data.max())
    if not (low >= -quick.LARGEST_VALUE and high <= quick.LARGEST_VALUE):
        return None
    return (low if X.nnz == X.shape[0] * X.shape[1] else min(low, 0.0)), max(abs(low), abs(high))


def fit(
    seed: int, loss: str, X: Any, y: Any, reg: float, tol: float, most: float, *, bias: str = "penalized"
) -> Found | None:
    """Do what `quick.fit` does for X that `is_plain`; the seed is of the orders in which rows are visited."""
    from straightedge.losses import get_loss
    from straightedge.solvers.sparse import narrow
    from straightedge.solvers.sparse.duals import FORMS
    from straightedge.solvers.sparse.problem import Configuration
    from straightedge.solvers.sparse.short import minimise
    from straightedge.sparse_rows import SparseRows
    from straightedge.status import Status
    from straightedge.workers import BlockPool

    form = FORMS.get(get_loss(loss).geometry or "")
    if form is None or (form.entropy and not narrow.is_narrow(X.indptr, X.shape[1])):
        return None
    found, value_range = quick.classes_of(y, X.shape[0]), range_of(X)
    if found is None or len(found[0]) != 2 or value_range is None:
        return None
    classes, labels = found
    rows, free = SparseRows(X), bias == "free"
    weights = np.full(len(labels), 1 / len(labels))
    given = Configuration(rows, BlockPool(available_cores()), labels, 2, get_loss(loss), 2 * reg, weights, free)
    if narrow.fits(given):
        answer = narrow.Narrow(narrow.NarrowProblem.of(given), reg, tol, most).fit()
        return None if answer.status is Status.STALLED else (answer, classes, value_range)
    return None if form.entropy or free else (minimise(given, reg, tol, most, seed), classes, value_range)
