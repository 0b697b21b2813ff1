"""``straightedge fit SOURCE``: a classifier from images or features, with its proof and a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from straightedge.cli.fit_options import options_from
from straightedge.cli.presence import require_source
from straightedge.cli.resuming import resumed
from straightedge.cli.table_options import (
    Bootstrap,
    Categories,
    Classes,
    ClassWeight,
    Dates,
    Decimal,
    Delimiter,
    Drop,
    Encoding,
    Header,
    ImageShape,
    Keep,
    Metric,
    Missing,
    MultiLabel,
    Numeric,
    SampleWeight,
    TextColumn,
    Threshold,
)

if TYPE_CHECKING:
    from straightedge.workflow import FitOptions

TEXT = "Texts"
DATA, FIT, CHOICE, SGD, RUN = "The data", "The fit", "The choice of reg", "Minibatch SGD", "The run"


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
        typer.Option(
            help="softmax, svm, crammer_singer, one_vs_rest, squared_hinge, one_vs_rest_logistic, "
            "one_vs_rest_squared_hinge",
            rich_help_panel=FIT,
        ),
    ] = "softmax",
    reg: Annotated[
        float | None,
        typer.Option(help="strength of reg·ΣW²; chosen on held-out samples if left out", rich_help_panel=FIT),
    ] = None,
    tol: Annotated[
        float | None,
        typer.Option(
            help="relative duality gap to certify [1e-4; with --path and svm 1e-3]", rich_help_panel=FIT
        ),
    ] = None,
    solver: Annotated[str, typer.Option(help="auto, sgd, or a solver's name", rich_help_panel=FIT)] = "auto",
    bias: Annotated[
        str, typer.Option(help="penalized (the notes) or free", rich_help_panel=FIT)
    ] = "penalized",
    preprocess: Annotated[
        str, typer.Option(help="auto, none, center, channel, pixels, standardize", rich_help_panel=FIT)
    ] = "auto",
    device: Annotated[str | None, typer.Option(help="cpu or cuda", rich_help_panel=FIT)] = None,
    max_passes: Annotated[
        float, typer.Option(help="passes over the data before giving up", rich_help_panel=FIT)
    ] = 1000,
    max_seconds: Annotated[
        float, typer.Option(help="seconds of one solve before giving up", rich_help_panel=FIT)
    ] = float("inf"),
    path: Annotated[
        bool,
        typer.Option(
            "--path", help="fit 16 values of reg at once and choose on validation", rich_help_panel=CHOICE
        ),
    ] = False,
    regs: Annotated[
        str | None, typer.Option(help="values to try, with commas: 1e-4,1e-3,1e-2", rich_help_panel=CHOICE)
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(help="judge and choose by so many folds, not a held-out split", rich_help_panel=CHOICE),
    ] = None,
    metric: Metric = "accuracy",
    threshold: Threshold = None,
    one_se: Annotated[
        bool,
        typer.Option(
            "--one-se", help="the largest reg within one standard error of the best", rich_help_panel=CHOICE
        ),
    ] = False,
    validation: Annotated[
        float,
        typer.Option(help="share of the training samples held out to choose on", rich_help_panel=CHOICE),
    ] = 0.1,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="clip, dinov2 or course: split, grid, bias and metric of a published protocol",
            rich_help_panel=CHOICE,
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            help="raw, hog, patches, patches:small, timm:NAME, module:path; of texts tfidf, tfidf:chars, hashing",
            rich_help_panel=DATA,
        ),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="a local safetensors file for timm:NAME", rich_help_panel=DATA)
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="resize images: 32, or HEIGHTxWIDTH", rich_help_panel=DATA)
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="labels of an .npy; a table's label column or its position, -1 the last",
            rich_help_panel=DATA,
        ),
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="a table's embedding or image column", rich_help_panel=DATA)
    ] = None,
    drop: Drop = None,
    keep: Keep = None,
    categories: Categories = None,
    numeric: Numeric = None,
    dates: Dates = None,
    text: TextColumn = None,
    delimiter: Delimiter = None,
    header: Header = None,
    encoding: Encoding = None,
    decimal: Decimal = None,
    missing: Missing = None,
    classes: Classes = None,
    multilabel: MultiLabel = False,
    bootstrap: Bootstrap = 0,
    sample_weight: SampleWeight = None,
    class_weight: ClassWeight = None,
    ngrams: Annotated[
        str | None, typer.Option(help="words of a term, such as 1-2 [1-1]", rich_help_panel=TEXT)
    ] = None,
    min_df: Annotated[
        str | None,
        typer.Option(
            help="training texts that a term must stand in, or a share such as 0.01 [2]", rich_help_panel=TEXT
        ),
    ] = None,
    max_features: Annotated[
        int | None, typer.Option(help="the most frequent terms alone", rich_help_panel=TEXT)
    ] = None,
    sublinear: Annotated[
        bool | None,
        typer.Option(
            "--sublinear/--no-sublinear", help="1 + ln n for a count n [sublinear]", rich_help_panel=TEXT
        ),
    ] = None,
    image_shape: ImageShape = None,
    test: Annotated[
        str | None,
        typer.Option(help="a file or folder of test rows, such as test.csv", rich_help_panel=DATA),
    ] = None,
    groups: Annotated[
        str | None,
        typer.Option(
            help="column or file of what belongs together, such as patients: splits keep groups whole",
            rich_help_panel=DATA,
        ),
    ] = None,
    split_column: Annotated[
        str | None,
        typer.Option(help="column that says train, validation or test", rich_help_panel=DATA),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(help="column of times: train on the past, test on the last part", rich_help_panel=DATA),
    ] = None,
    root: Annotated[
        str | None, typer.Option(help="folder with a copy of a named data set", rich_help_panel=DATA)
    ] = None,
    skip_bad: Annotated[
        bool,
        typer.Option("--skip-bad", help="go on without broken images, and list them", rich_help_panel=DATA),
    ] = False,
    background: Annotated[
        str, typer.Option(help="colour under transparent pixels", rich_help_panel=DATA)
    ] = "white",
    no_cache: Annotated[
        bool,
        typer.Option("--no-cache", help="keep neither decoded images nor features", rich_help_panel=DATA),
    ] = False,
    memory: Annotated[
        str | None,
        typer.Option(
            help="memory for solvers and readers, such as 2GB [a quarter of the machine]",
            rich_help_panel=DATA,
        ),
    ] = None,
    search: Annotated[
        bool,
        typer.Option(
            "--search",
            help="with --solver sgd: a grid of learning rates and regs, trained at once",
            rich_help_panel=SGD,
        ),
    ] = False,
    learning_rate: Annotated[
        float | None, typer.Option(help="from the data's scale if left out", rich_help_panel=SGD)
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="passes worth of batches [8, or 2,000 batches]", rich_help_panel=SGD)
    ] = None,
    batch_size: Annotated[int, typer.Option(help="rows of a batch", rich_help_panel=SGD)] = 200,
    momentum: Annotated[float, typer.Option(help="heavy ball, in [0, 1)", rich_help_panel=SGD)] = 0.0,
    schedule: Annotated[str, typer.Option(help="constant, cosine or linear", rich_help_panel=SGD)] = "cosine",
    out: Annotated[
        Path | None, typer.Option(help="the run folder [runs/SOURCE-LOSS]", rich_help_panel=RUN)
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="replace a run of that name", rich_help_panel=RUN)
    ] = False,
    resume: Annotated[
        Path | None, typer.Option(help="go on with this interrupted run", rich_help_panel=RUN)
    ] = None,
    checkpoint_every: Annotated[
        float, typer.Option(help="seconds between checkpoints", rich_help_panel=RUN)
    ] = 60.0,
    no_suspects: Annotated[
        bool, typer.Option("--no-suspects", help="do not look for mislabelled images", rich_help_panel=RUN)
    ] = False,
    seed: Annotated[int, typer.Option(help="of splits and batches", rich_help_panel=RUN)] = 0,
    track: Annotated[
        str | None,
        typer.Option(help="write the run to mlflow, tensorboard or wandb, too", rich_help_panel=RUN),
    ] = None,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="print nothing but warnings and errors", rich_help_panel=RUN),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="print the result alone, as JSON", rich_help_panel=RUN)
    ] = False,
) -> None:
    """Fit a linear classifier to a proven optimum, judge it, and write a run folder with a page.

    Without --reg it is chosen among eight values: by five folds of fewer than 1,000 training samples, by three of
    up to 2,000, on a held-out tenth of more. --path tries sixteen. The chosen one is fitted to all; the test split
    is read once, by the final model.
    """
    if resume is None:
        require_source(source)
    if track is not None:
        from straightedge.tracking import check_tracker

        check_tracker(track)
    options = options_from(context.params)
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
