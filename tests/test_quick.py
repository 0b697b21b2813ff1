"""Small NumPy tables go a short way: the same answers as by the long way, without torch, and first of all."""

import statistics
import subprocess
import sys
import time

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.linear_model import LogisticRegression

from straightedge import LinearClassifier, SoftmaxClassifier
from straightedge.errors import InputError
from straightedge.estimators import quick

LOADS = [load_iris, load_wine, load_breast_cancer]


@pytest.mark.parametrize("loss", ["softmax", "squared_hinge"])
@pytest.mark.parametrize("reg", [1e-1, 1e-6])
@pytest.mark.parametrize("load", LOADS)
def test_the_short_way_finds_what_the_long_way_finds(load, reg, loss):
    X, y = load(return_X_y=True)
    short = LinearClassifier(loss, reg=reg, tol=1e-10).fit(X, y)
    long = LinearClassifier(loss, reg=reg, tol=1e-10, callbacks=[]).fit(X, y)
    np.testing.assert_allclose(short.W_, long.W_, rtol=0, atol=1e-7 * np.abs(long.W_).max())
    assert short.objective_ == pytest.approx(long.objective_, rel=1e-12)
    assert short.status_ == long.status_ == "certified"
    assert max(short.gap_, long.gap_) <= 1e-10
    assert short.value_range_ == long.value_range_
    assert set(vars(short)) == set(vars(long)) - {"_scale"}
    assert short.trace_[0].keys() == long.trace_[0].keys()
    np.testing.assert_array_equal(short.predict(X), long.predict(X))


def test_a_small_fit_and_its_predictions_import_no_torch():
    code = (
        "import sys; from sklearn.datasets import load_iris; from straightedge import SoftmaxClassifier; "
        "X, y = load_iris(return_X_y=True); model = SoftmaxClassifier(reg=1e-3).fit(X, y.astype(str)); "
        "assert model.predict(X)[0] == '0'; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("X", "y", "code"),
    [
        ([[1.0, np.nan], [0.0, 1.0]], [0, 1], "x-not-finite"),
        ([[1.0, np.inf], [0.0, 1.0]], [0, 1], "x-not-finite"),
        ([[1.0, 1e16], [0.0, 1.0]], [0, 1], "x-too-large"),
        ([[1.0, 2.0], [0.0, 1.0]], [0, 0], "labels-single-class"),
        ([[1.0, 2.0], [0.0, 1.0]], [0, 1, 1], "labels-length"),
    ],
)
def test_what_is_wrong_with_a_plain_table_is_still_said(X, y, code):
    X, y = np.repeat(X, 3, axis=0), np.repeat(y, 3)
    with pytest.raises(InputError) as caught:
        SoftmaxClassifier().fit(X, y)
    assert caught.value.code == code
    model = SoftmaxClassifier().fit(*load_iris(return_X_y=True))
    if code.startswith("x-"):
        with pytest.raises(InputError) as caught:
            model.predict(np.hstack([X, X]))
        assert caught.value.code == code


def test_too_few_passes_are_a_status_and_a_warning():
    with pytest.warns(match="stopped after"):
        model = SoftmaxClassifier(reg=1e-6, tol=1e-10, max_passes=6).fit(*load_iris(return_X_y=True))
    assert model.status_ == "max_passes" and model.gap_ > 1e-10
    assert model.dual_ <= model.objective_


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_scores_are_those_of_one_product_whatever_the_blocks(dtype, monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 255, (1000, 7)).astype(dtype)
    coef, intercept = rng.normal(size=(3, 7)), rng.normal(size=3)
    monkeypatch.setattr(quick, "SCORED", 7 * 64)
    scores, extremes = quick.score(X, coef, intercept)
    np.testing.assert_allclose(scores, X.astype(np.float64) @ coef.T + intercept, rtol=1e-12, atol=1e-9)
    assert extremes == (X.min(), X.max())


@pytest.mark.parametrize("load", LOADS)
def test_small_tables_are_fitted_sooner_than_by_the_fastest_peer(load):
    """CPU seconds of one process, in turns: ours to a gap of 1e-10, the peer's to its loose tolerance of 1e-4."""
    X, y = load(return_X_y=True)
    table = np.hstack([X, np.ones((len(X), 1))])
    C = (1 if y.max() == 1 else 0.5) / (1e-3 * len(y))
    peer = LogisticRegression(C=C, fit_intercept=False, solver="newton-cholesky")
    ours, theirs = [], []
    for _ in range(15):
        ours.append(_seconds(lambda: SoftmaxClassifier(reg=1e-3, tol=1e-10).fit(X, y)))
        theirs.append(_seconds(lambda: peer.fit(table, y)))
    assert statistics.median(ours) < statistics.median(theirs)


def _seconds(work):
    start = time.process_time()
    work()
    return time.process_time() - start
