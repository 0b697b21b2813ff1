"""The course in NumPy, with the calls of CS231n's notebooks: the same numbers as in torch, of the same kind out."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from straightedge import course
from straightedge.course.kinds import as_tensor
from straightedge.errors import InputError

LOSSES = [
    course.svm_loss_naive,
    course.svm_loss_vectorized,
    course.softmax_loss_naive,
    course.softmax_loss_vectorized,
]
CLASSIFIERS = [course.LinearSVM, course.Softmax]


def problem(dtype: type = np.float64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 6)).astype(dtype)
    X[:, -1] = 1
    y = rng.integers(0, 4, 40)
    return rng.normal(size=(6, 4)).astype(dtype), X, y


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss_function", LOSSES)
def test_arrays_give_the_numbers_of_tensors(loss_function, dtype):
    W, X, y = problem(dtype)
    loss, dW = loss_function(W, X, y, 0.3)
    expected, gradient = loss_function(*(torch.from_numpy(part) for part in (W, X, y)), 0.3)
    assert isinstance(loss, np.floating) and isinstance(dW, np.ndarray)
    assert (loss.dtype, dW.dtype) == (dtype, dtype)
    assert float(loss) == float(expected)
    np.testing.assert_array_equal(dW, gradient.numpy())


@pytest.mark.parametrize("loss_function", LOSSES)
def test_arguments_of_every_make_are_taken_and_left_alone(loss_function):
    W, X, y = problem()
    expected = loss_function(W, X, y, 0.3)[1]
    read_only, reversed_rows = X.copy(), np.ascontiguousarray(X[::-1])[::-1]
    read_only.flags.writeable = False
    for other in (np.asfortranarray(X), reversed_rows, read_only, X.astype(">f8")):
        np.testing.assert_allclose(loss_function(W, other, y, 0.3)[1], expected, rtol=1e-12)
    np.testing.assert_allclose(loss_function(W, X, y.astype(np.int32), 0.3)[1], expected, rtol=1e-12)
    np.testing.assert_allclose(loss_function(W, X, y.tolist(), 0.3)[1], expected, rtol=1e-12)
    mixed = loss_function(W.astype(np.float32), X, y, 0.3)[1]
    assert mixed.dtype == np.float64
    np.testing.assert_array_equal(X, problem()[1])


def test_no_copy_is_made_of_plain_arrays():
    X = problem()[1]
    assert as_tensor(X).data_ptr() == X.ctypes.data


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_training_draws_the_same_batches_from_arrays_as_from_tensors(cls):
    W, X, y = problem()
    one, other = cls(seed=3), cls(seed=3)
    one.W, other.W = W.copy(), torch.from_numpy(W.copy())
    history = one.train(X, y, learning_rate=0.1, reg=1e-3, num_iters=30, batch_size=10)
    assert other.train(torch.from_numpy(X), torch.from_numpy(y), 0.1, 1e-3, 30, 10) == pytest.approx(history)
    assert isinstance(one.W, np.ndarray)
    np.testing.assert_allclose(one.W, other.W.numpy(), rtol=1e-12)
    np.testing.assert_array_equal(one.predict(X), other.predict(torch.from_numpy(X)).numpy())


@pytest.mark.parametrize(("kind", "spread"), [("numpy", 1e-3), ("torch", 1e-6)])
def test_the_first_weights_are_those_of_the_course(kind, spread):
    X, y = np.ones((20, 3000)), np.arange(20) % 10
    classifier = course.LinearSVM()
    classifier.train(*((X, y) if kind == "numpy" else map(torch.from_numpy, (X, y))), num_iters=0)
    assert float(np.std(np.asarray(classifier.W))) == pytest.approx(spread, rel=0.02)


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_the_calls_of_both_courses(cls):
    W, X, y = problem()
    classifier = cls()
    classifier.train(X=X, y=y, learning_rate=1e-2, reg=1e-3, num_iters=5, verbose=False)
    classifier.train(X_train=X, y_train=y, num_iters=1)
    at_own = classifier.loss(X, y, 0.1)
    given = classifier.loss(classifier.W, X, y, 0.1)
    by_name = classifier.loss(X_batch=X, y_batch=y, reg=0.1)
    assert float(at_own[0]) == float(given[0]) == float(by_name[0])
    assert float(classifier.loss(W=W, X_batch=X, y_batch=y, reg=0.1)[0]) != float(given[0])
    with pytest.raises(InputError, match="course-arguments"):
        classifier.loss(X, y)
    with pytest.raises(InputError, match="course-arguments"):
        classifier.train(X, y, X_train=X)


class OwnLoss(course.LinearClassifier):
    """A student's subclass, with CS231n's signature."""

    def loss(self, X_batch, y_batch, reg):
        return course.svm_loss_vectorized(self.W, X_batch, y_batch, reg)


def test_a_subclass_with_the_loss_of_cs231n_trains():
    W, X, y = problem()
    own, ours = OwnLoss(), course.LinearSVM()
    own.W, ours.W = W.copy(), W.copy()
    assert own.train(X, y, num_iters=20) == ours.train(X, y, num_iters=20)
    np.testing.assert_array_equal(own.W, ours.W)


def test_saved_as_an_array_and_loaded_as_the_course_does(tmp_path: Path):
    _, X, y = problem()
    softmax, path = course.Softmax(), tmp_path / "softmax.npy"
    assert softmax.load(path) is False
    softmax.train(X, y, num_iters=5)
    softmax.save(path)
    other = course.Softmax()
    assert other.load(path) is True
    np.testing.assert_array_equal(np.load(path), softmax.W)
    np.testing.assert_array_equal(other.predict(X), softmax.predict(X))


class Trap:
    def __reduce__(self):
        return os.system, ("touch called",)


def test_the_dictionary_that_the_course_saves_is_read_without_unpickling(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    W = problem()[0]
    np.save("softmax.npy", {"W": W})
    classifier = course.Softmax()
    assert classifier.load("softmax.npy") is True
    np.testing.assert_array_equal(classifier.W, W)
    np.save("trap.npy", {"W": Trap()})
    with pytest.raises(InputError, match="pickle-refused"):
        classifier.load("trap.npy")
    assert not Path("called").exists()


def test_the_mean_image_of_cs231n():
    rng = np.random.default_rng(0)
    train, test = rng.integers(0, 256, (50, 8, 8, 3)), rng.integers(0, 256, (9, 8, 8, 3))
    rows, dev = train.reshape(50, -1).astype(float), train[:5].reshape(5, -1).astype(float)
    expected = np.hstack([rows - rows.mean(axis=0), np.ones((50, 1))])
    for given in (rows, train):
        found = course.preprocess(given, test.reshape(9, -1) if given is rows else test, mean="pixel")
        np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-9)
        assert found[1].shape == (9, 193)
    assert len(course.preprocess(rows, rows[:3], rows[:2], dev, mean="pixel")) == 4


def test_channels_last_are_recognised_and_said():
    images = np.zeros((2, 32, 32, 3), np.float32)
    with pytest.raises(InputError, match=r"channels last.*transpose\(0, 3, 1, 2\)"):
        course.preprocess(images, images)
    rows, _ = course.preprocess(images.transpose(0, 3, 1, 2), images.transpose(0, 3, 1, 2))
    assert isinstance(rows, np.ndarray) and rows.shape == (2, 3073)


def test_templates_are_images_of_the_columns():
    W = np.zeros((3073, 10))
    W[:3072].reshape(32, 32, 3, 10)[4, 5, 0, 7] = 2.0
    W[3072] = 100.0  # the bias is not looked at
    found = course.template_images(W)
    assert found.shape == (10, 32, 32, 3) and found.dtype == np.uint8
    assert found[7, 4, 5, 0] == 255 and found.sum() == 255
    planes = np.zeros((3072, 10))
    planes[:3072].reshape(3, 32, 32, 10)[0, 4, 5, 7] = 2.0
    np.testing.assert_array_equal(course.template_images(torch.from_numpy(planes), (3, 32, 32)), found)


def test_grad_check_sparse_of_both_kinds(capsys):
    W, X, y = problem()
    for kind in (lambda array: array.copy(), torch.from_numpy):
        at, data, labels = kind(W), kind(X), kind(y)
        _, dW = course.softmax_loss_vectorized(at, data, labels, 0.1)

        def loss(w, data=data, labels=labels):
            return course.softmax_loss_vectorized(w, data, labels, 0.1)[0]

        assert max(course.grad_check_sparse(loss, at, dW, seed=0)) < 1e-7
        assert max(course.grad_check_sparse(loss, at, 2 * dW, seed=0)) == pytest.approx(1 / 3, rel=1e-3)
        np.testing.assert_array_equal(np.asarray(at), W)
    assert capsys.readouterr().out.count("relative error") == 40


# ------------------------------------------------------------------ the features assignment


def loop_hog(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The histogram by loops over cells and their windows, and how much of it the last digits of angles decide."""
    grey = image @ np.array([0.299, 0.587, 0.114])
    gx, gy = np.zeros_like(grey), np.zeros_like(grey)
    gx[:, :-1] = grey[:, 1:] - grey[:, :-1]
    gy[:-1] = grey[1:] - grey[:-1]
    out, doubt = np.zeros((4, 4, 9)), np.zeros((4, 4, 9))
    for a in range(4):
        for b in range(4):
            for di in range(-4, 4):
                for dj in range(-4, 4):
                    i, j = 4 + 8 * b + di, 4 + 8 * a + dj
                    angle = math.degrees(math.atan2(gy[i, j], gx[i, j] + 1e-15)) + 90
                    k = math.floor(angle / 20)
                    strength = math.hypot(gx[i, j], gy[i, j]) / 64
                    if 0 < angle < 180:
                        out[a, b, k] += strength
                    if abs(angle / 20 - round(angle / 20)) < 1e-12:
                        doubt[a, b] += strength
    return out.ravel(), doubt.ravel()


def test_the_histogram_of_gradients_by_loops():
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(float)
    found = course.hog_feature(image)
    assert found.shape == (144,)
    expected, doubt = loop_hog(image)
    assert (np.abs(found - expected) <= 1e-9 * expected + 1e-9 + doubt).all()
    assert np.count_nonzero(doubt == 0) > 100  # the last column's, with its slope of 1e-15, are 0 or 180 degrees


def test_the_histogram_of_hues_by_colorsys():
    import colorsys

    image = np.random.default_rng(1).integers(0, 256, (8, 8, 3)).astype(float)
    hues = [colorsys.rgb_to_hsv(*(pixel / 255))[0] * 255 for pixel in image.reshape(-1, 3)]
    expected = np.histogram(hues, bins=10, range=(0, 255))[0]
    np.testing.assert_array_equal(course.color_histogram_hsv(image, normalized=False), expected)
    np.testing.assert_allclose(course.color_histogram_hsv(image), expected / 64)


def test_features_lie_side_by_side():
    images = np.random.default_rng(2).integers(0, 256, (5, 32, 32, 3))
    found = course.extract_features(images, [course.hog_feature, course.color_histogram_hsv])
    assert found.shape == (5, 154)
    np.testing.assert_array_equal(found[3, :144], course.hog_feature(images[3]))
