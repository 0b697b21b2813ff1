"""Conjugate gradients whose preconditioner is each class's own block of the Hessian."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from straightedge import SoftmaxClassifier
from straightedge.newton import conjugate
from straightedge.newton.conjugate import _heaviest, block_preconditioner
from straightedge.newton.problem import SmoothProblem, Table, contrasts
from straightedge.newton.rules import SECOND_ORDER
from straightedge.newton.work import Size


def rows_of(N, D, C, *, noise=0.3, seed=5):
    """Rows of features that go together, and classes that nearly part."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, D)) @ (np.eye(D) + rng.normal(size=(D, D)) / np.sqrt(D)) * np.logspace(0, -1, D)
    scores = X @ rng.normal(size=(D, C)) * 3 / np.sqrt(D) + noise * rng.gumbel(size=(N, C))
    return X, scores.argmax(axis=1)


@pytest.mark.parametrize("loss", ["softmax", "squared_hinge", "one_vs_rest_logistic"])
def test_a_block_has_the_diagonal_of_the_hessian_and_is_solved(loss, monkeypatch):
    monkeypatch.setattr(conjugate, "LEAST_KEPT", 0.0)
    X, y = rows_of(300, 40, 5)
    rng = np.random.default_rng(1)
    rule = SECOND_ORDER[loss]
    basis = contrasts(5) if rule.shift_invariant else np.eye(5)
    problem = SmoothProblem(Table(X), y, np.full(300, 1 / 300), np.full(40, 2e-3), rule, basis)
    point = problem.at(rng.normal(size=(5, 40)) / 4)
    made = block_preconditioner(problem, point)
    R = rng.normal(size=(5, 40))
    found = made.solve(R)
    for j in range(5):
        unit = np.eye(5)[j][:, None] * np.ones((5, 300))
        bend = point.terms.product(unit)[j] / 300
        whole = (X.T * bend) @ X + np.diag(problem.ridge)
        A, scale = made.rows[j].astype(np.float64), made.scales[j].astype(np.float64)
        block = (np.eye(40) + A.T @ A) / scale / scale[:, None]
        np.testing.assert_allclose(block.diagonal(), whole.diagonal(), rtol=1e-4)
        np.testing.assert_allclose(block @ found[j], R[j], atol=1e-3 * abs(R[j]).max())
        assert len(A) <= 20


def test_the_fewest_rows_that_hold_the_share_are_kept(monkeypatch):
    monkeypatch.setattr(conjugate, "KEPT", 0.9)
    own = np.array([1.0, 50.0, 2.0, 30.0, 15.0, 1.0, 1.0])
    assert _heaviest(own, 7).tolist() == [1, 3, 4]
    assert _heaviest(own, 2).tolist() == [1, 3]
    assert len(_heaviest(np.zeros(7), 3)) >= 1


def test_products_are_fewer_than_with_one_gram_for_all_and_the_answer_is_the_same(monkeypatch):
    X, y = load_digits(return_X_y=True)
    X = np.tile(X / 16, 6)
    assert Size(1797, 385, 10, 9).has_blocks and not Size(1797, 385, 2, 1).has_blocks
    first = SoftmaxClassifier(reg=1e-5, tol=1e-6).fit(X, y)
    monkeypatch.setattr(Size, "has_blocks", False)
    second = SoftmaxClassifier(reg=1e-5, tol=1e-6).fit(X, y)
    assert first.status_ == second.status_ == "certified"
    assert first.n_passes_ < 0.7 * second.n_passes_
    assert first.objective_ == pytest.approx(second.objective_, rel=2e-6)


def test_classes_that_overlap_have_one_gram_for_all():
    X, y = rows_of(1500, 300, 12, noise=3.0)
    problem = SmoothProblem(
        Table(X), y, np.full(1500, 1 / 1500), np.full(300, 2e-2), SECOND_ORDER["softmax"], contrasts(12)
    )
    assert block_preconditioner(problem, problem.at(np.full((12, 300), 1e-3))) is None
