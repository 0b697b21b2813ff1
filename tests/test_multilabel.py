"""Several labels a row: C two-class problems in one run, each scikit-learn's, with scikit-learn's measures."""

import csv
import io
import json

import numpy as np
import pytest
from sklearn import metrics as peers
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from straightedge.errors import InputError
from straightedge.evaluation.multilabel import evaluate_multilabel
from straightedge.model import load
from support.bad_inputs import Commands

N, NAMES, REG = 300, ("sweet", "round", "red", "ripe"), 0.01


@pytest.fixture
def do(tmp_path, capsys, monkeypatch):
    return Commands(tmp_path, capsys, monkeypatch)


def drawn(seed, n=N):
    """Return rows as those of yeast: labels that go together, told by the columns with noise."""
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(n, 6)) * [1, 4, 0.3, 1, 2, 1]
    W = np.random.default_rng(99).normal(size=(6, len(NAMES))) / np.array([1, 4, 0.3, 1, 2, 1])[:, None]
    Y = (X @ W + draw.normal(size=(n, len(NAMES))) + [0.5, -0.5, -1, 0]) > 0
    return X.round(6), Y


def written(path, X, Y, form="columns"):
    names = [f"x{k}" for k in range(X.shape[1])]
    head = names + (list(NAMES) if form == "columns" else ["tags"])
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        for row, labels in zip(X, Y, strict=True):
            own = list(labels.astype(int)) if form == "columns" else [";".join(np.array(NAMES)[labels])]
            writer.writerow([*map(repr, row.tolist()), *own])
    return path


def of_scikit_learn(X, Y, rows):
    """Return log-odds of each label: P of two classes at reg is C = 1/(reg N)."""
    scaler = StandardScaler().fit(X)
    models = [
        LogisticRegression(C=1 / (REG * len(X)), tol=1e-10, max_iter=5000).fit(scaler.transform(X), y)
        for y in Y.T
    ]
    return np.stack([model.decision_function(scaler.transform(rows)) for model in models], axis=1)


@pytest.mark.parametrize("form", ["columns", "lists"])
def test_every_label_is_scikit_learns_problem(do, form):
    X, Y = drawn(0)
    other, Y_other = drawn(1, 200)
    written(do.path / "a.csv", X, Y, form)
    written(do.path / "b.csv", other, Y_other, form)
    labels = ",".join(NAMES) if form == "columns" else "tags"
    by = (
        "fit",
        "a.csv",
        "--test",
        "b.csv",
        "--labels",
        labels,
        "--multilabel",
        "--out",
        "run",
        "--bias",
        "free",
    )
    told = do.run(*by, "--reg", REG, "--tol", 1e-9)
    assert told.status == 0, told.err
    model, metrics = load(do.path / "run"), json.loads((do.path / "run/metrics.json").read_text())
    order = [model.classes.index(name) for name in NAMES]
    expected = of_scikit_learn(X, Y, other)
    scores = model.scores(other)[:, order]
    np.testing.assert_allclose(scores, expected, atol=1e-4)
    assert (model.predict(other)[:, order] == (scores >= 0)).all()
    chances = model.predict_proba(other)[:, order]
    np.testing.assert_allclose(chances, 1 / (1 + np.exp(-expected)), atol=1e-4)
    assert metrics["status"] == "certified" and metrics["gap"] <= 1e-9 and len(metrics["labels"]) == 4
    check_measures(metrics["test"], scores, Y_other)
    # predict and evaluate say the same
    rows = list(csv.DictReader(io.StringIO(do.run("predict", "run", "b.csv").out)))
    kept = list(csv.DictReader(io.StringIO((do.path / "run/predictions.csv").read_text())))
    for place, (row, old) in enumerate(zip(rows, kept, strict=True)):
        assert row["class"] == old["predicted"]
        assert float(row["p red"]) == pytest.approx(chances[place, 2], abs=1e-6)
        assert set(filter(None, old["label"].split("; "))) == set(np.array(NAMES)[Y_other[place]])
    again = do.run("evaluate", "run", "b.csv", "--json").json
    assert again["accuracy"] == metrics["test"]["accuracy"]
    page = (do.path / "run/report.html").read_text()
    assert "in all of their labels" in page and "ranking average precision" in page


def check_measures(found, scores, Y):
    named = scores >= 0
    expected = {
        "micro_f1": peers.f1_score(Y, named, average="micro"),
        "macro_f1": peers.f1_score(Y, named, average="macro"),
        "hamming_loss": peers.hamming_loss(Y, named),
        "ranking_average_precision": peers.label_ranking_average_precision_score(Y, scores),
    }
    for name, value in expected.items():
        assert found[name]["value"] == pytest.approx(value), name
        low, high = found[name]["interval"]
        assert low < value < high
    assert found["accuracy"] == pytest.approx(peers.accuracy_score(Y, named))


def test_measures_are_scikit_learns_where_rows_have_no_label_or_all():
    draw = np.random.default_rng(0)
    scores = draw.normal(size=(80, 5)).round(1)  # ties
    Y = draw.random((80, 5)) < 0.4
    Y[:3], Y[3:6] = False, True
    check_measures(evaluate_multilabel(scores, Y, list("abcde")), scores, Y)


def test_reg_is_chosen_by_folds(do):
    X, Y = drawn(2)
    written(do.path / "a.csv", X, Y)
    told = do.run("fit", "a.csv", "--labels", ",".join(NAMES), "--multilabel", "--out", "run")
    assert told.status == 0, told.err
    metrics = json.loads((do.path / "run/metrics.json").read_text())
    best = min(metrics["tried"], key=lambda one: one["log_loss"])
    assert metrics["reg"] == best["reg"] and metrics["validation"]["kind"] == "out of fold"
    assert 0.6 < metrics["validation"]["micro_f1"]["value"] < 1


def test_what_makes_no_sense_is_refused(do):
    X, Y = drawn(3, 40)
    Y[:, 3] = True
    written(do.path / "a.csv", X, Y)
    by = ("fit", "a.csv", "--multilabel", "--out", "run", "--reg", REG, "--labels")
    do.refused("labels-single-class", "every training row", "'ripe'", by=(*by, "sweet,round,ripe"))
    do.refused("column-missing", "'blue'", by=(*by, "sweet,blue"))
    do.refused("labels-multihot", "0 and 1", by=(*by, "sweet,x1"))
    do.refused("labels-multihot", "no lists", by=(*by, "x1"))
    for option, value in {
        "--threshold": "f1",
        "--bootstrap": 20,
        "--metric": "auc",
        "--classes": "a,b",
    }.items():
        do.refused("multilabel-option", option, by=(*by, "sweet,red", option, value))
    do.refused("labels-multihot", "which columns", by=("fit", "a.csv", "--multilabel", "--out", "run"))
    assert do.run(*by, "sweet,red").status == 0
    do.refused("export-multilabel", by=("export", "run", "--to", "sklearn"))


def test_scores_of_another_shape_are_refused():
    with pytest.raises(InputError, match="scores-shape"):
        evaluate_multilabel(np.zeros((3, 2)), np.zeros((3, 3)), ["a", "b", "c"])
