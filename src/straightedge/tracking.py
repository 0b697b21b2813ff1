"""A run written to an experiment tracker that is installed: MLflow, TensorBoard or Weights & Biases.

A tracker is asked for four things alone. Its package is imported when it is begun, and never otherwise.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from straightedge.errors import InputError, import_extra
from straightedge.runs import RunFolder
from straightedge.status import TraceRow

PROJECT = "straightedge"
"""The experiment of MLflow and the project of Weights & Biases, where the environment names none."""
MLFLOW_NAMES = ("MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID")
"""Variables by which the environment names MLflow's experiment; one that is set in code would overrule them."""
PAGE = "report.html"
SPLITS = ("test", "validation", "train")
ON_THE_PATH = ("reg", "objective", "dual", "gap")
TRACED = ("objective", "dual", "gap", "n_passes")


class Tracker(Protocol):
    """What a tracker does with one run, from its making to its end."""

    def numbers(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Write numbers by name: of a step, or of the run as a whole."""

    def file(self, path: Path) -> None:
        """Keep a file with the run."""

    def end(self) -> None:
        """Finish the run: nothing is written after this."""


class MLflowTracker:
    """A run of MLflow, where ``MLFLOW_TRACKING_URI`` says; see `mlflow.start_run`."""

    package = "mlflow"

    def __init__(self, name: str, params: Mapping[str, Any], folder: Path) -> None:
        self.mlflow = _package(self.package, "mlflow")
        if self.mlflow.active_run() is None and not any(os.environ.get(own) for own in MLFLOW_NAMES):
            self.mlflow.set_experiment(PROJECT)
        self.mlflow.start_run(run_name=name, nested=self.mlflow.active_run() is not None)
        self.mlflow.log_params(dict(params))

    def numbers(self, values: Mapping[str, float], step: int | None = None) -> None:
        """See `Tracker.numbers`."""
        self.mlflow.log_metrics(dict(values), step=step)

    def file(self, path: Path) -> None:
        """See `Tracker.file`."""
        self.mlflow.log_artifact(str(path))

    def end(self) -> None:
        """See `Tracker.end`."""
        self.mlflow.end_run()


class TensorBoardTracker:
    """Event files of TensorBoard in the run's own folder, by torch's writer."""

    package = "torch.utils.tensorboard"

    def __init__(self, name: str, params: Mapping[str, Any], folder: Path) -> None:
        self.writer = _package(self.package, "tensorboard").SummaryWriter(log_dir=str(folder / "tensorboard"))
        table = [f"| {key} | {value} |" for key, value in params.items()]
        self.writer.add_text("options", "\n".join(["| option | value |", "|---|---|", *table]))

    def numbers(self, values: Mapping[str, float], step: int | None = None) -> None:
        """See `Tracker.numbers`."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, global_step=step)

    def file(self, path: Path) -> None:
        """See `Tracker.file`; event files hold none, so the name is written."""
        self.writer.add_text("files", str(path.resolve()))

    def end(self) -> None:
        """See `Tracker.end`."""
        self.writer.close()


class WandbTracker:
    """A run of Weights & Biases; ``WANDB_MODE=offline`` keeps it on this machine."""

    package = "wandb"

    def __init__(self, name: str, params: Mapping[str, Any], folder: Path) -> None:
        self.wandb = _package(self.package, "wandb")
        self.run = self.wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT, name=name, config=dict(params)
        )

    def numbers(self, values: Mapping[str, float], step: int | None = None) -> None:
        """See `Tracker.numbers`."""
        if step is None:
            self.run.summary.update(dict(values))
        else:
            self.run.log(dict(values), step=step)

    def file(self, path: Path) -> None:
        """See `Tracker.file`."""
        artifact = self.wandb.Artifact(path.stem, type="report")
        artifact.add_file(str(path))
        self.run.log_artifact(artifact)

    def end(self) -> None:
        """See `Tracker.end`."""
        self.run.finish()


TRACKERS: dict[str, type[MLflowTracker] | type[TensorBoardTracker] | type[WandbTracker]] = {
    "mlflow": MLflowTracker,
    "tensorboard": TensorBoardTracker,
    "wandb": WandbTracker,
}


def check_tracker(name: str) -> None:
    """Refuse, before the work, a tracker that is unknown or not installed.

    Raises:
        InputError: ``tracker-unknown``; MissingExtraError for a missing package.
    """
    if name not in TRACKERS:
        what = f"there is no tracker {name!r}"
        raise InputError("tracker-unknown", what, "--track", f"one of: {', '.join(TRACKERS)}")
    _package(TRACKERS[name].package, name)


def track_run(run: str | Path, name: str) -> None:
    """Write a finished run to a tracker: options, the path as steps, what was judged, and the page.

    Raises:
        InputError: As `check_tracker` and `RunFolder.open`.
    """
    check_tracker(name)
    found = RunFolder.open(run)
    metrics = found.metrics
    tracker = TRACKERS[name](found.path.name, _options(found.config), found.path)
    try:
        for step, entry in enumerate(metrics.get("path") or []):
            tracker.numbers(_of_the_path(entry), step)
        tracker.numbers(_of_the_run(metrics))
        if found.has(PAGE):
            tracker.file(found.path / PAGE)
    finally:
        tracker.end()


class TrackedFit:
    """A callback of an estimator or of `fit_path` that writes each step's bounds to a tracker.

        with TrackedFit("mlflow", "my fit") as tracked:
            SoftmaxClassifier(callbacks=[tracked]).fit(X, y)

    Args:
        name: One of `TRACKERS`.
        title: What the run is called.
        folder: Where TensorBoard's files go.
    """

    def __init__(self, name: str, title: str, folder: str | Path = ".") -> None:
        check_tracker(name)
        self.tracker: Tracker = TRACKERS[name](title, {}, Path(folder))
        self.step = 0

    def __call__(self, row: TraceRow) -> None:
        """Write one trace row; values of reg are told apart by their names."""
        self.tracker.numbers(_finite({f"reg {row['reg']:g}/{key}": row[key] for key in TRACED}), self.step)
        self.step += 1

    def __enter__(self) -> TrackedFit:
        """Return self."""
        return self

    def __exit__(self, *_: object) -> None:
        """Finish the run."""
        self.tracker.end()


def _package(module: str, name: str) -> Any:
    return import_extra(module, name, name, f"--track {name}")


def _options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was asked for, as numbers and texts by name; what nobody named is left out."""
    options = config.get("options")
    given = options if isinstance(options, dict) else config
    return {name: value for name, value in given.items() if isinstance(value, (int, float, str)) and value != ""}


def _of_the_path(entry: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of one value of reg, its validation accuracy among them."""
    judged = entry.get("validation")
    accuracy = judged.get("accuracy") if isinstance(judged, Mapping) else judged
    named = {f"path/{name}": entry.get(name) for name in ON_THE_PATH} | {"path/validation": accuracy}
    return _finite(named)


def _of_the_run(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of the final model: its proof, and each split's accuracy and log loss."""
    named: dict[str, Any] = {name: metrics.get(name) for name in ON_THE_PATH}
    for split in SPLITS:
        judged = metrics.get(split) or {}
        named |= {
            f"{split}/accuracy": judged.get("accuracy"),
            f"{split}/log_loss": (judged.get("log_loss") or {}).get("value"),
        }
    return _finite(named)


def _finite(named: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite numbers among values: trackers draw no others."""
    numbers = {name: value for name, value in named.items() if isinstance(value, (int, float))}
    return {name: float(value) for name, value in numbers.items() if math.isfinite(value)}
