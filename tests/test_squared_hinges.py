"""Squared hinges of many classes over rows few for their features: proven, where Newton's steps gain little."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from straightedge import LinearClassifier
from straightedge.losses import get_loss
from straightedge.newton.work import LARGEST_EXACT, Size
from straightedge.objective import Objective
from straightedge.rows import Rows
from straightedge.solvers.class_by_class import ClassByClass
from straightedge.solvers.loop import Limits, minimize
from straightedge.status import Status

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


@pytest.mark.parametrize("bias", ["penalized", "free"])
@pytest.mark.parametrize("reg", [1e-1, 1e-5])
def test_one_against_the_rest_goes_class_by_class(rows, reg, bias):
    X, y = rows
    model = LinearClassifier("one_vs_rest", reg=reg, tol=1e-4, bias=bias, solver="class_by_class").fit(X, y)
    together = LinearClassifier("one_vs_rest", reg=reg, tol=1e-4, bias=bias, solver="semismooth_newton").fit(X, y)
    assert model.status_ == "certified" and model.trace_[-1]["solver"] == "class_by_class"
    assert model.objective_ == pytest.approx(together.objective_, rel=2e-4)
    assert model.dual_ <= together.objective_ and together.dual_ <= model.objective_
    for j in (0, C - 1):  # each class is the problem of two classes that it is said to be
        alone = LinearClassifier("svm", reg=2 * reg, tol=1e-4, bias=bias).fit(X, y == j)
        np.testing.assert_allclose(
            model.W_[:, j], alone.W_[:, 1] - alone.W_[:, 0], atol=2e-2 * np.abs(model.W_).max()
        )


def test_classes_that_are_done_are_not_done_again_by_who_takes_up_a_checkpoint(rows):
    X, y = torch.from_numpy(rows[0]), torch.from_numpy(rows[1])
    part, saved = Objective(Rows(X), y, C, get_loss("one_vs_rest"), [1e-1, 1e-3]), []
    asked = Limits(1e-4)
    whole = minimize(part, ClassByClass(), asked, checkpoint=lambda loop: saved.append(loop.state()))
    assert len(saved) == 2 * C
    rest = minimize(part, ClassByClass(), asked, resume=saved[C + 3])
    assert torch.equal(rest.W, whole.W) and torch.equal(rest.dual, whole.dual)
    assert len(rest.trace) == C - 4
    assert whole.status == rest.status == [Status.CERTIFIED] * 2


def test_hinges_of_many_classes_that_can_be_told_apart_are_certified_class_by_class():
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((1500, 1000)), np.arange(1500) % 20
    X[np.arange(1500), y] += 2
    model = LinearClassifier("one_vs_rest", reg=1e-4, tol=1e-3).fit(X, y)
    assert model.status_ == "certified" and model.trace_[-1]["solver"] == "class_by_class"


def test_what_counts_as_flat():
    assert Size(N, D + 1, C, C - 1, curved=False).is_flat
    assert not Size(N, D + 1, C, C - 1, curved=True).is_flat  # softmax bends everywhere
    assert not Size(N, D + 1, 2, 1, curved=False).is_flat  # the whole Hessian is small
    assert Size(2000, 5000, 2, 1, curved=False).is_flat
    assert Size(N, D + 1, C, C, curved=False).is_flat
    assert not Size(452, 280, 13, 13, curved=False).is_flat  # each class has a Hessian of its own
    assert not Size(60, 100, 5, 4, curved=False).is_flat  # few unknowns
    assert not Size(2600, 501, 2, 1, curved=False).is_flat  # more rows than a W can tell apart
    assert not Size(20_000, 17, 26, 25, curved=False).is_flat  # many rows a feature
    assert not Size(150, LARGEST_EXACT, 3, 2, curved=False).is_flat  # the whole Hessian in the rows' span
