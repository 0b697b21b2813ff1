"""Rows with several labels each: C two-class problems at one reg, in one run folder.

Each label is a fit of its own, against no such label, on the rows' features that all of them share. Their
objectives add up: mean Σ_c ℓ_c + reg ΣW², of two classes each, with the proof of the sum.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from straightedge.data.beside import BALANCED
from straightedge.data.tables.multihot import MultiHot, load_multihot
from straightedge.errors import InputError
from straightedge.evaluation.multilabel import evaluate_multilabel
from straightedge.groups import checked_groups, folds_of
from straightedge.losses import is_probabilistic
from straightedge.model import LinearModel
from straightedge.moments import moments
from straightedge.parameters import checked_reg
from straightedge.selection import cross_validate, default_grid
from straightedge.selection.automatic import FOLDS, VALUES
from straightedge.solvers.base import Solution, Status
from straightedge.training import TrainingPart, TrainingRows
from straightedge.workflow.options import FitOptions

Say = Callable[[str], None]


@dataclass(frozen=True)
class LabelFits:
    """The fits of all labels at one reg.

    Attributes:
        part: The training rows of the last label, with the map and features that all share.
        W: (C, D + 1) float64: the second class's weights less the first's.
        solutions: Of each label.
        reg: The strength of each two-class fit.
        held_out: (n, C) scores of rows that their fit had not seen, or None.
        judged: (K,) mean log loss of a label at each reg tried, on held-out rows; empty where one was given.
        grid: The K values.
    """

    part: TrainingPart
    W: Tensor
    solutions: list[Solution]
    reg: float
    held_out: np.ndarray | None
    judged: list[float]
    grid: list[float]


def read_rows(options: FitOptions) -> tuple[MultiHot, MultiHot | None]:
    """Return the training data, with validation and test splits of their own, and a second source of test rows.

    Raises:
        InputError: The codes of `load_multihot`; ``multilabel-option`` for what one label a row alone can have.
    """
    for name, value in (
        ("--threshold", options.choice.threshold),
        ("--class-weight FILE", None if options.fit.class_weight == BALANCED else options.fit.class_weight),
        ("--features", options.extractor.features),
        ("--protocol", options.choice.protocol),
        ("--search", options.sgd.search or None),
        ("--bootstrap", options.run.bootstrap or None),
        ("--classes", options.data.classes),
        ("--one-se", options.choice.one_standard_error or None),
        ("--metric", None if options.choice.metric == FitOptions().choice.metric else options.choice.metric),
    ):
        if value is not None:
            raise InputError("multilabel-option", f"{name} is not for several labels a row", mend="leave it out")
    beside = {"groups": options.split.groups, "sample_weight": options.data.sample_weight}
    found = load_multihot(options.data.source, options.data.labels, options.data.table | beside)
    if options.split.test is None:
        return found, None
    test = load_multihot(
        options.split.test,
        options.data.labels,
        options.data.table | _column_there(options),
        columns=found.columns,
        names=found.names,
    )
    return found, test


def fit_labels(found: MultiHot, options: FitOptions, say: Say) -> LabelFits:
    """Choose reg, unless it is given, and fit every label."""
    Y = found.Y["train"]
    _refuse_constant(Y, found)
    problems = [_training(found, options, Y[:, place]) for place in range(len(found.names))]
    folds = options.split.folds or FOLDS
    fold = _folds(found, min(folds, len(Y)), options.split.seed)
    grid = _grid(problems[0], options)
    judged: list[float] = []
    held_out = None
    if len(grid) > 1 or options.split.folds is not None:
        say("folds")
        scores = np.stack([_out_of_fold(one, grid, fold) for one in problems], axis=2)
        weights = found.weights.get("train")
        judged = [_log_loss(scores[:, k], Y, weights) for k in range(len(grid))]
        best = int(np.argmin(judged))
        held_out, reg = scores[:, best], grid[best]
    else:
        reg = grid[0]
    say("fitting")
    parts = [one.part() for one in problems]
    solutions = [_solved(part, reg) for part in parts]
    W = torch.stack([solution.W[0, 1] - solution.W[0, 0] for solution in solutions])
    return LabelFits(parts[-1], W, solutions, reg, held_out, judged if len(grid) > 1 else [], grid)


def _training(found: MultiHot, options: FitOptions, y: np.ndarray) -> TrainingRows:
    return TrainingRows(
        found.X["train"],
        y.astype(np.int64),
        2,
        options.settings(),
        options.fit.preprocess,
        weights=None if (own := found.weights.get("train")) is None else torch.from_numpy(own),
        class_weight=options.fit.class_weight,
        table=found.parts,
        columns=found.columns,
    )


def _column_there(options: FitOptions) -> dict[str, Any]:
    """Return the column of weights that a second source may have; a file is of the training rows alone."""
    column = options.data.sample_weight
    return {} if column is None or os.path.exists(column) else {"sample_weight": column}


def _refuse_constant(Y: np.ndarray, found: MultiHot) -> None:
    """Refuse a label that all training rows have, or none."""
    counts = Y.sum(axis=0)
    for name, count in zip(found.names, counts.tolist(), strict=True):
        if count in (0, len(Y)):
            what = f"{'no' if count == 0 else 'every'} training row has the label {name!r}"
            raise InputError("labels-single-class", what, mend="leave this label out")


def _grid(training: TrainingRows, options: FitOptions) -> list[float]:
    """Return the values of reg to try: the one that was given, or those around the data's scale."""
    if options.fit.reg is not None:
        return checked_reg(options.fit.reg)
    if options.choice.regs is not None:
        return checked_reg(options.choice.regs)
    rows, _ = training.own(None)
    return default_grid(moments(rows).mean_square_norm(training.part().affine), VALUES)


def _out_of_fold(training: TrainingRows, grid: list[float], fold: np.ndarray) -> np.ndarray:
    """Return (n, K) scores of a label for rows whose fit had not seen them."""
    found = cross_validate(training, grid, fold).scores
    return (found[:, :, 1] - found[:, :, 0]).numpy()


def _folds(found: MultiHot, folds: int, seed: int) -> np.ndarray:
    """Return the fold (N,) that holds each training row out, no group in two of them; labels are not looked at."""
    alike = np.zeros(len(found.Y["train"]), dtype=np.int64)
    groups = None if found.groups is None else checked_groups(found.groups, len(alike))
    return folds_of(alike, None, groups, folds, seed)


def _log_loss(scores: np.ndarray, Y: np.ndarray, weights: np.ndarray | None) -> float:
    """Return the mean loss of a label, of rows that count by their weights (N,)."""
    return float(np.average(np.logaddexp(0, np.where(Y, -scores, scores)).mean(axis=1), weights=weights))


def _solved(part: TrainingPart, reg: float) -> Solution:
    from straightedge.fitting import solve

    return solve(part.objective([reg]), part.training.settings)


def model_of_labels(found: MultiHot, fits: LabelFits, options: FitOptions) -> LinearModel:
    """Return the classifier of all labels."""
    proof = proof_of(fits)
    return LinearModel.from_fit(
        fits.W.t(),
        fits.part.affine,
        found.names,
        loss=options.fit.loss,
        reg=fits.reg,
        **{key: proof[key] for key in ("objective", "dual", "gap", "status")},
        bias_mode=options.fit.bias,
        columns=found.columns,
        multilabel=True,
    )


def proof_of(fits: LabelFits) -> dict[str, Any]:
    """Return the proof of the sum: bounds add up, and the whole is certified where every label is."""
    facts = [solution.facts(0) for solution in fits.solutions]
    objective, dual, n_passes = (sum(one[name] for one in facts) for name in ("objective", "dual", "n_passes"))
    open_ones = [one for one in facts if one["status"] != Status.CERTIFIED.value]
    certified = facts[0] | {"message": f"all {len(facts)} labels certified"}
    return {
        **(open_ones[0] if open_ones else certified),
        "objective": objective,
        "dual": dual,
        "gap": (objective - dual) / objective if objective else 0.0,
        "n_passes": n_passes,
        "seconds": sum(one.seconds for one in fits.solutions),
    }


Judged = dict[str, tuple[np.ndarray, np.ndarray, np.ndarray | None]]
"""Split -> scores (n, C), labels (n, C), and how much each row counts (n,), None for once."""


def judged_splits(found: MultiHot, more: MultiHot | None, fits: LabelFits, model: LinearModel) -> Judged:
    """Return the answers of each split; validation is out of fold where the data have none of their own."""
    rows = {split: (model.scores(X), found.Y[split], found.weights.get(split)) for split, X in found.X.items()}
    if fits.held_out is not None and "validation" not in rows:
        rows["validation"] = (fits.held_out, found.Y["train"], found.weights.get("train"))
    if more is not None:
        rows["test"] = (model.scores(more.X["train"]), more.Y["train"], more.weights.get("train"))
    return rows


def metrics_of_labels(found: MultiHot, fits: LabelFits, options: FitOptions, rows: Judged) -> dict[str, Any]:
    """Return what metrics.json holds."""
    proof = proof_of(fits)
    odds = is_probabilistic(options.fit.loss)
    splits = {
        split: evaluate_multilabel(scores, Y, found.names, probabilities=odds, weights=weights)
        for split, (scores, Y, weights) in rows.items()
    }
    if fits.held_out is not None and "validation" in splits:
        splits["validation"]["kind"] = "out of fold"
    names = ("objective", "dual", "gap", "status", "n_passes")
    labels = [
        {"class": name} | {fact: one.facts(0)[fact] for fact in names}
        for name, one in zip(found.names, fits.solutions, strict=True)
    ]
    tried = [{"reg": reg, "log_loss": loss} for reg, loss in zip(fits.grid, fits.judged, strict=False)]
    return {
        "loss": options.fit.loss,
        "multilabel": True,
        "reg": fits.reg,
        **proof,
        "tol": options.settings().tol,
        "n_classes": len(found.names),
        "classes": list(found.names),
        **splits,
        "labels": labels,
        **({"tried": tried} if tried else {}),
        "suspects": [],
        "hardest": [],
        "notes": list(found.notes),
    }
