"""Two classes and many rows: one column of weights, float32 first, and proofs on the rows as they are."""

import numpy as np
import pytest

from straightedge import LinearClassifier
from straightedge.estimators import quick
from straightedge.newton import column
from straightedge.newton.exact import hessian, rough_hessian
from straightedge.newton.problem import contrasts
from straightedge.newton.rules import SECOND_ORDER
from straightedge.newton.work import Size


def rows_of(N=9000, D=60, *, seed=3):
    """Rows, some columns of which are 1 for a few rows alone, and labels that overlap."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, D)) @ rng.normal(size=(D, D)) / 4
    X[:, :20] = rng.random((N, 20)) < 0.002
    scores = 2 * X @ rng.normal(size=D) / np.sqrt(D)
    return X, (scores + rng.logistic(size=N) > 0).astype(int)


def value_and_gap(loss, X, y, W, reg):
    """P(W) and ‖∇P‖²/(4 reg), from the formulas."""
    rows = np.hstack([X.astype(np.float64), np.ones((len(X), 1))])
    T, sign = rows @ (W[:, 1] - W[:, 0]), 2.0 * y - 1
    if loss == "softmax":
        values, slope = np.logaddexp(0, -sign * T), -sign / (1 + np.exp(sign * T))
    else:
        values, slope = np.maximum(0, 1 - sign * T) ** 2, -2 * sign * np.maximum(0, 1 - sign * T)
    V = rows.T @ slope / len(y)
    gradient = np.stack([-V, V], axis=1) + 2 * reg * W
    return values.mean() + reg * (W**2).sum(), (gradient**2).sum() / (4 * reg)


@pytest.mark.parametrize("loss", ["softmax", "squared_hinge"])
@pytest.mark.parametrize(("reg", "tol"), [(1e-2, 1e-4), (1e-6, 1e-4), (1e-3, 1e-12)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_certificate_is_true_at_every_reg(dtype, reg, tol, loss):
    X, y = rows_of()
    X = X.astype(dtype)
    assert column.fits(Size(9000, 61, 2, 1))
    model = LinearClassifier(loss, reg=reg, tol=tol).fit(X, y)
    value, gap = value_and_gap(loss, X, y, model.W_, reg)
    assert model.status_ == "certified" and model.objective_ == pytest.approx(value, rel=1e-12)
    assert gap <= 1.01 * tol * value
    assert np.allclose(model.W_.sum(axis=1), 0)


def test_columns_of_unlike_size_go_on_in_float64_where_float32_gains_no_more():
    X, y = rows_of()
    X = X * np.logspace(-3, 4, X.shape[1]) + np.logspace(0, 5, X.shape[1])
    found = quick.fit("softmax", X, y, 1e-6, 1e-6, 1000)
    assert found is not None and len(found[0].trace) == 2, "float32 alone should not do here"
    value, gap = value_and_gap("softmax", X, y, found[0].W.T, 1e-6)
    assert found[0].status.value == "certified" and gap <= 1.1e-6 * value


def test_whole_numbers_are_fitted_like_the_same_floats():
    X, y = rows_of()
    X = np.clip(X * 20 + 100, 0, 255).astype(np.uint8)
    first, second = (LinearClassifier("softmax", reg=1e-4, tol=1e-6).fit(rows, y) for rows in (X, X * 1.0))
    np.testing.assert_allclose(first.W_, second.W_, atol=1e-12)


@pytest.mark.parametrize(("rows", "columns"), [("F", "C"), ("C", "F")])
def test_the_same_rows_in_either_order_of_memory_have_the_same_answer(rows, columns):
    X, y = rows_of()
    first, second = (
        LinearClassifier("softmax", reg=1e-4, tol=1e-9).fit(np.asarray(X, order=order), y)
        for order in (rows, columns)
    )
    np.testing.assert_allclose(first.W_, second.W_, atol=1e-4 * abs(first.W_).max())


def test_the_pass_limit_is_kept_and_ctrl_c_keeps_the_best(monkeypatch):
    X, y = rows_of()
    with pytest.warns(match="stopped after"):
        model = LinearClassifier("softmax", reg=1e-6, tol=1e-12, max_passes=6).fit(X, y)
    value, gap = value_and_gap("softmax", X, y, model.W_, 1e-6)
    assert model.status_ == "max_passes" and gap > 1e-12 * value
    assert model.objective_ == pytest.approx(value, rel=1e-12) and model.n_passes_ <= 8


def test_ctrl_c_keeps_the_best_weights_with_a_true_gap(monkeypatch):
    X, y = rows_of()
    honest, seen = column.Column.step, []

    def interrupted(fit):
        seen.append(fit)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return honest(fit)

    monkeypatch.setattr(column.Column, "step", interrupted)
    with pytest.warns(match="interrupted"):
        model = LinearClassifier("softmax", reg=1e-6, tol=1e-9).fit(X, y)
    value, _ = value_and_gap("softmax", X, y, model.W_, 1e-6)
    assert model.status_ == "interrupted" and model.objective_ == pytest.approx(value, rel=1e-12)
    assert 0 <= model.dual_ <= value < np.log(2)


@pytest.mark.parametrize(
    ("size", "fits"),
    [
        (Size(9000, 61, 2, 1), True),
        (Size(9000, 61, 3, 2), False),
        (Size(9000, 61, 2, 2), False),  # one-versus-rest: two columns that nothing ties together
        (Size(2600, 501, 2, 1), False),  # the Hessian would cost more than all passes
        (Size(569, 31, 2, 1), False),
        (Size(1_000_000, 21, 2, 1), False),
    ],
)
def test_it_is_for_many_rows_of_two_classes(size, fits):
    assert column.fits(size) == fits


@pytest.mark.parametrize("n_classes", [3, 9])
def test_a_rough_hessian_is_that_of_the_pairs_of_classes(n_classes):
    rng = np.random.default_rng(9)
    X, S = rng.normal(size=(1200, 4)), 3 * rng.normal(size=(n_classes, 1200))
    terms, basis = SECOND_ORDER["softmax"].at(S, np.arange(1200) % n_classes), contrasts(n_classes)
    weights = rng.random(1200) / 600
    exact = hessian(X, weights * terms.entries(basis), n_classes - 1)
    np.testing.assert_allclose(rough_hessian(X, weights, terms, basis), exact, atol=1e-12)
    single = rough_hessian(X.astype(np.float32), weights, terms, basis)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, exact, atol=1e-5 * abs(exact).max())
