"""The path, the folds, the choice of reg."""

from straightedge.selection.cautions import cautions
from straightedge.selection.choice import (
    METRICS,
    Choice,
    Scored,
    SelectionSettings,
    choose,
    judge,
    rule_in_words,
)
from straightedge.selection.classifier import LinearClassifierCV
from straightedge.selection.folds import OutOfFold, cross_validate
from straightedge.selection.path import (
    RegularizationPath,
    default_grid,
    fit_path,
    group_size,
    joined,
    solve_path,
)

__all__ = [
    "METRICS",
    "Choice",
    "LinearClassifierCV",
    "OutOfFold",
    "RegularizationPath",
    "Scored",
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
