"""Which short way, if any, an estimator's data can go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from straightedge.estimators import quick, quick_hinge, quick_sparse
from straightedge.estimators.quick_hinge import Found


def short_way(X: Any, solver: Any) -> Callable[..., Found | None] | None:
    """Return what fits X, as `quick_sparse.fit` does sparse rows, or None; other settings may rule it out."""
    if not isinstance(X, np.ndarray):
        return quick_sparse.fit if solver == "auto" and quick_sparse.is_plain(X) else None
    if X.ndim != 2 or not quick.is_plain(X):
        return None
    hinges = solver == "auto"
    return lambda _, *asked: quick.fit(*asked) or (quick_hinge.fit(*asked) if hinges else None)
