"""Squared hinges of many classes over rows few for their features: proven, where Newton's steps gain little."""

from __future__ import annotations

import numpy as np
import pytest

from straightedge import LinearClassifier
from straightedge.newton.work import LARGEST_EXACT, Size

LOSSES = ["squared_hinge", "one_vs_rest_squared_hinge"]
N, D, C = 320, 400, 12


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, D)) * rng.uniform(0.5, 3, D) + rng.standard_normal(D)
    y = (X @ rng.standard_normal((D, C)) + 10 * rng.gumbel(size=(N, C))).argmax(axis=1)
    return X, y


def value(loss: str, W: np.ndarray, X: np.ndarray, y: np.ndarray, reg: float) -> float:
    """Return P by its definition, W (D + 1, C)."""
    S, of_row = np.column_stack([X, np.ones(len(X))]) @ W, np.arange(len(y))
    margins = 1 + S - S[of_row, y][:, None] if loss == "squared_hinge" else 1 + S
    margins[of_row, y] = 0.0 if loss == "squared_hinge" else 1 - S[of_row, y]
    return float(np.square(np.maximum(margins, 0)).sum(axis=1).mean() + reg * np.square(W).sum())


@pytest.mark.parametrize("reg", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("loss", LOSSES)
def test_all_are_certified_and_the_value_is_that_of_the_definition(rows, loss, reg):
    X, y = rows
    model = LinearClassifier(loss, reg=reg, tol=1e-3).fit(X, y)
    assert model.status_ == "certified" and model.gap_ <= 1e-3
    assert model.trace_[-1]["solver"] == "sparse_dual_ascent"
    assert model.objective_ == pytest.approx(value(loss, model.W_, X, y, reg), rel=1e-9)
    rng = np.random.default_rng(1)
    for size in (1e-4, 1e-3, 1e-2):  # no other W is below the bound
        other = model.W_ * (1 + size * rng.standard_normal(model.W_.shape))
        assert value(loss, other, X, y, reg) >= model.dual_


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
@pytest.mark.parametrize("loss", LOSSES)
def test_rows_are_mapped_before_they_are_compressed(rows, loss, dtype):
    X, y = rows
    X = np.clip(20 * X + 100, 0, 255).astype(dtype)
    found = LinearClassifier(loss, reg=1e-3, tol=1e-4, preprocess="standardize").fit(X, y)
    spread = X.astype(np.float64).std(axis=0)
    mapped = (X - X.mean(axis=0, dtype=np.float64)) / spread
    expected = LinearClassifier(loss, reg=1e-3, tol=1e-4, preprocess="none").fit(mapped, y)
    assert found.status_ == expected.status_ == "certified"
    assert found.objective_ == pytest.approx(expected.objective_, rel=1e-4)
    assert np.mean(found.predict(X) == expected.predict(mapped)) > 0.99


def test_weights_of_rows_are_repeated_rows(rows):
    X, y = rows
    times = 1 + np.arange(N) % 3
    one = LinearClassifier("squared_hinge", reg=1e-3, tol=1e-4).fit(X, y, sample_weight=times)
    other = LinearClassifier("squared_hinge", reg=1e-3, tol=1e-4).fit(
        np.repeat(X, times, axis=0), np.repeat(y, times)
    )
    assert one.objective_ == pytest.approx(other.objective_, rel=1e-4)


def test_what_counts_as_flat():
    assert Size(N, D + 1, C, C - 1, curved=False).is_flat
    assert not Size(N, D + 1, C, C - 1, curved=True).is_flat  # softmax bends everywhere
    assert not Size(N, D + 1, 2, 1, curved=False).is_flat
    assert not Size(20_000, 17, 26, 25, curved=False).is_flat  # many rows a feature
    assert not Size(150, LARGEST_EXACT, 3, 2, curved=False).is_flat  # the whole Hessian in the rows' span
