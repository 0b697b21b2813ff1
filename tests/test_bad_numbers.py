"""Bad numbers through the Python front doors: no hang, no traceback of another kind, no wrong answer in silence."""

import math
import time
import warnings
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning

from straightedge import LinearClassifier, SoftmaxClassifier, fit_path
from straightedge.errors import InputError, StraightedgeWarning
from straightedge.selection import LinearClassifierCV

X, y = load_iris(return_X_y=True)
SECOND = 1.0  # s; the fits themselves take milliseconds


def spoiled(value, row=20, column=2, dtype=np.float64):
    out = X.astype(dtype)
    with np.errstate(over="ignore"):
        out[row, column] = value
    return out


def estimator(**settings):
    return SoftmaxClassifier(**{"reg": 1e-2, **settings})


def fit(X=X, y=y, sample_weight=None, **settings):
    return estimator(**settings).fit(X, y, sample_weight)


def warns_of(code):
    return pytest.warns(StraightedgeWarning, match=code)


FRONT_DOORS = {
    "estimator": lambda X, y: estimator().fit(X, y),
    "path": lambda X, y: fit_path(X, y, [1e-2]),
    "cross-validation": lambda X, y: LinearClassifierCV(regs=[1e-2], cv=2).fit(X, y),
}


@pytest.mark.parametrize("door", FRONT_DOORS)
@pytest.mark.parametrize(
    ("bad", "code", "where"),
    [
        pytest.param(lambda: spoiled(math.nan), "x-not-finite", "row 20, column 2", id="NaN in X"),
        pytest.param(lambda: spoiled(math.inf), "x-not-finite", "row 20, column 2", id="+Inf in X"),
        pytest.param(lambda: spoiled(-math.inf), "x-not-finite", "row 20, column 2", id="-Inf in X"),
        pytest.param(lambda: spoiled(math.nan, dtype=np.float32), "x-not-finite", "row 20", id="NaN in float32"),
        pytest.param(lambda: spoiled(1e6, dtype=np.float16), "x-not-finite", "row 20", id="Inf in float16"),
        pytest.param(lambda: torch.tensor(spoiled(math.nan)), "x-not-finite", "row 20", id="NaN in a tensor"),
        pytest.param(lambda: spoiled(1e150), "x-too-large", "row 20, column 2", id="values of 1e150"),
        pytest.param(lambda: X * 1e150, "x-too-large", "row 0, column 0", id="all values of 1e150"),
        pytest.param(lambda: X * (1 + 1j), "x-dtype", "", id="complex X"),
        pytest.param(lambda: np.array([[{}] * 4] * 150, dtype=object), "x-dtype", "", id="object X"),
        pytest.param(lambda: X[:, :, None], "x-shape", "", id="3-D X"),
        pytest.param(lambda: X[:, 0], "x-shape", "", id="1-D X"),
        pytest.param(lambda: X[:0], "x-empty", "", id="no rows"),
        pytest.param(lambda: X[:, :0], "x-empty", "", id="no features"),
        pytest.param(lambda: X[:-1], "labels-length", "149", id="len(y) ≠ N"),
    ],
)
def test_bad_rows_are_refused_within_a_second(door, bad, code, where):
    began = time.perf_counter()
    with pytest.raises(InputError) as caught:
        FRONT_DOORS[door](bad(), y)
    assert caught.value.code == code
    assert where in str(caught.value)
    assert time.perf_counter() - began < 5 * SECOND  # the machine may be busy; without the check it never ends


@pytest.mark.parametrize(
    ("reg", "code"),
    [
        pytest.param(0, "reg-zero", id="separable data with reg = 0"),
        pytest.param(-1.0, "reg-invalid", id="reg negative"),
        pytest.param(math.nan, "reg-invalid", id="reg NaN"),
        pytest.param("much", "reg-invalid", id="reg text"),
    ],
)
def test_reg_that_makes_no_sense_is_refused(reg, code):
    for work in (
        lambda: fit(reg=reg),
        lambda: fit_path(X, y, [1e-2, reg]),
        lambda: LinearClassifierCV(regs=[reg]).fit(X, y),
    ):
        with pytest.raises(InputError) as caught:
            work()
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("weights", "where"),
    [
        pytest.param(np.where(np.arange(150) == 7, -1.0, 1.0), "row 7", id="sample weights negative"),
        pytest.param(np.zeros(150), "all sample weights are zero", id="sample weights all zero"),
        pytest.param(np.where(np.arange(150) == 9, math.nan, 1.0), "row 9", id="sample weights NaN"),
        pytest.param(np.where(np.arange(150) == 9, math.inf, 1.0), "row 9", id="sample weights infinite"),
        pytest.param(np.ones(149), "expected (150,)", id="sample weights of another length"),
        pytest.param(["heavy"] * 150, "not numbers", id="sample weights text"),
    ],
)
def test_bad_sample_weights_are_refused(weights, where):
    for work in (lambda: fit(sample_weight=weights), lambda: fit_path(X, y, [0.1], sample_weight=weights)):
        with pytest.raises(InputError) as caught:
            work()
        assert caught.value.code == "sample-weight-invalid" and where in str(caught.value)


@pytest.mark.parametrize("class_weight", [{0: -1}, {0: math.nan}, {0: "much"}, "heavy", 3])
def test_bad_class_weights_are_refused(class_weight):
    with pytest.raises(InputError) as caught:
        fit(class_weight=class_weight)
    assert caught.value.code == "class-weight-invalid"


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1e-160])
@pytest.mark.parametrize("preprocess", ["none", "standardize"])
def test_values_of_1e_300_give_no_zero_by_zero(size, preprocess):
    nothing_left = preprocess == "none" or size == 1e-300  # W = 0 is optimal, or squares are 0
    with warns_of("constant-prediction") if nothing_left else nullcontext():
        found = fit(X * size, preprocess=preprocess, tol=1e-6)
    assert found.status_ == "certified"
    for part in (found.coef_, found.intercept_, found.predict_proba(X * size)):
        assert np.isfinite(part).all()


@pytest.mark.parametrize("constant", [0.0, 0.1, -7.3, 1e6])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_constant_feature_has_weight_0(constant, dtype):
    data = np.hstack([X, np.full((150, 1), constant)]).astype(dtype)
    found = fit(data, preprocess="standardize", tol=1e-6)
    assert (found.coef_[:, -1] == 0).all() and np.isfinite(found.coef_).all()
    assert found.score(data, y) > 0.9


def test_all_features_constant_predicts_the_priors():
    labels = np.repeat([0, 1, 2], [75, 50, 25])
    for constant in (0.0, 3.25, 0.1):
        with warns_of("constant-prediction"):
            found = fit(np.full((150, 3), constant), labels, bias="free", preprocess="standardize", tol=1e-10)
        np.testing.assert_allclose(
            found.predict_proba(np.full((2, 3), constant)), [[1 / 2, 1 / 3, 1 / 6]] * 2, rtol=1e-4
        )


@pytest.mark.parametrize("bias", ["free", "penalized"])
def test_more_features_than_samples_is_certified(bias):
    wide = np.random.default_rng(0).normal(size=(20, 300))
    found = fit(wide, np.arange(20) % 3, bias=bias, tol=1e-6)
    assert found.status_ == "certified" and found.gap_ <= 1e-6


def test_scores_of_1e4_and_1e308_give_probabilities():
    found = fit()
    found.coef_ *= 1e4
    assert np.abs(found.decision_function(X)).max() > 1e4
    assert np.isfinite(found.predict_log_proba(X)).all()
    found.coef_, found.intercept_ = 0 * found.coef_, np.array([1e308, -1e308, 0.0])
    np.testing.assert_array_equal(found.predict_proba(X), np.eye(3)[[0] * len(X)])
    assert not np.isnan(found.predict_log_proba(X)).any()


def test_reg_1e_12_has_an_honest_gap():
    with pytest.warns(ConvergenceWarning, match="not certified"):
        found = fit(X[:100], y[:100], reg=1e-12, max_passes=30, solver="lbfgs")
    assert found.gap_ > 1e-4 and math.isfinite(found.objective_)
    found = fit_path(X[:100], y[:100], [1e-12, 1.0], max_passes=30, solver="lbfgs")
    assert [s.value for s in found.solution.status] == ["max_passes", "certified"]


def test_uint8_not_scaled_is_its_float_copy():
    pixels, labels = load_digits(return_X_y=True)
    pixels = (pixels[:300] * 15).astype(np.uint8)
    one, other = (fit(pixels.astype(t), labels[:300], reg=50.0, tol=1e-9) for t in (np.uint8, np.float64))
    assert one.objective_ == pytest.approx(other.objective_, rel=1e-8)
    np.testing.assert_allclose(one.coef_, other.coef_, atol=1e-5)


def test_train_0_255_and_test_0_1_is_a_warning():
    pixels, labels = load_digits(return_X_y=True)
    pixels, labels = pixels[:200] * 15, labels[:200]
    found = fit(pixels, labels, reg=100.0, tol=1e-2)
    with pytest.warns(StraightedgeWarning, match="ranges-differ"):
        found.predict(pixels / 255)
    small = fit(pixels / 255, labels, tol=1e-2)
    with pytest.warns(StraightedgeWarning, match="scaled by 255"):
        small.decision_function(pixels.astype(np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small.predict(pixels / 255)
        fit(X - X.mean(axis=0)).predict(100 * X)  # no pixels: values below 0


@pytest.mark.parametrize("tensor", [False, True])
@pytest.mark.parametrize(
    ("rows", "code"),
    [
        pytest.param(X[:, :3], "x-width", id="wrong width at predict"),
        pytest.param(spoiled(math.nan), "x-not-finite", id="NaN at predict"),
        pytest.param(spoiled(-math.inf), "x-not-finite", id="Inf at predict"),
        pytest.param(X[0], "x-shape", id="one row at predict"),
    ],
)
def test_bad_rows_at_predict(rows, code, tensor):
    found = fit()
    for method in (found.predict, found.decision_function, found.predict_proba):
        with pytest.raises(ValueError) as caught:
            method(torch.tensor(rows) if tensor else rows)
        assert code == "x-width" or caught.value.code == code


@pytest.mark.parametrize(
    ("setting", "value", "code"),
    [
        ("tol", 0.0, "tol-invalid"),
        ("tol", math.nan, "tol-invalid"),
        ("max_passes", 0, "max-passes-invalid"),
        ("bias", "none", "bias-unknown"),
        ("preprocess", "whiten", "preprocess-unknown"),
        ("preprocess", "channel", "preprocess-needs-images"),
        ("solver", "nelder-mead", "solver-unknown"),
    ],
)
def test_settings_are_refused_by_name(setting, value, code):
    with pytest.raises(InputError) as caught:
        fit(**{setting: value})
    assert caught.value.code == code


def test_a_loss_or_single_class_is_refused():
    with pytest.raises(InputError, match="no loss"):
        LinearClassifier("hinge").fit(X, y)
    with pytest.raises(InputError, match="1 class"):
        fit(y=np.zeros(150, dtype=int))
    with pytest.raises(InputError, match="positive weight"):
        fit(sample_weight=(y == 1).astype(float))
