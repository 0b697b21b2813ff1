"""Tables and a hinge go a short way: the long way's answers to rounding, the same words, proofs that are true."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_iris, load_wine

from straightedge import LinearClassifier
from straightedge.errors import InputError
from straightedge.estimators import quick, quick_hinge
from straightedge.losses import get_loss
from straightedge.newton.free_bias import referred_gap
from straightedge.objective import Objective
from straightedge.rows import Rows
from straightedge.solvers.hinge.gathered import short

LOSSES = ["svm", "crammer_singer", "one_vs_rest"]


def wide():
    rng = np.random.default_rng(0)
    return rng.standard_normal((60, 300)), rng.integers(0, 3, 60)


def two_classes():
    X, y = load_wine(return_X_y=True)
    return X, np.array(["no", "yes"])[(y > 0).astype(int)]


PROBLEMS = {
    "iris": lambda: load_iris(return_X_y=True),
    "two classes, raw columns": two_classes,
    "fewer rows than features": wide,
}


def by_both_ways(loss, X, y, reg, tol, bias):
    short_way = LinearClassifier(loss, reg=reg, tol=tol, bias=bias).fit(X, y)
    long_way = LinearClassifier(loss, reg=reg, tol=tol, bias=bias, solver="semismooth_newton").fit(X, y)
    return short_way, long_way


@pytest.mark.parametrize("bias", ["penalized", "free"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", PROBLEMS)
def test_the_short_way_finds_what_the_long_way_finds(name, loss, bias):
    X, y = PROBLEMS[name]()
    for reg in (1e-1, 1e-3):
        own, other = by_both_ways(loss, X, y, reg, 1e-6, bias)
        assert own.status_ == other.status_ == "certified"
        rows = slice(None) if bias == "penalized" else slice(-1)  # more than one free bias may be the best
        np.testing.assert_allclose(own.W_[rows], other.W_[rows], rtol=0, atol=1e-3 * np.abs(other.W_[:-1]).max())
        assert own.objective_ == pytest.approx(other.objective_, rel=1e-6)
        assert set(vars(own)) == set(vars(other))
        assert own.trace_[0].keys() == other.trace_[0].keys()
        assert own.trace_[0]["solver"] == other.trace_[0]["solver"]
        np.testing.assert_array_equal(own.predict(X), other.predict(X))


@pytest.mark.parametrize("loss", ["squared_hinge", "one_vs_rest_squared_hinge"])
@pytest.mark.parametrize("load", [load_iris, load_wine])
def test_squared_hinges_take_a_free_bias_the_short_way_to_the_same_proven_optimum(load, loss, monkeypatch):
    X, y = load(return_X_y=True)
    for reg in (1e-1, 1e-4):
        asked = {"reg": reg, "tol": 1e-8, "bias": "free"}
        long = LinearClassifier(loss, callbacks=[], **asked).fit(X, y)
        monkeypatch.setattr("straightedge.solvers.newton.Newton.at_once", None)
        quick = LinearClassifier(loss, **asked).fit(X, y)
        monkeypatch.undo()
        assert quick.status_ == long.status_ == "certified"
        np.testing.assert_allclose(quick.W_, long.W_, rtol=0, atol=1e-5 * np.abs(long.W_).max())
        assert quick.dual_ <= long.objective_ * (1 + 1e-12) and long.dual_ <= quick.objective_ * (1 + 1e-12)
        assert all(row["dual"] <= quick.objective_ * (1 + 1e-12) for row in quick.trace_)


@pytest.mark.parametrize("loss", ["squared_hinge", "one_vs_rest_squared_hinge"])
def test_the_gap_with_a_reference_is_that_of_the_objective(loss):
    X, y = load_iris(return_X_y=True)
    rows, labels = torch.from_numpy(X), torch.from_numpy(y)
    objective = Objective(Rows(rows), labels, 3, get_loss(loss), [1e-2], bias="free", dtype=torch.float64)
    near = LinearClassifier(loss, reg=1e-2, bias="free").fit(X, y).W_.T
    W = near + 1e-3 * np.random.default_rng(0).standard_normal((3, 5))
    found = objective.evaluate(torch.from_numpy(W)[None])
    V, ridge = found.V[0].numpy(), np.array([2e-2] * 4 + [0.0])
    mean_loss = float(found.objective) - 1e-2 * float((W[:, :-1] ** 2).sum())
    sums = objective.class_sums()[0].numpy()
    sums = np.vstack([sums, sums.sum(axis=0)])
    gap = referred_gap(W, V, mean_loss, ridge, sums, quick.reference_of(loss, y, 3))
    assert gap == pytest.approx(float(found.objective - found.dual), rel=1e-9)
    assert 0 < gap < 0.9 * float(found.objective)


def value(loss, X, y, W, reg, bias="penalized"):
    """P(W) from the formulas."""
    if bias == "free":
        return value(loss, X, y, W, reg) - reg * (W[-1] ** 2).sum()
    S, own = np.hstack([X, np.ones((len(X), 1))]) @ W, (np.arange(len(y)), y)
    if loss == "one_vs_rest":
        T = -np.ones(S.shape)
        T[own] = 1
        return np.maximum(0, 1 - T * S).sum(axis=1).mean() + reg * (W**2).sum()
    Z = np.maximum(0, 1 + S - S[own][:, None])
    Z[own] = 0
    return (Z.max(axis=1) if loss == "crammer_singer" else Z.sum(axis=1)).mean() + reg * (W**2).sum()


@pytest.mark.parametrize("bias", ["penalized", "free"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", ["iris", "fewer rows than features"])
def test_the_objective_is_the_formula_s_and_no_point_is_below_the_bound(name, loss, bias):
    X, y = PROBLEMS[name]()
    model = LinearClassifier(loss, reg=1e-3, tol=1e-4, bias=bias).fit(X.astype(np.float32), y)
    rows = X.astype(np.float32).astype(np.float64)
    assert model.objective_ == pytest.approx(value(loss, rows, y, model.W_, 1e-3, bias), rel=1e-12)
    sharp = LinearClassifier(loss, reg=1e-3, tol=1e-9, bias=bias).fit(rows, y)
    best = value(loss, rows, y, sharp.W_, 1e-3, bias)
    assert model.dual_ * (1 - 1e-12) <= best <= model.objective_ * (1 + 1e-12)


def test_what_has_another_way_does_not_go_the_short_one(monkeypatch):
    X, y = load_iris(return_X_y=True)
    monkeypatch.setattr(short, "minimise", None)
    for settings in ({"solver": "hinge_alm"}, {"max_passes": 999}, {"callbacks": []}):
        assert LinearClassifier("svm", reg=1e-2, **settings).fit(X, y).status_ == "certified"
    with pytest.raises(InputError, match="newton"):
        LinearClassifier("svm", solver="newton").fit(X, y)


def test_a_fit_that_stalls_goes_the_long_way_and_ctrl_c_keeps_the_best(monkeypatch):
    X, y = two_classes()
    asked = ("svm", X, y, 1e-4, 1e-3, 1000.0)
    monkeypatch.setattr(short, "followed", lambda *_: short.Status.STALLED)
    assert quick_hinge.fit(*asked) is None

    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.undo()
    monkeypatch.setattr(short.Descent, "advance", interrupted)
    answer, _, _ = quick_hinge.fit(*asked)
    assert answer.status is short.Status.INTERRUPTED and answer.gap == 1.0


@pytest.mark.parametrize(("reg", "tol"), [(1e-4, 1e-6), (3e-6, 1e-6), (3e-7, 1e-3)])
def test_columns_of_unlike_size_are_certified_where_reg_is_small(reg, tol):
    X, y = load_breast_cancer(return_X_y=True)  # columns of 0.004 and of 4,000
    model = LinearClassifier("svm", reg=reg, tol=tol).fit(X, y)
    assert model.status_ == "certified" and model.n_passes_ < 500


@pytest.mark.parametrize("loss", ["svm", "crammer_singer", "one_vs_rest"])
def test_two_classes_of_many_rows_with_a_free_bias_go_the_short_way_to_the_same_optimum(loss):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4000, 8)) + 2
    y = (X @ rng.standard_normal(8) + rng.logistic(size=4000) > 1).astype(int)
    asked = {"reg": 1e-3, "tol": 1e-6, "bias": "free"}
    long = LinearClassifier(loss, callbacks=[], **asked).fit(X, y)
    quick = LinearClassifier(loss, **asked).fit(X, y)
    assert quick.status_ == long.status_ == "certified"
    assert {row["solver"] for row in quick.trace_} == {"newton"} != {row["solver"] for row in long.trace_}
    assert quick.dual_ <= long.objective_ * (1 + 1e-12) and long.dual_ <= quick.objective_ * (1 + 1e-12)
    without = value(loss, X, y, quick.W_, 1e-3) - 1e-3 * float((quick.W_[-1] ** 2).sum())
    assert quick.objective_ == pytest.approx(without, rel=1e-12)
