"""What a classifier warns of, and what it prints."""

import warnings
from typing import Any

from straightedge.errors import warn

CONSTANT = {
    "optimum": "reg is so large, or the features so small, that W = 0 is an optimum to the gap asked for: give a "
    "smaller reg, or preprocess='standardize'",
    "features": "every feature is constant in the training rows",
}
"""Why the coefficient of every feature is 0."""


def warn_on_range(trained: tuple[float, float], seen: tuple[float, float]) -> None:
    """Warn when of two (smallest, largest) values one looks like pixels of 0–255 and the other like 0–1."""
    low, high = sorted((trained[1], seen[1]))
    if min(trained[0], seen[0]) >= 0 and 0 < low <= 1 and 64 <= high <= 255:
        warn(
            "ranges-differ",
            f"values of the training rows reach {trained[1]:g}, those of these rows {seen[1]:g}: "
            "is one of them scaled by 255?",
        )


def print_row(row: dict[str, Any]) -> None:
    """Print a row of the trace; the callback of ``verbose=1``."""
    print(f"{row['n_passes']:6.0f} passes  {row['seconds']:7.2f} s  P {row['objective']:.8f}  gap {row['gap']:.2e}")


def warn_not_certified(message: str) -> None:
    """Warn of a fit that did not reach its gap (scikit-learn's ConvergenceWarning)."""
    from sklearn.exceptions import ConvergenceWarning

    warnings.warn(message, ConvergenceWarning, stacklevel=5)  # where fit was called


def warn_constant(answer: Any, cause: str) -> None:
    """Warn of a classifier that gives every row the same class, for a cause among `CONSTANT`."""
    warn("constant-prediction", f"every row is given the class {answer!r}: {CONSTANT[cause]}")
