"""Pickles of plain values are read without unpickling, and everything else in a pickle is refused by name."""

from __future__ import annotations

import pickle
import resource
import time
import tracemalloc
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from straightedge import fit_path
from straightedge.data import load_dataset
from straightedge.data.dumps.pickle_file import texts
from straightedge.data.pickles import read_plain
from straightedge.data.pickles.machine import read_bytes
from straightedge.errors import InputError
from support.hostile_pickles import HOSTILE

PROTOCOLS = range(6)
ARRAYS = {
    "float32 by rows": np.arange(12, dtype=np.float32).reshape(4, 3),
    "float64 by columns": np.asfortranarray(np.arange(12, dtype=np.float64).reshape(4, 3)),
    "uint8 images": np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4),
    "big-endian": np.arange(5, dtype=">i4"),
    "booleans": np.array([True, False]),
    "text": np.array(["cat", "Hündin"]),
    "bytes": np.array([b"cat", b"dog"]),
    "a slice": np.arange(20)[::3],
    "empty": np.empty((0, 5)),
    "no dimension": np.array(3.5),
    "half": np.ones((2, 2), np.float16),
}
PLAIN: list[Any] = [
    None,
    True,
    [1, -5, 300, 70000, 2**40, -(2**60), 0.5, -1e300],
    ["", "a", "ünï", "😀" * 300],
    (1, (2, (3, (4, 5, 6, 7)))),
    {"a": [1, {"b": ()}], 3: "x", None: 1.5},
    OrderedDict([("b", 1), ("a", 2)]),
]


def back(value: Any, protocol: int) -> Any:
    return read_bytes(pickle.dumps(value, protocol), "x")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back(name: str, protocol: int) -> None:
    found = back({"X": ARRAYS[name]}, protocol)["X"]
    assert found.dtype == ARRAYS[name].dtype
    np.testing.assert_array_equal(found, ARRAYS[name])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_values_come_back(protocol: int) -> None:
    for value in PLAIN:
        assert back(value, protocol) == value
    assert bytes(back(b"\x00\xff" * 300, protocol)) == b"\x00\xff" * 300
    assert back([np.float32(1.5), np.int64(7)], protocol) == [1.5, 7]
    assert back(np.array(["a", "bb"], dtype=object), protocol) == ["a", "bb"]


def test_an_array_is_a_view_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(np.zeros(2**20), 4))
    found = read_plain(path)
    assert not found.flags.owndata and not found.flags.writeable


def test_what_python_2_wrote_is_read() -> None:
    """Opcodes of cPickle's protocol 2: text as BINSTRING, the array's bytes as BINSTRING, names of old NumPy."""
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x01(cnumpy\nndarray\nq\x02K\x00\x85U\x01btRq\x03(K\x01K\x02K\x03\x86"
        b"cnumpy\ndtype\nq\x04(U\x02u1K\x00K\x01tRq\x05(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"T\x06\x00\x00\x00\x00\x01\x02\x03\xfe\xfftb"
    )
    data = b"\x80\x02}q\x00(U\x04dataq\x06" + array + b"U\x06labelsq\x07]q\x08(K\x06K\x09eu."
    found = read_bytes(data, "batch")
    np.testing.assert_array_equal(found["data"], np.array([[0, 1, 2], [3, 254, 255]], np.uint8))
    assert found["labels"] == [6, 9]


def test_there_are_two_hundred_hostile_pickles() -> None:
    assert len({data for _, data in HOSTILE}) >= 200


def test_hostile_pickles_are_refused_without_a_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "hostile.pkl"
    path.write_bytes(b".")
    with pytest.raises(InputError):  # the first one pays for imports
        load_dataset(path, progress=False)
    for kind, data in HOSTILE:
        path.write_bytes(data)
        began, memory = time.process_time(), _peak()
        with pytest.raises(InputError) as caught:
            load_dataset(path, progress=False)
        assert time.process_time() - began < 5.0, kind
        assert caught.value.code in {"pickle-refused", "pickle-broken", "dump-contents"}, kind
        assert _peak() - memory < 100 * 2**20, kind
    assert [entry.name for entry in tmp_path.iterdir()] == ["hostile.pkl"]


@pytest.mark.parametrize(
    "kind", ["a whole number of 2^30 bytes", "rows under many names", "labels under many names"]
)
def test_what_a_hostile_pickle_claims_is_never_allocated(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.pkl"
    path.write_bytes(dict(HOSTILE)[kind])
    tracemalloc.start()
    with pytest.raises(InputError) as caught:
        load_dataset(path, progress=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.code == "pickle-refused"
    assert peak < 50 * 2**20


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("name", ["os.system by global", "copyreg extension EXT1", "persistent id"])
def test_a_refusal_names_what_it_met(name: str) -> None:
    words = {
        "os.system by global": "os.system",
        "copyreg extension EXT1": "copyreg",
        "persistent id": "persistent id",
    }
    with pytest.raises(InputError, match=words[name]):
        read_bytes(dict(HOSTILE)[name], "x")


def test_a_frame_is_refused_with_the_line_that_converts_it() -> None:
    with pytest.raises(InputError, match=r'frame\.to_parquet\("features\.parquet"\)'):
        read_bytes(dict(HOSTILE)["pandas.core.frame.DataFrame by global"], "x")


@pytest.mark.parametrize("protocol", [2, 5])
def test_every_flipped_byte_is_a_value_or_an_error(protocol: int) -> None:
    good = pickle.dumps({"X": np.eye(4, 3, dtype=np.float32), "y": ["a", "b", "a", "b"], "n": (1, 2.5)}, protocol)
    for place in range(len(good)):
        for flip in (0x01, 0x80, 0xFF):
            data = bytearray(good)
            data[place] ^= flip
            try:
                read_bytes(bytes(data), "x")
            except InputError as error:
                assert error.code in {"pickle-refused", "pickle-broken"}
    for length in range(len(good)):
        with pytest.raises(InputError):
            read_bytes(good[:length], "x")


# ------------------------------------------------------------------ as sources

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 3)), np.array([0, 1, 2] * 4)
FORMS: dict[str, Any] = {
    "X and y": {"X": X, "y": Y},
    "features and labels": {"features": X, "labels": Y.tolist()},
    "bytes as keys": {b"data": X, b"labels": Y},
    "a pair": (X, Y),
    "lists of lists": {"embeddings": X.tolist(), "labels": [f"c{label}" for label in Y]},
    "a list of vectors": {"embeddings": list(X), "label": list(Y)},
    "splits inside": {"train": {"X": X, "y": Y}, "test": {"X": X + 1, "y": Y}},
    "splits by name": {"X_train": X, "y_train": Y, "X_test": X + 1, "y_test": Y},
}


@pytest.mark.parametrize("form", FORMS)
def test_features_in_a_pickle_are_a_source(form: str, tmp_path: Path) -> None:
    path = tmp_path / "features.pkl"
    path.write_bytes(pickle.dumps(FORMS[form]))
    found = load_dataset(path, progress=False)
    np.testing.assert_array_equal(np.asarray(found.train.X), X)
    np.testing.assert_array_equal(found.train.y, Y)
    assert (found.test is not None) == form.startswith("splits")


def test_a_bare_array_takes_its_labels_from_a_second_file(tmp_path: Path) -> None:
    path = tmp_path / "embeddings.pkl"
    path.write_bytes(pickle.dumps(X))
    with pytest.raises(InputError, match="--labels"):
        load_dataset(path)
    (tmp_path / "y.txt").write_text("\n".join(f"c{label}" for label in Y))
    found = load_dataset(path, labels=tmp_path / "y.txt")
    assert found.classes == ("c0", "c1", "c2")


def test_what_is_found_is_said_where_it_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "odd.pkl"
    path.write_bytes(pickle.dumps({"vectors": X, "names": ["a", "b"] * 6, "days": ["c", "d"] * 6}))
    with pytest.raises(InputError, match=r"'vectors': \(12, 3\) float64"):
        load_dataset(path)
    found = load_dataset(path, column="vectors", labels="names", classes=["a", "b"])
    assert found.train.X.shape == (12, 3)


def batches(folder: Path, keys: type) -> tuple[np.ndarray, np.ndarray]:
    """Write CIFAR-10's python batches, small, with keys of text or of bytes; return images and labels."""
    rng = np.random.default_rng(3)
    images, labels = rng.integers(0, 256, (60, 3072), dtype=np.uint8), np.tile(np.arange(10), 6)
    key = (lambda name: name.encode()) if keys is bytes else (lambda name: name)
    for number, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        part = slice(10 * number, 10 * number + 10)
        batch = {key("data"): images[part], key("labels"): labels[part].tolist(), key("batch_label"): name}
        (folder / name).write_bytes(pickle.dumps(batch, 2))
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    (folder / "batches.meta").write_bytes(pickle.dumps({key("label_names"): [key(n) for n in names]}, 2))
    return images, labels


@pytest.mark.parametrize("keys", [str, bytes])
def test_the_python_batches_read_as_the_binary_release_does(keys: type, tmp_path: Path) -> None:
    python, binary = tmp_path / "cifar-10-batches-py", tmp_path / "cifar-10-batches-bin"
    python.mkdir(), binary.mkdir()
    images, labels = batches(python, keys)
    records = np.concatenate([labels[:, None].astype(np.uint8), images], axis=1)
    for number in range(5):
        (binary / f"data_batch_{number + 1}.bin").write_bytes(records[10 * number : 10 * number + 10].tobytes())
    (binary / "test_batch.bin").write_bytes(records[50:].tobytes())
    one, other = load_dataset(python, progress=False), load_dataset(binary, progress=False, cache=False)
    assert one.classes == other.classes and one.image_shape == other.image_shape
    np.testing.assert_array_equal(one.train.X, other.train.X)
    np.testing.assert_array_equal(one.train.y, other.train.y)
    assert one.test is not None and one.test.n == 10
    assert any("not the published files" in note for note in one.notes)
    fits = [fit_path(each.train.X, each.train.y, [0.1], preprocess="center") for each in (one, other)]
    np.testing.assert_array_equal(fits[0].coef, fits[1].coef)


def test_cifar_100_has_fine_and_coarse_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, n in (("train", 8), ("test", 4)):
        batch = {
            "data": rng.integers(0, 256, (n, 3072), dtype=np.uint8),
            "fine_labels": [row % 4 for row in range(n)],
            "coarse_labels": [row % 2 for row in range(n)],
        }
        (tmp_path / name).write_bytes(pickle.dumps(batch, 2))
    meta = {"fine_label_names": list("abcd"), "coarse_label_names": ["x", "y"]}
    (tmp_path / "meta").write_bytes(pickle.dumps(meta, 2))
    assert load_dataset(tmp_path).classes == ("a", "b", "c", "d")
    assert load_dataset(tmp_path, labels="coarse_labels").classes == ("x", "y")


def test_texts_of_a_pickle_are_listed_up_to_the_damage_and_without_warnings(tmp_path: Path) -> None:
    path = tmp_path / "damaged.pkl"
    path.write_bytes(b"(S'images'\nS'\\umpy'\nX\xff\xff\xff\x7fcut")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert texts(path) == ["images"]


def test_a_file_that_ends_after_its_first_byte_is_damaged(tmp_path):
    (tmp_path / "x.pkl").write_bytes(b"\x80")
    with pytest.raises(InputError, match="pickle-broken"):
        read_plain(tmp_path / "x.pkl")
