"""Artefacts give the model's scores in a process that knows nothing of straightedge; cards escape everything."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from straightedge import atomic
from straightedge.cli import export as export_command
from straightedge.errors import InputError, MachineError, MissingExtraError, StraightedgeWarning
from straightedge.export import check_onnx_file, export_model, model_card, onnx_bytes, random_rows, read_onnx
from straightedge.export.card import escape
from straightedge.model import LinearModel
from straightedge.preprocess import AffineMap
from straightedge.runs import RunFolder
from support.failing_disk import FailingDisk

onnx = pytest.importorskip("onnx", reason="no onnx")
pytest.importorskip("onnxruntime", reason="no onnxruntime")
pytest.importorskip("skops", reason="no skops")

READERS = {
    "onnx": """
session = __import__("onnxruntime").InferenceSession(f"{folder}/model.onnx")
label, scores = session.run(["label", "scores"], {"input": X})
""",
    "torch": """
import torch
sys.path.insert(0, folder)
from module import module
with torch.no_grad():
    scores = module(torch.from_numpy(X).float()).numpy()
label = None
""",
    "sklearn": """
import skops.io
classifier = skops.io.load(f"{folder}/model.skops")
scores, label = classifier.decision_function(X.reshape(len(X), -1)), classifier.predict(X.reshape(len(X), -1))
""",
}
READ = """
import sys, numpy, warnings
warnings.simplefilter("error")
folder, rows = sys.argv[1:]
X = numpy.load(rows)
{reader}
assert not any(name.split(".")[0] == "straightedge" for name in sys.modules)
numpy.savez(f"{{folder}}/out.npz", scores=scores, label=numpy.array([] if label is None else label, dtype=str))
"""


def read_elsewhere(folder: Path, to: str, rows: Path) -> tuple[np.ndarray, list[str]]:
    """Run the artefact on saved rows in a process that has not imported straightedge."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    code = READ.format(reader=READERS[to])
    subprocess.run([sys.executable, "-c", code, str(folder), str(rows)], check=True, env=environment)
    found = np.load(folder / "out.npz")
    return found["scores"], found["label"].tolist()


def digits_model(loss: str = "softmax", n_classes: int = 10) -> tuple[LinearModel, np.ndarray]:
    """A ridge regression on the digits: a real classifier on real images, quickly."""
    from sklearn.datasets import load_digits

    data = load_digits()
    keep = data.target < n_classes
    X, y = data.images[keep].astype(np.uint8)[:, None], data.target[keep]
    affine = AffineMap(torch.full((64,), 4.9, dtype=torch.float64), torch.full((64,), 0.2, dtype=torch.float64))
    mapped = affine.apply(torch.from_numpy(X)).numpy()
    targets = 6 * np.eye(n_classes)[y] - 3
    W = np.linalg.solve(mapped.T @ mapped + 10 * np.eye(65), mapped.T @ targets)
    classes = tuple(f"digit {k}" for k in range(n_classes))
    settings = {"loss": loss, "input_shape": (1, 8, 8), "input_dtype": "uint8", "reg": 1e-3}
    return LinearModel.from_fit(torch.from_numpy(W), affine, classes, **settings), X


@pytest.mark.parametrize("loss", ["softmax", pytest.param("svm", marks=pytest.mark.long)])
@pytest.mark.parametrize("to", ["onnx", *(pytest.param(to, marks=pytest.mark.long) for to in ("torch", "sklearn"))])
def test_artefact_gives_the_scores_of_predict_on_1000_real_images(tmp_path: Path, to: str, loss: str) -> None:
    model, X = digits_model(loss)
    X = X[:1000]
    np.save(tmp_path / "rows.npy", X)
    export_model(model, to, tmp_path / to, rows=X[:100])
    scores, labels = read_elsewhere(tmp_path / to, to, tmp_path / "rows.npy")
    np.testing.assert_allclose(scores, model.scores(X), rtol=0, atol=1e-5)
    if to != "torch":
        assert labels == [model.classes[label] for label in model.predict(X)]


@pytest.mark.parametrize("loss", ["softmax", "svm"])
def test_two_classes_in_scikit_learn(tmp_path: Path, loss: str) -> None:
    import skops.io

    model, X = digits_model(loss, 2)
    export_model(model, "sklearn", tmp_path)
    assert skops.io.get_untrusted_types(file=tmp_path / "model.skops") == []
    classifier = skops.io.load(tmp_path / "model.skops")
    scores, flat = model.scores(X), X.reshape(len(X), -1)
    np.testing.assert_allclose(classifier.decision_function(flat), scores[:, 1] - scores[:, 0], atol=1e-5)
    assert classifier.predict(flat).tolist() == [model.classes[label] for label in model.predict(X)]
    if loss == "softmax":
        np.testing.assert_allclose(classifier.predict_proba(flat), model.predict_proba(X), atol=1e-6)


def test_probabilities_are_in_the_onnx_file_and_in_the_scikit_learn_estimator(tmp_path: Path) -> None:
    import onnxruntime
    import skops.io

    model, X = digits_model()
    model = model.with_temperature(2.5)
    session = onnxruntime.InferenceSession(onnx_bytes(model, X[:10]))
    (found,) = session.run(["probabilities"], {"input": X})
    np.testing.assert_allclose(found, model.predict_proba(X), atol=1e-6)
    export_model(model, "sklearn", tmp_path)
    found = skops.io.load(tmp_path / "model.skops").predict_proba(X.reshape(len(X), -1))
    np.testing.assert_allclose(found, model.predict_proba(X), atol=1e-6)
    assert "its temperature 2.5 is in the weights" in (tmp_path / "README.md").read_text()
    svm = onnxruntime.InferenceSession(onnx_bytes(digits_model("svm")[0], X[:10]))
    assert [output.name for output in svm.get_outputs()] == ["label", "scores"]


@pytest.mark.parametrize("loss", ["softmax", "svm"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("temperature", [0.3, 4.0])
def test_every_artefact_has_the_temperature_that_predict_uses(
    tmp_path: Path, loss: str, n_classes: int, temperature: float
) -> None:
    import skops.io
    from safetensors.torch import load_file

    model, X = digits_model(loss, n_classes)
    model = model.with_temperature(temperature)
    expected, flat = model.predict_proba(X), X.reshape(len(X), -1)
    export_model(model, "sklearn", tmp_path)
    estimator = skops.io.load(tmp_path / "model.skops")
    np.testing.assert_allclose(estimator.predict_proba(flat), expected, atol=1e-5)
    export_model(model, "torch", tmp_path)
    state = load_file(tmp_path / "linear.safetensors")
    scores = torch.from_numpy(flat).float() @ state["weight"].T + state["bias"]
    np.testing.assert_allclose(scores.softmax(dim=1), expected, atol=3e-5)
    np.testing.assert_array_equal(scores.argmax(dim=1), model.predict(X))


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (("0", "1", "7"), [0, 1, 7]),
        (("-1", "0", "1"), [-1, 0, 1]),
        (("0", "01", "1"), ["0", "01", "1"]),
        (("1", "2", "three"), ["1", "2", "three"]),
        (("1.0", "2", "3"), ["1.0", "2", "3"]),
        (("1", "2", str(2**70)), ["1", "2", str(2**70)]),
    ],
)
def test_whole_numbers_are_numbers_in_the_scikit_learn_estimator(tmp_path: Path, names, labels) -> None:
    import skops.io

    model, X = digits_model(n_classes=3)
    export_model(replace(model, classes=names), "sklearn", tmp_path)
    estimator, flat = skops.io.load(tmp_path / "model.skops"), X.reshape(len(X), -1)
    assert estimator.classes_.tolist() == labels
    answers = np.array(labels)[model.predict(X)]
    assert estimator.score(flat, answers) == 1.0


@pytest.mark.parametrize("to", ["torch", "sklearn"])
def test_other_probabilities_are_noticed(tmp_path: Path, monkeypatch, to: str) -> None:
    model, _ = digits_model()
    good = LinearModel.probabilities
    monkeypatch.setattr(LinearModel, "probabilities", lambda self, scores: good(self, scores * 1.01))
    with pytest.raises(MachineError, match="export-differs"):
        export_model(model, to, tmp_path)


def test_an_onnx_file_of_cifar_10_size_is_small_and_fast() -> None:
    import onnxruntime

    weight = torch.randn(3072, 10, generator=torch.Generator().manual_seed(0)) / 1000
    settings = {"input_shape": (3, 32, 32), "input_dtype": "uint8"}
    model = LinearModel(weight=weight, bias=torch.ones(10), classes=tuple("abcdefghij"), **settings)
    X = random_rows(model, 4000)
    data = onnx_bytes(model, X[:100])
    assert len(data) < 200_000
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(data, options)
    best = 1e9
    for _ in range(5):
        start = time.perf_counter()
        session.run(None, {"input": X})
        best = min(best, time.perf_counter() - start)
    assert len(X) / best > 10_000


@pytest.mark.parametrize("to", ["onnx", "torch", "sklearn"])
def test_a_wrong_artefact_is_not_kept(tmp_path: Path, monkeypatch, to: str) -> None:
    model, X = digits_model()
    good = LinearModel.scores
    monkeypatch.setattr(LinearModel, "scores", lambda self, rows: good(self, rows) + np.float32(1e-2))
    with pytest.raises(MachineError) as caught:
        export_model(model, to, tmp_path / to, rows=X)
    assert caught.value.code == "export-differs"
    assert not (tmp_path / to).exists()


def test_disk_full_leaves_the_former_artefact(tmp_path: Path, monkeypatch) -> None:
    model, X = digits_model()
    export_model(model, "onnx", tmp_path, rows=X)
    before = (tmp_path / "model.onnx").read_bytes()
    changed = LinearModel(weight=model.weight * 2, bias=model.bias, classes=model.classes, input_shape=(1, 8, 8))
    for fails_at in range(1, 4):
        monkeypatch.setattr(atomic, "disk", FailingDisk(fails_at, short=True))
        with pytest.raises(MachineError, match="disk-full"):
            export_model(changed, "onnx", tmp_path, rows=X.astype(np.float32))
        assert (tmp_path / "model.onnx").read_bytes() == before
        assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "model.onnx"]


@pytest.mark.parametrize(
    ("location", "code"),
    [
        pytest.param("../secret.bin", "onnx-external-data", id="outside by .."),
        pytest.param("/etc/passwd", "onnx-external-data", id="absolute path"),
        pytest.param("..\\secret.bin", "onnx-external-data", id="outside with backslashes"),
        pytest.param("C:/secret.bin", "onnx-external-data", id="another drive"),
        pytest.param("link.bin", "onnx-external-data", id="a link that leads out"),
        pytest.param("missing.bin", "onnx-broken", id="a file that is not there"),
    ],
)
@pytest.mark.parametrize("place", ["initial value", "constant of a node"])
def test_onnx_external_data_outside_the_folder(tmp_path: Path, location: str, code: str, place: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(4 * 640))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    proto = onnx.load_from_string(onnx_bytes(*_digits_and_rows()))
    tensor = proto.graph.initializer[0]
    if place != "initial value":
        node = onnx.helper.make_node("Constant", [], ["other"], value=tensor)
        proto.graph.node.insert(0, node)
        tensor = proto.graph.node[0].attribute[0].t
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    (folder / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(InputError) as caught:
        read_onnx(folder / "m.onnx")
    assert caught.value.code == code
    assert "m.onnx" in str(caught.value)


def _digits_and_rows() -> tuple[LinearModel, np.ndarray]:
    model, X = digits_model()
    return model, X[:50]


def test_an_onnx_file_with_its_data_beside_it_is_read_and_compared(tmp_path: Path) -> None:
    model, X = _digits_and_rows()
    proto = onnx.load_from_string(onnx_bytes(model, X))
    onnx.save_model(proto, str(tmp_path / "m.onnx"), save_as_external_data=True, location="m.bin", size_threshold=0)
    assert check_onnx_file(model, tmp_path / "m.onnx", X) < 1e-5
    other = dataclasses.replace(model, weight=model.weight + 1)
    with pytest.raises(MachineError, match="export-differs"):
        check_onnx_file(other, tmp_path / "m.onnx", X)
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(InputError, match="onnx-broken"):
        read_onnx(tmp_path / "text.onnx")
    with pytest.raises(InputError, match="path-missing"):
        read_onnx(tmp_path / "nowhere.onnx")


@pytest.mark.parametrize(("to", "package"), [("onnx", "onnx"), ("onnx", "onnxruntime"), ("sklearn", "skops.io")])
def test_without_the_package_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch, to: str, package: str
) -> None:
    model, X = _digits_and_rows()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=re.escape('pip install "straightedge[export]"')):
        export_model(model, to, tmp_path / to, rows=X)


NASTY = [
    "<script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "a|b\n# c",
    "`code` **bold**",
    "![i](http://x.y/z)",
]
METRICS = {
    "n_passes": 17,
    "message": "gap <b>reached</b>",
    "test": {
        "n": 99,
        "accuracy": 0.5,
        "interval": [0.4, 0.6],
        "balanced_accuracy": {"value": 0.45, "interval": [0.3, 0.6]},
        "log_loss": {"value": None, "interval": None},
        "per_class": [{"class": name, "n": 3, "precision": 0.1, "recall": None, "f1": 0.2} for name in NASTY],
    },
}


def nasty_model(**fields: Any) -> LinearModel:
    settings = {"classes": tuple(NASTY), "reg": 1e-3, "objective": 1.5, "dual": 1.4999, "gap": 6.7e-5}
    return LinearModel(weight=torch.ones(4, 5), bias=torch.ones(5), **(settings | fields))


def test_the_model_card_escapes_whatever_comes_from_names_and_labels() -> None:
    config = {"source": "<img src=x>", "dataset": {"name": "](evil)", "n_train": 10, "fingerprint": "<f>"}}
    card = model_card(nasty_model(versions={"torch": "<2>"}), "onnx", config, METRICS)
    outside_code = re.sub(r"```.*?```", "", card, flags=re.DOTALL)
    assert "<" not in outside_code
    assert not re.search(r"(?<!\\)\]\(", outside_code)
    assert re.findall(r"(?<!\\)`[^`]*`", outside_code) == ["`x @ weight + bias`", "`X`"]
    assert "\n# c" not in card
    assert "&lt;script&gt;" in card
    for line in card.splitlines():
        if line.startswith("| ") and "0.100" in line:  # a row of classes keeps its five cells
            assert len(re.findall(r"(?<!\\)\|", line)) == 6, line


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("1. first", "1\\. first"),
        ("- item", "\\- item"),
        ("http://x.y", "http\\://x.y"),
        ("www.x.y", "www\\.x.y"),
        ("gap 1.5e-05 ≤ 1", "gap 1.5e-05 ≤ 1"),
        ("a\u202eb\x00c\r\nd", "a b c  d"),
        ("n" * 500, "n" * 119 + "…"),
        ("a & b", "a &amp; b"),
    ],
)
def test_escape(text: str, escaped: str) -> None:
    assert escape(text) == escaped


def test_the_model_card_tells_data_objective_proof_numbers_and_intervals() -> None:
    config = {"dataset": {"name": "photos", "n_train": 10, "n_test": 99, "fingerprint": "f" * 64}}
    card = model_card(nasty_model(), "onnx", config, METRICS)
    for words in ("reg = 0.001", "1.4999", "6.7e-05", "17 passes", "10 train, 99 test", "f" * 64):
        assert words in card
    assert "| Test | 99 | accuracy | 0.5000 | 0.4000 to 0.6000 |" in card
    assert "log loss" not in card
    assert "not certified" in model_card(nasty_model(gap=float("nan")), "torch", {}, {})


def test_the_command_writes_into_the_run_and_verifies(tmp_path: Path) -> None:
    model, _ = digits_model()
    app = typer.Typer()
    app.command()(export_command.command)
    classes = tuple(str(k) for k in range(10))
    model = LinearModel(
        weight=model.weight, bias=model.bias, classes=classes, input_shape=(1, 8, 8), input_dtype="uint8"
    )
    with RunFolder.create(tmp_path / "run", {"source": "digits"}) as run:
        run.save_model(model)
        run.write_json("metrics.json", METRICS)
    for to, name in [("onnx", "model.onnx"), ("torch", "linear.safetensors"), ("sklearn", "model.skops")]:
        result = CliRunner().invoke(app, [str(tmp_path / "run"), "--to", to, "--json"], catch_exceptions=False)
        assert json.loads(result.stdout)["checked_on"] == "digits"
        assert json.loads(result.stdout)["n_checked"] == 1000
        assert (tmp_path / "run" / to / name).exists()
        assert "accuracy" in (tmp_path / "run" / to / "README.md").read_text()
    words = [str(tmp_path / "run"), "--verify", str(tmp_path / "run" / "onnx" / "model.onnx")]
    said = CliRunner().invoke(app, words, catch_exceptions=False).stdout
    assert "same as the model on 1000 rows (digits): scores, classes, probabilities" in said
    with pytest.raises(InputError, match="export-format"):
        CliRunner().invoke(app, [str(tmp_path / "run"), "--to", "tflite"], catch_exceptions=False)
    model.save(tmp_path / "m.safetensors")
    with pytest.warns(StraightedgeWarning, match="random rows"):
        CliRunner().invoke(app, [str(tmp_path / "m.safetensors"), "--to", "torch"], catch_exceptions=False)
    assert (tmp_path / "torch" / "README.md").exists()


@pytest.mark.slow
def test_cifar_10_artefacts_give_the_scores_of_predict(tmp_path: Path) -> None:
    from straightedge.data import load_dataset

    zipped = os.environ.get("STRAIGHTEDGE_CIFAR10", "../shared/data/cifar10-images.zip")
    if not Path(zipped).exists():
        pytest.skip("no CIFAR-10 zip")
    dataset = load_dataset(zipped, progress=False)
    X, y = np.array(dataset.train.X[::10]), dataset.train.y[::10]
    mean = torch.from_numpy(X.reshape(len(X), -1).mean(axis=0))
    affine = AffineMap(mean, torch.full_like(mean, 1 / 60))
    mapped = affine.apply(torch.from_numpy(X)).numpy()
    targets = 2.0 * np.eye(10)[y]
    W = np.linalg.solve(mapped.T @ mapped + 1e4 * np.eye(3073), mapped.T @ targets)
    settings = {"input_shape": (3, 32, 32), "input_dtype": "uint8"}
    model = LinearModel.from_fit(torch.from_numpy(W), affine, dataset.classes, **settings)
    rows = np.ascontiguousarray(dataset.train.X[5:5005:5])
    np.save(tmp_path / "rows.npy", rows)
    for to in ("onnx", "torch", "sklearn"):
        files = export_model(model, to, tmp_path / to, rows=rows)
        scores, _ = read_elsewhere(tmp_path / to, to, tmp_path / "rows.npy")
        np.testing.assert_allclose(scores, model.scores(rows), rtol=0, atol=1e-5)
        assert to != "onnx" or files["model.onnx"] < 200_000
