"""Weights of rows and of classes through the commands: in the fit, its map, the choice of reg, and every number."""

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss
from sklearn.preprocessing import StandardScaler

from straightedge.model import load
from straightedge.workflow import FitOptions, run_fit
from support.bad_inputs import Commands

N, REG = 240, 0.02


@pytest.fixture
def do(tmp_path, capsys, monkeypatch):
    return Commands(tmp_path, capsys, monkeypatch)


def drawn(seed, classes=3):
    draw = np.random.default_rng(seed)
    y = draw.integers(0, classes, N)
    X = draw.normal(size=(N, 3)) * [1, 5, 0.2] + 1.2 * np.eye(classes, 3)[y] * [1, 5, 0.2]
    return X.round(6), y, draw.integers(0, 5, N) / 2


def written(path, X, y, w=None):
    names = "abc"[: X.shape[1]]
    lines = [",".join([*names, "label", *(["w"] if w is not None else [])])]
    for i, row in enumerate(X):
        lines.append(",".join([*map(repr, row.tolist()), f"c{y[i]}", *([str(w[i])] if w is not None else [])]))
    path.write_text("\n".join(lines) + "\n")
    return path


def of_scikit_learn(X, y, w):
    """Return the same optimum and its probabilities: P = Σwℓ/Σw + reg·ΣW², as C = 1/(2 reg Σw)."""
    scaler = StandardScaler().fit(X, sample_weight=w)
    model = LogisticRegression(C=1 / (2 * REG * w.sum()), tol=1e-10, max_iter=5000)
    model.fit(scaler.transform(X), y, sample_weight=w)
    return lambda rows: model.predict_proba(scaler.transform(rows))


@pytest.mark.parametrize("place", ["column", "file"])
def test_weighted_rows_give_scikit_learns_fit_and_numbers(do, place):
    X, y, w = drawn(0)
    other, y_test, w_test = drawn(1)
    beside = place == "column"
    written(do.path / "a.csv", X, y, w if beside else None)
    written(do.path / "b.csv", other, y_test, w_test if beside else None)
    (do.path / "w.txt").write_text("\n".join(map(str, w)))
    weights = "w" if beside else "w.txt"
    by = ("fit", "a.csv", "--test", "b.csv", "--sample-weight", weights, "--out", "run", "--bias", "free")
    told = do.run(*by, "--reg", REG, "--tol", 1e-9, "--no-suspects")
    assert told.status == 0, told.err
    chances = of_scikit_learn(X, y, w)
    model, metrics = load(do.path / "run"), json.loads((do.path / "run/metrics.json").read_text())
    np.testing.assert_allclose(model.predict_proba(other), chances(other), atol=2e-5)
    assert "w" not in {column["name"] for column in metrics["columns"]}
    for split, rows, labels, counts in (
        ("train", X, y, w),
        ("test", other, y_test, w_test if beside else np.ones(N)),
    ):
        found, said = metrics[split], chances(rows)
        predicted = said.argmax(axis=1)
        assert found["accuracy"] == pytest.approx(accuracy_score(labels, predicted, sample_weight=counts))
        expected = balanced_accuracy_score(labels, predicted, sample_weight=counts)
        assert found["balanced_accuracy"]["value"] == pytest.approx(expected)
        expected = log_loss(labels, said, sample_weight=counts)
        assert found["log_loss"]["value"] == pytest.approx(expected, abs=1e-4)
    if beside:
        weighted = do.run("evaluate", "run", "b.csv", "--sample-weight", "w", "--json").json
        assert weighted["accuracy"] == metrics["test"]["accuracy"]
    assert do.run("predict", "run", "b.csv").status == 0  # the column of weights may be there or not


def test_reg_is_chosen_as_by_copies_of_the_rows(tmp_path):
    """Whole weights are numbers of copies where the copies stand in the data's own validation split."""
    X, y, w = drawn(2)
    w = (2 * w).astype(int)
    split = np.where(np.arange(N) < 160, "train", "validation")
    head = "a,b,c,label,w,split\n"

    def table(rows, counts):
        return head + "".join(
            f"{','.join(map(repr, X[i].tolist()))},c{y[i]},{c},{split[i]}\n"
            for i, c in zip(rows, counts, strict=True)
        )

    kept = np.flatnonzero(w)
    (tmp_path / "w.csv").write_text(table(kept, w[kept]))
    copies = kept.repeat(w[kept])
    (tmp_path / "copies.csv").write_text(table(copies, np.ones(len(copies))))
    common = {"loss": "softmax", "path": True, "suspects": False, "progress": False, "tol": 1e-8}
    weighted = run_fit(FitOptions(str(tmp_path / "w.csv"), str(tmp_path / "one"), sample_weight="w", **common))
    copied = run_fit(FitOptions(str(tmp_path / "copies.csv"), str(tmp_path / "two"), table={"drop": "w"}, **common))
    for one, other in zip(weighted["path"], copied["path"], strict=True):
        assert one["reg"] == pytest.approx(other["reg"])
        assert one["validation"]["accuracy"] == pytest.approx(other["validation"]["accuracy"])
    assert weighted["reg"] == pytest.approx(copied["reg"])
    pair = load(tmp_path / "one"), load(tmp_path / "two")
    np.testing.assert_allclose(pair[0].predict_proba(X), pair[1].predict_proba(X), atol=1e-4)


@pytest.mark.parametrize("given", ["balanced", "weights.csv", "weights.json"])
def test_weights_of_classes_are_those_of_scikit_learn(do, given):
    X, y, _ = drawn(3)
    y = np.where(np.arange(N) % 3, y, 0)
    written(do.path / "a.csv", X, y)
    (do.path / "weights.csv").write_text("class,weight\nc0,1\nc1,4\nc2,2.5\n")
    (do.path / "weights.json").write_text('{"c1": 4, "c2": 2.5}')
    by = ("fit", "a.csv", "--class-weight", given, "--out", "run", "--bias", "free", "--no-suspects")
    assert do.run(*by, "--reg", REG, "--tol", 1e-9).status == 0
    factors = N / (3 * np.bincount(y)) if given == "balanced" else np.array([1, 4, 2.5])
    chances = of_scikit_learn(X, y, factors[y])
    np.testing.assert_allclose(load(do.path / "run").predict_proba(X), chances(X), atol=2e-5)


def test_weights_that_make_no_sense_are_refused(do):
    X, y, w = drawn(4)
    written(do.path / "a.csv", X, y, w)
    w[7] = -1
    written(do.path / "bad.csv", X, y, w)
    (do.path / "short.txt").write_text("1\n2\n")
    (do.path / "odd.csv").write_text("c0,1\nblue,2\n")
    (do.path / "broken.csv").write_text("c0,1\nc1\n")
    fit = ("fit", "a.csv", "--out", "run")
    do.refused("sample-weight-invalid", "row 7", by=("fit", "bad.csv", "--out", "run", "--sample-weight", "w"))
    do.refused("weights-missing", "'v'", by=(*fit, "--sample-weight", "v"))
    do.refused("weights-length", "240", by=(*fit, "--sample-weight", "short.txt"))
    do.refused("class-weight-invalid", "'blue'", by=(*fit, "--class-weight", "odd.csv"))
    do.refused("class-weight-invalid", "1 fields", by=(*fit, "--class-weight", "broken.csv"))
    do.refused("class-weight-invalid", "none.csv", by=(*fit, "--class-weight", "none.csv"))
