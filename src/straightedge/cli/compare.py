"""``straightedge compare``: two runs on the same samples, with a paired test."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from straightedge.errors import InputError, visible

if TYPE_CHECKING:
    from straightedge.evaluation import PairedTest

COLUMNS = ("name", "label", "predicted", "split")
UNSEEN = ("test", "evaluated", "held out")
"""Splits of predictions.csv that a run was neither fitted to nor chosen by."""
FOLDS = "out of fold"
NAMED = 3  # how many image names an error lists


@dataclass(frozen=True)
class Predictions:
    """What one run said.

    Attributes:
        path: The file.
        splits: What the answered samples were to the run.
        labels: Image -> label; images of one name are told apart by their count, images without a name by row.
        correct: Image -> whether the prediction is the label.
    """

    path: Path
    splits: frozenset[str]
    labels: dict[tuple[str, int], str]
    correct: dict[tuple[str, int], bool]


def command(
    first: Annotated[Path, typer.Argument(help="Run folder, or its predictions.csv.", metavar="RUN")],
    second: Annotated[Path, typer.Argument(help="The run to compare it with.", metavar="RUN")],
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result alone, as JSON.")] = False,
) -> None:
    """Compare two runs on the same samples: accuracies, their difference, an exact McNemar test.

    Only answers to samples that neither run was fitted to or chosen by are compared, those of a test split or
    of a file that both evaluate; where there are none, the answers of folds to samples left out of them.
    """
    one, other = read_predictions(first), read_predictions(second)
    tested = compared(one, other, seed)
    splits = sorted(one.splits | other.splits)
    hits = (first, tested.both + tested.only_first), (second, tested.both + tested.only_second)
    rows = [_describe(path, count, tested.n) for path, count in hits]
    if as_json:
        print(json.dumps({"runs": rows, "splits": splits, **asdict(tested)}))
    else:
        _show(rows, tested, splits)


def compared(one: Predictions, other: Predictions, seed: int = 0) -> PairedTest:
    """Test two runs on the images that both answered.

    Raises:
        InputError: ``compare-fitted``, ``compare-different-images``.
    """
    from straightedge.evaluation import paired_test

    for predictions in (one, other):
        check_unseen(predictions)
    check_same_images(one, other)
    images = list(one.labels)
    return paired_test([one.correct[i] for i in images], [other.correct[i] for i in images], seed=seed)


def check_unseen(predictions: Predictions) -> None:
    """Refuse answers to samples that a run was fitted to or chosen by: a worse run may have more of them right."""
    seen = sorted(predictions.splits - {*UNSEEN, FOLDS})
    if seen:
        what = f"the answers are to samples that the run was fitted to or chosen by (split {', '.join(seen)})"
        mend = (
            "judge both runs on samples that neither has seen, `straightedge evaluate RUN SOURCE --predictions "
            "FILE.csv`, and compare the two files; or fit both with --folds, or without --no-suspects"
        )
        raise InputError("compare-fitted", what, str(predictions.path), mend)


def read_predictions(run: Path) -> Predictions:
    """Read the predictions of a run folder, or of a predictions.csv.

    Raises:
        InputError: ``run-missing``, ``run-file-missing``, ``run-damaged``, ``predictions-columns``,
            ``predictions-empty``.
    """
    from straightedge.runs.tables import read_table

    if not run.exists():
        raise InputError(
            "run-missing", "there is no such run", str(run), "give a folder that `straightedge fit` wrote"
        )
    path = run if run.is_file() else run / "predictions.csv"
    seen: Counter[str] = Counter()
    table = read_table(path)
    found = Predictions(path, frozenset(row.get("split") or "" for row in table), {}, {})
    for number, row in enumerate(table, start=2):
        name, label, predicted, split = (row.get(column) for column in COLUMNS)
        if name is None or not label or not predicted or not split:
            what = f"no {' or '.join(COLUMNS)} in a line"
            mend = "write the file again: straightedge evaluate RUN SOURCE --predictions FILE.csv"
            raise InputError("predictions-columns", what, f"{path}, line {number}", mend)
        image = (name, seen[name])
        seen[name] += 1
        found.labels[image] = label
        found.correct[image] = label == predicted
    if not found.labels:
        raise InputError("predictions-empty", "the file holds no predictions", str(path))
    return found


def check_same_images(one: Predictions, other: Predictions) -> None:
    """Refuse runs that judged different samples, or the same ones under other labels."""
    only_one = [image for image in one.labels if image not in other.labels]
    only_other = [image for image in other.labels if image not in one.labels]
    relabelled = [i for i, label in one.labels.items() if i in other.labels and other.labels[i] != label]
    if not (only_one or only_other or relabelled):
        return
    parts = [
        _listed(only_one, f"only in {one.path}"),
        _listed(only_other, f"only in {other.path}"),
        _listed(relabelled, "with another label"),
    ]
    what = "the runs did not judge the same samples: " + "; ".join(part for part in parts if part)
    raise InputError("compare-different-images", what, mend="evaluate both runs on the same source, then compare")


def _listed(images: list[tuple[str, int]], where: str) -> str:
    if not images:
        return ""
    names = ", ".join(name or f"row {count}" for name, count in images[:NAMED])
    return f"{len(images)} {where} ({names}{', …' if len(images) > NAMED else ''})"


def _describe(run: Path, hits: int, n: int) -> dict[str, Any]:
    """Return accuracy with interval, and loss and reg where the run says them."""
    from straightedge.evaluation import share_interval

    metrics = run / "metrics.json"
    told = json.loads(metrics.read_text(encoding="utf-8")) if metrics.is_file() else {}
    return {
        "run": str(run),
        "loss": told.get("loss"),
        "reg": told.get("reg"),
        "accuracy": hits / n,
        "interval": list(share_interval(hits, n)),
    }


def _show(rows: list[dict[str, Any]], tested: PairedTest, splits: list[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("run", "loss", "reg", "accuracy", "95 % interval", "right alone"):
        table.add_column(title, overflow="fold")
    for row, alone in zip(rows, (tested.only_first, tested.only_second), strict=True):
        reg = "" if row["reg"] is None else f"{row['reg']:.4g}"
        low, high = row["interval"]
        cells = (
            escape(visible(row["run"])),
            visible(row["loss"] or ""),
            reg,
            f"{row['accuracy']:.4f}",
            f"{low:.4f} – {high:.4f}",
        )
        table.add_row(*cells, f"{alone:,}")
    console = Console(highlight=False)
    console.print(table)
    low, high = tested.interval
    console.print(f"difference {tested.difference:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}")
    console.print(f"p = {tested.p_value:.3g}, exact McNemar on the {tested.n:,} samples both judged")
    console.print(f"answers compared: {' and '.join(splits)}")
    if FOLDS in splits:
        console.print("(by classifiers of the folds that left the sample out, at the reg of the run)")
