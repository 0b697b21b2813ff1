"""Tables through the commands: fit, evaluate and predict see the same columns, whatever their order."""

import csv
import io
import json

import numpy as np
import pytest

from straightedge.model import load
from support.bad_inputs import Commands
from test_tables_columns import N, people, write


@pytest.fixture
def do(tmp_path, capsys, monkeypatch):
    return Commands(tmp_path, capsys, monkeypatch)


@pytest.fixture
def run(do):
    write(do.path / "train.csv", people())
    told = do.run("fit", "train.csv", "--out", "run", "--reg", 0.01, "--no-suspects")
    assert told.status == 0, told.err
    return do, told


def rows(found):
    return list(csv.DictReader(io.StringIO(found.out)))


def test_fit_says_what_it_saw(run):
    _, told = run
    lines = told.out.splitlines()
    assert lines[0] == "label: column 'outcome', by its name"
    table = {line.split()[0]: " ".join(line.split()[1:]) for line in lines if line.strip()}
    assert table["age"].startswith("number 2") and "missing values marked" in table["age"]
    assert table["born"] == "left out a date" and table["same"] == "left out constant"
    assert "read as text: 200 rows of 8 columns between commas, names in the first row, UTF-8" in " ".join(
        told.out.split()
    )


def test_the_model_file_keeps_the_columns(run):
    do, _ = run
    model = load(do.path / "run")
    assert [column["name"] for column in model.columns["columns"]] == [n for n in people() if n != "outcome"]
    metrics = json.loads((do.path / "run" / "metrics.json").read_text())
    assert metrics["columns"][2] == {
        "name": "age",
        "kind": "number",
        "missing": int(np.isnan(people()["age"]).sum()),
        "became": "number, missing values marked",
    }


def test_predict_takes_raw_columns_in_any_order(run):
    do, _ = run
    plain = rows(do.run("predict", "run", "train.csv"))
    assert [row["name"] for row in plain[:2]] == ["train.csv[0]", "train.csv[1]"]
    for ending in ("csv", "parquet"):
        new = write(do.path / f"new.{ending}", people(), ["height", "city", "age"])
        found = do.run("predict", "run", new)
        assert [row["score"] for row in rows(found)] == [row["score"] for row in plain]
        assert "columns are in another order than in training: matched by name" in found.err
    right = sum(row["class"] == label for row, label in zip(plain, people()["outcome"], strict=True))
    metrics = json.loads((do.path / "run" / "metrics.json").read_text())
    assert right / N == metrics["train"]["accuracy"]


def test_predict_names_a_column_that_is_missing(run):
    do, _ = run
    new = write(do.path / "short.csv", people(), ["age", "height"])
    do.refused("column-missing", "'city'", "short.csv", by=("predict", "run", new))


def test_evaluate_goes_by_name(run):
    do, _ = run
    order = ["outcome", "height", "city", "age"]
    new = write(do.path / "shuffled.parquet", people(seed=1), order)
    found = do.run("evaluate", "run", new, "--json").json
    plain = write(do.path / "plain.csv", people(seed=1))
    assert found["accuracy"] == do.run("evaluate", "run", plain, "--json").json["accuracy"]


def test_a_table_without_a_header_is_predicted_without_its_label(do):
    X = np.random.default_rng(0).normal(size=(60, 3)).round(3)
    lines = [f"{'ab'[int(row[1] > 0)]}," + ",".join(map(str, row)) for row in X]
    (do.path / "a.csv").write_text("\n".join(lines))
    do.run("fit", "a.csv", "--out", "run", "--reg", 0.01, "--no-suspects")
    (do.path / "b.csv").write_text("\n".join(line.split(",", 1)[1] for line in lines))
    whole, alone = (rows(do.run("predict", "run", name)) for name in ("a.csv", "b.csv"))
    assert [row["score"] for row in whole] == [row["score"] for row in alone]


def test_predict_writes_columns_of_the_table_beside_its_answers(run):
    do, _ = run
    write(do.path / "new.csv", people(n=30, seed=2))
    found = rows(do.run("predict", "run", "new.csv", "--columns", "id,name,city"))
    assert list(found[0]) == ["name", "class", "score", "probability", "id", "name (column)", "city"]
    assert [int(row["id"]) for row in found] == people(n=30)["id"].tolist()
    assert [row["city"] or None for row in found] == people(n=30, seed=2)["city"].tolist()
    whole = rows(do.run("predict", "run", "new.csv", "--columns", "all"))
    assert len(whole[0]) == 4 + len(people())
    do.refused("column-missing", "'shoe'", by=("predict", "run", "new.csv", "--columns", "shoe"))
