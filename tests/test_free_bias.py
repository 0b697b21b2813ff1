"""A free bias by dual coordinate ascent: held where it was, with a bound from dual variables that pull no bias."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from straightedge import LinearClassifier
from straightedge.fitting import FitSettings, build_objective, solve
from straightedge.losses import get_loss
from straightedge.solvers.sparse.balance import balanced
from straightedge.solvers.sparse.duals import FORMS
from straightedge.sparse_rows import SparseRows
from straightedge.status import Status
from support.sparse_problems import sparse_problem

LOSSES = {
    "softmax": "softmax",
    "svm": "weston_watkins",
    "crammer_singer": "crammer_singer",
    "one_vs_rest": "one_vs_rest",
    "squared_hinge": "squared_hinge",
    "one_vs_rest_squared_hinge": "one_vs_rest_squared_hinge",
}
"""With the words for their row problems."""
SQUARED = ["squared_hinge", "one_vs_rest_squared_hinge"]


def value_and_gradient(loss: str, W: np.ndarray, X: np.ndarray, y: np.ndarray, reg: float):
    """Return P and its gradient at W (D + 1, C), the bias last and free."""
    F = np.column_stack([X, np.ones(len(X))])
    A = torch.from_numpy(F @ W)[:, None].contiguous()
    values = get_loss(loss).value_and_gradient(A, torch.from_numpy(y))[:, 0].numpy()
    own = np.vstack([W[:-1], np.zeros_like(W[-1:])])
    return values.mean() + reg * np.square(own).sum(), F.T @ A[:, 0].numpy() / len(y) + 2 * reg * own


def optimum(loss: str, X: np.ndarray, y: np.ndarray, reg: float) -> float:
    """Return the least P of a smooth loss by SciPy's L-BFGS, from rows around their mean."""
    X, C = X - X.mean(axis=0), int(y.max()) + 1

    def along(flat):
        P, gradient = value_and_gradient(loss, flat.reshape(-1, C), X, y, reg)
        return P, gradient.ravel()

    asked = {"maxiter": 20_000, "maxfun": 40_000, "ftol": 1e-15, "gtol": 1e-11, "maxcor": 60}
    start = np.zeros((X.shape[1] + 1) * C)
    return float(minimize(along, start, jac=True, method="L-BFGS-B", options=asked).fun)


def asked_of(loss: str, tol: float = 1e-6, solver: str = "sparse_dual_ascent") -> FitSettings:
    return FitSettings(loss=loss, tol=tol, solver=solver, bias="free", max_passes=20_000)


@pytest.mark.parametrize("reg", [1e-1, 1e-3])
@pytest.mark.parametrize("C", [2, 4])
@pytest.mark.parametrize("loss", LOSSES)
def test_sparse_rows_have_the_optimum_of_another_method(loss, C, reg):
    X, y, _ = sparse_problem(7, c=C)
    X.data += 0.5  # rows that share a direction beside the bias
    asked = asked_of(loss)
    found = solve(build_objective(SparseRows(X), torch.from_numpy(y), C, [reg], asked), asked)
    assert found.status == [Status.CERTIFIED]
    P = value_and_gradient(loss, found.W[0].T.numpy(), X.toarray(), y, reg)[0]
    assert float(found.objective[0]) == pytest.approx(P, rel=1e-12)
    if get_loss(loss).smooth:
        other = optimum(loss, X.toarray(), y, reg)
        assert float(found.dual[0]) <= other * (1 + 1e-9) and other * (1 + 1e-6) >= P
        return
    model = LinearClassifier(loss, reg=reg, tol=1e-7, bias="free", solver="semismooth_newton")
    model.fit(X.toarray(), y)
    assert model.status_ == "certified"
    assert float(found.dual[0]) <= model.objective_ and model.dual_ <= P


@pytest.mark.parametrize("reg", [1e-1, 1e-4, 1e-6])
@pytest.mark.parametrize("shape", [(150, 300, 6), (200, 120, 9)])
@pytest.mark.parametrize("loss", SQUARED)
def test_squared_hinges_over_rows_that_can_be_told_apart_are_certified(loss, shape, reg):
    N, D, C = shape
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, D)) * rng.uniform(0.5, 3, D) + 2 * rng.standard_normal(D)
    y = (X @ rng.standard_normal((D, C)) + 10 * rng.gumbel(size=(N, C))).argmax(axis=1)
    y[:C] = np.arange(C)
    model = LinearClassifier(loss, reg=reg, tol=1e-4, bias="free").fit(X, y)
    assert model.status_ == "certified"
    P = value_and_gradient(loss, model.W_, X, y, reg)[0]
    assert model.objective_ == pytest.approx(P, rel=1e-9)
    if reg > 1e-6:  # SciPy is there in seconds
        other = optimum(loss, X, y, reg)
        assert model.dual_ <= other * (1 + 1e-9) and other * (1 + 2e-4) >= P


def test_rows_far_from_nought_have_the_answer_of_those_around_their_mean():
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((150, 200)), np.arange(150) % 5
    X[np.arange(150), y] += 1
    found = [
        LinearClassifier("squared_hinge", reg=1e-3, bias="free", solver="sparse_dual_ascent").fit(rows, y)
        for rows in (X, X + 300 * rng.standard_normal(200))
    ]
    assert [model.status_ for model in found] == ["certified"] * 2
    assert found[1].objective_ == pytest.approx(found[0].objective_, rel=1e-8)
    np.testing.assert_allclose(found[1].coef_, found[0].coef_, atol=1e-6)


@pytest.mark.parametrize("loss", ["softmax", "svm", "squared_hinge"])
def test_a_path_is_taken_up_in_its_midst_to_the_same_bits(loss):
    X, y, _ = sparse_problem(4, c=3)
    asked, states = asked_of(loss, 1e-7), []

    def objective():
        return build_objective(SparseRows(X), torch.from_numpy(y), 3, [1e-1, 1e-3], asked)

    whole = solve(objective(), asked, checkpoint=lambda loop: states.append(loop.state()))
    again = solve(objective(), asked, resume=states[len(states) // 2])
    assert whole.status == [Status.CERTIFIED] * 2
    assert torch.equal(whole.W, again.W) and torch.equal(whole.dual, again.dual)
    alone = [solve(objective().select(torch.tensor([k])), asked) for k in (0, 1)]
    for k, one in enumerate(alone):
        assert float(whole.objective[k]) == pytest.approx(float(one.objective[0]), rel=2e-7)


@pytest.mark.parametrize("loss", SQUARED)
def test_a_fit_may_begin_at_an_answer(loss):
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((300, 400)) + 3, np.arange(300) % 6
    model = LinearClassifier(loss, reg=1e-3, bias="free", solver="sparse_dual_ascent", warm_start=True)
    first = model.fit(X, y).objective_
    model.fit(X, y)
    assert model.trace_[0]["objective"] == pytest.approx(first, rel=1e-6) and model.status_ == "certified"


@pytest.mark.parametrize("loss", LOSSES)
def test_balanced_dual_variables_pull_no_bias_and_are_dual_variables(loss):
    rng, form = np.random.default_rng(3), FORMS[LOSSES[loss]]
    y = np.r_[np.zeros(50, int), np.ones(8, int), np.full(2, 2)]
    weights = rng.uniform(0.5, 1, len(y))
    weights /= weights.sum()
    b = rng.uniform(size=(len(y), 3)) ** 2
    if form.simplex:
        b /= b.sum(axis=1, keepdims=True)
    else:
        b[np.arange(len(y)), y] *= not form.sums_to_zero
    found = balanced(get_loss(loss), form, b, y, weights)
    assert np.abs(weights @ form.to_scores(found, y)).max() < 1e-15
    assert found.min() >= 0 and (form.squared or found.max() <= 1)
    assert not form.simplex or np.abs(found.sum(axis=1) - 1).max() < 1e-14
    assert form.simplex or form.sums_to_zero is not bool(found[np.arange(len(y)), y].any())


@pytest.mark.parametrize("loss", ["svm", "one_vs_rest", *SQUARED])
def test_balanced_dual_variables_are_the_nearest(loss):
    rng, form = np.random.default_rng(4), FORMS[LOSSES[loss]]
    y = np.arange(40) % 3
    b = rng.uniform(size=(40, 3)) ** 2
    b[np.arange(40), y] *= not form.sums_to_zero
    weights = np.full(40, 1 / 40)
    found = balanced(get_loss(loss), form, b, y, weights)
    for _ in range(200):  # the nearest point of a convex set: no way to another leads nearer
        other = rng.uniform(size=b.shape) ** 2
        other[np.arange(40), y] *= not form.sums_to_zero
        other = balanced(get_loss(loss), form, other, y, weights)
        assert np.vdot(b - found, other - found) <= 1e-10
