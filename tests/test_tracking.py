"""A run reaches each tracker by the calls that its package documents; none is needed where none is asked for."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from straightedge import SoftmaxClassifier
from straightedge.errors import InputError, MissingExtraError
from straightedge.runs import RunFolder
from straightedge.tracking import TrackedFit, check_tracker, track_run
from straightedge.workflow import FitOptions, run_fit
from support.bad_inputs import Commands


class FakeMLflow:
    """The calls of ``mlflow`` by its documented signatures."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def active_run(self) -> None:
        return None

    def set_experiment(self, experiment_name: str) -> None:
        self.calls.append(("experiment", experiment_name))

    def start_run(self, *, run_name: str, nested: bool) -> None:
        self.calls.append(("start", (run_name, nested)))

    def log_params(self, params: dict[str, Any]) -> None:
        self.calls.append(("params", params))

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        assert all(isinstance(value, float) for value in metrics.values())
        self.calls.append(("numbers", (step, metrics)))

    def log_artifact(self, local_path: str) -> None:
        assert Path(local_path).is_file()
        self.calls.append(("file", Path(local_path).name))

    def end_run(self) -> None:
        self.calls.append(("end", None))


class FakeWriter:
    """``torch.utils.tensorboard.SummaryWriter`` by its documented signatures."""

    def __init__(self, log_dir: str) -> None:
        self.calls: list[tuple[str, Any]] = [("start", log_dir)]
        FakeWriter.last = self

    def add_scalar(self, tag: str, scalar_value: float, global_step: int | None = None) -> None:
        self.calls.append(("numbers", (global_step, {tag: scalar_value})))

    def add_text(self, tag: str, text_string: str) -> None:
        self.calls.append((tag, text_string))

    def close(self) -> None:
        self.calls.append(("end", None))


class FakeWandb:
    """``wandb`` by its documented signatures."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.summary = SimpleNamespace(update=lambda values: self.calls.append(("numbers", (None, values))))

    def init(self, *, project: str, name: str, config: dict[str, Any]) -> FakeWandb:
        self.calls += [("start", (project, name)), ("params", config)]
        return self

    def log(self, data: dict[str, float], step: int) -> None:
        self.calls.append(("numbers", (step, data)))

    def Artifact(self, name: str, type: str) -> Any:
        return SimpleNamespace(name=name, type=type, add_file=lambda path: self.calls.append(("file", path)))

    def log_artifact(self, artifact: Any) -> None:
        self.calls.append(("artifact", (artifact.name, artifact.type)))

    def finish(self) -> None:
        self.calls.append(("end", None))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tracked")
    rng = np.random.default_rng(0)
    np.savez(folder / "rows.npz", X=rng.normal(size=(60, 3)), y=np.arange(60) % 2)
    options = FitOptions(str(folder / "rows.npz"), str(folder / "run"), regs=[1.0, 0.1], progress=False)
    run_fit(options)
    return folder / "run"


def numbers_of(calls: list[tuple[str, Any]]) -> dict[int | None, dict[str, float]]:
    found: dict[int | None, dict[str, float]] = {}
    for kind, value in calls:
        if kind == "numbers":
            found.setdefault(value[0], {}).update(value[1])
    return found


def check_numbers(run: Path, calls: list[tuple[str, Any]]) -> None:
    metrics, found = RunFolder.open(run).metrics, numbers_of(calls)
    for step, entry in enumerate(metrics["path"]):
        assert found[step]["path/reg"] == entry["reg"]
        assert found[step]["path/gap"] == entry["gap"]
        assert 0 <= found[step]["path/validation"] <= 1
    assert len(metrics["path"]) == 2
    assert found[None]["validation/accuracy"] == metrics["validation"]["accuracy"]
    assert found[None]["reg"] == metrics["reg"]
    assert calls[-1] == ("end", None)


def test_mlflow(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeMLflow()
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    track_run(run, "mlflow")
    assert fake.calls[:2] == [("experiment", "straightedge"), ("start", ("run", False))]
    assert dict(fake.calls)["params"]["loss"] == "softmax"
    assert ("file", "report.html") in fake.calls
    check_numbers(run, fake.calls)


def test_tensorboard(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=FakeWriter))
    track_run(run, "tensorboard")
    calls = FakeWriter.last.calls
    assert calls[0] == ("start", str(run / "tensorboard"))
    assert "| loss | softmax |" in dict(calls)["options"]
    assert dict(calls)["files"].endswith("report.html")
    check_numbers(run, calls)


def test_wandb(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    track_run(run, "wandb")
    assert fake.calls[0] == ("start", ("straightedge", "run"))
    assert ("artifact", ("report", "report")) in fake.calls
    check_numbers(run, fake.calls)


def test_a_callback_writes_the_bounds_of_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeMLflow()
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    rng = np.random.default_rng(0)
    with TrackedFit("mlflow", "by hand") as tracked:
        fitted = SoftmaxClassifier(reg=0.01, callbacks=[tracked]).fit(rng.normal(size=(50, 4)), np.arange(50) % 3)
    found = numbers_of(fake.calls)
    assert list(found) == list(range(len(fitted.trace_)))
    assert found[len(found) - 1]["reg 0.01/gap"] == fitted.trace_[-1]["gap"]
    assert fake.calls[-1] == ("end", None)


def test_a_tracker_that_is_not_there_is_refused_before_the_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingExtraError, match=r'pip install "straightedge\[wandb\]"'):
        check_tracker("wandb")
    with pytest.raises(InputError, match="tracker-unknown"):
        check_tracker("excel")
    monkeypatch.chdir(tmp_path)
    ended = Commands(tmp_path, capsys, monkeypatch).run("fit", "digits", "--track", "wandb")
    assert ended.status == 2
    assert "missing-extra" in ended.err
    assert not (tmp_path / "runs").exists()


def test_the_command_tracks_what_it_fitted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeMLflow()
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    (tmp_path / "table.csv").write_text("x,label\n" + "\n".join(f"{k % 7},{k % 2}" for k in range(42)))
    monkeypatch.chdir(tmp_path)
    words = ("fit", "table.csv", "--reg", "1e-2", "--quiet", "--track", "mlflow", "--out", "one")
    assert Commands(tmp_path, capsys, monkeypatch).run(*words).status == 0
    assert ("start", ("one", False)) in fake.calls
    assert ("file", "report.html") in fake.calls


def test_the_environment_names_experiment_and_project(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow, wandb = FakeMLflow(), FakeWandb()
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "letters")
    monkeypatch.setenv("WANDB_PROJECT", "letters")
    track_run(run, "mlflow")
    track_run(run, "wandb")
    assert "experiment" not in dict(mlflow.calls)  # set in code, it would overrule the environment
    assert dict(wandb.calls)["start"] == ("letters", "run")
