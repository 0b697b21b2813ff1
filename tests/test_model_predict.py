"""`straightedge predict` and `evaluate`: files, folders, archives and arrays give what the model gives."""

from __future__ import annotations

import csv
import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

from straightedge.cli import evaluate, predict
from straightedge.errors import InputError, StraightedgeWarning
from straightedge.image_files import Reading
from straightedge.model import LinearModel
from straightedge.prediction import predict_paths
from straightedge.runs import RunFolder

SHAPE = (3, 6, 5)
CLASSES = ("cat", "dog", "emu")


def make_model(shape: tuple[int, ...] = SHAPE, **fields: Any) -> LinearModel:
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(int(np.prod(shape)), 3, generator=generator) / 255
    settings = {"classes": CLASSES, "input_shape": shape, "input_dtype": "uint8"} | fields
    return LinearModel(weight=weight, bias=torch.randn(3, generator=generator), **settings)


def photos(folder: Path, n: int = 6) -> np.ndarray:
    """Write n photos as PNG, a class folder each, and return their pixels in the order of their paths."""
    X = np.random.default_rng(0).integers(0, 256, (n, *SHAPE), dtype=np.uint8)
    for row in range(n):
        place = folder / CLASSES[row * 3 // n]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(X[row].transpose(1, 2, 0)).save(place / f"{row}.png")
    return X


def expected(model: LinearModel, X: np.ndarray) -> list[tuple[str, float]]:
    scores = model.scores(X)
    return [(CLASSES[row.argmax()], pytest.approx(float(row.max()), abs=1e-6)) for row in scores]


APP = typer.Typer()
APP.command("predict")(predict.command)
APP.command("evaluate")(evaluate.command)


def run_command(*words: object) -> str:
    """Run a command in this process and return what it printed."""
    result = CliRunner().invoke(APP, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("STRAIGHTEDGE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = tmp_path / "run"
    with RunFolder.create(path, {"options": {"background": "black"}, "dataset": {"fingerprint": "x"}}) as folder:
        folder.save_model(make_model())
        folder.write_json("metrics.json", {})
    return path


def test_folder_zip_tar_files_and_arrays_give_the_models_scores(tmp_path: Path, run: Path) -> None:
    X = photos(tmp_path / "photos")
    files = sorted((tmp_path / "photos").rglob("*.png"))
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as zipped, tarfile.open(tmp_path / "p.tar.gz", "w:gz") as tar:
        for file in files:
            zipped.write(file, file.name)
            tar.add(file, file.name)
    np.save(tmp_path / "rows.npy", X)
    np.savez(tmp_path / "rows.npz", X=X.reshape(len(X), -1), other=np.ones(3))
    model = make_model()
    for paths in (["photos"], ["p.zip"], ["p.tar.gz"], ["rows.npy"], ["rows.npz"], files):
        found = predict_paths(model, [tmp_path / path for path in paths])
        assert [(CLASSES[item.label], item.score) for item in found] == expected(model, X), paths
    chances = model.predict_proba(X).max(axis=1)
    np.testing.assert_allclose([item.probability for item in found], chances, rtol=1e-12)
    names = [item.name for item in predict_paths(model, [tmp_path / "p.zip", files[2], tmp_path / "rows.npy"])]
    assert names[0] == str(tmp_path / "p.zip" / "0.png")
    assert names[6:8] == [str(files[2]), f"{tmp_path / 'rows.npy'}[0]"]


@pytest.mark.long
def test_hundreds_of_files_keep_their_order(tmp_path: Path) -> None:
    X = photos(tmp_path / "many", 600)
    model = make_model()
    found = {item.name: item.score for item in predict_paths(model, [tmp_path / "many"])}
    for row in (0, 255, 256, 399, 599):
        name = str(tmp_path / "many" / CLASSES[row * 3 // 600] / f"{row}.png")
        assert found[name] == pytest.approx(float(model.scores(X[row : row + 1]).max()), abs=1e-6)


def test_the_command_prints_csv_and_writes_it(tmp_path: Path, run: Path) -> None:
    X = photos(tmp_path / "photos")
    text = run_command("predict", run, tmp_path / "photos")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == ["name", "class", "score", "probability"]
    assert [(row["class"], float(row["score"])) for row in rows] == expected(make_model(), X)
    assert run_command("predict", run, tmp_path / "photos", "--out", tmp_path / "out.csv") == ""
    assert (tmp_path / "out.csv").read_text() == text
    result = json.loads(run_command("predict", run, tmp_path / "photos", "--json"))
    assert [item["class"] for item in result["predictions"]] == [row["class"] for row in rows]


def test_an_uncalibrated_svm_leaves_the_probability_empty(tmp_path: Path) -> None:
    photos(tmp_path / "photos")
    make_model(loss="svm").save(tmp_path / "m.safetensors")
    rows = list(
        csv.DictReader(io.StringIO(run_command("predict", tmp_path / "m.safetensors", tmp_path / "photos")))
    )
    assert {row["probability"] for row in rows} == {""}


def test_size_background_and_grey_are_those_of_training(tmp_path: Path, run: Path) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (12, 10), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "grey.png")
    model = make_model()
    (found,) = predict_paths(model, [tmp_path / "grey.png"], Reading(size=(6, 5)))
    small = np.asarray(Image.fromarray(pixels).resize((5, 6), Image.Resampling.BILINEAR))
    assert found.score == pytest.approx(float(model.scores(np.stack([small] * 3)[None]).max()), abs=1e-6)
    Image.new("RGBA", (5, 6), (255, 255, 255, 0)).save(tmp_path / "clear.png")
    text = run_command("predict", run, tmp_path / "clear.png")  # the run's background is black
    black = float(model.scores(np.zeros((1, *SHAPE), np.uint8)).max())
    assert float(next(csv.DictReader(io.StringIO(text)))["score"]) == pytest.approx(black, abs=1e-6)


def test_images_are_resized_as_the_run_was(tmp_path: Path) -> None:
    config = {"options": {"size": "6x5", "background": "white"}}
    with RunFolder.create(tmp_path / "resized", config) as folder:
        folder.save_model(make_model())
        folder.write_json("metrics.json", {})
    Image.new("RGB", (50, 60), (10, 200, 30)).save(tmp_path / "large.png")
    text = run_command("predict", tmp_path / "resized", tmp_path / "large.png")
    pixels = np.broadcast_to(np.array([10, 200, 30], np.uint8)[:, None, None], SHAPE)
    score = float(next(csv.DictReader(io.StringIO(text)))["score"])
    assert score == pytest.approx(float(make_model().scores(pixels[None]).max()), abs=1e-6)


def _broken(folder: Path) -> Path:
    photos(folder)
    (folder / "cat" / "0.png").write_bytes((folder / "cat" / "0.png").read_bytes()[:60])
    return folder


def _large(folder: Path) -> Path:
    folder.mkdir()
    Image.new("RGB", (50, 60)).save(folder / "large.png")
    return folder / "large.png"


def _saved(folder: Path, **arrays: np.ndarray) -> Path:
    folder.mkdir()
    np.savez(folder / "x.npz", **arrays)
    return folder / "x.npz"


def _text(folder: Path) -> Path:
    folder.mkdir()
    (folder / "a.txt").write_text("no image")
    return folder


@pytest.mark.parametrize(
    ("make", "code", "says"),
    [
        pytest.param(_broken, "image-broken", "0.png", id="truncated file"),
        pytest.param(_large, "image-size", "--size 6x5", id="another size"),
        pytest.param(lambda folder: folder, "path-missing", "no such", id="no such path"),
        pytest.param(_text, "no-images", "nothing to classify", id="a folder without images"),
        pytest.param(lambda f: _text(f) / "a.txt", "image-broken", "a.txt", id="a file that is no image"),
        pytest.param(
            lambda f: _saved(f, X=np.ones((2, 91))), "predict-width", "x.npz", id="wrong width at predict"
        ),
        pytest.param(
            lambda f: _saved(f, X=np.full((2, 90), np.nan)),
            "predict-nan",
            "x.npz, row 0, column 0",
            id="NaN at predict",
        ),
        pytest.param(lambda f: _saved(f, u=np.ones(2), v=np.ones(2)), "npz-keys", "['u', 'v']", id="two arrays"),
        pytest.param(lambda f: _saved(f, X=np.array([{}, 1])), "npy-objects", "objects", id=".npy with objects"),
    ],
)
def test_what_cannot_be_predicted(tmp_path: Path, make, code: str, says: str) -> None:
    path = make(tmp_path / "given")
    with pytest.raises(InputError) as caught:
        predict_paths(make_model(), [path])
    assert caught.value.code == code
    assert says in str(caught.value)


def test_skip_bad_goes_on_and_lists_them(tmp_path: Path) -> None:
    reading = Reading(skip_bad=True)
    found = predict_paths(make_model(), [_broken(tmp_path / "photos")], reading)
    assert len(found) == 5
    assert len(reading.skipped) == 1
    assert "0.png" in reading.skipped[0]


def test_images_for_a_model_of_features_are_refused(tmp_path: Path) -> None:
    photos(tmp_path / "photos")
    model = LinearModel(weight=torch.ones(90, 3), bias=torch.ones(3), classes=CLASSES)
    with pytest.raises(InputError, match="not-an-image-model"):
        predict_paths(model, [tmp_path / "photos"])


def test_the_stored_extractor_runs_before_the_classifier(tmp_path: Path) -> None:
    from straightedge.features.base import build_extractor

    X = photos(tmp_path / "photos")
    extractor = build_extractor("raw")
    extractor.fit(X)
    rows = np.asarray(extractor.transform(X))
    model = make_model(
        (rows.shape[1],), input_shape=SHAPE, features=extractor.config(), extractor_state=extractor.state()
    )
    model.save(tmp_path / "m.safetensors")
    found = predict_paths(LinearModel.load(tmp_path / "m.safetensors"), [tmp_path / "photos"])
    np.testing.assert_allclose([item.score for item in found], model.scores(rows).max(axis=1), rtol=1e-5)


def test_evaluate_matches_classes_by_name(tmp_path: Path, run: Path) -> None:
    X = photos(tmp_path / "photos", 60)
    y = np.repeat([0, 1, 2], 20)
    order = np.array(["emu", "cat", "dog"])
    codes = np.array([1, 2, 0])[y]  # the same labels under the source's own numbers
    np.savez(tmp_path / "d.npz", X_train=X, y_train=codes, X_test=X[::2], y_test=codes[::2], classes=order)
    expected_accuracy = float((make_model().predict(X[::2]) == y[::2]).mean())
    with pytest.warns(StraightedgeWarning, match="also in train"):
        text = run_command(
            "evaluate",
            run,
            tmp_path / "d.npz",
            "--json",
            "--out",
            tmp_path / "e.json",
            "--predictions",
            tmp_path / "p.csv",
        )
    result = json.loads(text)
    assert (result["split"], result["n"]) == ("test", 30)
    assert result["accuracy"] == pytest.approx(expected_accuracy)
    assert json.loads((tmp_path / "e.json").read_text()) == result
    rows = list(csv.DictReader(io.StringIO((tmp_path / "p.csv").read_text())))
    assert sum(row["label"] == row["predicted"] for row in rows) == round(30 * expected_accuracy)
    assert rows[25]["label"] == "emu"


def test_evaluate_a_folder_without_splits(tmp_path: Path, run: Path) -> None:
    X = photos(tmp_path / "photos", 30)
    result = json.loads(run_command("evaluate", run, tmp_path / "photos", "--json"))
    truth = np.repeat([0, 1, 2], 10)
    assert result["accuracy"] == pytest.approx(float((make_model().predict(X) == truth).mean()))
    assert "accuracy" in run_command("evaluate", run, tmp_path / "photos")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param(["--split", "test"], "split-missing", id="no test split"),
        pytest.param(["--split", "tests"], "split-unknown", id="no such split"),
        pytest.param(["--size", "7"], "size", id="a size the model does not take"),
        pytest.param(["--size", "many"], "size", id="no size"),
        pytest.param(["--background", "blurple"], "background", id="no colour"),
    ],
)
def test_evaluate_refuses(tmp_path: Path, run: Path, words: list[str], code: str) -> None:
    photos(tmp_path / "photos")
    with pytest.raises(InputError) as caught:
        run_command("evaluate", run, tmp_path / "photos", *words)
    assert caught.value.code == code


def test_evaluate_names_classes_the_model_does_not_know(tmp_path: Path, run: Path) -> None:
    photos(tmp_path / "photos")
    (tmp_path / "photos" / "emu").rename(tmp_path / "photos" / "gnu")
    with pytest.raises(InputError, match="gnu"):
        run_command("evaluate", run, tmp_path / "photos")
