"""A threshold on two classes through every door: fit, predict, evaluate, exports, page; the metric that chooses."""

import csv
import io
import json

import numpy as np
import pytest
from sklearn import metrics as peers

from straightedge.export.onnx_file import onnx_bytes
from straightedge.export.sklearn_file import sklearn_estimator
from straightedge.model import load
from support.bad_inputs import Commands
from support.report_fixture import page_data_of
from test_weights_command import written

COSTS = "cost:FP=1,FN=8"


@pytest.fixture
def do(tmp_path, capsys, monkeypatch):
    return Commands(tmp_path, capsys, monkeypatch)


def drawn(seed, n=400):
    draw = np.random.default_rng(seed)
    y = (draw.random(n) < 0.25).astype(int)
    X = draw.normal(size=(n, 3)) + 0.9 * y[:, None] * [1, 0.5, 0]
    return X.round(6), y, draw.integers(1, 4, n)


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def answers(do, *words):
    found = do.run("predict", "run", *words)
    assert found.status == 0, found.err
    return rows_of(found.out)


def cost(y, predicted, w=None):
    (_, wrong), (missed, _) = peers.confusion_matrix(y, predicted, sample_weight=w)
    return (wrong + 8 * missed) / (len(y) if w is None else w.sum())


def test_a_threshold_by_cost_is_one_in_every_door(do):
    X, y, w = drawn(0)
    other, y_other, w_other = drawn(1)
    written(do.path / "a.csv", X, y, w)
    written(do.path / "b.csv", other, y_other, w_other)
    by = ("fit", "a.csv", "--test", "b.csv", "--sample-weight", "w", "--out", "run", "--folds", "5")
    told = do.run(*by, "--threshold", COSTS, "--metric", "average_precision")
    assert told.status == 0, told.err
    assert "c1 named from a probability of" in told.out and "8 a false negative" in " ".join(told.out.split())
    metrics, model = json.loads((do.path / "run/metrics.json").read_text()), load(do.path / "run")
    held_out = rows_of((do.path / "run/predictions.csv").read_text())
    assert {row["split"] for row in held_out} == {"test"}
    # the costs of answers to test rows are scikit-learn's, and no threshold on held-out rows is cheaper
    scores = model.scores(other)
    differences = scores[:, 1] - scores[:, 0]
    predicted = (differences >= model.threshold).astype(int)
    assert model.predict(other).tolist() == predicted.tolist()
    test = metrics["test"]
    for name, peer in (("f1", peers.f1_score), ("mcc", peers.matthews_corrcoef)):
        assert test[name]["value"] == pytest.approx(peer(y_other, predicted, sample_weight=w_other))
    area = peers.roc_auc_score(y_other, differences, sample_weight=w_other)
    assert test["auc"]["value"] == pytest.approx(area)
    assert metrics["selection"]["metric"] == "average_precision"
    best = max(metrics["path"], key=lambda entry: entry["validation"]["average_precision"]["value"])
    assert next(entry for entry in metrics["path"] if entry["chosen"])["reg"] == best["reg"]
    # predict, evaluate
    found = answers(do, "b.csv")
    assert [row["class"] for row in found] == [f"c{label}" for label in predicted]
    evaluated = do.run("evaluate", "run", "b.csv", "--sample-weight", "w", "--json").json
    assert evaluated["accuracy"] == test["accuracy"] and evaluated["threshold"]["score"] == model.threshold
    assert [row["predicted"] for row in held_out] == [row["class"] for row in found]
    # both exports
    estimator = sklearn_estimator(model, raw=False)
    names = np.array(["c0", "c1"])
    assert (estimator.predict(other) == names[predicted]).all()
    session = pytest.importorskip("onnxruntime").InferenceSession(onnx_bytes(model, other))
    label = session.run(["label"], {"input": other.astype(np.float32)})[0]
    assert label.tolist() == names[predicted].tolist()
    # the page has both curves, and the point on them
    page = (do.path / "run/report.html").read_text()
    data = page_data_of(page)
    assert {"curves-0", "curves-1"} <= set(data["figures"]) and data["trying"]["threshold"] == model.threshold
    at = test["curves"]["at"]
    assert at[1] == pytest.approx(peers.recall_score(y_other, predicted, sample_weight=w_other))
    assert at[3] == pytest.approx(peers.precision_score(y_other, predicted, sample_weight=w_other))


def test_the_threshold_is_the_best_of_the_held_out_rows(do):
    X, y, _ = drawn(2)
    written(do.path / "a.csv", X, y)
    told = do.run("fit", "a.csv", "--out", "run", "--reg", 0.01, "--threshold", COSTS, "--no-suspects")
    assert told.status == 0, told.err  # one reg: folds are fitted for the threshold
    metrics = json.loads((do.path / "run/metrics.json").read_text())
    rows = rows_of((do.path / "run/predictions.csv").read_text())
    labels, predicted = (np.array([row[key] for row in rows]) for key in ("label", "predicted"))
    assert {row["split"] for row in rows} == {"out of fold"}
    assert cost(labels, predicted) == pytest.approx(metrics["threshold"]["value"])
    signs = np.where(predicted == "c1", 1, -1)
    differences = np.array([float(row["probability"]) for row in rows]) * signs % 1  # rising with that of c1
    for cut in [*np.unique(differences), 2]:
        assert cost(labels == "c1", differences >= cut) >= metrics["threshold"]["value"] - 1e-12


def test_a_probability_is_taken_as_it_is(do):
    X, y, _ = drawn(3)
    written(do.path / "a.csv", X, y)
    told = do.run("fit", "a.csv", "--out", "run", "--reg", 0.01, "--threshold", 0.2, "--no-suspects")
    assert "c1 named from a probability of 0.2 on" in told.out
    model = load(do.path / "run")
    chances = model.predict_proba(X)[:, 1]
    clear = np.abs(chances - 0.2) > 1e-6
    assert (model.predict(X) == (chances >= 0.2))[clear].all()


def test_thresholds_are_refused_where_they_make_no_sense(do):
    X, y, _ = drawn(4, n=60)
    written(do.path / "two.csv", X, y)
    written(do.path / "three.csv", X, np.arange(60) % 3)
    by = ("--out", "run", "--reg", 0.01, "--threshold")
    do.refused("threshold-classes", "3", by=("fit", "three.csv", *by, "f1"))
    do.refused("threshold-unknown", "cost:FP=1,FN=5", by=("fit", "two.csv", *by, "f2"))
    do.refused("metric-unknown", "average_precision", by=("fit", "two.csv", "--out", "run", "--metric", "ap"))
