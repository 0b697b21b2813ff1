"""Which rows dual coordinate ascent over sparse rows visits, and when it visits all of them again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from straightedge import LinearClassifier
from straightedge.design.csr import centre_classes, square_sum
from straightedge.fitting import FitSettings, build_objective
from straightedge.solvers.sparse import ascent as ascent_module
from straightedge.solvers.sparse import shrinking
from straightedge.solvers.sparse.ascent import SHORT_VISITS, Average, SparseAscent
from straightedge.solvers.sparse.problem import Configuration, SparseProblem, inner
from straightedge.solvers.sparse.starts import first_point
from straightedge.solvers.sparse.two_classes import problem_of
from straightedge.sparse_rows import SparseRows
from support.sparse_problems import sparse_problem


class Watched(SparseAscent):
    """An ascent that keeps how many rows each epoch visits, which are short, and which looks came before."""

    stretches = False

    def begin(self):
        super().begin()
        self.epochs_told, self.short_told, self.looks_told = [], [], []

    def _order(self):
        order = super()._order()
        self.epochs_told.append(len(order))
        self.short_told.append(self.since_full > 0.0)
        return order

    def look(self):
        self.looks_told.append(len(self.epochs_told))
        return super().look()


def watched(tol=1e-4):
    X, y, _ = sparse_problem(3, c=4)
    objective = build_objective(
        SparseRows(X), torch.from_numpy(y), 4, [1e-3], FitSettings(loss="svm", tol=tol, solver="sparse_dual_ascent")
    )
    problem = SparseProblem(Configuration.of(objective), tol)
    fit = Watched(problem, tol, *first_point(problem), 0)
    for _ in range(3000):
        fit.advance()
        if fit.gap <= tol:
            return fit
    raise AssertionError("not certified")


def test_short_epochs_visit_few_times_as_many_rows_as_there_are_before_a_full_one():
    fit = watched()
    visits, N = 0, len(fit.b)
    assert any(fit.short_told)
    for count, short in zip(fit.epochs_told, fit.short_told, strict=True):
        visits = visits + count if short else 0
        assert visits < (SHORT_VISITS + 1) * N


def test_all_rows_are_visited_after_a_look_that_has_not_found_the_gap(monkeypatch):
    monkeypatch.setattr(ascent_module, "SELDOM", 10**9)  # no look but those that rows' gaps call for
    fit = watched(1e-5)
    failed = fit.looks_told[:-1]
    assert failed, "the first look found the gap"
    assert all(fit.epochs_told[place] == len(fit.b) for place in failed)


def test_full_epochs_leave_out_rows_that_had_nothing_but_not_for_long(monkeypatch):
    monkeypatch.setattr(ascent_module, "SHORT_VISITS", 0.0)  # full epochs alone
    monkeypatch.setattr(ascent_module, "SELDOM", 10**9)
    X, y, _ = sparse_problem(3, c=4)
    settings = FitSettings(loss="svm", tol=1e-12, solver="sparse_dual_ascent")
    objective = build_objective(SparseRows(X), torch.from_numpy(y), 4, [1e-3], settings)
    problem = SparseProblem(Configuration.of(objective), 1e-12)
    fit = Watched(problem, 1e-12, *first_point(problem), 0)
    for _ in range(ascent_module.SETTLED + 3 * (ascent_module.MOST_PARTIAL + 1)):
        fit.advance()
    N, later = len(fit.b), fit.epochs_told[ascent_module.SETTLED :]
    assert fit.epochs_told[: ascent_module.SETTLED] == [N] * ascent_module.SETTLED
    assert min(later) < N
    assert later.count(N) == 3


def test_bounds_are_taken_at_the_average_of_the_last_points_which_is_nearer():
    fit = watched()
    assert fit.average.count > 1
    at_last, at_average = fit.problem.primal(fit.W), fit.problem.primal(fit.average.W)
    assert at_average < at_last
    assert fit.best_primal == pytest.approx(at_average, rel=1e-12)


def test_an_average_halves_what_was_and_begins_anew_where_the_gap_falls_fast():
    average = Average()
    for value, left in ((8.0, 1.0), (4.0, 0.9), (2.0, 0.9)):
        average.take(np.full((2, 3), value), left)
    assert average.count == 3
    np.testing.assert_array_equal(average.W, np.full((2, 3), 4.0))
    average.take(np.full((2, 3), 1.0), 0.1)
    assert average.count == 1
    np.testing.assert_array_equal(average.W, np.ones((2, 3)))


def test_the_dual_of_the_last_look_is_that_of_its_variables():
    fit = watched()
    W = fit.problem.minimiser(fit.b)
    dual = fit.problem.conjugate(fit.b) - fit.problem.penalty(W)
    np.testing.assert_allclose(fit.dual, dual, rtol=1e-6)
    assert fit.bound <= dual * (1 + 1e-12)


def test_entries_are_rounded_for_weights_in_float32_alone():
    fit = watched()
    data = fit.problem.rows.data
    assert data.dtype == np.float64
    assert fit.problem.visit_data(np.dtype(np.float64)) is data
    np.testing.assert_array_equal(fit.problem.visit_data(np.dtype(np.float32)), data.astype(np.float32))


def two_class_problem(loss, reg=1e-3, tol=1e-4):
    X, y, _ = sparse_problem(5, n=60, c=2)
    settings = FitSettings(loss=loss, tol=tol, solver="sparse_dual_ascent")
    objective = build_objective(SparseRows(X), torch.from_numpy(y), 2, [reg], settings)
    return problem_of(Configuration.of(objective), tol)


@pytest.mark.parametrize("loss", ["svm", "squared_hinge"])
def test_the_first_epoch_from_nothing_ends_where_a_smaller_multiple_would_be_no_better(loss, monkeypatch):
    """D there is that of the held bias: σ ‖β − c‖² with the centre c = 0 beside reg ‖W‖²."""
    monkeypatch.setattr(shrinking, "MOST_EPOCHS", 1)
    monkeypatch.setattr(shrinking, "FEWEST", 1)
    problem = two_class_problem(loss)
    fit = shrinking.ShrinkingAscent(problem, 1e-4, *first_point(problem), 0)
    fit.advance()

    def held_dual(t):
        W = t * fit.W
        return problem.conjugate(t * fit.b) - problem.penalty(W[:-1]) - problem.stiffness * problem.penalty(W[-1])

    assert fit.b.any() and fit.centre[0] == 0
    assert all(held_dual(1.0) > held_dual(t) for t in (0.9, 0.99))
    assert fit.dual == pytest.approx(problem.conjugate(fit.b) - problem.penalty(problem.minimiser(fit.b)), rel=1e-9)


@pytest.mark.parametrize("loss", ["svm", "squared_hinge"])
@pytest.mark.parametrize("start", [0.0, 0.5])
def test_weights_stay_in_step_with_the_dual_variables_wherever_epochs_begin(loss, start):
    problem = two_class_problem(loss)
    fit = shrinking.ShrinkingAscent(problem, 1e-4, np.full((60, 1), start), None, 0)
    fit.advance()
    np.testing.assert_allclose(fit.own_weight(), problem.minimiser(fit.b), rtol=1e-9, atol=1e-12)


def test_sums_over_rows_and_columns_are_those_of_plain_products():
    first, second = np.random.default_rng(0).standard_normal((2, 12_345))
    assert inner(first, second) == pytest.approx(first @ second, rel=1e-12)
    for W in (first.reshape(-1, 5), first.reshape(-1, 5).astype(np.float32), first[:7]):
        assert square_sum(W) == pytest.approx((W.astype(np.float64) ** 2).sum(), rel=1e-13)
    W = second.reshape(-1, 5).copy()
    centre_classes(W)
    np.testing.assert_allclose(W, second.reshape(-1, 5) - second.reshape(-1, 5).mean(axis=1, keepdims=True))


@pytest.mark.parametrize("loss", ["svm", "crammer_singer"])
def test_rows_nearly_apart_are_judged_by_a_better_multiple_of_w(loss, monkeypatch):
    draw = np.random.default_rng(4)
    y = np.arange(600) % 8
    X = draw.normal(size=(600, 60)) + 0.9 * draw.normal(size=(8, 60))[y]
    asked = {"reg": 1e-6, "tol": 1e-3, "preprocess": "none", "solver": "sparse_dual_ascent"}

    def fitted() -> LinearClassifier:
        return LinearClassifier(loss, **asked).fit(csr_matrix(X), y)

    soon = fitted()
    monkeypatch.setattr(SparseAscent, "stretches", False)
    late = fitted()
    assert soon.status_ == "certified"
    assert soon.n_passes_ < 0.5 * late.n_passes_
    assert soon.dual_ <= late.objective_ and late.dual_ <= soon.objective_  # each bound holds for the other's W
