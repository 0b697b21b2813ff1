"""A table with a column of texts: its words are features, in a file of any form, and the column is remembered."""

import csv
import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import straightedge
from straightedge.data import load_dataset
from straightedge.model import load
from support.bad_inputs import Commands

WORDS = {
    "spam": ["win", "free", "prize", "cash", "urgent", "claim", "offer", "now"],
    "ham": ["meeting", "lunch", "tomorrow", "home", "call", "thanks", "please", "dinner"],
}
BOTH = ["the", "a", "you", "to", "and", "of", "in", "is", "it", "on"]


@pytest.fixture
def do(tmp_path, capsys, monkeypatch):
    return Commands(tmp_path, capsys, monkeypatch)


def messages(n, seed):
    """Return (class, text, hour) of messages."""
    draw = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        kind = "spam" if draw.random() < 0.4 else "ham"
        words = [*draw.choice(WORDS[kind], 4), *draw.choice(BOTH, int(draw.integers(3, 9)))]
        rows.append((kind, " ".join(draw.permutation(words)), int(draw.integers(0, 24))))
    return rows


def written(path, rows, names=("v1", "v2", "hour")):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(rows)
    return path


def test_a_table_of_a_class_and_a_text_is_fitted_as_texts(do):
    rows = [(place, text, kind) for place, (kind, text, _) in enumerate(messages(300, 0))]
    written(do.path / "a.csv", rows, ("id", "message", "kind"))
    lines = [json.dumps({"text": text, "label": kind}) for _, text, kind in rows]
    (do.path / "a.jsonl").write_text("\n".join(lines) + "\n")
    told = do.run("fit", "a.csv", "--reg", 1e-3, "--out", "run")
    assert told.status == 0 and "the texts of column 'message'" in told.out, told.out + told.err
    assert "left out: 'id'" in told.out
    assert do.run("fit", "a.jsonl", "--reg", 1e-3, "--out", "lines").status == 0
    here, there = load(do.path / "run"), load(do.path / "lines")
    assert here.classes == there.classes and here.feature_names == there.feature_names
    np.testing.assert_allclose(here.weight, there.weight, atol=1e-6)


def test_the_column_of_texts_is_remembered(do):
    written(do.path / "a.csv", messages(300, 0))
    new = messages(40, 1)
    written(do.path / "b.csv", [(hour, text, kind) for kind, text, hour in new], ("hour", "v2", "v1"))
    told = do.run("fit", "a.csv", "--text", "v2", "--test", "b.csv", "--reg", 1e-3, "--out", "run")
    assert told.status == 0 and "left out: 'hour'" in told.out, told.err
    metrics = json.loads((do.path / "run/metrics.json").read_text())
    assert metrics["test"]["accuracy"] == 1.0 and metrics["status"] == "certified"
    written(do.path / "c.csv", [(text, place) for place, (_, text, _) in enumerate(new)], ("v2", "place"))
    rows = list(csv.DictReader(do.run("predict", "run", "c.csv", "--columns", "place").out.splitlines()))
    assert [row["class"] for row in rows] == [kind for kind, _, _ in new]
    assert [row["place"] for row in rows] == [str(place) for place in range(40)]
    assert rows[3]["name"] == "c.csv[3]"
    assert do.run("evaluate", "run", "b.csv", "--json").json["accuracy"] == 1.0
    written(do.path / "d.csv", [(text, hour) for _, text, hour in new], ("words", "hour"))
    do.refused("column-missing", "'v2'", by=("predict", "run", "d.csv"))
    written(do.path / "e.csv", [(text,) for _, text, _ in new], ("v2",))
    rows = list(csv.DictReader(do.run("predict", "run", "e.csv").out.splitlines()))
    assert [row["class"] for row in rows] == [kind for kind, _, _ in new]


def test_parquet_and_frames_of_texts_are_read_alike(do):
    rows = messages(200, 0)
    table = pa.table({name: [row[k] for row in rows] for k, name in enumerate(("v1", "v2", "hour"))})
    parquet.write_table(table, do.path / "a.parquet")
    written(do.path / "a.csv", rows)
    for file in ("a.parquet", "a.csv"):
        given = ("--labels", "v1", "--text", "v2", "--reg", 1e-3, "--out", file.replace(".", "-"))
        assert do.run("fit", file, *given).status == 0
    of_parquet, of_text = load(do.path / "a-parquet"), load(do.path / "a-csv")
    np.testing.assert_array_equal(of_parquet.weight, of_text.weight)
    texts = [row[1] for row in rows]
    np.testing.assert_array_equal(of_text.scores(table), of_text.scores(texts))
    np.testing.assert_array_equal(of_text.predict(table.to_pandas()), of_text.predict(texts))
    dataset = load_dataset(table, labels="v1", text="v2")
    assert list(dataset.train.X) == texts and "texts" in repr(dataset)


def test_a_text_is_said_to_be_one_and_is_never_the_label(do):
    rows = [(hour, text, int(kind == "spam")) for kind, text, hour in messages(120, 0)]
    written(do.path / "a.csv", rows, ("hour", "comment", "stars"))
    told = do.run("fit", "a.csv", "--reg", 0.1, "--out", "run").out
    assert "label: column 'stars'" in told and "'comment' (free text)" in told
    assert "--text comment" in told


def test_a_missing_text_is_an_empty_one(tmp_path):
    rows = messages(30, 0)
    rows[4] = (rows[4][0], "", 3)
    with pytest.warns(straightedge.errors.StraightedgeWarning, match="texts-empty"):
        dataset = load_dataset(written(tmp_path / "a.csv", rows), text="v2", labels="v1")
    assert list(dataset.train.X)[3:5] == [rows[3][1], ""]


def test_what_is_no_text_is_refused(do):
    written(do.path / "a.csv", messages(40, 0))
    by = ("fit", "a.csv", "--labels", "v1", "--out", "run", "--text")
    do.refused("column-missing", "'nothing'", by=(*by, "nothing"))
    do.refused("column-kind", "'hour' holds int64, no texts", by=(*by, "hour"))
