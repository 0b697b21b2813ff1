"""The path, the folds, the choice of reg."""

import warnings
from typing import TYPE_CHECKING, Any

from straightedge.selection.cautions import cautions
from straightedge.selection.choice import (
    METRICS,
    CandidateScore,
    RegChoice,
    SelectionSettings,
    choose,
    judge,
    rule_in_words,
)
from straightedge.selection.folds import OutOfFold, cross_validate
from straightedge.selection.path import RegularizationPath, default_grid, fit_path, group_size, solve_path
from straightedge.solvers.solution import joined

if TYPE_CHECKING:
    from straightedge.selection.classifier import LinearClassifierCV

__all__ = [
    "METRICS",
    "CandidateScore",
    "LinearClassifierCV",
    "OutOfFold",
    "RegChoice",
    "RegularizationPath",
    "SelectionSettings",
    "cautions",
    "choose",
    "cross_validate",
    "default_grid",
    "fit_path",
    "group_size",
    "joined",
    "judge",
    "rule_in_words",
    "solve_path",
]

_FORMER_NAMES = {"Scored": "CandidateScore", "Choice": "RegChoice", "Path": "RegularizationPath"}


def __getattr__(name: str) -> Any:
    """Import the estimator, and scikit-learn with it, when it is asked for; find a class by its former name."""
    if name == "LinearClassifierCV":
        from straightedge.selection.classifier import LinearClassifierCV

        return LinearClassifierCV
    if name not in _FORMER_NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    now = _FORMER_NAMES[name]
    warnings.warn(f"{__name__}.{name} is called {now} now", DeprecationWarning, stacklevel=2)
    return globals()[now]
