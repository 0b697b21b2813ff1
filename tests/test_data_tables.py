"""Parquet, Arrow, shards and svmlight as sources, and features written for later."""

import io
import json
import tarfile
import threading

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import feather, parquet
from scipy import sparse

from straightedge.atomic import Disk
from straightedge.data import load_dataset, shards
from straightedge.data.assemble import Part
from straightedge.data.base import RowSource
from straightedge.data.tables import plan as plans
from straightedge.data.tables import reading
from straightedge.data.tables.files import Table, TableRows
from straightedge.data.write import write_features
from straightedge.errors import InputError, MachineError, StraightedgeWarning

rng = np.random.default_rng(0)
X, y = rng.normal(size=(60, 5)).astype(np.float32), np.arange(60) % 3
NAMES = np.array(["cat", "dog", "hen"])


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("STRAIGHTEDGE_CACHE", str(tmp_path_factory.mktemp("cache")))


def vectors(rows, kind="fixed"):
    flat = pa.array(rows.reshape(-1))
    if kind == "fixed":
        return pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])
    offsets = np.arange(len(rows) + 1) * rows.shape[1]
    maker = pa.ListArray if kind == "list" else pa.LargeListArray
    return maker.from_arrays(pa.array(offsets, pa.int32() if kind == "list" else pa.int64()), flat)


def table(rows=X, labels=y, kind="fixed", **more):
    return pa.table({"embedding": vectors(rows, kind), "label": pa.array(labels), **more})


def write_stream(data, path):
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, data.schema) as stream:
        for batch in data.to_batches(max_chunksize=7):
            stream.write_batch(batch)


WRITERS = {
    "a.parquet": lambda data, path: parquet.write_table(data, path, row_group_size=7),
    "a.feather": lambda data, path: feather.write_feather(data, str(path), chunksize=7),
    "a.arrow": write_stream,
}


@pytest.mark.parametrize("in_memory", [True, False], ids=["read whole", "read in order"])
@pytest.mark.parametrize("kind", ["fixed", "list", "large list"])
@pytest.mark.parametrize("name", WRITERS)
def test_embedding_and_label_columns(tmp_path, monkeypatch, name, kind, in_memory):
    monkeypatch.setattr(reading, "IN_MEMORY", 2**28 if in_memory else 0)
    WRITERS[name](table(kind=kind), tmp_path / name)
    found = load_dataset(tmp_path / name)
    assert found.classes == ("0", "1", "2") and (found.train.y == y).all()
    assert found.train.X.shape == X.shape and found.train.X.dtype == np.float32
    if in_memory:
        assert (found.train.X == X).all()
    else:
        assert isinstance(found.train.X, RowSource)
        assert (found.train.X.read(0, 60) == X).all()


@pytest.mark.parametrize("name", WRITERS)
def test_any_stretch_of_rows_in_any_order(tmp_path, name):
    WRITERS[name](table(), tmp_path / name)
    (tmp_path / "more").mkdir()
    WRITERS[name](table(X + 1), tmp_path / "more" / name)
    whole = np.concatenate([X, X + 1])
    tables = [Table(tmp_path / name), Table(tmp_path / "more" / name)]
    plan = plans.make_plan(tables, "embedding", "label")
    rows = TableRows(
        tables, [plan.column], lambda b, w, r: plans.decode_rows(b, w, r, plan=plan), (120, 5), X.dtype
    )
    for start, stop in [(0, 3), (3, 30), (30, 120), (5, 6), (59, 61), (119, 120), (0, 0), (120, 120), (0, 120)]:
        assert np.array_equal(rows.read(start, stop), whole[start:stop])
    assert np.array_equal(rows[3:80:7], whole[3:80:7])
    chosen = rng.permutation(120)[:40]
    assert np.array_equal(rows[chosen], whole[chosen])
    assert np.array_equal(rows[np.array([4, 4, 2])], whole[[4, 4, 2]])


def test_threads_each_read_their_own_stretch(tmp_path):
    large = rng.normal(size=(4000, 6))
    parquet.write_table(table(large, np.arange(4000) % 2), tmp_path / "a.parquet", row_group_size=333)
    tables = [Table(tmp_path / "a.parquet")]
    plan = plans.make_plan(tables, "embedding", "label")
    rows = TableRows(
        tables, [plan.column], lambda b, w, r: plans.decode_rows(b, w, r, plan=plan), large.shape, large.dtype
    )
    wrong = []

    def work(first):
        for start in range(first, first + 1000, 50):
            if not np.array_equal(rows.read(start, start + 50), large[start : start + 50]):
                wrong.append(start)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 1000, 2000, 3000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_pass_in_order_decodes_every_row_once(tmp_path):
    parquet.write_table(table(), tmp_path / "a.parquet", row_group_size=7)
    decoded = []

    def decode(batch, where, row):
        decoded.append(batch.num_rows)
        return np.zeros((batch.num_rows, 5), np.float32)

    rows = TableRows([Table(tmp_path / "a.parquet")], ["embedding"], decode, (60, 5), np.dtype(np.float32))
    for start in range(0, 60, 4):
        rows.read(start, start + 4)
    assert sum(decoded) == 60


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        pytest.param(NAMES[y], ("cat", "dog", "hen"), id="text labels"),
        pytest.param(pa.array(NAMES[y]).dictionary_encode(), ("cat", "dog", "hen"), id="dictionary labels"),
        pytest.param(y.astype(float), ("0", "1", "2"), id="whole floats"),
        pytest.param(y == 0, ("False", "True"), id="booleans"),
    ],
)
def test_label_types(tmp_path, labels, classes):
    parquet.write_table(table(labels=labels), tmp_path / "a.parquet")
    assert load_dataset(tmp_path / "a.parquet").classes == classes


def test_columns_of_numbers_are_features(tmp_path):
    data = pa.table({"a": X[:, 0], "b": pa.array(range(0, 120, 2)), "species": pa.array(NAMES[y])})
    parquet.write_table(data, tmp_path / "a.parquet")
    found = load_dataset(tmp_path / "a.parquet", labels="species")
    assert (np.stack([X[:, 0], np.arange(0, 120, 2)], 1) == found.train.X).all()


def test_columns_named_by_the_user(tmp_path):
    data = pa.table({"one": vectors(X), "two": vectors(X + 1), "kind": pa.array(NAMES[y]), "label": pa.array(y)})
    parquet.write_table(data, tmp_path / "a.parquet")
    found = load_dataset(tmp_path / "a.parquet", column="two", labels="kind")
    assert (found.train.X == X + 1).all() and found.classes == ("cat", "dog", "hen")


def test_a_folder_with_splits_in_its_file_names(tmp_path):
    for split, shift in (("train", 0), ("validation", 100), ("test", 200)):
        for part in (0, 1):
            rows = X[part * 30 : part * 30 + 30] + shift
            parquet.write_table(table(rows, y[:30]), tmp_path / f"{split}-{part:05d}-of-00002.parquet")
    (tmp_path / "README.md").write_text("about")
    found = load_dataset(tmp_path)
    assert (found.train.X == X).all()
    assert (found.validation.X == X + 100).all() and (found.test.open("test").X == X + 200).all()


def test_a_folder_with_splits_as_folders(tmp_path):
    for split, shift in (("train", 0), ("test", 200)):
        (tmp_path / "data" / split).mkdir(parents=True)
        parquet.write_table(table(X + shift), tmp_path / "data" / split / "part.parquet")
    found = load_dataset(tmp_path / "data")
    assert (found.test.open("test").X == X + 200).all()


def png(seed, size=(6, 5)):
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue(), pixels.transpose(2, 0, 1)


PNGS = [png(seed) for seed in range(30)]


def image_table(images=None, labels=None, names=("cat", "dog")):
    images = [{"bytes": data, "path": None} for data, _ in PNGS] if images is None else images
    column = pa.array(images, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    info = {"info": {"features": {"label": {"names": list(names), "_type": "ClassLabel"}}}}
    schema = pa.schema([("image", column.type), ("label", pa.int64())], metadata={"huggingface": json.dumps(info)})
    return pa.table([column, pa.array(np.arange(len(images)) % 2 if labels is None else labels)], schema=schema)


@pytest.mark.parametrize("name", WRITERS)
def test_hugging_face_image_columns(tmp_path, name):
    WRITERS[name](image_table(), tmp_path / name)
    found = load_dataset(tmp_path / name)
    assert found.classes == ("cat", "dog") and found.image_shape == (3, 5, 6)
    assert (np.stack([pixels for _, pixels in PNGS]) == found.train.X).all()
    assert found.train.y.tolist() == [0, 1] * 15
    assert found.train.names[0] == f"{name}/0"
    assert isinstance(load_dataset(tmp_path / name).train.X, np.memmap)


def test_hugging_face_splits_with_image_columns(tmp_path):
    half = [{"bytes": data, "path": None} for data, _ in PNGS]
    parquet.write_table(image_table(half[:20]), tmp_path / "train-00000-of-00001.parquet")
    parquet.write_table(image_table(half[20:]), tmp_path / "test-00000-of-00001.parquet")
    found = load_dataset(tmp_path)
    assert found.train.n == 20
    assert (np.stack([pixels for _, pixels in PNGS[20:]]) == found.test.open("test").X).all()


def with_entry(value):
    changed = X.copy()
    changed[17, 2] = value
    return changed


def ragged():
    rows = [row.tolist() for row in X]
    rows[9] = rows[9][:3]
    return pa.array(rows)


def missing_row():
    rows = [row.tolist() for row in X]
    rows[9] = None
    return pa.array(rows)


def missing_entry():
    rows = [row.tolist() for row in X]
    rows[9][1] = None
    return pa.array(rows)


LABELS = pa.array(y)
BAD = [
    pytest.param(
        {"embedding": ragged(), "label": LABELS}, {}, "rows-differ", ["row 9"], id="vectors of two lengths"
    ),
    pytest.param(
        {"embedding": missing_row(), "label": LABELS}, {}, "rows-missing", ["row 9"], id="a missing vector"
    ),
    pytest.param(
        {"embedding": missing_entry(), "label": LABELS}, {}, "rows-missing", ["row 9"], id="missing entry"
    ),
    pytest.param(
        {"embedding": vectors(with_entry(np.nan)), "label": LABELS},
        {},
        "rows-not-finite",
        ["row 17, column 2"],
        id="NaN",
    ),
    pytest.param({"embedding": vectors(X)}, {}, "column-missing", ["--labels"], id="no label column"),
    pytest.param(
        {"embedding": vectors(X), "label": LABELS}, {"labels": "kind"}, "column-missing", ["'kind'"], id="label"
    ),
    pytest.param(
        {"embedding": vectors(X), "label": LABELS}, {"column": "z"}, "column-missing", ["'z'"], id="column"
    ),
    pytest.param({"same": pa.array(["x"] * 60), "label": LABELS}, {}, "columns-none", ["--keep"], id="no features"),
    pytest.param(
        {"structs": pa.array([{"a": 1}] * 60), "label": LABELS},
        {"column": "structs"},
        "column-kind",
        ["struct"],
        id="column of structs",
    ),
    pytest.param(
        {"embedding": pa.array([[]] * 60, pa.list_(pa.float32())), "label": LABELS},
        {},
        "rows-differ",
        ["no entries"],
        id="no entries",
    ),
    pytest.param(
        {"u": vectors(X), "v": vectors(X), "label": LABELS},
        {},
        "column-missing",
        ["--column"],
        id="two vector columns",
    ),
    pytest.param({"embedding": vectors(X[:0]), "label": LABELS[:0]}, {}, "table-empty", [], id="no rows"),
    pytest.param(
        {"embedding": vectors(X), "label": pa.array([None, *y[1:].tolist()])},
        {},
        "labels-missing",
        ["row 0"],
        id="label null",
    ),
]


@pytest.mark.parametrize(("data", "settings", "code", "said"), BAD)
def test_refused(tmp_path, data, settings, code, said):
    parquet.write_table(pa.table(data), tmp_path / "a.parquet")
    with pytest.raises(InputError) as caught:
        load_dataset(tmp_path / "a.parquet", **settings)
    assert caught.value.code == code
    assert all(words in str(caught.value) for words in [*said, "a.parquet"]), str(caught.value)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("part", [0.0, 0.05, 0.5, 0.99])
def test_a_truncated_table(tmp_path, name, part):
    WRITERS[name](table(), tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * part)])
    with pytest.raises(InputError) as caught:
        load_dataset(tmp_path / name)
    assert caught.value.code == "table-broken" and name in caught.value.where


def test_damaged_pages_are_an_error(tmp_path):
    parquet.write_table(table(), tmp_path / "a.parquet", compression="zstd")
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    content[60:400] = bytes(340)
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(InputError, match="table-broken"):
        load_dataset(tmp_path / "a.parquet")


def test_an_image_column_with_paths_only(tmp_path):
    images = [{"bytes": data, "path": None} for data, _ in PNGS]
    images[4] = {"bytes": None, "path": "/etc/passwd"}
    parquet.write_table(image_table(images), tmp_path / "a.parquet")
    with pytest.raises(InputError) as caught:
        load_dataset(tmp_path / "a.parquet")
    assert caught.value.code == "image-bytes-missing" and "row 4" in caught.value.where


def test_a_broken_image_in_a_table(tmp_path):
    images = [{"bytes": data, "path": None} for data, _ in PNGS]
    images[4] = {"bytes": b"no image", "path": None}
    parquet.write_table(image_table(images), tmp_path / "a.parquet")
    with pytest.raises(InputError) as caught:
        load_dataset(tmp_path / "a.parquet")
    assert caught.value.code == "image-broken" and "a.parquet/4" in caught.value.where
    found = load_dataset(tmp_path / "a.parquet", skip_bad=True)
    assert found.train.n == 29 and "a.parquet/4" in found.notes[0]


def test_files_of_a_folder_must_agree(tmp_path):
    parquet.write_table(table(), tmp_path / "a.parquet")
    parquet.write_table(table(X.astype(np.float64)), tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"b\.parquet.*columns-differ"):
        load_dataset(tmp_path)


def test_a_split_that_begins_again(tmp_path):
    words = ["train"] * 20 + ["test"] * 20 + ["train"] * 20
    parquet.write_table(table(split=pa.array(words)), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"row 40.*split-scattered"):
        load_dataset(tmp_path / "a.parquet")


# tar shards


def make_shard(path, samples, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in samples:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def samples_of(ending, label, first=0, n=10):
    for row in range(first, first + n):
        yield f"{row:06d}.png", PNGS[row][0]
        yield f"{row:06d}.{ending}", label(row)


ENDINGS = [
    pytest.param("cls", lambda row: str(row % 2).encode(), ("0", "1"), id="cls"),
    pytest.param("txt", lambda row: NAMES[row % 2].encode() + b"\n", ("cat", "dog"), id="txt"),
    pytest.param("json", lambda row: json.dumps({"label": row % 2, "id": 5}).encode(), ("0", "1"), id="json"),
    pytest.param(
        "json", lambda row: json.dumps({"class_name": str(NAMES[row % 2])}).encode(), ("cat", "dog"), id="names"
    ),
]


@pytest.mark.parametrize(("ending", "label", "classes"), ENDINGS)
def test_tar_shards(tmp_path, ending, label, classes):
    for part in range(3):
        make_shard(tmp_path / f"shard-{part:04d}.tar", samples_of(ending, label, 10 * part))
    found = load_dataset(tmp_path)
    assert found.classes == classes and found.train.y.tolist() == [0, 1] * 15
    assert (np.stack([pixels for _, pixels in PNGS]) == found.train.X).all()
    assert found.train.names[10] == "shard-0001.tar/000010.png"


def test_shards_with_splits_and_one_shard_alone(tmp_path):
    cls = ENDINGS[0].values[1]
    make_shard(tmp_path / "train-0000.tar", samples_of("cls", cls, 0, 20))
    make_shard(tmp_path / "test-0000.tar", samples_of("cls", cls, 20, 10))
    found = load_dataset(tmp_path)
    assert found.train.n == 20 and found.test.n == 10
    assert load_dataset(tmp_path / "train-0000.tar").train.n == 20
    packed = make_shard(tmp_path / "alone.tar.gz", samples_of("cls", cls), "w:gz")
    assert load_dataset(packed).train.n == 10


SHARD_FAULTS = [
    pytest.param(
        [*samples_of("cls", lambda row: b"0"), ("x.png", PNGS[0][0])], "shard-label", "x.png", id="no label"
    ),
    pytest.param(samples_of("json", lambda row: b"{"), "shard-label", "000000.json", id="JSON that is none"),
    pytest.param(samples_of("json", lambda row: b"[" * 100_000), "shard-label", "000000.json", id="JSON too deep"),
    pytest.param(samples_of("json", lambda row: b'{"a": 1}'), "shard-label", "000000.json", id="no label in it"),
    pytest.param(samples_of("txt", lambda row: b"\xff"), "shard-label", "000000.txt", id="text that is no UTF-8"),
    pytest.param(samples_of("cls", lambda row: b"0"), "labels-single-class", "", id="one class"),
    pytest.param(
        [*samples_of("cls", lambda row: str(row % 2).encode()), ("y.png", b"bad"), ("y.cls", b"0")],
        "image-broken",
        "y.png",
        id="broken image",
    ),
    pytest.param(
        [*samples_of("cls", lambda row: b"0"), ("../x.cls", b"0")], "archive-member-unsafe", "x.cls", id="../"
    ),
]


@pytest.mark.parametrize(("samples", "code", "where"), SHARD_FAULTS)
def test_broken_shards(tmp_path, samples, code, where):
    make_shard(tmp_path / "a.tar", samples)
    with pytest.raises(InputError) as caught:
        load_dataset(tmp_path / "a.tar")
    assert caught.value.code == code and where in caught.value.where


def test_the_label_key_can_be_named(tmp_path):
    make_shard(
        tmp_path / "a.tar", samples_of("json", lambda row: json.dumps({"label": 0, "kind": row % 2}).encode())
    )
    assert load_dataset(tmp_path / "a.tar", labels="kind").train.y.tolist() == [0, 1] * 5


def test_labels_beyond_a_size_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "LARGEST_LABEL", 10)
    make_shard(tmp_path / "a.tar", samples_of("txt", lambda row: b"x" * 11))
    with pytest.raises(InputError, match="shard-label"):
        load_dataset(tmp_path / "a.tar")


# svmlight


def test_svmlight_with_its_test_file(tmp_path):
    (tmp_path / "a.svm").write_text("+1 1:0.5 3:2\n-1 2:1.25 # a remark\n+1 4:-1\n")
    (tmp_path / "a.svm.t").write_text("-1 1:7\n+1 2:8\n")
    found = load_dataset(tmp_path / "a.svm")
    assert found.classes == ("-1", "1") and found.train.y.tolist() == [1, 0, 1]
    assert found.train.X.toarray().tolist() == [[0.5, 0, 2, 0], [0, 1.25, 0, 0], [0, 0, 0, -1]]
    assert found.test.open("test").X.toarray().tolist() == [[7, 0, 0, 0], [0, 8, 0, 0]]


SVMLIGHT_FAULTS = [
    pytest.param("1 1:0.5\nabc 2:1\n", "svmlight-broken", id="a label that is no number"),
    pytest.param("1 1:0.5\n0 x:1\n", "svmlight-broken", id="an index that is no number"),
    pytest.param("1 1:0.5\n0 -3:1\n", "svmlight-broken", id="a negative index"),
    pytest.param("1 1:nan\n0 2:1\n", "rows-not-finite", id="NaN"),
    pytest.param("1.5 1:1\n0 2:1\n", "labels-not-integral", id="label 1.5"),
    pytest.param("1 1:1\n0 2000000000:1\n", "svmlight-too-large", id="dense limit"),
]


@pytest.mark.parametrize(("text", "code"), SVMLIGHT_FAULTS)
def test_broken_svmlight(tmp_path, text, code):
    (tmp_path / "a.svm").write_text(text)
    with pytest.raises(InputError) as caught:
        load_dataset(tmp_path / "a.svm")
    assert caught.value.code == code and "a.svm" in caught.value.where


# written features

FEATURES = {"extractor": "patches", "version": 1}
PARTS = {"train": Part(X, y), "validation": Part(X[:9] + 1, y[:9]), "test": Part(X[:6] + 2, y[:6])}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8])
@pytest.mark.parametrize("name", ["f.npz", "f.npy", "f.parquet", "f.safetensors"])
def test_written_features_are_read_again(tmp_path, name, dtype):
    parts = {split: Part((part.X * 10).astype(dtype), part.y) for split, part in PARTS.items()}
    written = write_features(tmp_path / name, parts, NAMES.tolist(), features=FEATURES)
    assert sorted(tmp_path.iterdir()) == sorted(written)
    found = load_dataset(tmp_path / name)
    assert found.classes == ("cat", "dog", "hen") and found.features == FEATURES
    for split, part in (
        ("train", found.train),
        ("validation", found.validation),
        ("test", found.test.open("test")),
    ):
        assert part.X.dtype == dtype
        assert np.array_equal(part.X, parts[split].X) and np.array_equal(part.y, parts[split].y)


@pytest.mark.parametrize("name", ["f.npz", "f.npy", "f.parquet", "f.safetensors", "f.svmlight"])
def test_row_sources_are_written_in_blocks(tmp_path, monkeypatch, name):
    monkeypatch.setattr("straightedge.data.write.BLOCK_BYTES", 200)
    monkeypatch.setattr(reading, "IN_MEMORY", 0)
    parquet.write_table(table(), tmp_path / "a.parquet", row_group_size=7)
    source = load_dataset(tmp_path / "a.parquet").train
    write_features(tmp_path / name, {"train": Part(source.X, source.y)}, list("abc"))
    found = load_dataset(tmp_path / name).train.X
    assert np.array_equal(found.read(0, 60) if hasattr(found, "read") else found, X.astype(found.dtype))


def test_a_large_npz_is_mapped_at_aligned_places(tmp_path):
    large = rng.normal(size=(3000, 100))
    write_features(tmp_path / "f.npz", {"train": Part(large, np.arange(3000) % 2)}, ["a", "b"])
    found = load_dataset(tmp_path / "f.npz").train.X
    assert isinstance(found, np.memmap) and found.ctypes.data % 64 == 0
    assert np.array_equal(found, large)
    with np.load(tmp_path / "f.npz") as plain:
        assert np.array_equal(plain["X_train"], large)


def test_svmlight_keeps_classes_splits_and_width(tmp_path):
    parts = {split: Part(part.X.astype(np.float32), part.y) for split, part in PARTS.items()}
    parts["train"].X[:, -1] = 0  # no line names the last feature
    parts["validation"].X[:, -1], parts["test"].X[:, -1] = 0, 0
    written = write_features(tmp_path / "f.svmlight", parts, NAMES.tolist(), features=FEATURES)
    assert [path.name for path in written] == ["f.svmlight.val", "f.svmlight.t", "f.svmlight"]
    found = load_dataset(tmp_path / "f.svmlight")
    assert found.classes == ("cat", "dog", "hen") and found.features == FEATURES
    for split, part in (("train", found.train), ("validation", found.validation), ("test", found.test.open("x"))):
        assert np.array_equal(part.X, parts[split].X) and np.array_equal(part.y, parts[split].y)
    write_features(tmp_path / "f.svmlight", {"train": Part(X + 1, y)}, NAMES.tolist())
    with pytest.raises(InputError, match=r"f\.svmlight\.val.*svmlight-mixed"):
        load_dataset(tmp_path / "f.svmlight")


@pytest.mark.parametrize("name", ["f.npz", "f.safetensors", "f.svmlight"])
def test_sparse_rows_stay_sparse(tmp_path, name):
    wide = sparse.random(60, 40_000, 0.001, "csr", np.float32, random_state=np.random.default_rng(0))
    split = {"train": Part(wide, y), "test": Part(wide * 2, y)}
    write_features(tmp_path / name, split, NAMES.tolist())
    assert (tmp_path / name).stat().st_size < 100_000
    found = load_dataset(tmp_path / name)
    assert sparse.issparse(found.train.X) and (wide != found.train.X).nnz == 0
    assert (wide * 2 != found.test.open("x").X).nnz == 0 and found.classes == ("cat", "dog", "hen")
    with pytest.raises(InputError, match="output-kind"):
        write_features(tmp_path / "f.parquet", split, NAMES.tolist())


def test_matrices_of_scipy_are_rows_and_damaged_ones_are_refused(tmp_path):
    wide = sparse.random(60, 40_000, 0.001, "csr", random_state=np.random.default_rng(0))
    np.save(tmp_path / "y.npy", y)
    for form in ("csr", "csc"):
        sparse.save_npz(tmp_path / "X.npz", wide.asformat(form))
        assert (wide != load_dataset(tmp_path / "X.npz", labels=tmp_path / "y.npy").train.X).nnz == 0
    for part, value in (("indices", wide.indices + 40_000), ("indptr", wide.indptr[:-1]), ("data", wide.data[1:])):
        arrays = {"data": wide.data, "indices": wide.indices, "indptr": wide.indptr, "shape": np.array(wide.shape)}
        np.savez(tmp_path / "X.npz", **arrays | {part: value})
        with pytest.raises(InputError, match="sparse-broken"):
            load_dataset(tmp_path / "X.npz", labels=tmp_path / "y.npy")


@pytest.mark.parametrize("name", ["f.npz", "f.npy", "f.parquet", "f.safetensors", "f.svmlight"])
def test_a_full_disk_leaves_the_former_features(tmp_path, monkeypatch, name):
    write_features(tmp_path / name, {"train": Part(X, y)}, list("abc"))

    def full(self, descriptor, data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Disk, "write", full)
        with pytest.raises(MachineError, match="disk-full"):
            write_features(tmp_path / name, {"train": Part(X + 1, y)}, list("abc"))
    assert not list(tmp_path.glob(".*"))
    found = load_dataset(tmp_path / name).train.X
    assert np.array_equal(found, X.astype(found.dtype))


@pytest.mark.parametrize("name", ["f.csv", "f"])
def test_features_of_an_unknown_kind(tmp_path, name):
    with pytest.raises(InputError, match="output-kind"):
        write_features(tmp_path / name, {"train": Part(X, y)}, list("abc"))


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"files": {"train": {"X": "../../x.npy", "y": "y.npy", "sha256": ""}}, "classes": []}'],
)
def test_a_description_that_is_none(tmp_path, content):
    write_features(tmp_path / "f.npy", {"train": Part(X, y)}, list("abc"))
    (tmp_path / "f.json").write_text(content)
    with pytest.raises(InputError, match="description-broken"):
        load_dataset(tmp_path / "f.npy")


def test_one_label_only_of_a_split_warns(tmp_path):
    write_features(tmp_path / "f.npz", {"train": Part(X[:2], y[:2])}, list("abc"))
    with pytest.warns(StraightedgeWarning, match="class-without-samples"):
        load_dataset(tmp_path / "f.npz")
