"""What each section of the page says, as plain values for the template; all text is escaped there."""

import json
import os
import shlex
from pathlib import Path
from typing import Any

from straightedge.evaluation.metrics import METRIC_NAMES
from straightedge.losses import LOSSES
from straightedge.report import figures, headline, words
from straightedge.report.run_files import Run, last_stage

SPLIT_NAMES = {"train": "training", "validation": "validation", "test": "test"}
MAX_TABLE_ROWS = 40
Section = dict[str, Any]


def heading(run: Run) -> Section:
    """The title, and the two numbers that matter: how good, and how proven."""
    metrics, dataset = run.metrics, run.dataset
    split, judged = run.judged
    name = str(dataset.get("name") or run.config.get("source") or "a data set")
    name = name.rstrip("/").rsplit("/", 1)[-1] or name  # of a path what people call it
    gap = metrics.get("gap")
    return {
        "title": f"{loss_name(run)} on {name}",
        "loss": loss_name(run),
        "source": name,
        "split": SPLIT_NAMES.get(split, split),
        "several": bool(metrics.get("multilabel")),
        "things": "images" if dataset.get("image_shape") else "samples",
        "accuracy": words.percent(judged.get("accuracy")),
        "interval": words.percent_interval(judged.get("interval")),
        "n": words.count(judged.get("n")),
        "beside": headline.beside(judged),
        "best_of": headline.best_of(metrics, split),
        "chose": split == "validation",
        "is_training": split == "train",
        "path": headline.of_the_path(metrics),
        "certified": words.is_certified(gap, run.tol),
        "gap": words.scientific(gap),
        "has_gap": words.finite(gap) is not None,
        "tol": words.scientific(run.tol) if run.tol else "",
        "reg": words.reg_text(metrics.get("reg")),
        "reg_from": _reg_from(run),
        "passes": words.count(metrics.get("n_passes")),
        "seconds": words.seconds(metrics.get("seconds")),
    }


def _reg_from(run: Run) -> str:
    """Where reg comes from."""
    chosen = run.metrics.get("selection")
    if chosen:
        folds = str(chosen.get("splits") or "")
        return f"chosen on {folds}" if "folds" in folds else "chosen on validation"
    left_open = "reg" in run.config and run.config["reg"] is None
    if run.metrics.get("tried"):
        return f"least log loss on held-out rows of {len(run.metrics['tried'])} values"
    return "the usual one: nothing to choose it by" if left_open else "given"


def loss_name(run: Run) -> str:
    """The loss as people call it."""
    loss = str(run.metrics.get("loss") or run.config.get("loss") or "linear classifier")
    return LOSSES[loss].title if loss in LOSSES else loss.replace("_", " ")


def asked(run: Run) -> Section:
    """The objective and its numbers."""
    dataset = run.dataset
    shape = dataset.get("image_shape")
    n_features = run.weights.shape[1] if run.weights is not None else None
    if n_features is None and shape:
        n_features = int(shape[0] * shape[1] * shape[2])
    train = run.metrics.get("train") or {}
    loss = str(run.metrics.get("loss") or run.config.get("loss"))
    return {
        "loss": loss,
        "loss_name": loss_name(run),
        "loss_phrase": LOSSES[loss].phrase if loss in LOSSES else f"{loss_name(run)} loss",
        "loss_formula": LOSSES[loss].formula if loss in LOSSES else "",
        "n": words.count(train.get("n") or dataset.get("n_train")),
        "n_classes": words.count(run.metrics.get("n_classes") or len(run.classes)),
        "n_features": words.count(n_features),
        "n_rows": words.count(None if n_features is None else n_features + 1),
        "reg": words.reg_text(run.metrics.get("reg")),
        "bias": str(run.config.get("bias") or "penalized"),
        "preprocess": _plain_text(run.config.get("preprocess")),
        "image_shape": " × ".join(str(side) for side in shape) if shape else "",
        "splits": [
            (SPLIT_NAMES[name], words.count(dataset.get(f"n_{name}")))
            for name in SPLIT_NAMES
            if dataset.get(f"n_{name}")
        ],
        "selection": _selection(run),
        "several": bool(run.metrics.get("multilabel")),
    }


def _selection(run: Run) -> Section | None:
    chosen = run.metrics.get("selection")
    if not chosen:
        return None
    metric = str(chosen.get("metric") or "accuracy")
    return {
        "n": len(run.metrics.get("path") or []),
        "metric": METRIC_NAMES.get(metric, metric),
        "rule": _plain_text(chosen.get("rule")),
        "splits": _plain_text(chosen.get("splits")),
        "reg": words.reg_text(chosen.get("chosen_reg", run.metrics.get("reg"))),
    }


def terms(run: Run) -> list[Section]:
    """The words that speak for and against each class, with the share of training texts that have them."""
    return [
        {
            "name": str(entry.get("class")),
            "sides": [
                [(str(one["term"]), f"{one['weight']:+.2f}", words.percent(one["share"])) for one in entry[side]]
                for side in ("for", "against")
            ],
        }
        for entry in run.metrics.get("terms") or []
    ]


def _is_for_people(name: str) -> bool:
    """Whether a file is part of the finished run, not the page itself or what a fit keeps to resume."""
    return name != "report.html" and not name.startswith(".") and not name.startswith("checkpoint")


def _plain_text(value: Any) -> str:
    return "" if value is None else str(value)


def proof(run: Run) -> Section:
    """Primal, dual, gap, and how they got there."""
    metrics = run.metrics
    upper, lower = words.bounds(metrics.get("objective"), metrics.get("dual"))
    stage = last_stage(run.trace, metrics.get("reg"), metrics.get("objective"))
    rows = [
        (words.count(row["n_passes"]), *words.bounds(row["objective"], row["dual"]), words.scientific(row["gap"]))
        for row in thinned(stage)
    ]
    return {
        "objective": upper,
        "dual": lower,
        "has_dual": words.finite(metrics.get("dual")) is not None,
        "certificate": words.certificate(metrics.get("gap"), run.tol),
        "certified": words.is_certified(metrics.get("gap"), run.tol),
        "gap": words.scientific(metrics.get("gap")),
        "tol": words.scientific(run.tol) if run.tol else "",
        "message": str(metrics.get("message") or ""),
        "rows": rows,
        "n_rows": len(stage),
        "figures": [figures.bounds_figure(stage), figures.gap_figure(stage, run.tol)],
    }


def thinned(rows: list[Any], limit: int = MAX_TABLE_ROWS) -> list[Any]:
    """Keep at most about `limit` rows, evenly spread, the last always."""
    step = -(-len(rows) // limit) or 1
    return rows if step == 1 else rows[:-1:step] + rows[-1:]


def path(run: Run) -> Section | None:
    """Every reg that was tried."""
    entries = run.metrics.get("path") or []
    if not entries:
        return None
    metric = str((run.metrics.get("selection") or {}).get("metric") or "accuracy")
    share = metric not in ("log_loss", "mcc", "brier")
    rows = figures.path_rows(entries, metric, run.tol)
    tol = words.finite(entries[0].get("tol", run.tol))  # compared values may be solved to a wider gap
    name = METRIC_NAMES.get(metric, metric)
    write_interval = words.percent_interval if share else words.number_interval
    table = [
        (
            row["reg_text"],
            words.percent(row["value"]) if share else words.fixed(row["value"], 3),
            write_interval([row["low"], row["high"]]),
            row["gap_text"],
            row["proof"],
            row["chosen"],
        )
        for row in rows
    ]
    return {
        "metric": name,
        "tol": "" if tol is None else words.scientific(tol),
        "is_fitted_again": tol is not None and run.tol is not None and tol > run.tol,
        "rows": table,
        "n": len(rows),
        "n_open": sum(row["proof"] != "certified" for row in rows),
        "n_certified": sum(row["proof"] == "certified" for row in rows),
        "uncertified": [row["reg_text"] for row in rows if row["proof"] != "certified"],
        "figures": [
            figures.path_figure(rows, f"validation {name}", share=share),
            figures.path_gap_figure(rows, tol),
        ],
    }


def notes(run: Run) -> list[str]:
    """Remarks of the run, and those that follow from its numbers."""
    remarks = [str(note) for note in run.metrics.get("notes") or []]
    remarks += [str(note) for note in run.dataset.get("notes") or [] if str(note) not in remarks]
    if run.tol and not words.is_certified(run.metrics.get("gap"), run.tol):
        remarks.insert(0, f"The model is {words.certificate(run.metrics.get('gap'), run.tol)}.")
    return remarks


def command(run: Run) -> Section:
    """How to get this page again."""
    config, dataset = run.config, run.dataset
    given = config.get("command")
    facts = [
        ("written", str(config.get("created") or "")),
        ("data", str(config.get("source") or "")),
        ("fingerprint of the data, SHA-256", str(dataset.get("fingerprint") or "")),
        ("solver", _plain_text(config.get("solver"))),
        ("bias", _plain_text(config.get("bias"))),
        ("preprocessing", _plain_text(config.get("preprocess"))),
        ("tolerance, relative gap", words.scientific(run.tol) if run.tol else ""),
        ("seed", _plain_text(config.get("seed"))),
        ("device", _plain_text(config.get("device"))),
    ]
    return {
        "line": shlex.join(str(part) for part in given) if isinstance(given, list) else _plain_text(given),
        "facts": [(name, value) for name, value in facts if value],
        "versions": sorted((str(name), str(value)) for name, value in (config.get("versions") or {}).items()),
        "files": [name for name in run.present if _is_for_people(name)],
    }


def use(run: Run) -> Section:
    """Three lines of each, with this run's own names."""
    place, source = _place(run.folder), str(run.config.get("source") or "")
    quoted, first = shlex.quote(place), source.split(",", maxsplit=1)[0]
    verb = "predict" if Path(first).exists() else "evaluate"
    judged = [f"straightedge {verb} {quoted} {shlex.quote(first)}"] if source else []
    folder = os.path.dirname(place) or "."
    listed = "straightedge runs" + ("" if folder == "runs" else f" {shlex.quote(folder)}")
    python = ["from straightedge import load", f"model = load({json.dumps(place)})", "print(model)"]
    shell = [*judged, *_export(run, quoted), listed]
    return {"shell": shell, "python": python, "piped": f"straightedge predict {quoted} -"}


def _export(run: Run, quoted: str) -> list[str]:
    """The export that takes this model: several labels have none, and of texts only scikit-learn cuts words."""
    if run.metrics.get("multilabel"):
        return []
    texts = run.model is not None and run.model.takes_texts
    return [f"straightedge export {quoted} --to {'sklearn' if texts else 'torch'}"]


def _place(folder: Path) -> str:
    """Return the run's folder as it is called from here; while it is written, its name is hidden."""
    name = folder.name[1:].removesuffix(".partial") if folder.name.endswith(".partial") else folder.name
    return os.path.relpath(folder.resolve().with_name(name))
