"""Which rows dual coordinate ascent over sparse rows visits, and when it visits all of them again."""

from __future__ import annotations

import numpy as np
import torch

from straightedge.fitting import FitSettings, build_objective
from straightedge.solvers.sparse import ascent as ascent_module
from straightedge.solvers.sparse.ascent import SHORT_VISITS, SparseAscent
from straightedge.solvers.sparse.problem import Configuration, SparseProblem
from straightedge.solvers.sparse.starts import first_point
from straightedge.sparse_rows import SparseRows
from support.sparse_problems import sparse_problem


class Watched(SparseAscent):
    """An ascent that keeps how many rows each epoch visits, and which looks came before."""

    def begin(self):
        super().begin()
        self.epochs_told, self.looks_told = [], []

    def _order(self):
        order = super()._order()
        self.epochs_told.append(len(order))
        return order

    def look(self):
        self.looks_told.append(len(self.epochs_told))
        return super().look()


def watched(tol=1e-4):
    X, y, _ = sparse_problem(3, c=4)
    objective = build_objective(
        SparseRows(X),
        torch.from_numpy(y),
        4,
        [1e-3],
        FitSettings(loss="svm", tol=tol, solver="sparse_dual_ascent"),
    )
    problem = SparseProblem(Configuration.of(objective), tol)
    fit = Watched(problem, tol, *first_point(problem), 0)
    for _ in range(3000):
        fit.advance()
        if fit.gap <= tol:
            return fit
    raise AssertionError("not certified")


def test_short_epochs_visit_few_times_as_many_rows_as_there_are_before_all_are_visited():
    fit = watched()
    visits, N = 0, len(fit.b)
    assert min(fit.epochs_told) < N
    for count in fit.epochs_told:
        visits = 0 if count == N else visits + count
        assert visits < (SHORT_VISITS + 1) * N


def test_all_rows_are_visited_after_a_look_that_has_not_found_the_gap(monkeypatch):
    monkeypatch.setattr(ascent_module, "SELDOM", 10**9)  # no look but those that rows' gaps call for
    fit = watched(1e-5)
    failed = fit.looks_told[:-1]
    assert failed, "the first look found the gap"
    assert all(fit.epochs_told[place] == len(fit.b) for place in failed)


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
