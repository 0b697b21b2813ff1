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
        LogisticRegression(C=1 / (REG * len(X)), tol=1e-10, max_iter=5000).fit(scaler.transform(X), y) for y in Y.T
    ]
    return np.stack([model.decision_function(scaler.transform(rows)) for model in models], axis=1)


@pytest.mark.parametrize("form", ["columns", "lists"])
def test_every_label_is_scikit_learns_problem(do, form):
    X, Y = drawn(0)
    other, Y_other = drawn(1, 200)
    written(do.path / "a.csv", X, Y, form)
    written(do.path / "b.csv", other, Y_other, form)
    labels = ",".join(NAMES) if form == "columns" else "tags"
    by = ("fit", "a.csv", "--test", "b.csv", "--labels", labels, "--multilabel", "--out", "run", "--bias", "free")
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


def check_measures(found, scores, Y, weight=None):
    named, by = scores >= 0, {"sample_weight": weight}
    expected = {
        "micro_f1": peers.f1_score(Y, named, average="micro", **by),
        "macro_f1": peers.f1_score(Y, named, average="macro", **by),
        "hamming_loss": peers.hamming_loss(Y, named, **by),
        "ranking_average_precision": peers.label_ranking_average_precision_score(Y, scores, **by),
    }
    for name, value in expected.items():
        assert found[name]["value"] == pytest.approx(value), name
        low, high = found[name]["interval"]
        assert low < value < high
    assert found["accuracy"] == pytest.approx(peers.accuracy_score(Y, named, **by))


def test_measures_are_scikit_learns_where_rows_have_no_label_or_all():
    draw = np.random.default_rng(0)
    scores = draw.normal(size=(80, 5)).round(1)  # ties
    Y = draw.random((80, 5)) < 0.4
    Y[:3], Y[3:6] = False, True
    check_measures(evaluate_multilabel(scores, Y, list("abcde")), scores, Y)
    for weight in (draw.integers(0, 3, 80), draw.random(80)):
        check_measures(evaluate_multilabel(scores, Y, list("abcde"), weights=weight), scores, Y, weight)


@pytest.mark.parametrize("balanced", [False, True])
def test_weighted_rows_and_labels_are_scikit_learns_problem(do, balanced):
    X, Y = drawn(4)
    other, Y_other = drawn(5, 150)
    draw = np.random.default_rng(6)
    weight, weight_other = draw.uniform(0, 3, len(X)).round(2), draw.integers(0, 4, len(other))
    with_column(written(do.path / "a.csv", X, Y), "w", weight)
    with_column(written(do.path / "b.csv", other, Y_other), "w", weight_other)
    names = ",".join(NAMES)
    told = do.run(
        *("fit", "a.csv", "--test", "b.csv", "--labels", names, "--multilabel", "--out", "run"),
        *("--sample-weight", "w", "--bias", "free", "--preprocess", "none", "--reg", REG, "--tol", 1e-9),
        *(("--class-weight", "balanced") if balanced else ()),
    )
    assert told.status == 0, told.err
    model, found = load(do.path / "run"), json.loads((do.path / "run/metrics.json").read_text())
    assert "w" not in [row["name"] for row in found["columns"] if row["became"]]
    order = [model.classes.index(name) for name in NAMES]
    scores = model.scores(other)[:, order]
    for place, y in enumerate(Y.T):
        sums = np.where(y, weight[y].sum(), weight[~y].sum())  # balanced gives both classes the same sum
        own = weight * (weight.sum() / sums if balanced else 1)
        peer = LogisticRegression(C=1 / (REG * own.sum()), tol=1e-10, max_iter=5000).fit(X, y, own)
        np.testing.assert_allclose(scores[:, place], peer.decision_function(other), atol=1e-4)
    check_measures(found["test"], scores, Y_other, weight_other)
    again = do.run("evaluate", "run", "b.csv", "--sample-weight", "w", "--json").json
    assert again["micro_f1"] == found["test"]["micro_f1"]


def with_column(path, name, values):
    lines = path.read_text().splitlines()
    cells = [name, *map(str, values)]
    path.write_text("".join(f"{line},{cell}\n" for line, cell in zip(lines, cells, strict=True)))


def test_groups_stay_together(do):
    draw = np.random.default_rng(7)
    centres, labels = draw.normal(size=(40, 20)), draw.random((40, 2)) < 0.5
    X = (np.repeat(centres, 10, axis=0) + 0.01 * draw.normal(size=(400, 20))).round(5)
    lines = [",".join([f"x{k}" for k in range(20)] + ["one", "two", "patient"])]
    for row, (values, own) in enumerate(zip(X, np.repeat(labels, 10, axis=0), strict=True)):
        lines.append(",".join([*map(str, values), *map(str, own.astype(int)), f"p{row // 10}"]))
    (do.path / "a.csv").write_text("\n".join(lines) + "\n")
    by = ("fit", "a.csv", "--labels", "one,two", "--multilabel", "--reg", 1e-3, "--folds", 5, "--overwrite")
    found = {}
    for name, groups in {"rows": ("--drop", "patient"), "groups": ("--groups", "patient")}.items():
        assert do.run(*by, *groups, "--out", name).status == 0
        found[name] = json.loads((do.path / name / "metrics.json").read_text())["validation"]
    assert found["rows"]["hamming_loss"]["value"] < 0.25  # rows of a patient are in training and held out
    assert 0.35 < found["groups"]["hamming_loss"]["value"] < 0.65  # nothing can be learned of other patients


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
    for option, value in {"--threshold": "f1", "--bootstrap": 20, "--metric": "auc", "--classes": "a,b"}.items():
        do.refused("multilabel-option", option, by=(*by, "sweet,red", option, value))
    do.refused("labels-multihot", "which columns", by=("fit", "a.csv", "--multilabel", "--out", "run"))
    assert do.run(*by, "sweet,red").status == 0
    do.refused("export-multilabel", by=("export", "run", "--to", "sklearn"))


def test_scores_of_another_shape_are_refused():
    with pytest.raises(InputError, match="scores-shape"):
        evaluate_multilabel(np.zeros((3, 2)), np.zeros((3, 3)), ["a", "b", "c"])
