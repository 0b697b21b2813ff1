"""NumPy files as sources: every layout gives the right rows, nothing pickled is opened."""

import zipfile

import numpy as np
import pytest

from straightedge.data import load_dataset
from straightedge.errors import InputError

rng = np.random.default_rng(0)
X, y = rng.normal(size=(30, 4)).astype(np.float32), np.arange(30) % 3
X_test, y_test = rng.normal(size=(9, 4)).astype(np.float32), np.arange(9) % 3
GREY = rng.integers(0, 256, (30, 6, 5), dtype=np.uint8)


def test_npz_with_x_and_y(tmp_path):
    np.savez(tmp_path / "a.npz", X=X, y=y)
    found = load_dataset(tmp_path / "a.npz")
    assert (found.train.X == X).all() and (found.train.y == y).all()
    assert found.test is None and found.image_shape is None and len(found.fingerprint) == 64


@pytest.mark.parametrize("rows", ["X", "x", "features", "images"])
@pytest.mark.parametrize("labels", ["y", "labels"])
@pytest.mark.parametrize("validation", ["val", "valid", "validation"])
def test_npz_with_splits(tmp_path, rows, labels, validation):
    arrays = {f"{rows}_train": X, f"{labels}_train": y, f"{rows}_test": X_test, f"{labels}_test": y_test}
    np.savez_compressed(
        tmp_path / "a.npz", **arrays, **{f"{rows}_{validation}": X_test + 1, f"{labels}_{validation}": y_test}
    )
    found = load_dataset(tmp_path / "a.npz")
    assert (found.train.X == X).all()
    assert (X_test + 1 == found.validation.X).all()
    test = found.test.open("test")
    assert (X_test == test.X).all() and (test.y == y_test).all()


def test_npz_with_class_names(tmp_path):
    np.savez(tmp_path / "a.npz", X=X, y=y, classes=np.array(["cat", "dog", "hen"]))
    assert load_dataset(tmp_path / "a.npz").classes == ("cat", "dog", "hen")


def test_large_stored_members_are_mapped_not_read(tmp_path):
    large = rng.normal(size=(2000, 100))
    for order in "CF":
        np.savez(tmp_path / "a.npz", X=np.asarray(large, order=order), y=np.arange(2000) % 2)
        found = load_dataset(tmp_path / "a.npz")
        assert isinstance(found.train.X, np.memmap)
        assert (large == found.train.X).all()


@pytest.mark.parametrize("as_option", [False, True], ids=["X.npy,y.npy", "--labels"])
def test_a_pair_of_npy(tmp_path, as_option):
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    rows, labels = str(tmp_path / "X.npy"), str(tmp_path / "y.npy")
    found = load_dataset(rows, labels=labels) if as_option else load_dataset(f"{rows},{labels}")
    assert isinstance(found.train.X, np.memmap)
    assert (found.train.X == X).all() and (found.train.y == y).all()


LAYOUTS = [
    pytest.param(GREY, (30, 1, 6, 5), GREY[:, None], id="grey images without a channel"),
    pytest.param(np.stack([GREY] * 3, -1), (30, 3, 6, 5), np.stack([GREY] * 3, 1), id="channels last"),
    pytest.param(np.stack([GREY] * 3, 1), (30, 3, 6, 5), np.stack([GREY] * 3, 1), id="channels first"),
    pytest.param(X.astype(">f4"), (30, 4), X, id="big-endian"),
    pytest.param(np.asfortranarray(X), (30, 4), X, id="Fortran order"),
    pytest.param(X > 0, (30, 4), X > 0, id="booleans"),
    pytest.param(X.astype(np.float16), (30, 4), X.astype(np.float16), id="float16"),
]


@pytest.mark.parametrize(("given", "shape", "expected"), LAYOUTS)
def test_layouts(tmp_path, given, shape, expected):
    np.savez(tmp_path / "a.npz", X=given, y=y)
    found = load_dataset(tmp_path / "a.npz").train.X
    assert found.shape == shape and found.dtype.isnative
    assert (found == expected).all()


def with_value(value):
    changed = X.copy()
    changed[17, 2] = value
    return changed


BAD = [
    pytest.param({"X": with_value(np.nan), "y": y}, "rows-not-finite", ["row 17, column 2"], id="NaN in X"),
    pytest.param({"X": with_value(-np.inf), "y": y}, "rows-not-finite", ["row 17, column 2"], id="-Inf in X"),
    pytest.param({"X": X.astype(complex), "y": y}, "rows-kind", ["complex"], id="complex X"),
    pytest.param({"X": X.astype(object), "y": y}, "npy-objects", [], id="object X: .npy with objects refused"),
    pytest.param({"X": X, "y": y.astype(object)}, "npy-objects", [], id="object y"),
    pytest.param({"X": X[:, 0], "y": y}, "rows-shape", ["(30,)"], id="1-D X"),
    pytest.param({"X": X[:, :, None], "y": y}, "rows-shape", ["(30, 4, 1)"], id="3-D X"),
    pytest.param({"X": X[:, :0], "y": y}, "rows-shape", ["(30, 0)"], id="no features"),
    pytest.param({"X": X.astype(str), "y": y}, "rows-kind", ["<U"], id="text X"),
    pytest.param({"X": X, "y": y[:-1]}, "labels-length", ["29 labels", "30 samples"], id="len(y) ≠ N"),
    pytest.param({"a": X, "b": y, "c": y}, "npz-keys", ["'a'", "X_train"], id="no rows with labels"),
    pytest.param({"X_test": X, "y_test": y}, "npz-keys", [], id="no training split"),
    pytest.param({"X": X[:0], "y": y[:0]}, "labels-empty", [], id="empty set"),
]


@pytest.mark.parametrize(("arrays", "code", "said"), BAD)
def test_refused(tmp_path, arrays, code, said):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError) as caught:
        load_dataset(tmp_path / "a.npz")
    assert caught.value.code == code
    assert all(words in str(caught.value) for words in [*said, "a.npz"]), str(caught.value)


def test_a_pickle_inside_a_npy_is_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "opened"), "w"))

    np.save(tmp_path / "X.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    np.save(tmp_path / "y.npy", y)
    with pytest.raises(InputError, match="npy-objects"):
        load_dataset(f"{tmp_path / 'X.npy'},{tmp_path / 'y.npy'}")
    assert not (tmp_path / "opened").exists()


def test_npy_without_labels_says_how_to_give_them(tmp_path):
    np.save(tmp_path / "X.npy", X)
    with pytest.raises(InputError, match=r"--labels.*npy-labels-missing"):
        load_dataset(tmp_path / "X.npy")


@pytest.mark.parametrize("words", [["2", "0", "1"], ["hen", "cat", "dog"]], ids=["numbers", "words"])
def test_labels_from_a_text_file(tmp_path, words):
    np.save(tmp_path / "X.npy", X[:3])
    (tmp_path / "y.txt").write_text("\n".join(words) + "\n")
    found = load_dataset(tmp_path / "X.npy", labels=tmp_path / "y.txt")
    assert [found.classes[label] for label in found.train.y] == words


def test_a_label_file_that_is_no_text(tmp_path):
    np.save(tmp_path / "X.npy", X[:3])
    (tmp_path / "y.txt").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(InputError, match="labels-file"):
        load_dataset(tmp_path / "X.npy", labels=tmp_path / "y.txt")


def test_a_size_is_only_for_image_files(tmp_path):
    np.savez(tmp_path / "a.npz", X=X, y=y)
    for source in (tmp_path / "a.npz", "digits"):
        with pytest.raises(InputError) as caught:
            load_dataset(source, size=9)
        assert caught.value.code == "size"
    assert load_dataset("digits", size=8).image_shape == (1, 8, 8)


def test_a_missing_half_of_a_pair(tmp_path):
    np.save(tmp_path / "X.npy", X)
    with pytest.raises(InputError, match=r"y.npy.*file-missing"):
        load_dataset(f"{tmp_path / 'X.npy'},{tmp_path / 'y.npy'}")


@pytest.mark.parametrize("kept", [0, 3, 60, 300])
def test_a_truncated_npy(tmp_path, kept):
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    (tmp_path / "X.npy").write_bytes((tmp_path / "X.npy").read_bytes()[:kept])
    with pytest.raises(InputError) as caught:
        load_dataset(f"{tmp_path / 'X.npy'},{tmp_path / 'y.npy'}")
    assert caught.value.code == "npy-broken" and "X.npy" in caught.value.where


def test_a_truncated_npz(tmp_path):
    np.savez(tmp_path / "a.npz", X=X, y=y)
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:200])
    with pytest.raises(InputError, match="npy-broken"):
        load_dataset(tmp_path / "a.npz")


def test_a_header_that_claims_more_than_there_is(tmp_path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }"
    member = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + header.ljust(117) + b"\n"
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("X.npy", member)
        archive.writestr("y.npy", member)
    with pytest.raises(InputError, match=r"claims.*npy-broken"):
        load_dataset(tmp_path / "a.npz")


def test_fingerprints_tell_contents_apart(tmp_path):
    np.savez(tmp_path / "a.npz", X=X, y=y)
    np.savez(tmp_path / "b.npz", X=with_value(1.0), y=y)
    prints = [load_dataset(tmp_path / name).fingerprint for name in ("a.npz", "b.npz", "a.npz")]
    assert prints[0] == prints[2] != prints[1]


def test_wrong_names_are_told_before_tables_are_unpacked(tmp_path):
    path = tmp_path / "a.npz"
    large = np.random.default_rng(0).random((2000, 50))
    np.savez_compressed(path, Q=large, R=large, z=np.arange(2000) % 3)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("Q.npy")
    damaged = member.header_offset + member.compress_size // 2
    path.write_bytes(whole[:damaged] + bytes(100) + whole[damaged + 100 :])
    with pytest.raises(InputError) as caught:
        load_dataset(str(path))
    assert caught.value.code == "npz-keys" and "'Q': (2000, 50) float64" in str(caught.value)
    with pytest.raises(InputError, match="npy-broken"):
        load_dataset(str(path), column="Q", labels="z")
