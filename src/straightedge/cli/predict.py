"""``straightedge predict RUN PATH...``: classes of images and rows, as CSV."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from straightedge.cli.presence import require_run
from straightedge.errors import InputError, visible
from straightedge.special_files import refuse_special

if TYPE_CHECKING:
    from straightedge.image_files import Reading
    from straightedge.model import LinearModel
    from straightedge.prediction import Prediction

COLUMNS = ("name", "class", "score", "probability")
WHITE = "white"  # the colour under transparent pixels where nobody asks for another


def command(
    run: Annotated[Path, typer.Argument(help="run folder or model.safetensors")],
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="images, texts, folders, archives, rows in any format of fit; - is a text on standard input"
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="write the CSV to this file")] = None,
    size: Annotated[str | None, typer.Option(help="resize images to the model's size: 32, or HEIGHTxWIDTH")] = None,
    background: Annotated[
        str | None, typer.Option(help="colour under transparent pixels; that of the run if left out")
    ] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="go on without broken images")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="of texts, name the words that decided, with what they add")
    ] = False,
    columns: Annotated[
        str | None, typer.Option(help="columns of a table to write beside the answers: ID,NAME, or all")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the result alone, as JSON")] = False,
) -> None:
    """Classify images, texts, folders and archives of them, and arrays with a fitted model.

    Writes name, class, score and, for softmax and calibrated models, the probability of the class. The
    features that the run was trained on are made again from images and texts. A model of several labels a row
    writes all of them, with "; " between, and the probability of each. Names with control characters are
    printed with escapes; --out and --json have them as they are.
    """
    require_run(run)
    for path in paths:
        if str(path) != "-":
            refuse_special(path)
        if str(path) != "-" and not path.exists():
            raise InputError("path-missing", "there is no such file or folder", str(path))
    from straightedge.model import load
    from straightedge.prediction import predict_paths

    model = load(run)
    reading = reading_for(model, run, size, background, skip_bad)
    if explain and not model.takes_texts:
        raise InputError("explain-needs-texts", "--explain names words, and the model takes no texts", str(run))
    reading.explain = explain
    reading.columns = tuple(name.strip() for name in (columns or "").split(",") if name.strip())
    told: tuple[str, ...] = (*COLUMNS, "words") if explain else COLUMNS
    if model.multilabel:
        told = ("name", "class", *(f"p {name}" for name in model.classes))
    predictions = predict_paths(model, paths, reading)
    _tell(reading)
    rows = [_row(model, prediction) for prediction in predictions]
    told = _beside(rows, reading, told)
    if out is not None:
        from straightedge.runs.tables import write_table

        write_table(out, told, rows)
    if as_json:
        _print_json(rows, reading)
    elif out is None:
        _print_csv(rows, told)


def _beside(rows: list[dict[str, Any]], reading: Reading, told: tuple[str, ...]) -> tuple[str, ...]:
    """Add the columns of tables that were asked for to the rows, and return the names of all columns."""
    names = {name: f"{name} (column)" if name in told else name for name in reading.beside}
    for name, cells in reading.beside.items():
        if len(cells) != len(rows):
            what = f"column {name!r} is not in all that is predicted"
            raise InputError("column-missing", what, "--columns", "predict such tables by themselves")
        for row, cell in zip(rows, cells, strict=True):
            row[names[name]] = cell
    return (*told, *names.values())


def reading_for(model: LinearModel, run: Path, size: str | None, background: str | None, skip_bad: bool) -> Reading:
    """Return how images are read: as the run's training images were, where its config says so.

    Raises:
        InputError: ``size``, ``background``.
    """
    from straightedge.data.image_size import parse_size
    from straightedge.image_files import Reading

    stored_size, stored_background = decoding_of(run_config(run))
    wanted = parse_size(size) or stored_size
    if wanted is not None and len(model.input_shape) == 3 and wanted != model.input_shape[1:]:
        height, width = model.input_shape[1:]
        what = f"--size {size} asks for {wanted[1]} × {wanted[0]} pixels, the model takes {width} × {height}"
        raise InputError("size", what, mend=f"--size {height}x{width}")
    colour = background or stored_background
    if colour != WHITE:
        from straightedge.data.folders import decoding

        decoding(None, colour)  # refuses what is no colour
    return Reading(wanted, colour, skip_bad)


def run_config(run: Path) -> dict[str, Any]:
    """Return a run's config.json, {} for a model file that stands alone."""
    from straightedge.runs import RunFolder

    if not run.is_dir() or not (run / "config.json").exists():
        return {}
    return RunFolder.open(run).config if (run / "metrics.json").exists() else {}


def decoding_of(config: dict[str, Any]) -> tuple[tuple[int, int] | None, str]:
    """Return the size and background a run's training images were decoded with, from its config.json."""
    from straightedge.data.image_size import parse_size

    options = config.get("options")
    options = options if isinstance(options, dict) else {}
    return parse_size(options.get("size")), str(options.get("background") or WHITE)


def _row(model: LinearModel, prediction: Prediction) -> dict[str, Any]:
    if model.multilabel:
        named = "; ".join(model.classes[label] for label in prediction.labels)
        each = {f"p {name}": chance for name, chance in zip(model.classes, prediction.chances, strict=True)}
        return {"name": prediction.name, "class": named} | each
    name = model.classes[prediction.label]
    numbers = {"score": prediction.score, "probability": prediction.probability}
    words = " ".join(f"{term} {value:+.2f}" for term, value in prediction.words)
    return {"name": prediction.name, "class": name} | numbers | ({"words": words} if words else {})


def _tell(reading: Reading) -> None:
    if reading.ignored:
        print(f"{reading.ignored} files that are no images ignored", file=sys.stderr)
    for note in reading.notes:
        print(visible(f"note: {note}"), file=sys.stderr)
    for name in reading.skipped:
        print(f"skipped: {visible(name)}", file=sys.stderr)


def _print_json(rows: list[dict[str, Any]], reading: Reading) -> None:
    from straightedge.atomic import to_json

    result = {"n": len(rows), "predictions": rows, "skipped": reading.skipped, "ignored": reading.ignored}
    print(to_json(result))


def _print_csv(rows: list[dict[str, Any]], columns: Sequence[str]) -> None:
    from straightedge.runs.tables import write_rows

    numbers = {"score", "probability"}
    texts = [name for name in columns if name not in numbers and not name.startswith("p ")]
    shown = (row | {name: visible(row.get(name, "")) for name in texts} for row in rows)
    try:
        write_rows(sys.stdout, columns, shown)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
