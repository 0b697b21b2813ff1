"""Sparse X in the estimators: every format, never dense, with the answers of dense rows."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.sparse as sp

from straightedge import LinearClassifier, LinearClassifierCV, SoftmaxClassifier, SVMClassifier
from straightedge.errors import InputError
from support.sparse_problems import sparse_problem

FORMATS = [sp.csr_matrix, sp.csc_matrix, sp.coo_matrix, sp.csr_array, sp.coo_array, sp.lil_matrix]


@pytest.fixture
def wide():
    """Rows that would be dense tables of more than two million entries."""
    rng = np.random.default_rng(0)
    X = sp.random(300, 8000, 0.005, random_state=0, format="csr")
    return X, (X @ rng.standard_normal((8000, 3))).argmax(axis=1)


@pytest.fixture
def never_dense(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("X was made dense")

    for kind in (sp.csr_matrix, sp.csc_matrix, sp.coo_matrix, sp.csr_array, sp.coo_array, sp.lil_matrix):
        monkeypatch.setattr(kind, "toarray", refuse)
        monkeypatch.setattr(kind, "todense", refuse)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_fit_and_answers(kind, wide, never_dense):
    X, y = wide
    first = SoftmaxClassifier(reg=1e-3).fit(X, y)
    other = SoftmaxClassifier(reg=1e-3).fit(kind(X), y)
    assert np.array_equal(first.coef_, other.coef_)
    np.testing.assert_allclose(first.decision_function(X), other.decision_function(kind(X)), rtol=1e-12)
    assert first.status_ == "certified" and np.array_equal(first.predict(X), other.predict(kind(X)))


@pytest.mark.parametrize("loss", ["softmax", "svm"])
def test_sparse_and_dense_rows_have_one_optimum(loss, wide):
    X, y = wide
    sparse = LinearClassifier(loss, reg=1e-2, tol=1e-4).fit(X, y)
    dense = LinearClassifier(loss, reg=1e-2, tol=1e-4).fit(X.toarray(), y)
    assert sparse.dual_ <= dense.objective_ * (1 + 1e-12)
    assert dense.dual_ <= sparse.objective_ * (1 + 1e-12)
    assert sparse.objective_ == pytest.approx(dense.objective_, rel=2e-4)


def test_explicit_zeros_unsorted_and_repeated_indices_are_the_matrix_they_stand_for():
    X = sp.csr_matrix(([2.0, 0.0, 1.0, 3.0, 1.0], [3, 1, 0, 2, 2], [0, 2, 3, 5]), shape=(3, 4))
    y, settings = [0, 1, 1], {"reg": 1e-1, "tol": 1e-9, "solver": "sparse_dual_ascent"}
    odd = SoftmaxClassifier(**settings).fit(X, y)
    plain = SoftmaxClassifier(**settings).fit(sp.csr_matrix(X.toarray()), y)
    np.testing.assert_allclose(odd.coef_, plain.coef_, atol=1e-6)
    assert not X.has_sorted_indices  # and X was left as it was


def test_auto_leaves_sparse_rows_unscaled_and_centring_is_refused():
    X, y, _ = sparse_problem(0)
    auto, none = (SoftmaxClassifier(preprocess=kind).fit(X, y) for kind in ("auto", "none"))
    assert np.array_equal(auto.coef_, none.coef_)
    with pytest.raises(InputError) as caught:
        SoftmaxClassifier(preprocess="standardize").fit(X, y)
    assert caught.value.code == "preprocess-sparse"


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_entries_that_are_no_numbers_are_named_by_row_and_column(value):
    X, y, _ = sparse_problem(0)
    X = X.tolil()
    X[4, 3] = value
    with pytest.raises(InputError, match=r"row 4, column 3"):
        SVMClassifier().fit(X, y)


def test_cross_validation_chooses_among_sparse_rows(wide):
    X, y = wide
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # planted labels may ask for values beyond those tried
        model = LinearClassifierCV(regs=[1e-1, 1e-2, 1e-3], cv=3).fit(X, y)
    assert model.reg_ in (1e-1, 1e-2, 1e-3)
    assert model.predict(X.tocsc()).shape == (300,)


def test_rows_of_weight_zero_are_as_good_as_left_out(wide):
    X, y = wide
    weights = np.ones(300)
    weights[::3] = 0
    whole = SoftmaxClassifier(reg=1e-2, tol=1e-7).fit(X, y, weights)
    part = SoftmaxClassifier(reg=1e-2, tol=1e-7).fit(X[weights > 0], y[weights > 0])
    assert whole.objective_ == pytest.approx(part.objective_, rel=2e-7)
