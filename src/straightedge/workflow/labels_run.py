"""The whole fit of rows with several labels each, in order, into a run folder."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from straightedge.data.base import Dataset, SealedSplit, Split
from straightedge.data.tables.encoding import column_rows
from straightedge.data.tables.multihot import MultiHot
from straightedge.report import write_report
from straightedge.runs import RunFolder
from straightedge.workflow.multilabel import (
    LabelFits,
    Say,
    fit_labels,
    judged_splits,
    metrics_of_labels,
    model_of_labels,
    read_rows,
)
from straightedge.workflow.options import FitOptions
from straightedge.workflow.recording import config_of, fingerprints_of, result_of

SEPARATOR = "; "  # what stands between the labels of a row in predictions.csv


def run_labels(options: FitOptions, say: Say) -> dict[str, Any]:
    """Fit, choose, prove, judge and write one run of C labels.

    Returns:
        What metrics.json holds, with ``run``, the folder, and ``report``, the page.

    Raises:
        InputError: The user's mistakes.
    """
    options = options.checked()
    say("reading")
    found, more = read_rows(options)
    config = config_of(options, _described(options, found, more))
    with RunFolder.create(
        options.run.out, config, options.run.overwrite, fingerprints_of(options, found.fingerprint, found.names)
    ) as run:
        fits = fit_labels(found, options, say)
        model = model_of_labels(found, fits, options)
        say("judging")
        rows = judged_splits(found, more, fits, model)
        metrics = metrics_of_labels(found, fits, options, rows)
        metrics["columns"] = column_rows(found.columns)
        say("writing")
        run.save_model(model)
        run.write_trace([row for one in fits.solutions for row in one.trace])
        split = next(name for name in ("test", "validation", "train") if name in rows)
        scores, Y, _ = rows[split]
        columns = ("name", "label", "predicted", *(f"score {name}" for name in found.names), "split")
        run.write_csv("predictions.csv", columns, _answers(found, scores, Y, _kind(split, found, fits)))
        run.write_json("metrics.json", metrics)
        write_report(run.path)
    return result_of(options, metrics)


def _described(options: FitOptions, found: MultiHot, more: MultiHot | None) -> Dataset:
    """Return the rows as config.json describes them; that they have several labels is in metrics.json."""

    def split(X: Any, n: int) -> Split:
        return Split(X, np.zeros(n, dtype=np.int64))

    own = {name: split(X, len(found.Y[name])) for name, X in found.X.items()}
    test = own.get("test") if more is None else split(more.X["train"], len(more.Y["train"]))
    return Dataset(
        options.data.source,
        found.names,
        own["train"],
        own.get("validation"),
        None if test is None else SealedSplit(test),
        found.fingerprint,
        columns=found.columns,
    )


def _kind(split: str, found: MultiHot, fits: LabelFits) -> str:
    return "out of fold" if split == "validation" and split not in found.X and fits.held_out is not None else split


def _answers(found: MultiHot, scores: np.ndarray, Y: np.ndarray, split: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of predictions.csv."""
    names = np.array(found.names, dtype=object)
    for row, (own, truth) in enumerate(zip(scores, Y, strict=True)):
        yield {
            "name": str(row),
            "label": SEPARATOR.join(names[truth]),
            "predicted": SEPARATOR.join(names[own >= 0]),
            **{f"score {name}": float(score) for name, score in zip(names, own, strict=True)},
            "split": split,
        }
