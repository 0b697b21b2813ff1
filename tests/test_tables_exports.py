"""Models of tables elsewhere: exports and frames take raw columns, and say what predict says."""

import csv
import io
import warnings
from pathlib import Path

import numpy as np
import pytest

from straightedge.errors import InputError
from straightedge.export.sklearn_file import TRUSTED
from straightedge.model import load
from support.bad_inputs import Commands
from test_tables_columns import people, write

pd = pytest.importorskip("pandas", reason="no pandas")
pl = pytest.importorskip("polars", reason="no polars")
runtime = pytest.importorskip("onnxruntime", reason="no onnxruntime")
skops = pytest.importorskip("skops.io", reason="no skops")
pytest.importorskip("onnx", reason="no onnx")

ADULT = Path(__file__).parents[2] / "shared/data/tables/adult.data"


@pytest.fixture
def do(tmp_path, capsys, monkeypatch):
    return Commands(tmp_path, capsys, monkeypatch)


@pytest.fixture
def run(do):
    write(do.path / "train.csv", people())
    told = do.run("fit", "train.csv", "--out", "run", "--reg", 0.01, "--no-suspects", "--threshold", 0.4)
    assert told.status == 0, told.err
    return do


def predicted(do, path):
    return list(csv.DictReader(io.StringIO(do.run("predict", "run", path).out)))


def by_onnx(path, frame):
    """Return labels and probabilities of an ONNX file: strings and floats, one input a column."""
    session = runtime.InferenceSession(str(path))
    given = {}
    for one in session.get_inputs():
        column = frame[one.name]
        if "string" in one.type:
            given[one.name] = np.array([v if isinstance(v, str) else "" for v in column], dtype=object)[:, None]
        else:
            given[one.name] = column.to_numpy(dtype=np.float32)[:, None]
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, given), strict=True))


def check_exports(do, path, frame, classes):
    found = predicted(do, path)
    for to in ("sklearn", "onnx"):
        told = do.run("export", "run", "--to", to, "--json")
        assert told.status == 0, told.err
        assert told.json["checked_on"] != "random rows"
    pipeline = skops.load(do.path / "run/sklearn/model.skops", trusted=TRUSTED)
    shuffled = frame[list(reversed(frame.columns))]
    labels, chances = [row["class"] for row in found], [float(row["probability"]) for row in found]
    place = [classes.index(label) for label in labels]
    rows = np.arange(len(found))
    np.testing.assert_allclose(pipeline.predict_proba(shuffled)[rows, place], chances, atol=1e-5)
    there = by_onnx(do.path / "run/onnx/model.onnx", frame)
    np.testing.assert_allclose(there["probabilities"][rows, place], chances, atol=1e-5)
    clear = np.abs(np.array(chances) - 0.5) > 1e-4
    assert (np.array(labels)[clear] == pipeline.predict(shuffled)[clear]).all()
    assert (np.array(labels)[clear] == there["label"][clear]).all()


def test_exports_take_raw_columns(run):
    new = people(n=150, seed=3)
    new["city"][:4] = ["atlantis", "?", "NA", "oslo"]
    write(run.path / "new.csv", new)
    frame = pd.DataFrame(new)
    check_exports(run, "new.csv", frame, ["no", "yes"])


@pytest.mark.long
@pytest.mark.skipif(not ADULT.exists(), reason="no shared cases")
def test_exports_of_adult_agree_with_predict_on_raw_rows(do):
    told = do.run("fit", ADULT, "--labels", -1, "--out", "run", "--reg", 1e-5, "--no-suspects", "--loss", "softmax")
    assert told.status == 0, told.err
    names = [str(place) for place in range(1, 16)]
    frame = pd.read_csv(ADULT, header=None, names=names, skipinitialspace=True, na_values="?", nrows=3000)
    (do.path / "new.data").write_text("\n".join(ADULT.read_text().splitlines()[:3000]))
    check_exports(do, "new.data", frame, ["<=50K", ">50K"])


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_frames_say_what_files_say(run, kind):
    new = people(n=80, seed=4)
    new["city"][0] = "atlantis"
    new["more"] = np.arange(80.0)
    order = ["more", "height", "city", "age"]
    write(run.path / "new.csv", new, order)
    written = run.run("predict", "run", "new.csv")
    frame = pd.DataFrame(new)[order]
    if kind != "pandas":
        table = pytest.importorskip("pyarrow").Table.from_pandas(frame, preserve_index=False)
        frame = table if kind == "pyarrow" else pl.from_arrow(table)
    model = load(run.path / "run")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        scores = model.scores(frame)
    said = [str(one.message) for one in told]
    notes = [line.removeprefix("note: ") for line in written.err.splitlines() if "read as text" not in line]
    assert len(said) == len(notes) == 4
    for note in notes:
        assert any(note in sentence for sentence in said)
    rows = list(csv.DictReader(io.StringIO(written.out)))
    assert [model.classes[k] for k in model.labels_of(scores)] == [row["class"] for row in rows]
    alone = frame.drop(["city"]) if kind == "polars" else frame.drop(columns=["city"]) if kind == "pandas" else None
    if alone is not None:
        with pytest.raises(InputError, match=r"'city'.*column-missing"):
            model.predict(alone)


def test_shuffled_rows_and_columns_answer_alike_in_every_form(run):
    new = people(n=60, seed=5)
    plain = [row["score"] for row in predicted(run, write(run.path / "plain.csv", new))]
    order = np.random.default_rng(0).permutation(60)
    shuffled = {name: np.asarray(values, dtype=object)[order] for name, values in new.items()}
    names = ["city", "outcome", "age", "name", "height"]
    expected = [plain[row] for row in order]
    for ending in ("csv", "parquet"):
        write(run.path / f"new.{ending}", shuffled, names)
        assert [row["score"] for row in predicted(run, f"new.{ending}")] == expected
        write(run.path / f"short.{ending}", shuffled, ["height", "age"])
        run.refused("column-missing", "'city'", f"short.{ending}", by=("predict", "run", f"short.{ending}"))
    frame = pd.read_parquet(run.path / "new.parquet")
    model = load(run.path / "run")
    for one in (frame, pl.from_pandas(frame)):
        with pytest.warns(match="another order"):
            scores = model.scores(one)
        rows = np.arange(60)
        found = scores[rows, model.labels_of(scores)]
        np.testing.assert_allclose(found, np.array(expected, float), rtol=1e-6, atol=1e-6)
        with pytest.raises(InputError, match=r"'city'.*column-missing"):
            model.predict(one[["height", "age"]])


def test_a_frame_that_mixes_kinds_is_refused_with_its_column(run):
    frame = pd.DataFrame(people(n=20))
    frame["city"] = [1, "oslo"] * 10
    with pytest.raises(InputError, match="frame-cells"):
        load(run.path / "run").predict(frame)
    twice = pd.concat([pd.DataFrame(people(n=20))] * 2, axis=1)
    with pytest.raises(InputError, match="columns-repeated"):
        load(run.path / "run").predict(twice)


def test_text_for_numbers_is_named(run):
    frame = pd.DataFrame(people(n=20)).assign(height=["tall"] * 20)
    with pytest.raises(InputError, match=r"'tall'.*value-kind"):
        load(run.path / "run").predict(frame)


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_a_frame_is_read_as_its_file_is(tmp_path, kind):
    from straightedge.data import load_dataset

    pa = pytest.importorskip("pyarrow")
    table = pa.table({name: pa.array(values, from_pandas=True) for name, values in people().items()})
    frame = {"pandas": table.to_pandas, "polars": lambda: pl.from_arrow(table), "pyarrow": lambda: table}[kind]()
    found, file = load_dataset(frame), load_dataset(write(tmp_path / "a.parquet", people()))
    np.testing.assert_array_equal(found.train.X, file.train.X)
    np.testing.assert_array_equal(found.train.y, file.train.y)
    assert found.columns == file.columns and len(found.fingerprint) == 64
    weighted = load_dataset(frame, sample_weight="height", groups="city", numeric="age")
    assert weighted.train.weights.tolist() == people()["height"].tolist()
