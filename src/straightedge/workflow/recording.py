"""What a fit writes into its run folder: settings, model, metrics, pictures and the page."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from straightedge import __version__
from straightedge.data import Dataset, Split
from straightedge.evaluation.terms import TERM_COLUMNS, term_rows
from straightedge.features.text.dataset import TEXT_KIND
from straightedge.model import LinearModel
from straightedge.model.versions import versions
from straightedge.prediction import prediction_blocks
from straightedge.report import collect_assets, save_assets, templates_png, write_report
from straightedge.runs import RunFolder
from straightedge.workflow.choosing import (
    Fitted,
)
from straightedge.workflow.judging import (
    HARDEST_COLUMNS,
    Judged,
    hardest_rows,
)
from straightedge.workflow.opened import add_passages, split_as_read
from straightedge.workflow.options import FitOptions
from straightedge.workflow.problem import Problem


def result_of(options: FitOptions, metrics: dict[str, Any]) -> dict[str, Any]:
    """Return what a caller of `run_fit` gets: the metrics, and where run and page are."""
    return metrics | {"run": str(options.run.out), "report": str(Path(options.run.out) / "report.html")}


def fingerprints_of(options: FitOptions, data: str, classes: Sequence[str]) -> dict[str, Any]:
    """Return what a resumed run must have in common with the one that was interrupted."""
    return {"data": data, "config": options.identity(), "classes": list(classes), "code": __version__}


def config_of(options: FitOptions, dataset: Dataset) -> dict[str, Any]:
    """Return config.json: what was asked for, of which data, with which software."""
    apart = {"command", "out", "features_trusted"}  # what a resumed run says anew
    settings, fit = options.settings(), options.fit
    return {
        "command": options.run.command or sys.argv,
        "source": options.data.source,
        "loss": fit.loss,
        "reg": fit.reg,
        "path": options.choice.regs if options.chooses else None,
        "solver": fit.solver,
        "bias": fit.bias,
        "preprocess": fit.preprocess,
        "seed": options.split.seed,
        "device": fit.device or "cpu",
        "tol": settings.tol,
        "versions": versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()},
        "dataset": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "classes": list(dataset.classes),
            "image_shape": list(dataset.image_shape) if dataset.image_shape else None,
            "n_train": dataset.train.n,
            "n_validation": dataset.validation.n if dataset.validation else None,
            "n_test": dataset.test.n if dataset.test else None,
            "n_sealed": dataset.n_sealed,
        },
        "features": dataset.features,
        "options": {name: value for name, value in options.flat().items() if name not in apart},
    }


def model_of(
    problem: Problem,
    fitted: Fitted,
    dataset: Dataset,
    images: Dataset,
    extractor: Any,
    temperature: float | None,
    threshold: dict[str, Any] | None,
) -> LinearModel:
    """Return the classifier of the chosen reg, as it is saved."""
    facts = fitted.solution.facts(fitted.index)
    columns = fitted.part.training.columns
    if columns is not None and columns.get("kind") == TEXT_KIND:  # a part of texts has terms of its own
        extractor, columns = columns["extractor"], dataset.columns
    shape = images.image_shape if images.image_shape is not None else (problem.affine.n_features,)
    return LinearModel.from_fit(
        fitted.W.t(),
        fitted.part.affine,
        dataset.classes,
        loss=problem.settings.loss,
        reg=fitted.reg,
        **{name: facts[name] for name in ("objective", "dual", "gap", "status")},
        bias_mode=problem.settings.bias,
        input_shape=tuple(shape),
        input_dtype="uint8" if str(images.train.X.dtype).endswith("uint8") else "float32",
        columns=columns,
        features=dataset.features,
        extractor_state=extractor.state() if extractor is not None else None,
        temperature=temperature,
        threshold=None if threshold is None else threshold["score"],
    )


def write_run(
    run: RunFolder,
    problem: Problem,
    fitted: Fitted,
    judged: Judged,
    model: LinearModel,
    metrics: dict[str, Any],
    images: Dataset,
) -> None:
    """Write every file; metrics.json is what makes the folder whole, the page is written from the others."""
    add_passages(metrics, model, judged, images, problem.dataset)
    run.save_model(model)
    run.write_trace(fitted.trace)
    assert judged.answers is not None
    run.write_predictions(prediction_blocks(model, *judged.answers))
    if fitted.path_points:
        run.save_path([(reg, weight.float(), bias.float()) for reg, weight, bias in fitted.path_points])
    if judged.suspects:
        run.write_csv("suspects.csv", list(judged.suspects[0]), judged.suspects)
    if "terms" in metrics:
        run.write_csv("terms.csv", TERM_COLUMNS, term_rows(metrics["terms"]))
    run.write_csv("hardest.csv", HARDEST_COLUMNS, hardest_rows(judged, problem.classes))
    if images.image_shape is not None and images is problem.dataset:
        run.write_bytes(
            "templates.png", templates_png(model.arrays.weight, model.classes, images.image_shape)
        )
    run.write_json("metrics.json", metrics)
    if images.image_shape is not None:
        save_assets(run.path / "assets.npz", assets_of(judged, model, metrics, images, problem))
    write_report(run.path)


def assets_of(
    judged: Judged, model: LinearModel, metrics: dict[str, Any], images: Dataset, problem: Problem
) -> Any:
    """Return the pictures of the page: samples, mistakes, suspects."""
    shown: Split = judged.shown
    if images is not problem.dataset:  # the rows that were judged are features; the page shows their images
        shown = split_as_read(judged, images, problem.dataset)
    predicted = model.labels_of(judged.scores)
    chances = None
    if model.has_probabilities:
        chances = model.probabilities(judged.scores).max(axis=1)
    return collect_assets(
        shown,
        predicted,
        chances,
        rows=judged.shown_rows,
        train=images.train,
        suspects=metrics["suspects"],
        hardest=metrics["hardest"],
        classes=model.classes,
        split=judged.shown_name,
    )
