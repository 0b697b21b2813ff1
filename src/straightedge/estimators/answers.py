"""What a classifier gives back: scores by block, answers of the kind of X, and what it warns of."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from straightedge.errors import warn
from straightedge.solvers.base import Solution
from straightedge.sparse_moments import extremes
from straightedge.sparse_rows import AnyRows, SparseRows


def warn_on_range(trained: tuple[float, float], seen: tuple[float, float]) -> None:
    """Warn when one of train and test looks like pixels of 0–255 and the other like 0–1.

    Args:
        trained: (smallest, largest) value of the training rows.
        seen: The same of the rows to be predicted.
    """
    low, high = sorted((trained[1], seen[1]))
    if min(trained[0], seen[0]) >= 0 and 0 < low <= 1 and 64 <= high <= 255:
        warn(
            "ranges-differ",
            f"values of the training rows reach {trained[1]:g}, those of these rows {seen[1]:g}: "
            "is one of them scaled by 255?",
        )


def score_rows(
    rows: AnyRows, coef: np.ndarray, intercept: np.ndarray
) -> tuple[np.ndarray, tuple[float, float]]:
    """Return X coefᵀ + intercept (N, C) and X's (min, max), by blocks, in float64 or for large X float32."""
    if isinstance(rows, SparseRows):
        return rows.csr @ coef.T + intercept, extremes(rows, None)
    dtype = (
        torch.float64 if rows.is_float64 or rows.n_samples * rows.n_features < 2_000_000 else torch.float32
    )
    weight = torch.as_tensor(coef).to(rows.device, dtype)
    bias = torch.as_tensor(intercept).to(rows.device, dtype)
    out = torch.empty(rows.n_samples, len(weight), dtype=dtype, device=rows.device)
    buffer = torch.empty(min(2048, rows.n_samples), rows.n_features, dtype=dtype, device=rows.device)
    ranges = []
    for start in range(0, rows.n_samples, 2048):
        stop = min(start + 2048, rows.n_samples)
        block = rows.block(start, stop, buffer)
        ranges.append(torch.stack(block.aminmax()))
        out[start:stop] = torch.addmm(bias, block, weight.t())
    seen = torch.stack(ranges)
    return out.cpu().numpy(), (float(seen[:, 0].min()), float(seen[:, 1].max()))


def like_input(X: Any, answer: np.ndarray) -> Any:
    """Return the answer as X came: a tensor on X's device, or an array."""
    if isinstance(X, Tensor) and answer.dtype.kind in "biuf":
        return torch.as_tensor(answer).to(X.device)
    return answer


def on_host(given: Any) -> Any:
    """Return a tensor as an array, and everything else as it is."""
    return given.cpu().numpy() if isinstance(given, Tensor) else given


def print_row(row: dict[str, Any]) -> None:
    """Print a row of the trace; the callback of ``verbose=1``."""
    print(
        f"{row['n_passes']:6.0f} passes  {row['seconds']:7.2f} s  P {row['objective']:.8f}  gap {row['gap']:.2e}"
    )


def warn_not_certified(solution: Solution) -> None:
    """Warn of every configuration that did not reach its gap (scikit-learn's ConvergenceWarning)."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    for status, message in zip(solution.status, solution.message, strict=True):
        if status.value != "certified":
            warnings.warn(message, ConvergenceWarning, stacklevel=4)


CONSTANT = {
    "optimum": "reg is so large, or the features so small, that W = 0 is an optimum to the gap asked for: give a "
    "smaller reg, or preprocess='standardize'",
    "features": "every feature is constant in the training rows",
}
"""Why the coefficient of every feature is 0."""


def warn_constant(answer: Any, cause: str) -> None:
    """Warn of a classifier that gives every row the same class, for a cause among `CONSTANT`."""
    warn("constant-prediction", f"every row is given the class {answer!r}: {CONSTANT[cause]}")
