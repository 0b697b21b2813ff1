"""Sparse rows of two classes go a short way: the long way's answers to the bit, the same words about data."""

import numpy as np
import pytest
import scipy.sparse as sp

from straightedge import LinearClassifier
from straightedge.errors import InputError
from straightedge.estimators import quick_sparse


def rows(n=120, d=20_000, seed=0):
    """Return sparse rows that are too large to be made dense, and labels that a plane does not part."""
    rng = np.random.default_rng(seed)
    X = sp.random(n, d, 2e-3, format="csr", random_state=seed)
    y = ((X @ rng.standard_normal(d)) + 0.1 * rng.standard_normal(n) > 0).astype(int)
    return X, y


def kept(model):
    """Return what a fit leaves, without the seconds of its trace."""
    own = dict(vars(model))
    del own["callbacks"]
    own["trace_"] = [{key: row[key] for key in row if key != "seconds"} for row in own["trace_"]]
    return own


@pytest.mark.parametrize("loss", ["svm", "crammer_singer", "one_vs_rest", "squared_hinge"])
def test_the_short_way_finds_what_the_long_way_finds(loss):
    X, y = rows()
    named = np.array(["no", "yes"])[y] if loss == "svm" else y + 3
    short = LinearClassifier(loss, reg=1e-4).fit(X, named)
    long = LinearClassifier(loss, reg=1e-4, callbacks=[]).fit(X, named)
    assert quick_sparse.is_plain(X)
    assert short.status_ == "certified" and short.gap_ <= 1e-4
    np.testing.assert_equal(kept(short), kept(long))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("most", [1, 2.5])
def test_a_fit_that_has_too_few_passes_says_so_by_either_way(most):
    X, y = rows(seed=1)
    short, long = (
        LinearClassifier("svm", reg=1e-6, tol=1e-9, max_passes=most, callbacks=own).fit(X, y) for own in (None, [])
    )
    assert short.status_ == "max_passes" and short.gap_ > 1e-9
    np.testing.assert_equal(kept(short), kept(long))


@pytest.mark.parametrize(
    ("value", "code"), [(np.nan, "x-not-finite"), (np.inf, "x-not-finite"), (1e16, "x-too-large")]
)
def test_what_is_wrong_with_sparse_entries_is_still_said(value, code):
    X, y = rows()
    X.data[7] = value
    with pytest.raises(InputError) as caught:
        LinearClassifier("svm").fit(X, y)
    assert caught.value.code == code


def test_labels_and_settings_that_need_the_long_way_go_it():
    X, y = rows()
    for wrong, code in ((np.zeros_like(y), "labels-single-class"), (y[:-1], "labels-length")):
        with pytest.raises(InputError) as caught:
            LinearClassifier("svm").fit(X, wrong)
        assert caught.value.code == code
    with pytest.raises(InputError) as caught:
        LinearClassifier("svm", solver="newton").fit(X, y)
    assert caught.value.code == "solver-does-not-fit"
    three = LinearClassifier("svm", reg=1e-2).fit(X, np.arange(len(y)) % 3)
    assert three.W_.shape == (X.shape[1] + 1, 3)


def test_repeated_and_unsorted_entries_are_added_up_by_the_short_way():
    X, y = rows()
    twice = sp.csr_matrix((np.r_[X.data, X.data], np.r_[X.indices, X.indices], 2 * X.indptr), X.shape)
    for i in range(X.shape[0]):
        own = slice(X.indptr[i], X.indptr[i + 1])
        both = slice(2 * X.indptr[i], 2 * X.indptr[i + 1])
        twice.data[both] = np.r_[X.data[own][::-1], X.data[own][::-1]] / 2
        twice.indices[both] = np.r_[X.indices[own][::-1], X.indices[own][::-1]]
    once, again = (LinearClassifier("svm", reg=1e-3).fit(given, y) for given in (X, twice))
    np.testing.assert_allclose(again.W_, once.W_, rtol=0, atol=1e-12)
