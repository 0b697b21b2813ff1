"""``straightedge evaluate RUN SOURCE``: how good a fitted model is on other data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from straightedge.cli.presence import require_run, require_source
from straightedge.errors import InputError, visible, warn

if TYPE_CHECKING:
    import numpy as np

    from straightedge.data import Dataset, Split
    from straightedge.model import LinearModel

SPLITS = ("test", "validation", "train")


def command(
    run: Annotated[Path, typer.Argument(help="run folder or model.safetensors")],
    source: Annotated[str, typer.Argument(help="digits, cifar10, a folder, a zip, an .npz, …")],
    split: Annotated[
        str | None, typer.Option(help="test, validation or train; the first there is if left out")
    ] = None,
    size: Annotated[str | None, typer.Option(help="resize images to the model's size: 32, or HEIGHTxWIDTH")] = None,
    background: Annotated[
        str | None, typer.Option(help="colour under transparent pixels; that of the run if left out")
    ] = None,
    root: Annotated[str | None, typer.Option(help="folder with a copy of the data")] = None,
    labels: Annotated[str | None, typer.Option(help="labels of an .npy, or a table's label column")] = None,
    column: Annotated[str | None, typer.Option(help="a table's embedding or image column")] = None,
    sample_weight: Annotated[str | None, typer.Option(help="column or file of how often each row counts")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="go on without broken images")] = False,
    seed: Annotated[int, typer.Option(help="seed of the bootstrap intervals")] = 0,
    out: Annotated[Path | None, typer.Option(help="write the result to this JSON file")] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="write every answer to this CSV file; compare reads it")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the result alone, as JSON")] = False,
) -> None:
    """Judge a fitted model on the samples of SOURCE, with 95 % intervals.

    Classes are matched by name, in whatever order SOURCE has them.
    """
    require_run(run)
    require_source(source)
    from straightedge.cli.predict import reading_for
    from straightedge.data import load_dataset
    from straightedge.model import load

    model = load(run)
    if model.multilabel:
        _several_labels(model, run, source, (labels, sample_weight), out, as_json)
        return
    reading = reading_for(model, run, size, background, skip_bad)
    options: dict[str, Any] = {"size": reading.size, "background": reading.background, "skip_bad": skip_bad}
    options |= {"root": root, "labels": labels, "column": column, "progress": not as_json}
    options |= {"sample_weight": sample_weight, "n_features": model.n_features, "columns": model.columns}
    dataset = load_dataset(source, classes=model.classes, **options)
    own = _is_own(run, dataset)
    dataset = _sealed_again(run, dataset) if own else dataset
    name, samples = _choose(dataset, split)
    if own and name == "train":
        warn("evaluated-on-train", "these are the samples the model was trained on: new ones will do worse")
    scores = model.scores(fit_rows(model, samples.X, source))
    # else all of it is its training split
    divided = dataset.test is not None or dataset.validation is not None
    told = {"source": source, "split": name if own or divided else None, "model": str(run)}
    result = _judge(model, samples, scores, seed) | told
    if model.threshold is not None:
        result["threshold"] = {"class": model.classes[1], **_parted(model)}
    _write((model, samples, scores, name if own else "evaluated"), result, out, predictions)
    if as_json:
        from straightedge.atomic import to_json

        print(to_json(result))
    else:
        _print(result, dataset.notes)


def _several_labels(
    model: LinearModel,
    run: Path,
    source: str,
    columns: tuple[str | None, str | None],
    out: Path | None,
    as_json: bool,
) -> None:
    """Judge a model of several labels a row; `columns` are those of labels and of weights."""
    import numpy as np

    from straightedge import atomic
    from straightedge.data.tables.multihot import load_multihot
    from straightedge.evaluation.multilabel import MULTILABEL_NAMES, evaluate_multilabel

    labels, weight = columns
    found = load_multihot(source, labels, {"sample_weight": weight}, columns=model.columns, names=model.classes)
    split = next(name for name in SPLITS if name in found.X)
    scores = np.asarray(model.scores(found.X[split]))
    odds = model.has_probabilities
    result = evaluate_multilabel(
        scores, found.Y[split], model.classes, probabilities=odds, weights=found.weights.get(split)
    )
    result |= {"source": source, "split": split if len(found.X) > 1 else None, "model": str(run)}
    if out is not None:
        atomic.write_json(out, result)
    if as_json:
        print(atomic.to_json(result))
        return
    print(visible(_title(result)))
    print(f"all labels right: {result['accuracy']:.4f}  {_interval(result['interval'])}")
    for key, name in MULTILABEL_NAMES.items():
        print(f"{name}: {result[key]['value']:.4f}  {_interval(result[key]['interval'])}")


def _choose(dataset: Dataset, split: str | None) -> tuple[str, Split]:
    """Return the split that was asked for, or the first of test, validation, train that there is."""
    if split is not None and split not in SPLITS:
        raise InputError("split-unknown", f"there is no split {split!r}", "--split", "test, validation or train")
    there = [name for name in SPLITS if getattr(dataset, name) is not None]
    name = split or there[0]
    if name not in there:
        mend = f"it has: {', '.join(there)}"
        raise InputError("split-missing", f"the source has no {name} split", dataset.name, mend)
    if name == "test" and dataset.test is not None:
        return name, dataset.test.open("straightedge evaluate")
    chosen: Split = getattr(dataset, name)
    return name, chosen


def _is_own(run: Path, dataset: Dataset) -> bool:
    """Whether these are the data that the model was made from, so that their splits are the model's."""
    from straightedge.cli.predict import run_config

    made_from = run_config(run).get("dataset") or {}
    return bool(dataset.fingerprint) and made_from.get("fingerprint") == dataset.fingerprint


def _sealed_again(run: Path, dataset: Dataset) -> Dataset:
    """Return the model's own data with the tenth that its fit had sealed, where it had and the rows say which."""
    from straightedge.cli.predict import run_config

    config = run_config(run)
    asked = config.get("options") or {}
    sealed = bool((config.get("dataset") or {}).get("n_sealed")) and asked.get("groups") is None
    if not sealed:
        return dataset
    from straightedge.workflow.sealing import with_sealed_tenth

    return with_sealed_tenth(replace(dataset, parts=None), int(config.get("seed") or 0))


def fit_rows(model: LinearModel, X: Any, where: str) -> Any:
    """Return rows the model can score: grey images get the model's colours, other sizes are refused."""
    import numpy as np

    shape, expected = tuple(X.shape[1:]), model.input_shape
    if len(shape) != 3 or len(expected) != 3 or shape == expected:
        return X
    if shape[1:] != expected[1:]:
        what = f"the images are {shape[2]} × {shape[1]}, the model takes {expected[2]} × {expected[1]}"
        raise InputError("image-size", what, where, f"resize them: --size {expected[1]}x{expected[2]}")
    if shape[0] == 1:
        pixels = X.read(0, X.shape[0]) if hasattr(X, "read") else X
        return np.broadcast_to(pixels, (len(pixels), *expected))
    raise InputError("image-mode", "the images have colours, the model was trained on grey ones", where)


def _judge(model: LinearModel, samples: Split, scores: np.ndarray, seed: int) -> dict[str, Any]:
    from straightedge.evaluation import evaluate

    return evaluate(
        scores,
        samples.y,
        model.classes,
        temperature=model.temperature,
        probabilities=model.has_probabilities,
        seed=seed,
        weights=samples.weights,
        threshold=model.threshold,
    )


def _parted(model: LinearModel) -> dict[str, Any]:
    """Return where a model parts two classes: by a difference of scores, and by the probability that this is."""
    from straightedge.evaluation.thresholds import probability_from

    score = model.threshold or 0.0
    chance = probability_from(score, model.temperature or 1.0) if model.has_probabilities else None
    return {"score": score, "probability": chance}


def _write(
    answers: tuple[LinearModel, Split, np.ndarray, str],
    result: dict[str, Any],
    out: Path | None,
    predictions: Path | None,
) -> None:
    from straightedge import atomic
    from straightedge.prediction import prediction_blocks
    from straightedge.runs.tables import PREDICTION_COLUMNS, write_blocks

    with atomic.together():
        if predictions is not None:
            write_blocks(predictions, PREDICTION_COLUMNS, prediction_blocks(*answers))
        if out is not None:
            atomic.write_json(out, result)


def _print(result: dict[str, Any], notes: list[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from straightedge.evaluation.measures import MEASURES
    from straightedge.evaluation.metrics import METRIC_NAMES
    from straightedge.report import headline

    table = Table(title=escape(visible(_title(result))), box=box.SIMPLE)
    for heading in ("measure", "value", "95 % interval"):
        table.add_column(heading, justify="left" if heading == "measure" else "right")
    table.add_row("accuracy", f"{result['accuracy']:.4f}", _interval(result["interval"]))
    share = headline.largest_class(result)
    if share is not None:
        table.add_row("largest class", f"{share:.4f}", "")
    if said := headline.threshold_in_words(result):
        notes = [f"threshold: {said}", *notes]
    top = f"top {result['top_k']['k']}"
    for name, key in [("balanced accuracy", "balanced_accuracy"), (top, "top_k"), ("log loss", "log_loss")]:
        _add(table, name, result[key])
    for name in MEASURES:
        _add(table, METRIC_NAMES[name], result.get(name))
    _add(table, "calibration error", result["ece"])
    console = Console()
    console.print(table)
    for note in notes:
        console.print(visible(note), markup=False)


def _title(result: dict[str, Any]) -> str:
    """Name the samples as their owner does: the source, and its split where it has splits."""
    split = f", {result['split']}" if result["split"] else ""
    return f"{result['source']}{split}: {result['n']:,.0f} samples"


def _add(table: Any, name: str, measure: dict[str, Any] | None) -> None:
    if measure is not None and measure.get("value") is not None:
        table.add_row(name, f"{measure['value']:.4f}", _interval(measure.get("interval")))


def _interval(interval: list[float] | None) -> str:
    return f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else ""
