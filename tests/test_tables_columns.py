"""Columns of tables: which is the label, what the others become, and the same from plain data at predict."""

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from straightedge.data import load_dataset
from straightedge.data.tables.encoding import Column, TableEncoding, as_floats
from straightedge.data.tables.matching import new_rows
from straightedge.errors import InputError

CASES, TABLES = Path("../shared/cases/data"), Path("../shared/data/tables")
shared = pytest.mark.skipif(not (CASES.is_dir() and TABLES.is_dir()), reason="no shared cases")
rng = np.random.default_rng(0)
N = 200


def people(n=N, seed=0):
    """Return columns of every kind; the kind of a row decides its label."""
    draw = np.random.default_rng(seed)
    age = draw.integers(18, 90, n).astype(float)
    age[draw.random(n) < 0.1] = np.nan
    city = draw.choice(["oslo", "rome", "lima"], n, p=[0.5, 0.45, 0.05]).astype(object)
    city[draw.random(n) < 0.1] = None
    return {
        "id": np.arange(n) * 7 + 3,
        "name": [f"person {draw.integers(10**9)} {i}" for i in range(n)],
        "age": age,
        "city": city,
        "height": draw.normal(170, 10, n).round(1),
        "born": [f"19{i % 90 + 10}-05-{i % 28 + 1:02d}" for i in range(n)],
        "same": np.ones(n),
        "outcome": np.where((np.nan_to_num(age) > 50) ^ (city == "rome"), "yes", "no"),
    }


def write(path, columns, order=None):
    def array(values):
        if isinstance(values, np.ndarray) and len({type(v) for v in values if v is not None}) > 1:
            values = [str(value) for value in values]  # numbers and text
        return pa.array(values, from_pandas=True)

    table = pa.table({name: array(columns[name]) for name in order or columns})
    if path.suffix == ".parquet":
        parquet.write_table(table, path)
        return path
    lines = [",".join(table.schema.names)]
    for row in table.to_pylist():
        lines.append(",".join("" if value is None else str(value) for value in row.values()))
    path.write_text("\n".join(lines) + "\n")
    return path


def encoding_of(found):
    return TableEncoding.from_dict(json.loads(json.dumps(found.columns)))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_kinds_of_columns(tmp_path, ending):
    found = load_dataset(write(tmp_path / f"a.{ending}", people()))
    kinds = {c.name: (c.kind, c.why.split(":")[0]) for c in encoding_of(found).columns}
    assert kinds == {
        "id": ("left out", "an identifier"),
        "name": ("left out", "an identifier"),
        "age": ("number", ""),
        "city": ("category", ""),
        "height": ("number", ""),
        "born": ("left out", "a date"),
        "same": ("left out", "constant"),
    }
    assert found.notes[0] == "label: column 'outcome', by its name"
    assert "left out: 'id', 'name' (an identifier: its values are all different)" in found.notes
    assert "left out: 'born' (a date)" in found.notes and "left out: 'same' (constant)" in found.notes
    assert found.classes == ("no", "yes")


def test_features_are_those_of_scikit_learn(tmp_path):
    columns = people()
    found = load_dataset(write(tmp_path / "a.parquet", columns))
    numbers = SimpleImputer(strategy="mean", add_indicator=True).fit_transform(
        np.stack([columns["age"], columns["height"]], axis=1)
    )
    cities = np.array([np.nan if c is None else c for c in columns["city"]], dtype=object)[:, None]
    onehot = OneHotEncoder(min_frequency=5, handle_unknown="infrequent_if_exist", sparse_output=False)
    expected = np.concatenate([numbers[:, [0, 2]], onehot.fit_transform(cities), numbers[:, [1]]], axis=1)
    assert pytest.approx(expected, abs=1e-12) == found.train.X
    assert encoding_of(found).feature_names == [
        "age", "age missing", "city=lima", "city=oslo", "city=rome", "city=missing", "height",
    ]  # fmt: skip


def test_rare_and_unseen_categories_share_a_feature(tmp_path):
    kinds = ["a"] * 10 + ["b"] * 8 + ["c", "d"]
    table = {"kind": kinds, "x": rng.normal(size=20), "label": [0, 1] * 10}
    found = load_dataset(write(tmp_path / "a.parquet", table))
    assert encoding_of(found).feature_names == ["kind=a", "kind=b", "kind=other", "x"]
    new = write(tmp_path / "b.parquet", {"kind": ["c", "z", None, "b"], "x": [0.0] * 4})
    X, notes = new_rows(new, found.columns, {})
    assert X.read(0, 4)[:, :3].tolist() == [[0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 1, 0]]
    assert "column 'kind': 3 values, rare in training or not in it, taken as other" in notes  # c is rare, z is new


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_new_tables_are_matched_by_name(tmp_path, ending):
    columns = people()
    found = load_dataset(write(tmp_path / f"a.{ending}", columns))
    order = ["extra", "city", "height", "name", "age"]
    new = write(tmp_path / f"b.{ending}", columns | {"extra": np.ones(N)}, order)
    X, notes = new_rows(new, found.columns, {})
    assert np.array_equal(X.read(0, N), found.train.X)
    assert "columns that the model does not know are ignored: 'extra'" in notes
    assert "columns are in another order than in training: matched by name" in notes
    missing = write(tmp_path / f"c.{ending}", columns, ["age", "height"])
    with pytest.raises(InputError, match=r"no column 'city'.*c\..*column-missing"):
        new_rows(missing, found.columns, {})


def test_values_unlike_those_of_training_are_counted(tmp_path):
    columns = people()
    found = load_dataset(write(tmp_path / "a.csv", columns))
    columns["height"][:2] = 999.0
    columns["height"][2] = np.nan
    new = write(tmp_path / "b.csv", columns)
    X, notes = new_rows(new, found.columns, {})
    assert "column 'height': 2 values beyond those of training" in notes
    assert "column 'height': 1 missing value, which training did not have: the mean" in notes
    assert X.read(2, 3)[0, -1] == pytest.approx(np.mean(people()["height"]))
    columns["height"] = people()["height"].astype(object)
    columns["height"][7] = "tall"
    with pytest.raises(InputError, match=r"'tall' is no number.*column 'height', row 7.*value-kind"):
        new_rows(write(tmp_path / "c.csv", columns), found.columns, {})[0].read(0, N)


def test_rows_beyond_memory_are_read_in_order(tmp_path, monkeypatch):
    path = write(tmp_path / "a.csv", people())
    whole = load_dataset(path).train.X
    monkeypatch.setattr("straightedge.data.tables.reading.IN_MEMORY", 0)
    rows = load_dataset(path).train.X
    assert np.array_equal(rows.read(0, N), whole) and np.array_equal(rows.read(50, 60), whole[50:60])


def test_the_encoding_is_fitted_on_training_rows_alone(tmp_path):
    columns = people()
    columns["split"] = ["train"] * 150 + ["test"] * 50
    columns["height"][150:] = 1e6
    columns["city"][150:] = "mars"
    found = load_dataset(write(tmp_path / "a.csv", columns))
    encoding = encoding_of(found)
    assert "city=mars" not in encoding.feature_names and "split" not in [c.name for c in encoding.columns]
    assert next(c for c in encoding.columns if c.name == "height").high < 1e6
    assert found.test.n == 50


def test_wishes_overrule_the_kinds(tmp_path):
    path = write(tmp_path / "a.csv", people() | {"code": rng.integers(0, 3, N)})
    found = load_dataset(path, keep="id", drop="height", categories="code")
    names = encoding_of(found).feature_names
    assert "id" in names and "height" not in names and {"code=0", "code=1", "code=2"} <= set(names)
    with pytest.raises(InputError, match=r"--drop names a column 'weight'.*column-missing"):
        load_dataset(path, drop="weight")


def test_text_among_numbers_is_named_and_taken_for_missing(tmp_path):
    columns = people()
    columns["height"] = columns["height"].astype(object)
    columns["height"][17] = "tall"
    path = write(tmp_path / "a.csv", columns)
    found = load_dataset(path)
    said = "column 'height' holds 1 values that are no numbers, the first 'tall' in row 17: taken for missing"
    assert any(note.startswith(said) for note in found.notes)
    column = next(c for c in encoding_of(found).columns if c.name == "height")
    assert (column.kind, column.missing, column.indicator) == ("number", 1, True)
    columns["height"][3:60] = "tall"
    column = next(c for c in encoding_of(load_dataset(write(path, columns))).columns if c.name == "height")
    assert column.kind == "category"
    column = next(c for c in encoding_of(load_dataset(path, numeric="height")).columns if c.name == "height")
    assert (column.kind, column.missing) == ("number", 57)


def test_the_index_of_a_frame_is_never_a_feature(tmp_path):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(people())
    frame[["age", "outcome"]].sort_values("outcome").to_parquet(tmp_path / "a.parquet")
    frame[["age", "id", "outcome"]].sample(frac=1, random_state=0).set_index("id").to_parquet(
        tmp_path / "b.parquet"
    )
    frame[["age", "outcome"]].sort_values("outcome").to_csv(tmp_path / "c.csv")
    for name, index in (("a.parquet", "__index_level_0__"), ("b.parquet", "id"), ("c.csv", "")):
        found = load_dataset(tmp_path / name)
        assert [c.name for c in encoding_of(found).used] == ["age"], name
        assert f"left out: {index!r} (an index, never a feature)" in found.notes


LABELS = {
    "by its name": ({"x": rng.normal(size=30), "Species": ["a", "b"] * 15, "z": ["u", "v"] * 15}, "Species"),
    "the only column that is not numeric": ({"x": rng.normal(size=30), "kind": ["a", "b"] * 15}, "kind"),
    "the first column, which has few distinct values": (
        {"k": [0, 1, 2] * 10, "a": rng.normal(size=30), "b": rng.normal(size=30)},
        "k",
    ),
    "the last column, which has few distinct values": (
        {"a": rng.normal(size=30), "b": rng.normal(size=30), "k": [0, 1, 2] * 10},
        "k",
    ),
}


@pytest.mark.parametrize("reason", LABELS)
def test_which_column_is_the_label(tmp_path, reason):
    columns, label = LABELS[reason]
    found = load_dataset(write(tmp_path / "a.csv", columns))
    assert found.notes[0] == f"label: column {label!r}, {reason}"


def test_a_label_that_cannot_be_known_is_asked_for(tmp_path):
    path = write(tmp_path / "a.csv", {"k": [0, 1] * 15, "a": rng.normal(size=30), "b": [0, 1, 2] * 10})
    with pytest.raises(InputError, match=r"k \(int64\), a \(double\), b \(int64\).*--labels -1.*column-missing"):
        load_dataset(path)
    for wanted, label in (("k", "k"), ("3", "b"), ("-1", "b"), ("1", "k"), ("-3", "k")):
        assert load_dataset(path, labels=wanted).notes[0] == f"label: column {label!r}, as named"
    with pytest.raises(InputError, match="column-missing"):
        load_dataset(path, labels="4")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_column_with_missing_values_is_no_label_unasked(tmp_path, ending):
    port = np.array([None, *"sqc" * 10], dtype=object)
    columns = {"a": rng.normal(size=31), "survived": np.arange(31) % 2, "port": port}
    path = write(tmp_path / f"a.{ending}", columns)
    kinds = r"a \(double\), survived \(int64\), port \(string\)"
    with pytest.raises(InputError, match=rf"{kinds}.*--labels COLUMN.*column-missing"):
        load_dataset(path)
    with pytest.raises(InputError, match=rf"1 row has no value .* 'port'; .*{kinds}.*row 0.*labels-missing"):
        load_dataset(path, labels="port")
    assert load_dataset(path, labels="survived").notes[0] == "label: column 'survived', as named"


def test_a_quantity_is_no_label(tmp_path):
    path = write(tmp_path / "a.csv", {"a": rng.normal(size=500), "price": rng.integers(0, 10**6, 500)})
    with pytest.raises(InputError, match=r"'price' holds \d+ different numbers.*labels-regression"):
        load_dataset(path, labels="price")


def test_classes_that_are_numbers_sort_as_numbers(tmp_path):
    table = {"x": rng.normal(size=30), "label": ["10", "9", "2.5"] * 10}
    assert load_dataset(write(tmp_path / "a.parquet", table)).classes == ("2.5", "9", "10")


def test_columns_of_vectors_say_what_they_leave_out(tmp_path):
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(rng.normal(size=60)), 2)
    table = pa.table({"embedding": vectors, "label": [0, 1] * 15, "note": ["x"] * 30})
    parquet.write_table(table, tmp_path / "a.parquet")
    found = load_dataset(tmp_path / "a.parquet")
    assert "left out: 'note' (the rows are column 'embedding')" in found.notes
    parquet.write_table(table.select(["note", "embedding"]), tmp_path / "b.parquet")
    X, _ = new_rows(tmp_path / "b.parquet", found.columns, {})
    assert np.array_equal(X.read(0, 30), found.train.X)


def test_a_broken_description_of_columns_is_refused():
    with pytest.raises(InputError, match="model-columns"):
        TableEncoding.from_dict({"kind": "table", "columns": [{"name": "x"}]})


@shared
@pytest.mark.parametrize(
    ("name", "labels", "n", "width", "n_classes"),
    [
        ("adult.data", None, 32561, 108, 2),
        ("wine.csv", None, 178, 13, 3),
        ("letter-recognition.data", None, 20000, 16, 26),
        ("sonar.data", None, 208, 60, 2),
        ("ionosphere.data", None, 351, 33, 2),
        ("arrhythmia.data", None, 452, 267, 13),
        ("mnist_2000.csv.gz", None, 2000, 784, 2),
        ("a1a", None, 1605, 123, 2),
        ("iris.csv", None, 150, 4, 3),
        ("titanic_dropped_strings.parquet", "Survived", 891, 22, 2),
        ("penguins_index_leak.parquet", None, 333, 9, 3),
        ("adult_cat.parquet", None, 32561, 108, 2),
    ],
)
@pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")
def test_tables_of_other_people(name, labels, n, width, n_classes):
    path = TABLES / name if (TABLES / name).exists() else CASES / name
    found = load_dataset(path, labels=labels)
    assert (found.train.n, math.prod(found.train.X.shape[1:]), len(found.classes)) == (n, width, n_classes)


def test_columns_of_plain_numbers_are_filled_as_all_others_are():
    columns = {
        "whole": pa.array([1, None, 3], pa.int32()),
        "half": pa.array([0.5, float("nan"), None], pa.float32()),
        "full": pa.array([1.5, 2.5, -3.0]),
        "large": pa.array([2**60, 1, 0], pa.uint64()),
        "flag": pa.array([True, None, False]),
        "words": pa.array(["1", " 2 ", None]),
    }
    used = tuple(Column(name, "number", mean=7.0, indicator=name != "full") for name in columns)
    encoding = TableEncoding(used, "y", (*columns, "y"))
    table = pa.table(columns)
    expected = []
    for column in used:
        values = as_floats(table.column(column.name).combine_chunks(), "here")
        missing = np.isnan(values)
        expected += [np.where(missing, 7.0, values), *([missing] if column.indicator else [])]
    for rows in (table, table.combine_chunks().to_batches()[0]):
        found = encoding.transform(rows, "here", 0)
        np.testing.assert_array_equal(found, np.column_stack(expected))
        assert found.flags.c_contiguous
    columns["full"] = pa.array([1.5, float("inf"), 0.0])
    with pytest.raises(InputError, match="column 'full', row 11"):
        encoding.transform(pa.table(columns), "here", 10)
