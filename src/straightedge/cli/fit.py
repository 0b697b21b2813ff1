"""``straightedge fit SOURCE``: a classifier from images or features, with its proof and a page."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from straightedge.cli import table_options as shared
from straightedge.cli.fit_options import options_from
from straightedge.cli.presence import require_source, told_by_one_rank
from straightedge.cli.resuming import resumed

if TYPE_CHECKING:
    from straightedge.workflow import FitOptions

of_data = partial(typer.Option, rich_help_panel="The data")
of_texts = partial(typer.Option, rich_help_panel="Texts")
of_fit = partial(typer.Option, rich_help_panel="The fit")
of_choice = partial(typer.Option, rich_help_panel="The choice of reg")
of_sgd = partial(typer.Option, rich_help_panel="Minibatch SGD")
of_run = partial(typer.Option, rich_help_panel="The run")


def command(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(
            help="digits, cifar10, mnist, fashion-mnist; folder, zip or tar of class folders of images or texts; "
            ".csv, .parquet, .jsonl, .npy"
        ),
    ] = None,
    loss: Annotated[
        str,
        of_fit(
            help="softmax, svm, crammer_singer, one_vs_rest, squared_hinge, one_vs_rest_logistic, "
            "one_vs_rest_squared_hinge"
        ),
    ] = "softmax",
    reg: Annotated[float | None, of_fit(help="strength of reg·ΣW²; chosen on held-out samples if left out")] = None,
    tol: Annotated[
        float | None, of_fit(help="relative duality gap to certify [1e-4; with --path and svm 1e-3]")
    ] = None,
    solver: Annotated[str, of_fit(help="auto, sgd, or a solver's name")] = "auto",
    bias: Annotated[str, of_fit(help="penalized (the notes) or free")] = "penalized",
    preprocess: Annotated[str, of_fit(help="auto, none, center, channel, pixels, standardize")] = "auto",
    device: Annotated[str | None, of_fit(help="cpu or cuda")] = None,
    max_passes: Annotated[float, of_fit(help="passes over the data before giving up")] = 1000,
    max_seconds: Annotated[float, of_fit(help="seconds of one solve before giving up")] = float("inf"),
    path: Annotated[
        bool, of_choice("--path", help="fit 16 values of reg at once and choose on validation")
    ] = False,
    regs: Annotated[str | None, of_choice(help="values to try, with commas: 1e-4,1e-3,1e-2")] = None,
    folds: Annotated[int | None, of_choice(help="judge and choose by so many folds, not a held-out split")] = None,
    metric: shared.Metric = "accuracy",
    threshold: shared.Threshold = None,
    one_se: Annotated[
        bool, of_choice("--one-se", help="the largest reg within one standard error of the best")
    ] = False,
    validation: Annotated[float, of_choice(help="share of the training samples held out to choose on")] = 0.1,
    protocol: Annotated[
        str | None, of_choice(help="clip, dinov2 or course: split, grid, bias and metric of a published protocol")
    ] = None,
    features: Annotated[
        str | None,
        of_data(
            help="raw, hog, patches, patches:small, timm:NAME, module:path; of texts tfidf, tfidf:chars, hashing"
        ),
    ] = None,
    weights: Annotated[str | None, of_data(help="a local safetensors file for timm:NAME")] = None,
    size: Annotated[str | None, of_data(help="resize images: 32, or HEIGHTxWIDTH")] = None,
    labels: Annotated[
        str | None, of_data(help="labels of an .npy; a table's label column or its position, -1 the last")
    ] = None,
    column: Annotated[str | None, of_data(help="a table's embedding or image column")] = None,
    drop: shared.Drop = None,
    keep: shared.Keep = None,
    categories: shared.Categories = None,
    numeric: shared.Numeric = None,
    dates: shared.Dates = None,
    text: shared.TextColumn = None,
    delimiter: shared.Delimiter = None,
    header: shared.Header = None,
    encoding: shared.Encoding = None,
    decimal: shared.Decimal = None,
    missing: shared.Missing = None,
    classes: shared.Classes = None,
    multilabel: shared.MultiLabel = False,
    bootstrap: shared.Bootstrap = 0,
    sample_weight: shared.SampleWeight = None,
    class_weight: shared.ClassWeight = None,
    ngrams: Annotated[str | None, of_texts(help="words of a term, such as 1-2 [1-1]")] = None,
    min_df: Annotated[
        str | None, of_texts(help="training texts that a term must stand in, or a share such as 0.01 [2]")
    ] = None,
    max_features: Annotated[int | None, of_texts(help="the most frequent terms alone")] = None,
    sublinear: Annotated[
        bool | None, of_texts("--sublinear/--no-sublinear", help="1 + ln n for a count n [sublinear]")
    ] = None,
    image_shape: shared.ImageShape = None,
    test: Annotated[str | None, of_data(help="a file or folder of test rows, such as test.csv")] = None,
    groups: Annotated[
        str | None,
        of_data(help="column or file of what belongs together, such as patients: splits keep groups whole"),
    ] = None,
    split_column: Annotated[str | None, of_data(help="column that says train, validation or test")] = None,
    time: Annotated[str | None, of_data(help="column of times: train on the past, test on the last part")] = None,
    root: Annotated[str | None, of_data(help="folder with a copy of a named data set")] = None,
    skip_bad: Annotated[bool, of_data("--skip-bad", help="go on without broken images, and list them")] = False,
    background: Annotated[str, of_data(help="colour under transparent pixels")] = "white",
    no_cache: Annotated[bool, of_data("--no-cache", help="keep neither decoded images nor features")] = False,
    memory: Annotated[
        str | None, of_data(help="memory for solvers and readers, such as 2GB [a quarter of the machine]")
    ] = None,
    search: Annotated[
        bool, of_sgd("--search", help="with --solver sgd: a grid of learning rates and regs, trained at once")
    ] = False,
    learning_rate: Annotated[float | None, of_sgd(help="from the data's scale if left out")] = None,
    epochs: Annotated[int | None, of_sgd(help="passes worth of batches [8, or 2,000 batches]")] = None,
    batch_size: Annotated[int, of_sgd(help="rows of a batch")] = 200,
    momentum: Annotated[float, of_sgd(help="heavy ball, in [0, 1)")] = 0.0,
    schedule: Annotated[str, of_sgd(help="constant, cosine or linear")] = "cosine",
    out: Annotated[Path | None, of_run(help="the run folder [runs/SOURCE-LOSS]")] = None,
    overwrite: Annotated[bool, of_run("--overwrite", help="replace a run of that name")] = False,
    resume: Annotated[Path | None, of_run(help="go on with this interrupted run")] = None,
    checkpoint_every: Annotated[float, of_run(help="seconds between checkpoints")] = 60.0,
    no_suspects: Annotated[bool, of_run("--no-suspects", help="do not look for labels that may be wrong")] = False,
    seed: Annotated[int, of_run(help="of splits and batches")] = 0,
    track: Annotated[str | None, of_run(help="write the run to mlflow, tensorboard or wandb, too")] = None,
    quiet: Annotated[bool, of_run("--quiet", "-q", help="print nothing but warnings and errors")] = False,
    as_json: Annotated[bool, of_run("--json", help="print the result alone, as JSON")] = False,
) -> None:
    """Fit a linear classifier to a proven optimum, judge it, and write a run folder with a page.

    Without --reg it is chosen among eight values: by five folds where there are fewer than 1,000 training samples,
    by three up to 2,000, and on a held-out tenth where there are more. --path tries sixteen. The chosen one is
    fitted to all; the test split is read once, by the final model.
    """
    with told_by_one_rank():
        if resume is None:
            require_source(source)
        if track is not None:
            from straightedge.tracking import check_tracker

            check_tracker(track)
        options = options_from(context.params)
        options.settings()  # knows the loss
    run(options if resume is None else resumed(options, resume), as_json, quiet, track)


def run(options: FitOptions, as_json: bool, quiet: bool = False, track: str | None = None) -> None:
    """Fit with a progress bar and print the result, unless quiet; of several ranks, only the first one speaks."""
    from straightedge.cli.fit_screen import FitScreen, interruptible, print_result, print_stopped, quiet_ranks
    from straightedge.workflow import run_fit
    from straightedge.workflow.stages import Stopped

    with quiet_ranks() as speaks:
        screen = FitScreen(options.settings().tol, enabled=options.run.progress and speaks)
        try:
            with interruptible(), screen:
                result = run_fit(options, callbacks=(screen.row,), say=screen.say)
        except Stopped as stopped:
            if speaks:
                print_stopped(stopped.solution, options.run.out, options.extractor.features)
            raise typer.Exit(130) from None
        if speaks and track is not None:
            from straightedge.tracking import track_run

            track_run(result["run"], track)
        if speaks and (as_json or not quiet):
            print_result(result, as_json)
