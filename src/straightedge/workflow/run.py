"""The whole fit, in order, into a run folder that is there whole or not at all."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from straightedge import __version__
from straightedge.data import Dataset, Split
from straightedge.data.watch import refuse_changed, stamps
from straightedge.distributed import (
    Communicator,
    current,
    first_on_host,
    restarts,
    same_everywhere,
    together,
)
from straightedge.errors import InputError
from straightedge.evaluation.terms import TERM_COLUMNS, term_rows
from straightedge.features.text.dataset import TEXT_KIND
from straightedge.model import LinearModel
from straightedge.prediction import prediction_rows
from straightedge.report import collect_assets, save_assets, templates_png, write_report
from straightedge.rows import is_out_of_memory, out_of_memory
from straightedge.runs import RunFolder
from straightedge.runs.checkpoint import CHECKPOINT_FILE
from straightedge.solvers.base import Callback
from straightedge.workflow.choosing import (
    Fitted,
    add_out_of_fold_scores,
    fit_chosen,
    fit_search,
    fit_single,
)
from straightedge.workflow.judging import (
    HARDEST_COLUMNS,
    Judged,
    hardest_rows,
    judge_splits,
    temperature_note,
    temperature_of,
)
from straightedge.workflow.measures import metrics_of
from straightedge.workflow.options import FitOptions
from straightedge.workflow.problem import Problem
from straightedge.workflow.reading import read_source
from straightedge.workflow.stages import Stages, Stopped

Say = Callable[[str], None]
SUSPECTS_UP_TO = 200_000  # training samples beyond which suspects are ranked only when folds give them anyway


def run_fit(
    options: FitOptions, *, callbacks: tuple[Callback, ...] = (), say: Say = lambda _: None
) -> dict[str, Any]:
    """Fit, choose, prove, judge and write one run.

    Args:
        options: What was asked for.
        callbacks: Called with each trace row.
        say: Called with the name of each stage as it begins.

    Returns:
        What metrics.json holds, with ``run``, the folder, and ``report``, the page.

    Raises:
        InputError: The user's mistakes.
        MachineError: The machine's.
        Stopped: Ctrl-C; a checkpoint is in place.
    """
    communicator = current(options.device)
    try:
        return _run_fit(options, communicator, callbacks, say)
    except Stopped:
        raise
    except BaseException as error:
        communicator.fail(error)
        if is_out_of_memory(error):
            raise out_of_memory(error, options.source) from error
        raise


def _run_fit(
    options: FitOptions, communicator: Communicator, callbacks: tuple[Callback, ...], say: Say
) -> dict[str, Any]:
    """Do what `run_fit` says, on every rank; the first one writes."""
    first = communicator.rank == 0
    options = with_protocol(options.checked())
    if not first:
        options = replace(options, progress=False)
    if (done := _done_before(options, communicator)) is not None:
        return done
    notes: list[str] = []
    say("reading")
    files = stamps(options.source, options.labels) if first else {}
    test_files = stamps(options.test) if first and options.test else {}
    images, dataset, extractor = first_on_host(communicator, lambda: read_source(options))
    fingerprints = {
        "data": dataset.fingerprint,
        "config": options.identity(),
        "classes": list(dataset.classes),
        "code": __version__,
    }
    same_everywhere(communicator, fingerprints | {"versions": versions(), "n": dataset.train.n})
    run = together(
        communicator, lambda: _folder(options, dataset, fingerprints, communicator) if first else None
    )
    with run or nullcontext():
        stages = Stages(run, options.checkpoint_every, callbacks, communicator)
        stages.resume(together(communicator, lambda: run.load_checkpoint(fingerprints) if run else None))
        problem = Problem(dataset, options, communicator)
        say("fitting")
        fitted = _fit(problem, stages, options)
        if _wants_folds(problem, fitted, options):
            say("ranking suspects" if options.suspects else "folds")
            add_out_of_fold_scores(problem, fitted, stages)
        if fitted.held_out_labels is None and fitted.out_of_fold is not None:
            fitted.held_out_scores = fitted.out_of_fold
            fitted.held_out_labels = problem.y[fitted.out_of_fold_rows]
            fitted.held_out_rows = fitted.out_of_fold_rows
        temperature = temperature_of(fitted, problem.y)
        model = _model(problem, fitted, dataset, images, extractor, temperature.value)
        say("judging")
        judged = judge_splits(problem, fitted, model, dataset)
        notes += dataset.notes + fitted.notes + (fitted.choice.notes if fitted.choice else [])
        notes += temperature_note(temperature, problem.settings.loss)
        metrics = metrics_of(problem, fitted, judged, model, notes)
        together(communicator, lambda: refuse_changed(files, options.source, options.labels))
        together(communicator, lambda: refuse_changed(test_files, options.test or ""))
        say("writing")
        if run is not None:
            _write(run, problem, fitted, judged, model, metrics, images)
    communicator.barrier()  # the others end well only if the first one has written everything
    return _result(options, metrics)


def with_protocol(options: FitOptions) -> FitOptions:
    """Return the options with what a named protocol fixes."""
    if options.protocol is None:
        return options
    from straightedge.protocols import protocol

    named = protocol(options.protocol)
    normalization = {"none": "none", "channel-mean": "channel"}[named.normalization]
    return replace(
        options,
        loss=named.loss or options.loss,
        bias=named.bias,
        metric=named.metric,
        preprocess=normalization,
        folds=None,
    )


def _folder(
    options: FitOptions, dataset: Dataset, fingerprints: dict[str, Any], communicator: Communicator
) -> RunFolder:
    if options.resume or (restarts() and _is_interrupted(options.out)):
        return RunFolder.resume(options.out, fingerprints)
    config = _config(options, dataset) | ({"launch": communicator.launch} if communicator.launch else {})
    return RunFolder.create(options.out, config, options.overwrite, fingerprints)


def _is_interrupted(out: str) -> bool:
    """Whether ranks that were started again find what the lost ones had saved."""
    try:
        with RunFolder.resume(out) as run:
            found = run.has(CHECKPOINT_FILE)
            run.abandon()
    except InputError:
        return False
    return found


def _done_before(options: FitOptions, communicator: Communicator) -> dict[str, Any] | None:
    """Return the result if ranks were started again after this very start of them had written the run."""
    if not restarts() or not communicator.launch:
        return None

    def look() -> dict[str, Any] | None:
        try:
            run = RunFolder.open(options.out)
            same = run.config.get("launch") == communicator.launch
        except InputError:
            return None
        return _result(options, run.metrics) if same else None

    found: dict[str, Any] | None = communicator.broadcast_object(look() if communicator.rank == 0 else None)
    return found


def _result(options: FitOptions, metrics: dict[str, Any]) -> dict[str, Any]:
    return metrics | {"run": str(options.out), "report": str(Path(options.out) / "report.html")}


def versions() -> dict[str, str]:
    """Return the versions that decide the answer."""
    import sklearn
    import torch

    return {
        "straightedge": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
    }


def _config(options: FitOptions, dataset: Dataset) -> dict[str, Any]:
    apart = {"command", "out", "features_trusted"}  # what a resumed run says anew
    asked = {key: value for key, value in asdict(options).items() if key not in apart}
    settings = options.settings()
    return {
        "command": options.command or sys.argv,
        "source": options.source,
        "loss": options.loss,
        "reg": options.reg,
        "path": options.regs if options.chooses else None,
        "solver": options.solver,
        "bias": options.bias,
        "preprocess": options.preprocess,
        "seed": options.seed,
        "device": options.device or "cpu",
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
        },
        "features": dataset.features,
        "options": {
            key: value for key, value in asked.items() if key not in {"command", "out", "features_trusted"}
        },
    }


def _fit(problem: Problem, stages: Stages, options: FitOptions) -> Fitted:
    if options.search:
        return fit_search(problem, stages)
    if options.chooses:
        return fit_chosen(problem, stages, float(options.usable_memory))
    return fit_single(problem, stages)


def _wants_folds(problem: Problem, fitted: Fitted, options: FitOptions) -> bool:
    """Whether folds are fitted at the final reg: they were asked for, or suspects are ranked by them."""
    if fitted.out_of_fold is not None or options.search or int(np.bincount(problem.y).max()) < 2:
        return False
    cheap = problem.in_memory and len(problem.y) <= SUSPECTS_UP_TO
    return fitted.reg > 0 and (options.folds is not None or (options.suspects and cheap))


def _model(
    problem: Problem,
    fitted: Fitted,
    dataset: Dataset,
    images: Dataset,
    extractor: Any,
    temperature: float | None,
) -> LinearModel:
    solution, k = fitted.solution, fitted.index
    columns = fitted.part.training.columns
    if columns is not None and columns.get("kind") == TEXT_KIND:  # a part of texts has terms of its own
        extractor, columns = columns["extractor"], None
    shape = images.image_shape if images.image_shape is not None else (problem.affine.n_features,)
    return LinearModel.from_fit(
        fitted.W.t(),
        fitted.part.affine,
        dataset.classes,
        loss=problem.settings.loss,
        reg=fitted.reg,
        objective=float(solution.objective[k]),
        dual=float(solution.dual[k]),
        gap=float(solution.gap[k]),
        status=solution.status[k].value,
        bias_mode=problem.settings.bias,
        input_shape=tuple(shape),
        input_dtype="uint8" if str(images.train.X.dtype).endswith("uint8") else "float32",
        columns=columns,
        features=dataset.features,
        extractor_state=extractor.state() if extractor is not None else None,
        temperature=temperature,
        versions=versions(),
    )


def _write(
    run: RunFolder,
    problem: Problem,
    fitted: Fitted,
    judged: Judged,
    model: LinearModel,
    metrics: dict[str, Any],
    images: Dataset,
) -> None:
    """Write every file; metrics.json is what makes the folder whole, the page is written from the others."""
    run.save_model(model)
    run.write_trace(fitted.trace)
    assert judged.answers is not None
    run.write_predictions(prediction_rows(model, *judged.answers))
    if fitted.path_points:
        run.save_path([(reg, weight.float(), bias.float()) for reg, weight, bias in fitted.path_points])
    if judged.suspects:
        run.write_csv("suspects.csv", list(judged.suspects[0]), judged.suspects)
    if "terms" in metrics:
        run.write_csv("terms.csv", TERM_COLUMNS, term_rows(metrics["terms"]))
    run.write_csv("hardest.csv", HARDEST_COLUMNS, hardest_rows(judged, problem.classes))
    if images.image_shape is not None and images is problem.dataset:
        run.write_bytes(
            "templates.png", templates_png(model.weight.numpy(), model.classes, images.image_shape)
        )
    run.write_json("metrics.json", metrics)
    if images.image_shape is not None:
        save_assets(run.path / "assets.npz", _assets(judged, model, metrics, images, problem))
    write_report(run.path)


def _assets(
    judged: Judged, model: LinearModel, metrics: dict[str, Any], images: Dataset, problem: Problem
) -> Any:
    shown: Split = judged.shown
    if images is not problem.dataset:  # the rows that were judged are features; the page shows their images
        shown = _images_of(judged, problem.dataset, images)
    predicted = judged.scores.argmax(axis=1)
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


def _images_of(judged: Judged, features: Dataset, images: Dataset) -> Split:
    """Return the images whose features were judged."""
    if judged.shown_name == "test":
        opened: Split = features.test.images  # type: ignore[union-attr]
        return opened
    own = features.validation is not None and judged.shown is features.validation
    return images.validation if own and images.validation is not None else images.train


__all__ = ["run_fit", "versions", "with_protocol"]
