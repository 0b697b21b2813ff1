"""What metrics.json holds: the answer, its proof, how it was chosen, and how good it is."""

from typing import Any

import numpy as np

from straightedge.data.tables.encoding import column_rows
from straightedge.evaluation.metrics import ESTIMATE, SEALED_TENTH
from straightedge.evaluation.terms import telling_terms
from straightedge.model import LinearModel
from straightedge.report.headline import remarks
from straightedge.solvers.base import Status
from straightedge.workflow.choosing import Fitted
from straightedge.workflow.coefficients import largest_rows
from straightedge.workflow.judging import SHOWN, Judged, hardest_rows, path_rows
from straightedge.workflow.problem import Problem


def metrics_of(
    problem: Problem,
    fitted: Fitted,
    judged: Judged,
    model: LinearModel,
    notes: list[str],
    table: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return what metrics.json holds."""
    solution, k = fitted.solution, fitted.index
    out: dict[str, Any] = {
        "loss": problem.settings.loss,
        "reg": fitted.reg,
        **solution.facts(k),
        "tol": problem.settings.tol,
        "seconds": solution.seconds,
        "n_classes": len(problem.classes),
        "classes": list(problem.classes),
    }
    out |= judged.splits
    if threshold := judged.splits["train"].get("threshold"):
        out["threshold"] = threshold
    if fitted.choice is not None:
        out |= _of_choice(problem, fitted)
    out["suspects"] = judged.suspects[:SHOWN]
    out["hardest"] = list(hardest_rows(judged, problem.classes, SHOWN))
    out["notes"] = notes + remarks(out)
    out |= _of_columns(fitted, table)
    if model.takes_texts and hasattr(model.extractor, "feature_names"):  # columns of a hash have no words
        out["terms"] = _terms(fitted, model)
    return out


def _of_choice(problem: Problem, fitted: Fitted) -> dict[str, Any]:
    """Return what metrics.json holds of the values of reg that were tried and of how one was chosen."""
    choice, selection = fitted.choice, problem.selection
    assert choice is not None
    return {
        "path": path_rows(fitted, selection.metric, problem.path_settings.tol),
        "selection": {
            "metric": selection.metric,
            "rule": choice.rule,
            "splits": f"{selection.folds} folds" if selection.folds else "held-out validation samples",
            "judged_by": _judged_by(problem),
            "chosen_reg": choice.reg,
            "n_values": len(choice.scored),
            "n_certified": sum(status is Status.CERTIFIED for status in choice.path.status),
            "path_seconds": choice.path.seconds,
        },
    }


def _judged_by(problem: Problem) -> str:
    """Return which samples the first accuracy is of, as a name in metrics.json."""
    if problem.dataset.test is None:
        return ESTIMATE
    return SEALED_TENTH if problem.dataset.n_sealed else "test samples"


def _of_columns(fitted: Fitted, table: list[dict[str, Any]] | None) -> dict[str, Any]:
    """Return what metrics.json holds of a table's columns: what they became, and their coefficients."""
    rows = column_rows(fitted.part.training.columns)
    return ({"coefficients": largest_rows(table)} if table else {}) | ({"columns": rows} if rows else {})


def _terms(fitted: Fitted, model: LinearModel) -> list[dict[str, Any]]:
    """Return the words that speak most for and against each class, and the share of training texts with them."""
    X = fitted.part.training.X
    shares = np.bincount(X.indices, minlength=model.n_features) / X.shape[0]
    return telling_terms(model.arrays.weight, model.feature_names, model.classes, shares)
