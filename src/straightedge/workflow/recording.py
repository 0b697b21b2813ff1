"""What a fit writes into its run folder: settings, model, metrics, pictures and the page."""

import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from straightedge import __version__
from straightedge.data.base import Dataset, Split
from straightedge.data.text.documents import is_texts
from straightedge.evaluation.terms import TERM_COLUMNS, term_rows
from straightedge.features.text.dataset import TEXT_KIND
from straightedge.features.text.passages import Passage, passages
from straightedge.model import LinearModel
from straightedge.model.versions import versions
from straightedge.prediction import prediction_blocks
from straightedge.report import collect_assets, save_assets, templates_png, write_report
from straightedge.runs import RunFolder
from straightedge.workflow.choosing import Fitted
from straightedge.workflow.judging import HARDEST_COLUMNS, Judged, hardest_rows
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
        run.write_bytes("templates.png", templates_png(model.arrays.weight, model.classes, images.image_shape))
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


OPENED = 12  # texts of a list that are opened: those that the page shows at once

Rows = list[dict[str, Any]]


def add_passages(
    metrics: dict[str, Any], model: LinearModel, judged: Judged, read: Dataset, fitted: Dataset
) -> None:
    """Give the first suspects and hardest samples of texts their ``passage`` (see `row_of`).

    Args:
        metrics: What metrics.json will hold; its entries get one key more.
        model: The model whose weights mark the words.
        judged: What was measured of it.
        read: The data as they were read.
        fitted: The data as they were fitted; its test split has its texts once it is opened.
    """
    if not is_texts(read.train.X) or not hasattr(model.extractor, "feature_names"):
        return
    _open(metrics["suspects"][:OPENED], "suggested", read.train, model, seen=True)
    split = split_as_read(judged, read, fitted)
    _open(metrics["hardest"][:OPENED], "predicted", split, model, seen=split is read.train)


def split_as_read(judged: Judged, read: Dataset, fitted: Dataset) -> Split:
    """Return the split whose features were judged, as it was read: images or texts."""
    if judged.shown_name == "test":
        opened: Split = fitted.test.as_read  # type: ignore[union-attr]
        return opened
    own = fitted.validation is not None and judged.shown is fitted.validation
    return read.validation if own and read.validation is not None else read.train


def _open(entries: Rows, answer: str, split: Split, model: LinearModel, *, seen: bool) -> None:
    """Add passages; `seen` says whether the model was trained on these texts, which others have judged."""
    texts = [text for entry in entries for text in split.X.read(entry["index"], entry["index"] + 1)]
    directions = [_direction(model, entry[answer], entry["label"]) for entry in entries]
    for entry, passage in zip(entries, passages(texts, model.extractor, directions), strict=True):
        entry["passage"] = row_of(passage) | {"seen": seen}


def _direction(model: LinearModel, answer: str, label: str) -> np.ndarray:
    """Return (D,) what terms add to the score of an answer: above that of the label, or else above the mean."""
    weight, place = model.arrays.weight, model.classes.index
    other = weight.mean(axis=1) if answer == label else weight[:, place(label)]
    return np.asarray(weight[:, place(answer)] - other)


def row_of(passage: Passage) -> dict[str, Any]:
    """Return a passage as metrics.json holds it: ``pieces`` of text and share, ``cut`` before and after."""
    return {"pieces": [[text, share] for text, share in passage.pieces], "cut": list(passage.cut)}
