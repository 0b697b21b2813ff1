"""A free bias by Newton's short ways: the answers of scikit-learn, and bounds that are true."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from straightedge import LinearClassifier
from straightedge.newton.curvature import SoftmaxSecondOrder, SquaredHingeSecondOrder
from straightedge.newton.free_bias import best_bias, mixed_gap
from straightedge.newton.one_vs_rest import LogisticSecondOrder

SHAPES = {
    "small": (120, 4, 3),
    "two classes": (150, 6, 2),
    "column": (9000, 60, 2),
    "tall": (25_000, 6, 4),
    "tall, two classes": (90_000, 7, 2),
    "wide": (60, 300, 3),
    "wide, two classes": (80, 400, 2),
    "long rows": (120, 1500, 5),
}
"""N, D and C; the names say the way that is gone."""


def rows_of(shape: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return rows far from 0 of classes of unlike shares."""
    N, D, C = SHAPES[shape]
    draw = np.random.default_rng(seed)
    y = np.minimum(draw.geometric(0.45, N) - 1, C - 1)
    y[:C] = range(C)
    X = draw.normal(size=(N, D)) + 1.5 + draw.normal(size=(C, D))[y] / np.sqrt(D)
    return X.astype(np.float32), y


def value_of(X: np.ndarray, y: np.ndarray, W: np.ndarray, reg: float) -> float:
    S = X @ W[:-1] + W[-1]
    S -= S.max(axis=1, keepdims=True)
    loss = np.log(np.exp(S).sum(axis=1)) - S[np.arange(len(y)), y]
    return float(loss.mean() + reg * np.square(W[:-1]).sum())


@cache
def optimum_of(shape: str, reg: float) -> float:
    """Return `optimum` of the rows of a shape."""
    X, y = rows_of(shape)
    return optimum(X.astype(np.float64), y, reg)


def optimum(X: np.ndarray, y: np.ndarray, reg: float) -> float:
    """Return the least P that scikit-learn finds."""
    C = (1 if y.max() == 1 else 0.5) / (reg * len(y))
    model = LogisticRegression(C=C, tol=1e-8, max_iter=20_000).fit(X, y)
    W = np.vstack([model.coef_.T, model.intercept_])
    return value_of(X, y, np.hstack([-W, W]) / 2 if W.shape[1] == 1 else W, reg)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("reg", [1e-1, 1e-4])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_short_way_has_the_optimum_of_scikit_learn(shape, reg, dtype, monkeypatch):
    monkeypatch.setattr("straightedge.fitting.solve", lambda *_, **__: pytest.fail("the long way"))
    X, y = rows_of(shape)
    X = X.astype(dtype)
    model = LinearClassifier("softmax", reg=reg, tol=1e-6, bias="free").fit(X, y)
    X, found = X.astype(np.float64), optimum_of(shape, reg)
    assert model.status_ == "certified" and model.gap_ <= 1e-6
    assert model.objective_ == pytest.approx(value_of(X, y, model.W_, reg), rel=1e-12)
    assert model.dual_ <= found * (1 + 1e-12) and model.objective_ <= found * (1 + 2e-6)


def test_many_classes_of_which_some_are_rare():
    X, y = rows_of("small")
    y = np.concatenate([y, [7, 7, 9]])
    X = np.vstack([X, np.full((3, 4), 2.0)])
    model = LinearClassifier("softmax", reg=1e-4, tol=1e-8, bias="free").fit(X, y)
    assert model.status_ == "certified"
    names = np.unique(y, return_inverse=True)[1]
    assert model.objective_ == pytest.approx(optimum(X, names, 1e-4), rel=1e-7)


def test_a_path_of_a_free_bias_has_the_answers_of_its_single_fits():
    from straightedge import fit_path

    X, y = rows_of("tall")
    regs = [1e-1, 1e-2, 1e-4]
    path = fit_path(X, y, regs, tol=1e-6, bias="free")
    assert path.status == ["certified"] * 3
    for k, reg in enumerate(regs):
        assert path.objective[k] == pytest.approx(optimum_of("tall", reg), rel=2e-6)


def test_a_hinge_and_weights_with_a_free_bias_go_the_long_way_to_the_same_proof():
    X, y = rows_of("small")
    for loss in ("svm", "squared_hinge", "one_vs_rest_logistic"):
        assert LinearClassifier(loss, reg=1e-2, bias="free").fit(X, y).status_ == "certified"
    ones = LinearClassifier("softmax", reg=1e-2, bias="free").fit(X, y, sample_weight=np.ones(len(y)))
    plain = LinearClassifier("softmax", reg=1e-2, bias="free").fit(X, y)
    np.testing.assert_allclose(ones.W_, plain.W_, atol=1e-6)


@pytest.mark.parametrize("loss", [SoftmaxSecondOrder(), LogisticSecondOrder(), SquaredHingeSecondOrder()])
def test_the_sum_of_all_curvatures_is_that_of_central_differences(loss):
    draw = np.random.default_rng(1)
    S, y, weights, h = draw.normal(size=(4, 30)), draw.integers(0, 4, 30), draw.random(30), 1e-6
    total = loss.at(S, y).total(weights)
    for j, step in enumerate(h * np.eye(4)):
        ahead, behind = (loss.at(S + sign * step[:, None], y).gradient @ weights for sign in (1, -1))
        np.testing.assert_allclose(total[j], (ahead - behind) / (2 * h), atol=1e-6)


def test_steps_of_the_best_bias_end_where_its_gradient_is_0():
    draw = np.random.default_rng(2)
    S, y, weights = 3 * draw.normal(size=(5, 200)), draw.integers(0, 5, 200), np.full(200, 1 / 200)
    loss = SoftmaxSecondOrder()
    first = float(loss.at(S, y).value.mean())
    for _ in range(8):
        shift, terms = best_bias(loss, S, y, weights, loss.at(S, y))
        S = S + shift[:, None]
    assert float(terms.value.mean()) < first
    assert np.abs(terms.gradient.mean(axis=1)).max() <= 1e-12


@pytest.mark.parametrize("off", [0.0, 1e-8, 1e-3, 0.3])
def test_the_mixed_gap_is_a_bound_however_far_the_bias_is_from_its_best(off):
    X, y = rows_of("small")
    reg, (N, D) = 1e-2, X.shape
    X, least = X.astype(np.float64), optimum_of("small", reg)
    W = LinearClassifier("softmax", reg=reg, tol=1e-9, bias="free").fit(X, y).W_.T
    W = W + off * np.random.default_rng(3).normal(size=W.shape)
    table = np.column_stack([X, np.ones(N)])
    terms = SoftmaxSecondOrder().at(W @ table.T, y)
    V = terms.gradient @ table / N
    sums = np.vstack([(y == np.arange(3)[:, None]) @ table, table.sum(axis=0)]) / N
    ridge = np.append(np.full(D, 2 * reg), 0.0)
    gap = mixed_gap(W, V, float(terms.value.mean()), ridge, sums)
    assert value_of(X, y, W.T, reg) - least <= gap + 1e-12
    assert gap <= 2e-9 + 50 * off  # linear in what the bias's gradient is


@pytest.mark.parametrize("tol", [1e-4, 1e-8])
def test_lbfgs_proves_a_free_bias_that_is_the_best_one_and_so_sooner(tol, monkeypatch):
    draw = np.random.default_rng(5)
    y = draw.permutation(np.arange(900) % 30)
    X = draw.normal(size=(900, 12)) + draw.normal(size=(30, 12))[y] + 1.0

    def fitted() -> LinearClassifier:
        return LinearClassifier("softmax", reg=1e-3, tol=tol, bias="free", solver="lbfgs").fit(X, y)

    soon = fitted()
    assert soon.status_ == "certified" and soon.dual_ <= soon.objective_ <= soon.dual_ * (1 + 2 * tol)
    assert soon.objective_ <= optimum(X, y, 1e-3) * (1 + 2 * tol)
    monkeypatch.setattr("straightedge.solvers.lbfgs.BestBias.of", lambda *_: None)
    late = fitted()
    assert late.status_ == "certified" and soon.n_passes_ < late.n_passes_
