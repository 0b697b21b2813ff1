"""Labels: every accepted kind gives the right indices, every line of the list of bad inputs its own error."""

import numpy as np
import pytest
import torch

from straightedge.data.assemble import Part, assemble
from straightedge.data.labels import align, encode_labels
from straightedge.errors import InputError, StraightedgeWarning


@pytest.mark.parametrize(
    ("y", "classes", "codes", "names"),
    [
        pytest.param([0, 1, 2, 1], None, [0, 1, 2, 1], ("0", "1", "2"), id="whole numbers"),
        pytest.param([7, 0, 2, 7], None, [2, 0, 1, 2], ("0", "2", "7"), id="non-contiguous 0, 2, 7: mapped"),
        pytest.param([10, 9, 10], None, [1, 0, 1], ("9", "10"), id="numbers in order of value, not of text"),
        pytest.param([1.0, 0.0, 1.0], None, [1, 0, 1], ("0", "1"), id="integral floats"),
        pytest.param(["b", "a", "b"], None, [1, 0, 1], ("a", "b"), id="strings: accepted, saved as text"),
        pytest.param([b"b", "ä".encode()], None, [0, 1], ("b", "ä"), id="bytes are UTF-8"),
        pytest.param(np.array(["x", "y"], dtype="S1"), None, [0, 1], ("x", "y"), id="fixed-width bytes"),
        pytest.param(np.array(["b", "a"], dtype=object), None, [1, 0], ("a", "b"), id="text objects"),
        pytest.param(np.array([3, 1], dtype=object), None, [1, 0], ("1", "3"), id="number objects"),
        pytest.param([True, False], None, [1, 0], ("False", "True"), id="booleans"),
        pytest.param([-1, 1, -1], None, [0, 1, 0], ("-1", "1"), id="a sign"),
        pytest.param(torch.tensor([2, 1]), None, [1, 0], ("1", "2"), id="torch"),
        pytest.param(np.array([2, 1], dtype=">u2"), None, [1, 0], ("1", "2"), id="big-endian"),
        pytest.param([[1], [0]], None, [1, 0], ("0", "1"), id="a column"),
        pytest.param([1, 0], ["cat", "dog"], [1, 0], ("cat", "dog"), id="indices of declared classes"),
        pytest.param(["dog", "cat"], ["dog", "cat"], [0, 1], ("dog", "cat"), id="names of declared classes"),
        pytest.param([0, 1], None, [0, 1], ("0", "1"), id="one sample a class: works"),
    ],
)
def test_accepted(y, classes, codes, names):
    got, got_names = encode_labels(y, classes=classes)
    assert got.dtype == np.int64
    assert got.tolist() == codes
    assert got_names == names


BAD = [
    pytest.param([3, 3, 3], {}, "labels-single-class", ["'3'"], id="single class: error"),
    pytest.param([0, 1, 5, 9], {"classes": "abc"}, "labels-out-of-range", ["row 2", "5", "2 such"], id="label ≥ C"),
    pytest.param(
        [0, -1, 1], {"classes": "ab"}, "labels-out-of-range", ["row 1", "1 such"], id="negative, declared"
    ),
    pytest.param([0, 1, -2, -3], {}, "labels-out-of-range", ["row 2", "2 such"], id="negative"),
    pytest.param([0, 1, 1.5], {}, "labels-not-integral", ["row 2", "1.5"], id="float 1.5"),
    pytest.param([0, np.nan, 1], {}, "labels-missing", ["row 1"], id="NaN"),
    pytest.param([0, np.inf], {}, "labels-missing", ["row 1"], id="infinite"),
    pytest.param(["a", None], {}, "labels-missing", ["row 1"], id="None among text"),
    pytest.param(np.eye(3), {}, "labels-one-hot", ["argmax"], id="one-hot: error with a hint"),
    pytest.param(np.eye(3, dtype=bool), {}, "labels-one-hot", ["argmax"], id="one-hot of booleans"),
    pytest.param([[1, 2], [3, 4]], {}, "labels-shape", ["(2, 2)"], id="two columns"),
    pytest.param([0, 1, 0], {"n": 4}, "labels-length", ["3 labels", "4 samples"], id="len(y) ≠ N: both sizes"),
    pytest.param([], {}, "labels-empty", [], id="empty set: error"),
    pytest.param(np.array([1j, 2]), {}, "labels-kind", ["complex"], id="complex"),
    pytest.param(["a", 1], {}, "labels-kind", ["int", "str"], id="text and numbers mixed"),
    pytest.param(["a", "z"], {"classes": "ab"}, "labels-unknown-class", ["'z'", "row 1"], id="name not declared"),
    pytest.param([0, 1], {"classes": ["a", "a"]}, "classes-repeated", ["'a'"], id="class named twice"),
    pytest.param(np.array([2**63], dtype=np.uint64), {}, "labels-out-of-range", ["row 0"], id="beyond int64"),
    pytest.param([2**70, 1], {}, "labels-out-of-range", ["row 0"], id="beyond any integer"),
]


@pytest.mark.parametrize(("y", "settings", "code", "said"), BAD)
def test_refused(y, settings, code, said):
    with pytest.raises(InputError) as caught:
        encode_labels(y, where="labels.csv", **settings)
    assert caught.value.code == code
    assert all(words in str(caught.value) for words in said), str(caught.value)


def test_declared_class_without_samples_goes_on_and_warns():
    with pytest.warns(StraightedgeWarning, match=r"'bird'.*class-without-samples"):
        codes, names = encode_labels([0, 2], classes=["cat", "bird", "dog"])
    assert codes.tolist() == [0, 2]
    assert names == ("cat", "bird", "dog")


def dataset(y_train, y_test, **settings):
    rng = np.random.default_rng(0)
    parts = {
        "train": Part(rng.normal(size=(len(y_train), 3)), y_train),
        "test": Part(rng.normal(size=(len(y_test), 3)), y_test),
    }
    return assemble("made", parts, fingerprint="", **settings)


def test_train_and_test_class_sets_differ_lists_the_difference():
    with pytest.raises(InputError) as caught:
        dataset(["cat", "dog", "cat"], ["dog", "bird"])
    assert caught.value.code == "classes-differ"
    assert "'bird'" in caught.value.what and "'cat'" in caught.value.what and "test" in caught.value.where


def test_same_classes_in_another_order_are_aligned_by_name():
    made = dataset([0, 2, 7], [7, 0, 2])
    assert made.classes == ("0", "2", "7")
    assert made.test.open("test").y.tolist() == [2, 0, 1]
    assert align(["b", "a"], ("b", "a")).tolist() == [0, 1]


def test_a_source_is_aligned_to_the_classes_of_a_model():
    made = dataset(["dog", "cat"], ["cat", "dog"], declared=("cat", "bird", "dog"))
    assert made.classes == ("cat", "bird", "dog")
    assert made.train.y.tolist() == [2, 0]


def test_a_source_with_a_class_the_model_does_not_know_is_refused():
    with pytest.raises(InputError, match=r"'fish'.*classes-differ"):
        dataset(["fish", "cat"], ["cat", "fish"], declared=("cat", "dog"))


def test_images_in_both_train_and_test_warn_with_the_count():
    X = np.arange(12.0).reshape(4, 3)
    parts = {"train": Part(X, [0, 1, 0, 1]), "test": Part(X[[1, 1, 2]] + [[0.0], [0.0], [9.5]], [1, 1, 0])}
    with pytest.warns(StraightedgeWarning, match="2 rows of test, out of 3, are also in train"):
        made = assemble("made", {**parts}, fingerprint="", classes=["a", "b"])
    assert made.notes == ["2 rows of test, out of 3, are also in train"]


def test_same_image_in_two_classes_fits_and_is_counted():
    X = np.array([[1, 2], [1, 2], [3, 4], [3, 4]], dtype=np.uint8)
    made = assemble("made", {"train": Part(X, [0, 1, 0, 0])}, fingerprint="")
    assert made.notes == ["1 row appears under more than one class"]


@pytest.mark.parametrize("scaled", ["train", "test"])
def test_train_0_255_and_test_0_1_warn(scaled):
    rng = np.random.default_rng(1)
    parts = {
        name: Part(rng.integers(0, 256, (50, 4)).astype(np.float32), np.arange(50) % 2)
        for name in ("train", "test")
    }
    parts[scaled] = Part(parts[scaled].X / 255, parts[scaled].y)
    with pytest.warns(StraightedgeWarning, match="ranges-differ"):
        assemble("made", parts, fingerprint="")


def test_widths_of_splits_must_agree():
    parts = {"train": Part(np.zeros((2, 3)), [0, 1]), "test": Part(np.zeros((2, 4)), [0, 1])}
    with pytest.raises(InputError, match="widths-differ"):
        assemble("made", parts, fingerprint="")
