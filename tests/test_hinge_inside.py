"""The interior-point method of small hinges: its bounds hold, it arrives in few steps, others go on."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine

from straightedge import LinearClassifier
from straightedge.losses import get_loss
from straightedge.solvers.hinge.gathered import interior
from straightedge.solvers.hinge.gathered.descent import Descent
from straightedge.solvers.hinge.gathered.layout import Gathered, layout_for
from straightedge.solvers.hinge.gathered.newton import scaled_solver
from straightedge.solvers.hinge.gathered.spaces import FeatureSpace

LOSSES = ["svm", "crammer_singer", "one_vs_rest"]


def descents(X, y, loss, reg, tol, *, free=False):
    """Descents of a loss on rows with the constant, or with a free bias, of unlike weights."""
    n, C = len(y), int(y.max()) + 1
    weights = 1.0 + np.arange(n) % 3
    space = FeatureSpace(X if free else np.hstack([X, np.ones((n, 1))]))
    rows = Gathered(np.arange(n), X, y, weights / weights.sum(), space)
    layout = layout_for(get_loss(loss), C, 2 * reg, free=free)
    return [Descent.begin(one, tol, None) for one in layout.problems(rows)]


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer])
@pytest.mark.parametrize("reg", [1e-1, 1e-3, 1e-6])
def test_its_bounds_hold_and_are_near_in_few_steps(load, loss, reg, free):
    X, y = load(return_X_y=True)
    both = (descents(X, y, loss, reg, 1e-6, free=free) for _ in range(2))
    for own, other in zip(*both, strict=True):
        assert interior.Interior(own.problem, own.bounds).run(own.tol) < interior.MOST_STEPS
        assert own.is_done
        while not other.is_done and not other.exhausted:
            other.advance()
        slack = 1e-12 * own.bounds.primal
        assert own.bounds.dual <= other.bounds.primal + slack
        assert other.bounds.dual <= own.bounds.primal + slack
        problem, bounds = own.problem, own.bounds
        point = problem.space.at(bounds.coordinates)
        assert problem.primal(point, bounds.bias) == pytest.approx(bounds.primal, rel=1e-9)
        assert problem.dual(bounds.b, problem.from_dual(bounds.b)) == pytest.approx(bounds.dual, rel=1e-9)
        assert np.array_equal(problem.margins.project(bounds.b), bounds.b)


@pytest.mark.parametrize("loss", LOSSES)
def test_equal_rows_of_other_classes_and_constant_columns_are_certified(loss):
    X, y = load_iris(return_X_y=True)
    X, y = np.vstack([X, X[:60], X[90:]]), np.concatenate([y, (y[:60] + 1) % 3, y[90:]])
    X = np.hstack([10 * X, np.ones((len(X), 1)), np.zeros((len(X), 1))])
    for reg in (1.0, 1e-4, 1e-8):
        assert LinearClassifier(loss, reg=reg, tol=1e-8).fit(X, y).status_ == "certified"


def test_where_it_finds_no_step_others_go_on(monkeypatch):
    X, y = load_wine(return_X_y=True)
    monkeypatch.setattr(interior.Interior, "_hessian", lambda self: np.full((2, 2), np.nan))
    fit = LinearClassifier("svm", reg=1e-2, tol=1e-3).fit(X, y)
    assert fit.status_ == "certified" and len(fit.trace_) > 2


def test_it_is_for_small_problems_alone():
    assert interior.suits(descents(*load_iris(return_X_y=True), "svm", 1e-2, 1e-3)[0].problem)
    assert not interior.suits(descents(*load_digits(return_X_y=True), "svm", 1e-2, 1e-3)[0].problem)


def test_a_system_that_rounding_left_indefinite_is_restored_before_it_is_factored_again():
    """The factor is written over one half of the system: the other half and the diagonal bring it back."""
    rng = np.random.default_rng(1)
    V = rng.normal(size=(6, 2))
    system = V @ V.T  # of rank 2, and with one entry off by more than the first jitter
    system[0, 0] *= 1 - 1e-9
    right = system @ rng.normal(size=6)
    found = scaled_solver(system.copy())(right)
    np.testing.assert_allclose(system @ found, right, rtol=0, atol=1e-4 * np.abs(right).max())
