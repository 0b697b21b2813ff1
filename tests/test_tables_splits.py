"""Splits as people have them: a file of test rows, with its dots and its remark, or without labels."""

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.preprocessing import StandardScaler

from straightedge.data import load_dataset
from straightedge.errors import InputError
from straightedge.workflow import FitOptions, run_fit
from support.bad_inputs import Commands
from test_tables_columns import people, write


@pytest.fixture
def do(tmp_path, capsys, monkeypatch):
    return Commands(tmp_path, capsys, monkeypatch)


def test_a_file_of_test_rows_is_judged_as_evaluate_judges_it(do):
    write(do.path / "train.csv", people())
    write(do.path / "test.csv", people(n=120, seed=1), ["outcome", "height", "city", "age"])
    told = do.run("fit", "train.csv", "--test", "test.csv", "--out", "run", "--reg", 0.01, "--no-suspects")
    assert "test: columns are in another order than in training" in " ".join(told.out.split())
    metrics = json.loads((do.path / "run" / "metrics.json").read_text())
    apart = do.run("evaluate", "run", "test.csv", "--json").json
    assert metrics["test"]["n"] == 120 and metrics["test"]["accuracy"] == apart["accuracy"]


def test_test_rows_without_labels_are_for_predict(do):
    write(do.path / "train.csv", people())
    write(do.path / "test.csv", people(n=30, seed=1), ["height", "city", "age"])
    by = ("fit", "train.csv", "--test", "test.csv", "--out", "run")
    do.refused("test-unlabelled", "'outcome'", "straightedge predict", by=by)


def test_adult_test_has_a_remark_and_dots(tmp_path):
    rng = np.random.default_rng(0)
    work, income = rng.choice(["Private", "?"], 90), np.where(np.arange(90) % 3, "<=50K", ">50K")
    lines = [f"{rng.normal():.6f}, {work[i]}, {income[i]}" for i in range(90)]
    (tmp_path / "adult.data").write_text("\n".join(lines[:60]) + "\n")
    (tmp_path / "adult.test").write_text("|1x3 Cross validator\n" + "".join(f"{line}.\n" for line in lines[60:]))
    source = tmp_path / "adult.data"
    found = load_dataset(source, test=tmp_path / "adult.test", labels="-1")
    test = found.test.open("a look")
    assert found.classes == ("<=50K", ">50K")
    assert test.y.tolist() == [int(line.endswith(" >50K")) for line in lines[60:]]
    assert test.X.shape == (30, found.train.X.shape[1])
    with pytest.raises(InputError, match="test-twice"):
        load_dataset(found_with_test(tmp_path), test=tmp_path / "adult.test")


def found_with_test(folder):
    path = folder / "two.npz"
    rows = np.arange(12.0).reshape(6, 2)
    np.savez(path, X_train=rows, y_train=[0, 1] * 3, X_test=rows + 0.5, y_test=[0, 1] * 3)
    return path


@pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")
def test_arrays_take_test_rows_from_another_file(tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 4)), np.arange(60) % 3
    X[:, 0] += 3 * y
    np.savez(tmp_path / "a.npz", X=X[:40], y=y[:40])
    np.savez(tmp_path / "b.npz", X=X[40:], y=y[40:])
    asked = {"test": str(tmp_path / "b.npz"), "reg": 0.01, "suspects": False, "progress": False}
    metrics = run_fit(FitOptions(str(tmp_path / "a.npz"), str(tmp_path / "run"), **asked))
    assert metrics["test"]["n"] == 20
    with pytest.warns(match="40 rows of test, out of 40, are also in train"):
        load_dataset(tmp_path / "a.npz", test=tmp_path / "a.npz")
    np.savez(tmp_path / "c.npz", X=X[40:, :3], y=y[40:])
    with pytest.raises(InputError, match="test-width"):
        load_dataset(tmp_path / "a.npz", test=tmp_path / "c.npz")


@pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")
def test_test_rows_have_the_features_of_the_part_that_was_fitted(tmp_path):
    write(tmp_path / "train.csv", people())
    write(tmp_path / "test.csv", people(n=50, seed=1))
    asked = {"solver": "sgd", "search": True, "regs": [0.01], "epochs": 2, "progress": False}
    asked |= {"test": str(tmp_path / "test.csv"), "metric": "accuracy"}
    metrics = run_fit(FitOptions(str(tmp_path / "train.csv"), str(tmp_path / "run"), **asked))
    assert metrics["test"]["n"] == 50


def test_a_column_of_words_divides_the_rows(do):
    columns = people() | {"part": np.array(["train", "Test", "train", "valid"] * 50, dtype=object)}
    write(do.path / "a.csv", columns)
    found = load_dataset(do.path / "a.csv", split_column="part")
    assert (found.train.n, found.validation.n, found.test.n) == (100, 50, 50)
    train = {name: values[::2] for name, values in columns.items() if name != "part" and len(values) == 200}
    alone = load_dataset(write(do.path / "train.csv", {n: np.asarray(v, object) for n, v in train.items()}))
    assert np.array_equal(found.train.X, alone.train.X) and np.array_equal(found.train.y, alone.train.y)
    assert "rows divided by column 'part', which is no feature" in found.notes
    do.refused("column-missing", "'parts'", by=("fit", "a.csv", "--split-column", "parts", "--out", "run"))
    do.refused(
        "split-unknown", "no split", "'city', row 0", by=("fit", "a.csv", "--split-column", "city", "--out", "run")
    )


def test_a_time_split_is_judged_as_scikit_learn_judges_it(tmp_path):
    draw = np.random.default_rng(0)
    day, X, kind = draw.permutation(200), draw.normal(size=(200, 3)), draw.choice(["n", "s"], 200)
    y = np.where(X[:, 0] + (kind == "n") + draw.normal(size=200) > 0.5, "yes", "no")
    first = np.datetime64("2021-01-01")
    dates = [str(first + np.timedelta64(int(d), "D")) for d in day]
    columns = {"day": dates, "a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "kind": kind, "label": y}
    write(tmp_path / "a.csv", columns)
    asked = {"reg": 0.01, "tol": 1e-9, "bias": "free", "suspects": False, "progress": False}
    found = run_fit(FitOptions(str(tmp_path / "a.csv"), str(tmp_path / "run"), table={"time": "day"}, **asked))
    past, last = day < 140, day >= 170
    rows = np.column_stack([X, kind == "n", kind == "s"]).astype(float)
    scaler = StandardScaler().fit(rows[past])
    # two classes' softmax with reg ΣW² is logistic regression with C = 1/(reg N)
    peer = LogisticRegression(C=1 / (0.01 * past.sum()), tol=1e-10, max_iter=10_000)
    peer.fit(scaler.transform(rows[past]), y[past])
    for split, part in {"train": past, "validation": ~past & ~last, "test": last}.items():
        there = scaler.transform(rows[part])
        assert found[split]["n"] == part.sum()
        assert found[split]["accuracy"] == pytest.approx(peer.score(there, y[part]))
        area = roc_auc_score(y[part] == "yes", peer.decision_function(there))
        assert found[split]["auc"]["value"] == pytest.approx(area)
    assert found["train"]["log_loss"]["value"] == pytest.approx(
        log_loss(y[past], peer.predict_proba(scaler.transform(rows[past]))), abs=1e-6
    )


@pytest.mark.parametrize("kind", ["number", "date"])
def test_the_last_part_in_time_is_the_test_split(kind, tmp_path):
    rng = np.random.default_rng(0)
    time = rng.permutation(np.repeat(np.arange(50), 2))
    written = time if kind == "number" else [f"2020-{1 + t // 28:02d}-{1 + t % 28:02d}" for t in time]
    x = time + rng.random(100) / 10
    write(tmp_path / "a.csv", {"when": written, "x": x, "z": rng.normal(size=100), "label": ["a", "b"] * 50})
    found = load_dataset(tmp_path / "a.csv", time="when")
    train, validation, test = found.train, found.validation, found.test.open("a look")
    assert train.X.shape == (70, 2) and (validation.n, test.n) == (14, 16)
    assert train.X[:, 0].max() < validation.X[:, 0].min()
    assert validation.X[:, 0].max() < test.X[:, 0].min()
