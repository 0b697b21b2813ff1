"""What a run says of itself: temperatures that held-out mistakes carry, suspects, the hardest, the headline."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from straightedge.model import load
from support.bad_inputs import Commands


@pytest.fixture
def commands(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.setenv("COLUMNS", "200")
    return Commands(tmp_path, capsys, monkeypatch)


def blobs(n: int, distance: float, seed: int, n_classes: int = 2, n_features: int = 3) -> Any:
    """Gaussian blobs of n rows a class along the axes."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(n_classes), n)
    return rng.normal(size=(len(y), n_features)) + distance * np.eye(n_classes, n_features)[y], y


def saved(folder: Path, distance: float, *, n: int = 100, n_test: int = 30, **more: Any) -> Path:
    X, y = blobs(n, distance, 0, **more)
    arrays = {"X_train": X, "y_train": y}
    if n_test:
        arrays["X_test"], arrays["y_test"] = blobs(n_test, distance, 1, **more)
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def fitted(commands: Commands, source: Path, *words: object) -> dict[str, Any]:
    """Fit, and return what metrics.json says."""
    ended = commands.run("fit", source, "--out", "run", "--overwrite", *words)
    assert ended.status == 0, ended.err
    return dict(json.loads((commands.path / "run" / "metrics.json").read_text("utf-8"))) | {"shown": ended}


def page(commands: Commands) -> str:
    """Return the text of the run's page without its scripts and marks."""
    html = (commands.path / "run" / "report.html").read_text("utf-8")
    body = re.sub(r"<(script|style).*?</\1>", " ", html, flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", body).replace("&nbsp;", " ").replace("\xa0", " ").split())


@pytest.mark.parametrize("loss", ["softmax", "svm"])
@pytest.mark.parametrize("words", [["--regs", "1e-3,1e-1"], ["--reg", "0.01"]])
def test_classes_far_apart_get_no_temperature_no_suspects_and_nothing_in_doubt(
    commands: Commands, loss: str, words: list[str]
) -> None:
    metrics = fitted(commands, saved(commands.path, 14.0), "--loss", loss, *words)
    assert metrics["test"]["accuracy"] == 1
    model = load(commands.path / "run")
    assert model.temperature is None
    assert metrics["test"]["temperature"] is None
    assert metrics["suspects"] == []
    assert metrics["hardest"] == []
    assert not (commands.path / "run" / "suspects.csv").exists()
    assert "held-out answers are wrong, a temperature needs 10" in " ".join(metrics["notes"])
    assert "a temperature needs 10" in metrics["shown"].out
    assert "in doubt" not in page(commands)
    if loss == "softmax":  # a T at its bound gave 0.9999999929 here
        middle = model.probabilities(model.scores(np.array([[7.0, 7.0, 0.0]]))).max()
        assert 0.5 <= middle < 0.9
        low, high = metrics["test"]["log_loss"]["interval"]
        assert 0 < low < high
    else:
        assert metrics["test"]["log_loss"] is None


def test_overlapping_classes_get_a_temperature_and_suspects_that_are_doubted(commands: Commands) -> None:
    metrics = fitted(commands, saved(commands.path, 2.0), "--loss", "svm", "--path")
    model = load(commands.path / "run")
    assert model.temperature is not None
    assert 0.01 < model.temperature < 100
    assert not [note for note in metrics["notes"] if "temperature" in note]
    assert metrics["suspects"]
    for suspect in metrics["suspects"]:
        assert suspect["score"] >= 0.5
        assert suspect["label"] != suspect["suggested"]
    assert metrics["hardest"]
    for entry in metrics["hardest"]:
        assert entry["label"] != entry["predicted"] or entry["probability"] < 0.5
    with (commands.path / "run" / "hardest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == metrics["test"]["n"]  # the file has all, in the same order
    assert float(rows[0]["probability"]) == pytest.approx(metrics["hardest"][0]["probability"])


def test_an_svm_without_a_temperature_says_no_numbers_of_probability(commands: Commands) -> None:
    source = saved(commands.path, 3.2)  # some mistakes, too few for a temperature
    metrics = fitted(commands, source, "--loss", "svm", "--reg", "0.01")
    assert load(commands.path / "run").temperature is None
    wrong = [row["score"] for row in metrics["suspects"]] + [row["probability"] for row in metrics["hardest"]]
    assert wrong
    assert set(wrong) == {None}
    assert "scores give no probabilities" in metrics["shown"].out


def test_a_temperature_is_never_at_its_bound_on_noise(commands: Commands) -> None:
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(120, 200)), rng.integers(0, 2, 120)
    np.savez(commands.path / "noise.npz", X_train=X, y_train=y)
    for loss in ("softmax", "svm"):
        fitted(commands, commands.path / "noise.npz", "--loss", loss, "--regs", "1e-2,1")
        model = load(commands.path / "run")
        scores = np.asarray(model.scores(X.astype(np.float32)))
        spread = float((scores.max(axis=1) - scores.min(axis=1)).mean())
        assert model.temperature is None or 0.02 < model.temperature / spread < 500


def wide(folder: Path, seed: int = 0) -> Path:
    """Random labels of many features: every choice among values of reg is luck."""
    rng = np.random.default_rng(seed)
    y = (rng.random(120) < 0.25).astype(int)
    np.savez(folder / "wide.npz", X_train=rng.normal(size=(120, 100)), y_train=y)
    return folder / "wide.npz"


def test_the_headline_stands_beside_what_it_must_be_measured_by(commands: Commands) -> None:
    X, y = blobs(40, 2.0, 0)
    keep = np.flatnonzero((y == 0) | (np.arange(len(y)) % 4 == 0))  # 40 and 10
    np.savez(commands.path / "data.npz", X_train=X[keep], y_train=y[keep], X_test=X[keep], y_test=y[keep])
    metrics = fitted(commands, commands.path / "data.npz", "--path", "--folds", "3")
    for said in (metrics["shown"].out.replace("\xa0", " "), page(commands)):
        assert "largest class 80.0 %" in said
        balanced = 100 * metrics["test"]["balanced_accuracy"]["value"]
        assert f"balanced accuracy {balanced:.1f} %" in said
        assert "best of 16 values of reg on 3 folds" in said
        assert "16 of 16 certified" in said
    ended = commands.run("evaluate", "run", "data.npz")
    assert re.search(r"largest class\s+0\.8000", ended.out)
    card = commands.run("export", "run", "--to", "torch")
    assert card.status == 0
    text = (commands.path / "run" / "torch" / "README.md").read_text("utf-8")
    assert "chosen among 16 values of reg" in text


def test_equal_classes_need_no_balanced_accuracy_beside(commands: Commands) -> None:
    metrics = fitted(commands, saved(commands.path, 2.0), "--reg", "0.01")
    shown = metrics["shown"].out.replace("\xa0", " ")
    assert "largest class 50.0 %" in shown
    assert "balanced" not in shown
    assert "best of" not in shown


def test_some_of_a_path_at_its_limit_is_never_called_certified_alone(commands: Commands) -> None:
    X, y = blobs(60, 1.0, 0, n_classes=3, n_features=30)
    np.savez(commands.path / "data.npz", X_train=X, y_train=y)
    words = ("--solver", "lbfgs", "--path", "--max-passes", "8", "--no-suspects")
    metrics = fitted(commands, commands.path / "data.npz", *words)
    ends = [entry["status"] for entry in metrics["path"]]
    n_certified = ends.count("certified")
    assert 0 < n_certified < 16
    for said in (metrics["shown"].out, page(commands), " ".join(metrics["notes"])):
        assert f"{n_certified} of 16 certified, {ends.count('max_passes')} ended at the limit of passes" in said


def test_accuracy_without_held_out_samples_says_that_it_is_of_training(commands: Commands) -> None:
    metrics = fitted(commands, wide(commands.path), "--reg", "0.01", "--no-suspects")
    assert "validation" not in metrics
    assert "no samples were held out" in metrics["shown"].out
    said = page(commands)
    assert "These are the samples that the classifier was trained on" in said
    assert "training accuracy" in said


def test_a_choice_below_the_largest_class_is_said(commands: Commands) -> None:
    for seed in range(4):
        metrics = fitted(commands, wide(commands.path, seed), "--regs", "1e-3,1e-2", "--folds", "3")
        counts = [row["n"] for row in metrics["validation"]["per_class"]]
        below = metrics["validation"]["accuracy"] < max(counts) / sum(counts)
        said = "below always saying the largest class" in metrics["shown"].out.replace("\n", " ")
        assert said == below
        assert "best of 2 values of reg on 3 folds" in metrics["shown"].out
    assert below


@pytest.mark.parametrize("words", [["--path"], ["--path", "--folds", "3"], ["--reg", "0.1"]])
def test_hardest_images_and_pictures_are_of_the_rows_that_are_judged(commands: Commands, words: list[str]) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    X = rng.integers(0, 200, (80, 1, 6, 6)).astype(np.uint8)
    np.savez(commands.path / "data.npz", X_train=X, y_train=y)
    metrics = fitted(commands, commands.path / "data.npz", *words)
    judged = metrics["validation"]
    with (commands.path / "run" / "hardest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == judged["n"]
    wrong = sum(row["label"] != row["predicted"] for row in rows)
    assert 1 - wrong / len(rows) == pytest.approx(judged["accuracy"])
    assert all(row["label"] == str(y[int(row["index"])]) for row in rows)
    assets = np.load(commands.path / "run" / "assets.npz")
    assert str(assets["split"]) == "validation"
    shown = set(zip(assets["cells_label"].tolist(), assets["cells_predicted"].tolist(), strict=True))
    table = np.array(judged["confusion"])
    assert shown == {(int(a), int(b)) for a, b in zip(*np.nonzero(table), strict=True)}
    for row, label, image in zip(assets["cells_index"], assets["cells_label"], assets["cells_images"], strict=True):
        assert y[row] == label
        assert (image[..., 0] == X[row, 0]).all()
