"""Estimators and models convert into each other, and pickled estimators of earlier versions open."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris

from straightedge import LinearClassifier, LinearClassifierCV, SoftmaxClassifier, SVMClassifier, load
from straightedge.errors import InputError
from straightedge.estimators.fitted import UNKNOWN

X, Y = load_iris(return_X_y=True)
TWO = Y > 0
IMAGES = load_digits().images.astype(np.uint8)[:200, None]
DIGITS = load_digits().target[:200]
NAMES = np.array(["setosa", "versicolor", "virginica"])

FITTED: dict[str, tuple[Any, Any, Any]] = {
    "softmax": (SoftmaxClassifier(1e-2), X, Y),
    "softmax behind a map": (SoftmaxClassifier(1e-2, preprocess="standardize", bias="free"), X, NAMES[Y]),
    "svm": (SVMClassifier(1e-2), X, Y),
    "two classes": (SVMClassifier(1e-1, preprocess="center"), X[TWO], Y[TWO]),
    "one versus rest": (LinearClassifier("one_vs_rest_logistic", reg=1e-2, class_weight="balanced"), X, Y),
    "images": (SoftmaxClassifier(1e-1, preprocess="channel"), IMAGES, DIGITS),
    "chosen": (LinearClassifierCV(regs=[1.0, 1e-2], cv=3), X, Y),
}
PROOF = ("objective_", "dual_", "gap_", "status_")
pytestmark = pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")


@pytest.fixture(scope="module", params=FITTED)
def fitted(request: Any) -> tuple[Any, Any, Any]:
    estimator, rows, labels = FITTED[request.param]
    return clone(estimator).fit(rows, labels), rows, labels


def test_a_model_of_an_estimator_answers_as_it_does_and_has_its_proof(fitted: Any, tmp_path: Any) -> None:
    estimator, rows, _ = fitted
    model = estimator.to_model()
    assert [str(name) for name in estimator.predict(rows)] == [model.classes[k] for k in model.predict(rows)]
    scores = model.scores(rows)
    ours = scores[:, 1] - scores[:, 0] if len(model.classes) == 2 else scores
    np.testing.assert_allclose(ours, estimator.decision_function(rows), rtol=1e-4, atol=1e-4)
    assert (model.objective, model.dual, model.gap, model.status) == tuple(
        getattr(estimator, name) for name in PROOF
    )
    assert (model.loss, model.bias_mode) == (estimator._loss_name, estimator.bias)
    assert model.reg == getattr(estimator, "reg_", getattr(estimator, "reg", None))
    np.testing.assert_allclose(model.W, estimator.W_, rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(load(tmp_path / "model.safetensors").scores(rows), scores)


def test_an_estimator_of_a_model_answers_as_it_does_and_has_its_proof(fitted: Any) -> None:
    estimator, rows, _ = fitted
    model = estimator.to_model()
    back = type(estimator).from_model(model, tol=1e-7)
    np.testing.assert_array_equal(back.predict(rows), estimator.predict(rows))
    np.testing.assert_allclose(back.coef_, estimator.coef_, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(back.classes_, estimator.classes_)
    assert [getattr(back, name) for name in PROOF] == [getattr(estimator, name) for name in PROOF]
    assert back.tol == 1e-7 and back.preprocess == estimator.preprocess
    again = back.to_model()
    np.testing.assert_allclose(again.weight, model.weight, rtol=1e-5, atol=1e-6)
    assert (again.proof, again.input) == (model.proof, model.input)


def test_probabilities_of_a_calibrated_model_and_the_order_of_classes() -> None:
    model = SoftmaxClassifier(1e-2).fit(X, Y).to_model()
    model = replace(model, temperature=2.5, classes=("20", "3", "100"))  # not in the order of numbers
    estimator = LinearClassifier.from_model(model)
    np.testing.assert_array_equal(estimator.classes_, [3, 20, 100])
    np.testing.assert_allclose(estimator.predict_proba(X), model.predict_proba(X)[:, [1, 0, 2]], atol=1e-5)
    np.testing.assert_array_equal(estimator.predict(X), np.array([20, 3, 100])[model.predict(X)])
    assert estimator.to_model().temperature == 2.5
    fresh = estimator.fit(X, Y)
    assert fresh.temperature_ is None


def test_what_an_estimator_cannot_be_is_refused_by_name() -> None:
    model = SVMClassifier(1e-1).fit(X[TWO], Y[TWO]).to_model()
    with pytest.raises(InputError, match="model-loss"):
        SoftmaxClassifier.from_model(model)
    with pytest.raises(InputError, match="model-decides"):
        SVMClassifier.from_model(replace(model, threshold=0.5))


def test_pickles_of_earlier_versions_open(fitted: Any) -> None:
    estimator, rows, labels = fitted
    whole = vars(pickle.loads(pickle.dumps(estimator)))
    before = copy.deepcopy(whole)
    newer = [*UNKNOWN, "affine_", "warm_start", "callbacks", "verbose", "random_state", "device"]
    for name in newer:
        before.pop(name, None)
    opened = type(estimator).__new__(type(estimator))
    opened.__setstate__(before)
    np.testing.assert_array_equal(opened.predict(rows), estimator.predict(rows))
    assert opened.get_params() == type(estimator)(**before_params(estimator)).get_params()
    assert repr(opened) and all(hasattr(opened, name) for name in UNKNOWN)
    if estimator.preprocess == "none":
        np.testing.assert_array_equal(opened.to_model().weight, estimator.to_model().weight)
    else:
        with pytest.raises(InputError, match="map-unknown"):
            opened.to_model()
    np.testing.assert_array_equal(opened.fit(rows, labels).coef_, estimator.coef_)


def before_params(estimator: Any) -> dict[str, Any]:
    """The parameters that an earlier version had as they were, and defaults for the others."""
    later = {"warm_start", "callbacks", "verbose", "random_state", "device"}
    return {name: value for name, value in estimator.get_params().items() if name not in later}


def test_an_estimator_that_was_not_fitted_opens_as_such() -> None:
    opened = pickle.loads(pickle.dumps(SVMClassifier(0.5)))
    assert not [name for name in vars(opened) if name.endswith("_")] and opened.reg == 0.5
