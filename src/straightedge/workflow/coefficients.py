"""The coefficients of a table's columns: per unit, per standard deviation, as odds, with bootstrap intervals.

References:
    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13, for the percentile interval.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from straightedge.data.tables.encoding import TableEncoding
from straightedge.errors import InputError
from straightedge.evaluation.intervals import TAILS
from straightedge.fitting import build_objective, solve
from straightedge.losses import get_loss, is_probabilistic
from straightedge.model import LinearModel
from straightedge.workflow.choosing import Fitted
from straightedge.workflow.problem import Problem

COLUMNS = (
    "feature",
    "column",
    "kind",
    "class",
    "per_unit",
    "low",
    "high",
    "per_standard_deviation",
    "odds_ratio",
    "odds_low",
    "odds_high",
)
"""Of coefficients.csv."""
MOST_ROWS = 2_000  # rows of the table that metrics.json holds, those of the largest coefficients; the file has all
BOOTSTRAP_TOL = 1e-4  # relative gap of the refits: far below what resampling moves
AT_ONCE = 2**25  # numbers of row weights held at a time: refits go in groups of so many configurations
LARGEST_EXPONENT = 700.0


def coefficient_rows(problem: Problem, fitted: Fitted, model: LinearModel) -> list[dict[str, Any]]:
    """Return a row for each feature of a table and class; of two classes, for the second over the first.

    Raises:
        InputError: ``bootstrap-needs-table`` where intervals were asked for of anything else,
            ``bootstrap-invalid``.
    """
    asked = problem.options.run.bootstrap
    if not model.is_of_table:
        if asked:
            what = "--bootstrap gives intervals to the coefficients of a table's columns"
            raise InputError("bootstrap-needs-table", what, mend="leave it out")
        return []
    if asked < 0 or asked == 1 or (asked and problem.communicator.size > 1):
        what = f"--bootstrap is {asked}, on {problem.communicator.size} ranks"
        raise InputError("bootstrap-invalid", what, mend="give 0, or 2 refits or more, such as 200, on one rank")
    encoding = TableEncoding.from_dict(model.columns or {})
    weight = _compared(model.arrays.weight.astype(np.float64))
    spread = None if model.coefficients().spread is None else np.asarray(model.coefficients().spread)
    ends = _intervals(problem, fitted, asked) if asked else (None, None)
    names = model.classes[1:] if len(model.classes) == 2 else model.classes
    odds = is_probabilistic(problem.settings.loss) and len(model.classes) == 2
    temperature = model.temperature or 1.0
    owners = [(column.name, column.kind) for column in encoding.used for _ in range(column.width)]
    rows = []
    for place, feature in enumerate(encoding.feature_names):
        for k, name in enumerate(names):
            value = float(weight[place, k])
            low, high = (None if end is None else float(end[place, k]) for end in ends)
            row = {
                "feature": feature,
                "column": owners[place][0],
                "kind": owners[place][1],
                "class": name,
                "per_unit": value,
                "low": low,
                "high": high,
                "per_standard_deviation": None if spread is None else value * float(spread[place]),
            }
            triple = zip(("odds_ratio", "odds_low", "odds_high"), (value, low, high), strict=True)
            rows.append(row | {key: _odds(one, temperature) if odds else None for key, one in triple})
    return rows


def largest_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows that metrics.json holds: all, or those of the largest coefficients in their order."""
    if len(rows) <= MOST_ROWS:
        return rows
    size = [abs(row["per_standard_deviation"] or row["per_unit"]) for row in rows]
    kept = np.sort(np.argsort(-np.array(size), kind="stable")[:MOST_ROWS])
    return [rows[place] for place in kept]


def _odds(value: float | None, temperature: float) -> float | None:
    """Return by which factor one unit more changes the odds, or None beyond what floats hold."""
    if value is None or abs(value / temperature) > LARGEST_EXPONENT:
        return None
    return float(np.exp(value / temperature))


def _compared(weight: np.ndarray) -> np.ndarray:
    """Return coefficients (..., D, C) as they are told.

    Of two classes those of the second less those of the first, else about the mean of the classes.
    """
    if weight.shape[-1] == 2:
        return np.asarray(weight[..., 1:] - weight[..., :1])
    return np.asarray(weight - weight.mean(axis=-1, keepdims=True))


def _intervals(problem: Problem, fitted: Fitted, n_refits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return 95 % percentile intervals (D, C) of the coefficients, from refits of resampled rows.

    Refits are configurations of one objective, each with its own row weights: X is read once for a group of them.
    """
    training = fitted.part.training
    rows, _ = training.own(fitted.part.index)
    y = torch.from_numpy(training.y if fitted.part.index is None else training.y[fitted.part.index])
    own = training.own_weights(fitted.part.index)
    base = np.ones(len(y)) if own is None else own.numpy()
    solver = "lbfgs" if get_loss(problem.settings.loss).smooth else "auto"  # it takes all refits in each pass
    settings = replace(problem.settings, tol=max(BOOTSTRAP_TOL, problem.settings.tol), solver=solver)
    rng, found = np.random.default_rng(problem.options.split.seed), []
    step = max(1, AT_ONCE // max(1, len(y)))
    for first in range(0, n_refits, step):
        size = min(step, n_refits - first)
        counts = rng.multinomial(len(y), np.full(len(y), 1 / len(y)), size) * base
        objective = build_objective(
            rows,
            y,
            training.n_classes,
            [fitted.reg] * size,
            settings,
            affine=fitted.part.affine,
            weights=torch.from_numpy(counts),
            fold=torch.arange(size),
        )
        start = fitted.W[None].expand(size, *fitted.W.shape).contiguous()
        for W in solve(objective, settings, W=start).W:
            found.append(_compared(fitted.part.affine.fold(W.t())[0].numpy()))
    low, high = np.quantile(np.stack(found), TAILS, axis=0)
    return low, high
