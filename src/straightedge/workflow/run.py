"""The whole fit, in order, into a run folder that is there whole or not at all."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np

from straightedge.data import Dataset
from straightedge.data.near_rows import near_note
from straightedge.data.watch import refuse_changed, stamps
from straightedge.distributed import Communicator, current, first_on_host, restarts, same_everywhere, together
from straightedge.errors import InputError
from straightedge.model.versions import versions
from straightedge.runs import RunFolder
from straightedge.runs.checkpoint import CHECKPOINT_FILE
from straightedge.solvers.base import Callback
from straightedge.workers import is_out_of_memory, out_of_memory
from straightedge.workflow.automatic import decided
from straightedge.workflow.choosing import Fitted, add_out_of_fold_scores, fit_chosen, fit_single
from straightedge.workflow.coefficients import COLUMNS as COEFFICIENT_COLUMNS
from straightedge.workflow.coefficients import coefficient_rows
from straightedge.workflow.judging import judge_splits, temperature_note, temperature_of
from straightedge.workflow.measures import metrics_of
from straightedge.workflow.options import FitOptions
from straightedge.workflow.parting import needs_rows, refuse_classes, threshold_note, threshold_of
from straightedge.workflow.problem import Problem
from straightedge.workflow.reading import read_source
from straightedge.workflow.recording import config_of, fingerprints_of, model_of, result_of, write_run
from straightedge.workflow.searching import fit_search
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
    if options.data.multilabel:
        # here, not above: images and tables come with it
        from straightedge.workflow.labels_run import run_labels

        return run_labels(options, say)
    communicator = current(options.fit.device)
    try:
        return _run_fit(options, communicator, callbacks, say)
    except Stopped:
        raise
    except BaseException as error:
        communicator.fail(error)
        if is_out_of_memory(error):
            raise out_of_memory(error, options.data.source) from error
        raise


def _run_fit(
    options: FitOptions, communicator: Communicator, callbacks: tuple[Callback, ...], say: Say
) -> dict[str, Any]:
    """Do what `run_fit` says, on every rank; the first one writes."""
    first = communicator.rank == 0
    options = with_protocol(options.checked())
    if not first:
        options = replace(options, run=replace(options.run, progress=False))
    if (done := _done_before(options, communicator)) is not None:
        return done
    say("reading")
    files = stamps(options.data.source, options.data.labels) if first else {}
    test_files = stamps(options.split.test) if first and options.split.test else {}
    images, dataset, extractor = first_on_host(communicator, lambda: read_source(options))
    fingerprints = fingerprints_of(options, dataset.fingerprint, dataset.classes)
    same_everywhere(communicator, fingerprints | {"versions": versions(), "n": dataset.train.n})
    run = together(communicator, lambda: _folder(options, dataset, fingerprints, communicator) if first else None)
    with run or nullcontext():
        stages = Stages(run, options.run.checkpoint_every, callbacks, communicator)
        stages.resume(together(communicator, lambda: run.load_checkpoint(fingerprints) if run else None))
        problem = Problem(dataset, decided(options, dataset), communicator)
        refuse_classes(problem)
        say("fitting")
        fitted = _fitted(problem, stages, say)
        temperature = temperature_of(fitted, problem)
        threshold = threshold_of(problem, fitted, temperature.value)
        model = model_of(problem, fitted, dataset, images, extractor, temperature.value, threshold)
        say("judging")
        judged = judge_splits(problem, fitted, model, dataset, threshold)
        notes = temperature_note(temperature, problem.settings.loss) + threshold_note(threshold)
        table = coefficient_rows(problem, fitted, model)
        metrics = metrics_of(problem, fitted, judged, model, _notes(problem, fitted, notes), table)
        together(communicator, lambda: refuse_changed(files, options.data.source, options.data.labels))
        together(communicator, lambda: refuse_changed(test_files, options.split.test or ""))
        say("writing")
        if run is not None and table:
            run.write_csv("coefficients.csv", COEFFICIENT_COLUMNS, table)
        if run is not None:
            write_run(run, problem, fitted, judged, model, metrics, images)
    communicator.barrier()  # the others end well only if the first one has written everything
    return result_of(options, metrics)


def _fitted(problem: Problem, stages: Stages, say: Say) -> Fitted:
    """Fit as the options say, and score by folds what is judged by them or ranked as suspect."""
    fitted = _fit(problem, stages)
    if _wants_folds(problem, fitted):
        say("ranking suspects" if problem.options.run.suspects else "folds")
        add_out_of_fold_scores(problem, fitted, stages)
    if fitted.held_out_labels is None and fitted.out_of_fold is not None:
        fitted.held_out_scores = fitted.out_of_fold
        fitted.held_out_labels = problem.y[fitted.out_of_fold_rows]
        fitted.held_out_rows = fitted.out_of_fold_rows
    return fitted


def with_protocol(options: FitOptions) -> FitOptions:
    """Return the options with what a named protocol fixes."""
    if options.choice.protocol is None:
        return options
    from straightedge.protocols import protocol

    named = protocol(options.choice.protocol)
    normalization = {"none": "none", "channel-mean": "channel"}[named.normalization]
    return replace(
        options,
        fit=replace(options.fit, loss=named.loss or options.fit.loss, bias=named.bias, preprocess=normalization),
        choice=replace(options.choice, metric=named.metric),
        split=replace(options.split, folds=None),
    )


def _folder(
    options: FitOptions, dataset: Dataset, fingerprints: dict[str, Any], communicator: Communicator
) -> RunFolder:
    if options.run.resume or (restarts() and _is_interrupted(options.run.out)):
        return RunFolder.resume(options.run.out, fingerprints)
    config = config_of(options, dataset) | ({"launch": communicator.launch} if communicator.launch else {})
    return RunFolder.create(options.run.out, config, options.run.overwrite, fingerprints)


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
            run = RunFolder.open(options.run.out)
            same = run.config.get("launch") == communicator.launch
        except InputError:
            return None
        return result_of(options, run.metrics) if same else None

    found: dict[str, Any] | None = communicator.broadcast_object(look() if communicator.rank == 0 else None)
    return found


def _fit(problem: Problem, stages: Stages) -> Fitted:
    if problem.options.sgd.search:
        return fit_search(problem, stages)
    if problem.options.chooses:
        return fit_chosen(problem, stages)
    return fit_single(problem, stages)


def _notes(problem: Problem, fitted: Fitted, more: list[str]) -> list[str]:
    """Return the remarks of data, fit and choice, and more of what was judged."""
    chosen = fitted.choice.notes if fitted.choice else []
    return problem.dataset.notes + fitted.notes + chosen + more + _near_rows(problem, fitted)


def _near_rows(problem: Problem, fitted: Fitted) -> list[str]:
    """Return a note where training rows were divided though many of them are nearly the same."""
    if fitted.held_out_rows is None or problem.groups is not None:
        return []
    note = near_note(problem.X)
    return [note] if note else []


def _wants_folds(problem: Problem, fitted: Fitted) -> bool:
    """Whether folds are fitted at the final reg: they were asked for, or suspects are ranked by them."""
    options = problem.options
    if fitted.out_of_fold is not None or options.sgd.search or int(np.bincount(problem.y).max()) < 2:
        return False
    if needs_rows(options) and fitted.held_out_scores is None:
        return fitted.reg > 0
    cheap = problem.in_memory and len(problem.y) <= SUSPECTS_UP_TO
    return fitted.reg > 0 and (options.split.folds is not None or (options.run.suspects and cheap))
