"""The held bias of dual coordinate ascent over sparse rows: the same answer as a free one, in fewer passes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from straightedge.fitting import FitSettings, build_objective
from straightedge.solvers.sparse import problem as problem_module
from straightedge.solvers.sparse.held_bias import STIFFEST, own_bias, recentre, stiffness
from straightedge.solvers.sparse.problem import Configuration
from straightedge.solvers.sparse.starts import ascent_of, first_point
from straightedge.solvers.sparse.two_classes import problem_of
from straightedge.sparse_rows import SparseRows
from support.sparse_problems import sparse_problem

CASES = [("softmax", 4), ("svm", 4), ("crammer_singer", 4), ("squared_hinge", 4), ("one_vs_rest", 3), ("svm", 2)]


def begun(loss, n_classes, reg, tol, scale=1.0, **shape):
    X, y, _ = sparse_problem(3, c=n_classes, **shape)
    settings = FitSettings(loss=loss, tol=tol, solver="sparse_dual_ascent")
    objective = build_objective(SparseRows(X * scale), torch.from_numpy(y), n_classes, [reg], settings)
    problem = problem_of(Configuration.of(objective), tol)
    return ascent_of(problem)(problem, tol, *first_point(problem), 0)


def finished(fit):
    passes = 0.0
    while fit.gap > fit.tol:
        passes += fit.advance()
        assert passes < 5000
    return passes


@pytest.mark.parametrize(("loss", "n_classes"), CASES)
def test_weights_and_dual_are_those_of_the_dual_variables(loss, n_classes):
    fit = begun(loss, n_classes, 1e-4, 1e-9)
    assert fit.problem.stiffness > 1
    for _ in range(3):
        fit.advance()
    problem, W = fit.problem, fit.problem.minimiser(fit.b)
    np.testing.assert_allclose(fit.own_weight(), W, rtol=1e-9, atol=1e-9 * np.abs(W).max())
    np.testing.assert_allclose(fit._dual(), problem.conjugate(fit.b) - problem.penalty(W), rtol=1e-9)
    assert not np.allclose(fit.W[-1], W[-1])  # it is held somewhere else


@pytest.mark.parametrize(("loss", "n_classes"), CASES)
def test_the_answer_is_that_of_a_free_bias_in_no_more_passes(loss, n_classes, monkeypatch):
    held = begun(loss, n_classes, 1e-4, 1e-7)
    passes = finished(held)
    monkeypatch.setattr(problem_module, "stiffness", lambda *_, **__: 1.0)
    free = begun(loss, n_classes, 1e-4, 1e-7)
    more = finished(free)
    assert held.bound <= free.best_primal and free.bound <= held.best_primal
    np.testing.assert_allclose(held.best_primal, free.best_primal, rtol=2e-7)
    assert passes <= 1.1 * more


def test_half_the_passes_where_rows_share_little_but_the_bias(monkeypatch):
    shape = {"n": 1000, "d": 4000, "density": 0.0025, "scale": 0.3}  # rows of norm 1, as those of words
    passes = finished(begun("svm", 4, 1e-4, 1e-3, **shape))
    monkeypatch.setattr(problem_module, "stiffness", lambda *_, **__: 1.0)
    free = finished(begun("svm", 4, 1e-4, 1e-3, **shape))
    assert passes < 0.6 * free


def test_a_held_bias_is_where_penalty_and_centre_balance():
    rng = np.random.default_rng(0)
    centre, own, s = rng.normal(size=5), rng.normal(size=5), 7.0
    held = centre + (own - centre) / s
    np.testing.assert_allclose(own_bias(held, centre, s), own)
    np.testing.assert_allclose(held + (s - 1) * (held - centre), own)  # reg β + σ (β − c) = reg own
    moved = held.copy()
    recentre(moved, centre, s)
    np.testing.assert_allclose(centre, held)
    np.testing.assert_allclose(own_bias(moved, centre, s), own)  # the dual variables have not moved


def test_a_large_reg_is_held_by_itself():
    assert stiffness(1.0, 1.0, entropy=False) == 1.0
    assert stiffness(1e-6, 1.0, entropy=False) == STIFFEST
    assert stiffness(1e-6, 0.1, entropy=True) == 1.0
