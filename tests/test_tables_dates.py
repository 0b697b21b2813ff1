"""Dates as parts, when they are asked for: the same numbers from every form, in fits, predictions and exports."""

import csv
import io
import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from straightedge.data import load_dataset
from straightedge.data.tables.dates import order_of, parts_of, seconds_of
from straightedge.data.tables.encoding import TableEncoding
from straightedge.errors import InputError
from straightedge.export.sklearn_file import TRUSTED
from support.bad_inputs import Commands

pd = pytest.importorskip("pandas", reason="no pandas")

FORMS = {
    "%Y-%m-%d %H:%M": "ymd",
    "%Y/%m/%dT%H:%M:00Z": "ymd",
    "%d.%m.%Y %H:%M": "dmy",
    "%d/%m/%y %H:%M": "dmy",
    "%m/%d/%Y %I:%M %p": "mdy",
}
NAMES = ("year", "month", "day", "weekday", "hour", "minute")


def moments(n=300, seed=0):
    """Return times of five years; weekends decide the label of most rows."""
    draw = np.random.default_rng(seed)
    when = pd.Timestamp("2018-01-01") + pd.to_timedelta(draw.integers(0, 5 * 365 * 24 * 60, n), unit="min")
    free = (when.day_of_week >= 5) ^ (draw.random(n) < 0.05)
    return when, draw.normal(size=n).round(3), np.where(free, "free", "work")


def expected(when):
    return np.stack([when.year, when.month, when.day, when.day_of_week, when.hour, when.minute], axis=1)


def table_of(path, n=300, seed=0, form="%Y-%m-%d %H:%M"):
    when, x, label = moments(n, seed)
    frame = pd.DataFrame({"when": when.strftime(form), "x": x, "label": label})
    frame.loc[::9, "when"] = ""
    frame.to_csv(path, index=False)
    return frame


@pytest.mark.parametrize("form", FORMS)
def test_parts_are_those_of_pandas(form):
    when = moments()[0]
    column = pa.array(when.strftime(form))
    assert order_of([column]) == FORMS[form]
    found = parts_of(seconds_of(column, FORMS[form], "a"), NAMES)
    np.testing.assert_array_equal(found, expected(when))
    for kind in (pa.timestamp("ns"), pa.timestamp("s", tz="UTC")):
        seconds = seconds_of(pa.array(when).cast(kind, safe=False), "ymd", "a")
        np.testing.assert_array_equal(parts_of(seconds, NAMES), expected(when))
    days = seconds_of(pa.array(when.date), "ymd", "a")
    np.testing.assert_array_equal(parts_of(days, NAMES)[:, :4], expected(when)[:, :4])


@pytest.mark.parametrize("text", ["2024-13-01", "31.4.2024", "2024-01-01 25:00", "tomorrow", "2024-01-01 noon"])
def test_what_is_no_date_is_refused_with_its_row(text):
    with pytest.raises(InputError, match="is no date") as raised:
        seconds_of(pa.array(["2024-01-01", None, text]), "dmy" if "." in text else "ymd", "a.csv", 10)
    assert raised.value.code == "value-kind" and "row 12" in str(raised.value)


def test_dates_are_features_only_when_asked(tmp_path):
    frame = table_of(tmp_path / "a.csv")
    left = load_dataset(tmp_path / "a.csv")
    assert left.train.X.shape[1] == 1 and "left out: 'when' (a date)" in left.notes
    assert any(note.startswith("--dates all") for note in left.notes)
    found = load_dataset(tmp_path / "a.csv", dates="when")
    names = TableEncoding.from_dict(json.loads(json.dumps(found.columns))).feature_names
    assert names == [*(f"when {name}" for name in NAMES), "when missing", "x"]
    there = (frame["when"] != "").to_numpy()
    np.testing.assert_array_equal(found.train.X[there, :6], expected(moments()[0])[there])
    means = np.broadcast_to(expected(moments()[0])[there].mean(axis=0), (int((~there).sum()), 6))
    np.testing.assert_allclose(found.train.X[~there, :6], means, rtol=1e-12)
    np.testing.assert_array_equal(found.train.X[:, 6], ~there)
    parquet.write_table(
        pa.table({"when": pa.array(moments()[0]), "x": moments()[1], "label": moments()[2]}), tmp_path / "a.parquet"
    )
    plain = load_dataset(tmp_path / "a.parquet", dates="all").train.X
    np.testing.assert_array_equal(plain[:, :6], expected(moments()[0]))
    with pytest.raises(InputError, match="is no date"):
        load_dataset(tmp_path / "a.csv", dates="x")
    with pytest.raises(InputError, match="column-missing"):
        load_dataset(tmp_path / "a.csv", dates="then")


def test_dates_go_through_predict_page_and_exports(tmp_path, capsys, monkeypatch):
    runtime = pytest.importorskip("onnxruntime", reason="no onnxruntime")
    skops = pytest.importorskip("skops.io", reason="no skops")
    pytest.importorskip("onnx", reason="no onnx")
    do = Commands(tmp_path, capsys, monkeypatch)
    table_of(tmp_path / "a.csv")
    told = do.run("fit", "a.csv", "--dates", "when", "--out", "run", "--reg", 0.001, "--no-suspects")
    assert told.status == 0, told.err
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    became = ", ".join(NAMES) + ", missing values marked"
    assert {"name": "when", "kind": "date", "missing": 34, "became": became} in metrics["columns"]
    features = {row["feature"] for row in metrics["coefficients"]}
    assert {"when weekday", "when hour", "when missing", "x"} <= features
    assert became in (tmp_path / "run/report.html").read_text()

    new = table_of(tmp_path / "plain.csv", 80, 1)
    new[["label", "x", "when"]].drop(columns="label").to_csv(tmp_path / "new.csv", index=False)
    rows = list(csv.DictReader(io.StringIO(do.run("predict", "run", "new.csv").out)))
    right = np.mean([row["class"] == label for row, label in zip(rows, moments(80, 1)[2], strict=True)])
    assert right > 0.8
    chances = np.array([float(row["probability"]) for row in rows])
    labels = np.array([row["class"] for row in rows])

    parts = dict(zip(NAMES, expected(moments(80, 1)[0]).T.astype(float), strict=True))
    cells = pd.DataFrame({f"when {name}": np.where(new["when"] == "", np.nan, parts[name]) for name in NAMES})
    cells["x"] = new["x"]
    for to in ("sklearn", "onnx"):
        told = do.run("export", "run", "--to", to)
        assert told.status == 0, told.err
    pipeline = skops.load(tmp_path / "run/sklearn/model.skops", trusted=TRUSTED)
    np.testing.assert_allclose(pipeline.predict_proba(cells).max(axis=1), chances, atol=1e-4)
    assert (pipeline.predict(cells) == labels).mean() > 0.98
    session = runtime.InferenceSession(str(tmp_path / "run/onnx/model.onnx"))
    given = {one.name: cells[[one.name]].to_numpy(np.float32) for one in session.get_inputs()}
    np.testing.assert_allclose(session.run(["probabilities"], given)[0].max(axis=1), chances, atol=1e-3)

    (tmp_path / "bad.csv").write_text("x,when\n1.5,soon\n")
    do.refused("value-kind", "'soon' is no date", "row 0", by=("predict", "run", "bad.csv"))
    (tmp_path / "late.csv").write_text("x,when\n0.1,2031-05-01 10:00\n")
    assert "'when': 1 value beyond those of training" in " ".join(do.run("predict", "run", "late.csv").err.split())
