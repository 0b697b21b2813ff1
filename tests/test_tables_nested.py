"""Columns of arrays with several axes, as Hugging Face's `Array2D` and `Array3D` are kept: lists of lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from straightedge.data import Dataset, load_dataset
from straightedge.errors import InputError
from straightedge.model import load
from straightedge.prediction import predict_paths
from straightedge.workflow import FitOptions, run_fit

RNG = np.random.default_rng(0)
N = 30
X = RNG.normal(size=(N, 2, 3)).astype(np.float32)
Y = [0, 1, 2] * 10


class Array3D(pa.ExtensionType):  # type: ignore[misc]
    """The type that `datasets` writes: a name and a shape of its own over lists of lists."""

    NAME = "datasets.features.features.Array3DExtensionType"
    shape = (1, 2, 3)

    def __init__(self) -> None:
        super().__init__(pa.list_(pa.list_(pa.list_(pa.float32()))), self.NAME)

    def __arrow_ext_serialize__(self) -> bytes:
        return json.dumps([[1, 2, 3], "float32"]).encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: Any, serialized: bytes) -> Array3D:
        return cls()


def read(path: Path, **options: Any) -> Dataset:
    return load_dataset(path, progress=False, cache=False, **options)


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=7)
    return path


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.list_(pa.float32())),
        pa.large_list(pa.list_(pa.float32(), 3)),
        pa.list_(pa.list_(pa.float32(), 3), 2),
    ],
    ids=str,
)
def test_lists_of_lists_are_rows_one_after_the_other(kind: Any, tmp_path: Path) -> None:
    column = pa.array(X.tolist(), kind)
    found = read(parquet(tmp_path / "t.parquet", hidden=column, length=range(N), label=Y))
    assert found.train.X.dtype == np.float32 and found.image_shape is None
    np.testing.assert_array_equal(found.train.X, X.reshape(N, 6))
    np.testing.assert_array_equal(found.train.y, Y)


def test_three_axes_and_tensors_of_two_are_flattened_too(tmp_path: Path) -> None:
    counts = RNG.integers(0, 255, (N, 2, 3, 4)).astype(np.uint8)
    nested = pa.array(counts.tolist(), pa.list_(pa.list_(pa.list_(pa.uint8()))))
    found = read(parquet(tmp_path / "t.parquet", pixels=nested, label=Y))
    np.testing.assert_array_equal(found.train.X, counts.reshape(N, 24))
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(X)
    np.testing.assert_array_equal(
        read(parquet(tmp_path / "u.parquet", emb=tensor, label=Y)).train.X, X.reshape(N, 6)
    )


@pytest.mark.parametrize("known", [False, True], ids=["type unknown", "type registered"])
def test_a_saved_data_set_of_arrays(known: bool, tmp_path: Path) -> None:
    column = pa.ExtensionArray.from_storage(Array3D(), pa.array(X[:, None].tolist(), Array3D().storage_type))
    table = pa.table({"x": column, "label": Y})
    with pa.OSFile(str(tmp_path / "data.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as out:
        out.write_table(table, max_chunksize=7)
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}]}))
    if known:
        pa.register_extension_type(Array3D())
    try:
        found = read(tmp_path)
    finally:
        if known:
            pa.unregister_extension_type(Array3D.NAME)
    assert found.image_shape is None
    np.testing.assert_array_equal(found.train.X, X.reshape(N, 6))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ([[1.0, 2.0, 3.0]], r"a vector has 1 entries, the first one 2"),
        ([[1.0, 2.0, 3.0], [1.0]], r"a list inside has 1 entries, the first one 3"),
        ([[1.0, 2.0, 3.0], None], r"missing entry"),
        ([[1.0, 2.0, None], [1.0, 2.0, 3.0]], r"missing entry"),
        (None, r"a value is missing"),
    ],
)
def test_a_row_of_another_shape_is_named_with_its_column(row: Any, said: str, tmp_path: Path) -> None:
    rows = X.tolist()
    rows[9] = row
    column = pa.array(rows, pa.list_(pa.list_(pa.float32())))
    with pytest.raises(InputError, match=rf"{said}.*column hidden, row 9"):
        read(parquet(tmp_path / "t.parquet", hidden=column, label=Y))


def test_a_column_of_vectors_goes_before_lists_of_lists(tmp_path: Path) -> None:
    boxes = pa.array([[[1.0] * 4] * (row % 3) for row in range(N)])
    flat = X.reshape(N, 6).tolist()
    path = parquet(tmp_path / "t.parquet", boxes=boxes, clip=flat, label=Y)
    np.testing.assert_array_equal(read(path).train.X, X.reshape(N, 6))


def test_a_model_of_such_a_column_takes_new_tables(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", hidden=X.tolist(), label=Y)
    run_fit(FitOptions(str(path), str(tmp_path / "run"), reg=0.01, cache=False, progress=False))
    model = load(tmp_path / "run")
    new = parquet(tmp_path / "new.parquet", hidden=X.tolist())
    flat = parquet(tmp_path / "flat.parquet", hidden=X.reshape(N, 6).tolist())
    answers = [[one.label for one in predict_paths(model, [file])] for file in (new, flat)]
    assert answers[0] == answers[1] and len(answers[0]) == N
