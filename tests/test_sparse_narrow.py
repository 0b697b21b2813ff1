"""Two classes over sparse rows of few columns: Newton's steps, and bounds that are true wherever they end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.linear_model import LogisticRegression

from straightedge import LinearClassifier
from straightedge.design.csr import csr_gram
from straightedge.estimators import quick_sparse
from straightedge.fitting import FitSettings, build_objective, solve
from straightedge.losses import get_loss
from straightedge.newton.column import Column
from straightedge.solvers.sparse import columns, narrow
from straightedge.solvers.sparse.column_losses import HINGE, LOGISTIC, SQUARED_HINGE, along, pulled
from straightedge.solvers.sparse.problem import Configuration
from straightedge.sparse_rows import SparseRows
from straightedge.workers import BlockPool
from support.sparse_problems import primal


def narrow_problem(*asked):
    return narrow.NarrowProblem.of(configuration(*asked))


LOSSES = ["softmax", "svm", "squared_hinge", "one_vs_rest", "one_vs_rest_squared_hinge"]


def rows_of(n=25_000, d=90, density=0.08, seed=0):
    """Sparse rows, too large to be made dense, of words of unlike weight, and labels that no plane parts."""
    rng = np.random.default_rng(seed)
    X = sp.random(n, d, density, format="csr", random_state=seed, data_rvs=rng.standard_normal)
    X = sp.csr_matrix(X.multiply(np.logspace(-1, 1, d)))
    y = (X @ rng.standard_normal(d) / 3 + rng.logistic(size=n) > 0).astype(int)
    return X, y


def configuration(loss, X, y, reg, weights=None):
    w = np.full(len(y), 1 / len(y)) if weights is None else weights / weights.sum()
    return Configuration(SparseRows(X), BlockPool(1), y, int(y.max()) + 1, get_loss(loss), 2 * reg, w)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("reg", "tol"), [(1e-3, 1e-3), (1e-6, 1e-3), (1e-5, 1e-6)])
def test_the_certificate_is_true(loss, reg, tol):
    X, y = rows_of()
    assert quick_sparse.is_plain(X) and narrow.fits(configuration(loss, X, y, 1e-6))
    model = LinearClassifier(loss, reg=reg, tol=tol).fit(X, y)
    sharp = LinearClassifier(loss, reg=reg, tol=tol / 30).fit(X, y)
    value = primal(loss, X, y, model.W_, reg)
    assert model.status_ == sharp.status_ == "certified" and model.gap_ <= tol
    assert model.objective_ == pytest.approx(value, rel=1e-12)
    assert model.dual_ <= primal(loss, X, y, sharp.W_, reg)
    assert sharp.dual_ <= value * (1 + 1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_bounds_with_a_free_bias_are_true_wherever_its_best_value_is_missed(loss, monkeypatch):
    X, y = rows_of(4000)
    problem = replace(narrow_problem(loss, X, y, 1e-4), free_bias=True)
    sharp = narrow.Narrow(problem, 1e-4, 1e-9, 1000).fit()
    monkeypatch.setattr(narrow, "BIAS_STEPS", 0)
    fit = narrow.Narrow(problem, 1e-4, 1e-3, 1000)
    assert fit.fit().gap <= 1e-3
    for away in (1e-3, 0.1, 1.0):
        fit.best, fit.w[-1] = replace(fit.best, gap=1.0), fit.w[-1] + away
        fit._look()
        assert 0 <= fit.best.dual <= sharp.objective * (1 + 1e-12) < fit.best.objective


@pytest.mark.parametrize("watched", [None, []])
def test_with_a_free_bias_it_finds_what_logistic_regression_does_and_its_certificate_is_true(watched):
    X, y = rows_of()
    X.data += 0.5  # the bias counts
    reg = 1e-5
    given = replace(configuration("softmax", X, y, reg), free_bias=True)
    assert narrow.fits(given) and not narrow.fits(replace(given, weights=given.weights * y))
    rough, sharp = (
        LinearClassifier("softmax", reg=reg, tol=tol, bias="free", callbacks=watched).fit(X, y)
        for tol in (1e-3, 1e-12)
    )
    assert rough.status_ == sharp.status_ == "certified" and rough.n_passes_ < sharp.n_passes_ < 40
    for model in (rough, sharp):
        value = primal("softmax", X, y, model.W_, reg) - reg * float((model.W_[-1] ** 2).sum())
        assert model.objective_ == pytest.approx(value, rel=1e-12)
        assert model.dual_ <= sharp.objective_ * (1 + 1e-12) and sharp.dual_ <= value * (1 + 1e-12)
    other = LogisticRegression(C=1 / (reg * len(y)), solver="newton-cholesky", tol=1e-12).fit(X.toarray(), y)
    W = sharp.W_[:, 1] - sharp.W_[:, 0]
    np.testing.assert_allclose(W, np.append(other.coef_[0], other.intercept_), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bias", ["penalized", "free"])
@pytest.mark.parametrize("loss", LOSSES)
def test_it_finds_what_epochs_find(loss, bias, monkeypatch):
    X, y = rows_of(400, 30, 0.1)
    w = np.random.default_rng(1).random(400) * (np.arange(400) > 40)
    answers = []
    for allowed in (narrow.GRAM_IN_PASSES, 0):
        monkeypatch.setattr(narrow, "GRAM_IN_PASSES", allowed)
        settings = FitSettings(loss=loss, tol=1e-6, max_passes=100_000, solver="sparse_dual_ascent", bias=bias)
        regs, labels = [1e-2, 1e-3, 1e-4], torch.from_numpy(y)
        objective = build_objective(SparseRows(X), labels, 2, regs, settings, weights=torch.from_numpy(w))
        answers.append(solve(objective, settings))
    steps, epochs = answers
    assert [one.value for one in steps.status + epochs.status] == 6 * ["certified"]
    assert (steps.dual <= epochs.objective * (1 + 1e-12)).all()
    assert (epochs.dual <= steps.objective * (1 + 1e-12)).all()
    assert len(steps.trace) < len(epochs.trace)
    np.testing.assert_allclose(steps.W.sum(dim=1), 0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("turned", [False, True])
def test_the_gram_matrix_is_that_of_dense_rows_in_any_order_of_columns(dtype, turned):
    X, _ = rows_of(200, 17, 0.3)
    X = X.astype(dtype)
    if turned:
        for i in range(200):
            own = slice(X.indptr[i], X.indptr[i + 1])
            X.indices[own], X.data[own] = X.indices[own][::-1].copy(), X.data[own][::-1].copy()
        X.has_sorted_indices = False
    weights = np.random.default_rng(0).random(200) * (np.arange(200) % 3 > 0)
    dense = np.hstack([X.toarray().astype(float), np.ones((200, 1))])
    found = csr_gram(SparseRows(X), weights)
    np.testing.assert_allclose(found, dense.T @ (weights[:, None] * dense), rtol=1e-12, atol=1e-12)
    assert (found == found.T).all()


@pytest.mark.parametrize("kind", [LOGISTIC, SQUARED_HINGE, HINGE])
def test_slopes_are_those_of_values_and_the_corner_lies_above_the_hinge(kind):
    rng, width = np.random.default_rng(2), 0.5
    T, moves = 2 * rng.standard_normal((2, 300))
    parts = np.stack([np.where(rng.random(300) < 0.5, 1.0, -1.0), rng.random(300)], axis=1)
    loss = kind, width

    def at(t):
        bends, pulls = np.empty(300), np.empty(300)
        return (*pulled(parts, loss, T + t * moves, bends, pulls), bends, pulls)

    step = 1e-6
    slope, bend = along(parts, loss, T, moves, 0.3)
    assert slope == pytest.approx((at(0.3 + step)[0] - at(0.3 - step)[0]) / (2 * step), rel=1e-5)
    assert bend == pytest.approx(at(0.3)[3] @ moves**2, rel=1e-12)
    rounded, value, slack, _, pulls = at(0.0)
    assert pulls @ moves == pytest.approx(along(parts, loss, T, moves, 0.0)[0], rel=1e-12)
    margins = 1 - parts[:, 0] * T
    if kind == HINGE:
        assert value == pytest.approx(parts[:, 1] @ np.maximum(margins, 0), rel=1e-12)
        assert value < rounded <= value + width / 8 * parts[:, 1].sum() and 0 < slack <= width / 16 * 300
    else:
        assert rounded == value


def test_it_is_for_two_classes_few_columns_and_hinges_that_take_many_epochs():
    X, y = rows_of()
    assert narrow.fits(configuration("softmax", X, y, 1.0))
    assert narrow.fits(configuration("svm", X, y, 1e-5)) and not narrow.fits(configuration("svm", X, y, 1.0))
    assert not narrow.fits(configuration("softmax", X, np.arange(25_000) % 3, 1.0))
    wide = sp.csr_matrix((X.data, X.indices * 30, X.indptr), shape=(25_000, 2700))
    assert not narrow.fits(configuration("softmax", wide, y, 1.0))


@pytest.mark.parametrize("watched", [None, []])
@pytest.mark.parametrize("loss", ["softmax", "svm"])
def test_the_pass_limit_is_kept(loss, watched):
    X, y = rows_of()
    with pytest.warns(match="stopped after"):
        model = LinearClassifier(loss, reg=1e-6, tol=1e-9, max_passes=5, callbacks=watched).fit(X, y)
    assert model.status_ == "max_passes" and model.n_passes_ <= 8
    assert model.objective_ == pytest.approx(primal(loss, X, y, model.W_, 1e-6), rel=1e-12)


def interrupt(monkeypatch, step):
    """Have Ctrl-C pressed at a step."""
    honest, seen = Column.step, []

    def interrupted(fit):
        seen.append(fit)
        if len(seen) == step:
            raise KeyboardInterrupt
        return honest(fit)

    monkeypatch.setattr(Column, "step", interrupted)


def test_ctrl_c_keeps_the_best_weights_with_a_true_gap(monkeypatch):
    X, y = rows_of()
    interrupt(monkeypatch, 3)
    with pytest.warns(match="interrupted"):
        model = LinearClassifier("softmax", reg=1e-6, tol=1e-9).fit(X, y)
    value = primal("softmax", X, y, model.W_, 1e-6)
    assert model.status_ == "interrupted" and model.objective_ == pytest.approx(value, rel=1e-12)
    assert 0 <= model.dual_ <= value < np.log(2)


def test_ctrl_c_while_a_sample_is_fitted_ends_the_fit(monkeypatch):
    X, y = rows_of()
    interrupt(monkeypatch, 1)
    answer = narrow.Narrow(narrow_problem("softmax", X, y, 1e-2), 1e-2, 1e-6, 1000).fit()
    assert answer.status.value == "interrupted" and answer.gap == 1.0 and not answer.W.any()


def test_a_sample_without_a_class_is_none_where_the_bias_is_free():
    X, y = rows_of()
    y[:: narrow.SHARES] = 0
    problem = narrow_problem("softmax", X, y, 1e-2)
    assert problem.part(narrow.SHARES) is not None
    assert replace(problem, free_bias=True).part(narrow.SHARES) is None


@pytest.mark.parametrize("weighted", [False, True])
def test_a_sample_of_the_rows_saves_passes_over_all_of_them(weighted, monkeypatch):
    """A sample whose rows all weigh nothing does no harm."""
    X, y = rows_of()
    w = np.where(weighted & (np.arange(len(y)) % narrow.SHARES == 0), 0.0, 1.0)
    given = narrow_problem("softmax", X, y, 1e-2, w)
    monkeypatch.setattr(narrow, "FAR", np.inf)
    sampled = narrow.Narrow(given, 1e-2, 1e-6, 1000).fit()
    monkeypatch.setattr(narrow, "FAR", 0.0)
    plain = narrow.Narrow(given, 1e-2, 1e-6, 1000).fit()
    assert sampled.gap <= 1e-6 and plain.gap <= 1e-6
    assert sampled.objective == pytest.approx(primal("softmax", X, y, sampled.W.T, 1e-2, w), rel=1e-12)
    assert weighted or sampled.n_passes < plain.n_passes


@pytest.mark.parametrize("loss", ["softmax", "svm"])
def test_a_killed_path_goes_on_to_the_same_bits(loss):
    X, y = rows_of(400, 30, 0.1)
    settings = FitSettings(loss=loss, tol=1e-4, solver="sparse_dual_ascent")
    objective = build_objective(SparseRows(X), torch.from_numpy(y), 2, [1e-3, 1e-4, 1e-5], settings)
    saved = []
    whole = solve(objective, settings, checkpoint=lambda loop: saved.append(loop.state()))
    again = solve(objective, settings, resume=saved[0])
    assert len(saved) == 3 and torch.equal(whole.W, again.W) and torch.equal(whole.dual, again.dual)


def test_a_fit_whose_steps_gain_no_more_goes_on_by_epochs(monkeypatch):
    X, y = rows_of()
    monkeypatch.setattr(narrow, "MOST_WIDTHS", 1)
    model = LinearClassifier("svm", reg=1e-4, tol=1e-3).fit(X, y)
    assert model.status_ == "certified" and model.trace_[-1]["n_passes"] > 5
    assert model.objective_ == pytest.approx(primal("svm", X, y, model.W_, 1e-4), rel=1e-12)


def table(n=9000, d=30, dtype=np.float64):
    """Rows of a table, and labels that no plane parts."""
    rng = np.random.default_rng(0)
    X = (20 * rng.standard_normal((n, d)) + 100).clip(0, 255).astype(dtype)
    return X, (X[:, :5].sum(axis=1) / 20 + rng.logistic(size=n) > X[:, :5].sum(axis=1).mean() / 20).astype(int)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("sparse", [False, True])
def test_products_with_one_column_are_those_of_float64_rows(dtype, sparse, monkeypatch):
    monkeypatch.setattr(columns, "BLOCK", 1000)
    X, _ = table(700, 12, dtype)
    rng, whole = np.random.default_rng(1), np.hstack([X.astype(np.float64), np.ones((700, 1))])
    of = columns.CsrColumns(SparseRows(sp.csr_matrix(X)), BlockPool(1)) if sparse else columns.TableColumns(X)
    w, pulls, weights = rng.standard_normal(13), rng.standard_normal(700), rng.random(700)
    pulls[::3], weights[::4] = 0, 0
    np.testing.assert_allclose(of.scores(w), whole @ w, rtol=1e-10)
    np.testing.assert_allclose(of.adjoint(pulls), pulls @ whole, rtol=1e-10)
    np.testing.assert_allclose(of.gram(weights), whole.T @ (weights[:, None] * whole), rtol=1e-10)
    np.testing.assert_allclose(of.norms(), (whole**2).sum(axis=1), rtol=1e-5 if sparse else 1e-12)
    np.testing.assert_allclose(of.part(7).scores(w), (whole @ w)[::7], rtol=1e-10)


@pytest.mark.parametrize("loss", ["svm", "one_vs_rest"])
@pytest.mark.parametrize(("reg", "tol"), [(1e-2, 1e-3), (1e-6, 1e-3), (1e-4, 1e-6)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_a_hinge_of_a_table_with_many_rows_has_a_true_certificate(dtype, reg, tol, loss):
    X, y = table(dtype=dtype)
    assert narrow.fits_table(*X.shape, 2, get_loss(loss))
    model = LinearClassifier(loss, reg=reg, tol=tol).fit(X, y)
    value = primal(loss, sp.csr_matrix(X.astype(np.float64)), y, model.W_, reg)
    assert model.status_ == "certified" and model.gap_ <= tol and model.trace_[-1]["solver"] == "newton"
    assert model.objective_ == pytest.approx(value, rel=1e-12)
    other = LinearClassifier(loss, reg=reg, tol=tol, solver="semismooth_newton").fit(X, y)
    assert model.dual_ <= other.objective_ * (1 + 1e-12) and other.dual_ <= value * (1 + 1e-12)


def test_a_table_whose_steps_do_not_arrive_goes_the_usual_way(monkeypatch):
    X, y = table()
    monkeypatch.setattr(narrow, "MOST_WIDTHS", 1)
    model = LinearClassifier("svm", reg=1e-4, tol=1e-6).fit(X, y)
    assert model.status_ == "certified" and model.trace_[-1]["solver"] != "newton"
    assert not narrow.fits_table(9000, 100, 2, get_loss("svm"))
    assert not narrow.fits_table(9000, 30, 3, get_loss("svm"))
    assert not narrow.fits_table(9000, 30, 2, get_loss("softmax"))
