"""What the assignments of both courses ask of solutions, on CIFAR-10's own images; written from their text."""

from __future__ import annotations

import math
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from straightedge import course
from straightedge.data import load_dataset
from straightedge.gradcheck import check_gradient

ZIP = Path(os.environ.get("STRAIGHTEDGE_CIFAR10", "../shared/data/cifar10-images.zip"))
pytestmark = [pytest.mark.skipif(not ZIP.exists(), reason="no CIFAR-10 zip"), pytest.mark.slow]
LOSSES = {
    "svm": (course.svm_loss_naive, course.svm_loss_vectorized, course.LinearSVM),
    "softmax": (course.softmax_loss_naive, course.softmax_loss_vectorized, course.Softmax),
}


@cache
def images() -> tuple[np.ndarray, np.ndarray]:
    """The training images (50,000, 3, 32, 32) uint8 in an order of no meaning, and their labels."""
    train = load_dataset(ZIP, progress=False).train
    order = np.random.default_rng(0).permutation(50_000)
    return np.asarray(train.X)[order], train.y[order]


@cache
def cs231n() -> dict[str, Any]:
    """49,000 training and 1,000 validation rows of CS231n: 0 to 255, channels last, minus the mean image."""
    X, y = images()
    rows = X.transpose(0, 2, 3, 1).reshape(50_000, -1).astype(np.float32)
    train, validation = course.preprocess(rows[:49_000], rows[49_000:], mean="pixel")
    return {"X_train": train, "y_train": y[:49_000], "X_val": validation, "y_val": y[49_000:]}


@cache
def eecs() -> dict[str, Any]:
    """40,000 training and 10,000 validation rows of EECS 498-007: 0 to 1, minus each channel's mean."""
    X, y = images()
    pixels, labels = torch.from_numpy(X).float() / 255, torch.from_numpy(y)
    train, validation = course.preprocess(pixels[:40_000], pixels[40_000:])
    return {"X_train": train, "y_train": labels[:40_000], "X_val": validation, "y_val": labels[40_000:]}


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradient_at_small_random_weights(name: str, kind: str) -> None:
    naive, vectorized, _ = LOSSES[name]
    X, y = cs231n()["X_train"][:200].astype(np.float64), cs231n()["y_train"][:200]
    W = 1e-4 * np.random.default_rng(1).normal(size=(3073, 10))
    at = [W, X, y] if kind == "numpy" else [torch.from_numpy(part) for part in (W, X, y)]
    slow, slow_dW = naive(*at, 5e-6)
    fast, fast_dW = vectorized(*at, 5e-6)
    assert float(slow) == pytest.approx(9 if name == "svm" else math.log(10), rel=0.15)
    assert float(fast) == pytest.approx(float(slow), rel=1e-10)
    assert float(np.linalg.norm(np.asarray(slow_dW) - np.asarray(fast_dW))) < 1e-9
    report = check_gradient(vectorized, at[0], at[1][:20], at[2][:20], reg=5e1, n_entries=40)
    assert report.max_relative_error <= 1e-7


SEARCH = {"svm": ((1e-7, 2e-7), (1e4,), 0.385), "softmax": ((1e-6,), (1e3, 1e4), 0.39)}


@pytest.mark.parametrize("name", LOSSES)
def test_the_search_of_cs231n(name: str) -> None:
    rates, strengths, wanted = SEARCH[name]
    best = 0.0
    for rate in rates:
        for reg in strengths:
            classifier = LOSSES[name][2]()
            _, _, accuracy = course.test_one_param_set(classifier, cs231n(), rate, reg, num_iters=1500)
            best = max(best, accuracy)
    print(f"{name} reaches {best:.4f} of 1,000 validation images")
    assert best >= wanted


@pytest.mark.parametrize(("name", "wanted"), [("svm", 0.385), ("softmax", 0.39)])
def test_the_search_of_eecs(name: str, wanted: float) -> None:
    rates, strengths = getattr(course, f"{name}_get_search_params")()
    _, _, accuracy = course.test_one_param_set(LOSSES[name][2](), eecs(), rates[1], strengths[1])
    print(f"{name} reaches {accuracy:.4f} of 10,000 validation images")
    assert accuracy >= wanted


@pytest.mark.parametrize("name", LOSSES)
def test_the_features_assignment(name: str) -> None:
    X, y = images()
    pictures = X[:11_000].transpose(0, 2, 3, 1).astype(np.float64)
    found = course.extract_features(pictures, [course.hog_feature, course.color_histogram_hsv])
    found = (found - found[:10_000].mean(axis=0)) / found[:10_000].std(axis=0)
    rows = np.hstack([found, np.ones((len(found), 1))])
    data = {"X_train": rows[:10_000], "y_train": y[:10_000], "X_val": rows[10_000:], "y_val": y[10_000:11_000]}
    rate = 3e-3 if name == "svm" else 3e-2
    _, _, accuracy = course.test_one_param_set(LOSSES[name][2](), data, rate, 1e-3, num_iters=3000)
    print(f"{name} on features reaches {accuracy:.4f} of 1,000 validation images")
    assert accuracy >= 0.44
