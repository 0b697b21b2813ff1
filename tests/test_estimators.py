"""The estimators: against scikit-learn's own optimum, kinds of input and output, warm start, callbacks."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from straightedge import LinearClassifier, SoftmaxClassifier, SVMClassifier
from straightedge.losses import LOSSES
from straightedge.protocols import translate
from support.linear_problems import needs_solver


def binned_diabetes():
    X, y = load_diabetes(return_X_y=True)
    return X, np.digitize(y, np.quantile(y, [1 / 3, 2 / 3]))


def some_digits():
    X, y = load_digits(return_X_y=True)
    return X[:500, X[:500].std(axis=0) > 0], y[:500]


SHIPPED = {
    "iris": lambda: load_iris(return_X_y=True),
    "wine": lambda: load_wine(return_X_y=True),
    "breast_cancer": lambda: load_breast_cancer(return_X_y=True),
    "digits": some_digits,
    "diabetes": binned_diabetes,
}


def relative(one, other):
    return np.linalg.norm(one - other) / np.linalg.norm(other)


@pytest.mark.parametrize("bias", ["free", "penalized"])
@pytest.mark.parametrize("name", SHIPPED)
def test_coefficients_are_those_of_scikit_learn(name, bias):
    X, y = SHIPPED[name]()
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    n, C, reg = len(y), len(np.unique(y)), 1e-2
    rows = translate("reg", reg, n=n, classes=C).rows
    inverse = next(row.value for row in rows if row.system.key == "sklearn-logistic")
    ours = SoftmaxClassifier(reg, tol=1e-12, bias=bias).fit(X, y)
    free = bias == "free"
    theirs = LogisticRegression(C=inverse, fit_intercept=free, solver="lbfgs", tol=1e-8, max_iter=10_000)
    with_constant = X if free else np.hstack([X, np.ones((n, 1))])
    theirs.fit(with_constant, y)
    coef = theirs.coef_ if free else theirs.coef_[:, :-1]
    intercept = theirs.intercept_ if free else theirs.coef_[:, -1]
    assert ours.status_ == "certified" and ours.gap_ <= 1e-12
    assert ours.coef_.shape == coef.shape and ours.intercept_.shape == intercept.shape
    assert relative(ours.coef_, coef) < 1e-4
    # a free intercept is free up to a constant over the classes: both are compared as differences
    centred = [b - b.mean() if len(b) > 1 else b for b in (ours.intercept_, intercept)]
    assert np.linalg.norm(centred[0] - centred[1]) < 1e-4 * (np.linalg.norm(centred[1]) + np.linalg.norm(coef))
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(with_constant), atol=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_fits_iris(loss):
    needs_solver(loss)
    X, y = load_iris(return_X_y=True)
    found = LinearClassifier(loss, reg=1e-3, tol=1e-3, preprocess="standardize", max_passes=5000).fit(X, y)
    assert found.status_ == "certified" and found.gap_ <= 1e-3 and found.message_.startswith("certified")
    assert found.objective_ >= found.dual_ > 0 and found.n_passes_ >= 1
    assert found.score(X, y) > (0.7 if loss == "one_vs_rest" else 0.93)
    assert hasattr(found, "predict_proba") == (loss == "softmax")


def test_svm_classifier_is_the_svm():
    needs_solver("svm")
    X, y = load_iris(return_X_y=True)
    one = SVMClassifier(1e-2, tol=1e-6, max_passes=5000).fit(X, y)
    other = LinearClassifier("svm", reg=1e-2, tol=1e-6, max_passes=5000).fit(X, y)
    assert one.objective_ == pytest.approx(other.objective_, rel=2e-6)


def test_torch_tensors_in_torch_tensors_out():
    X, y = load_iris(return_X_y=True)
    of_torch = SoftmaxClassifier().fit(torch.tensor(X), torch.tensor(y))
    of_numpy = SoftmaxClassifier().fit(X, y)
    for method in ("predict", "decision_function", "predict_proba", "predict_log_proba"):
        tensor = getattr(of_torch, method)(torch.tensor(X))
        assert isinstance(tensor, torch.Tensor) and tensor.device.type == "cpu"
        np.testing.assert_allclose(tensor.numpy(), getattr(of_numpy, method)(X), rtol=1e-12)
        assert isinstance(getattr(of_numpy, method)(X), np.ndarray)
    np.testing.assert_allclose(of_torch.predict_proba(torch.tensor(X)).sum(dim=1), 1, rtol=1e-12)


def test_string_labels():
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])
    found = SoftmaxClassifier().fit(X, names[y])
    assert found.classes_.tolist() == names.tolist()
    assert set(found.predict(X)) <= set(names) and found.score(X, names[y]) > 0.9
    assert found.predict(torch.tensor(X)).tolist() == found.predict(X).tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, ">f8"])
def test_types_agree(dtype):
    X, y = some_digits()
    one = SoftmaxClassifier(1.0, tol=1e-10).fit(X.astype(dtype), y)
    other = SoftmaxClassifier(1.0, tol=1e-10).fit(X, y)
    np.testing.assert_allclose(one.coef_, other.coef_, atol=1e-6)


def test_images_are_flattened():
    X, y = load_digits(return_X_y=True)
    images = X[:300].reshape(-1, 1, 8, 8).astype(np.uint8)
    found = SoftmaxClassifier(1e-2, preprocess="pixels").fit(images, y[:300])
    assert found.coef_.shape == (10, 64) and found.n_features_in_ == 64
    np.testing.assert_array_equal(found.predict(images), found.predict(images.reshape(300, 64)))


def test_sample_and_class_weights_are_repetitions():
    X, y = load_iris(return_X_y=True)
    settings = {"reg": 1e-2, "tol": 1e-12}
    by_class = SoftmaxClassifier(**settings, class_weight={0: 1, 1: 2, 2: 1}).fit(X, y)
    by_sample = SoftmaxClassifier(**settings).fit(X, y, sample_weight=1.0 + (y == 1))
    repeated = SoftmaxClassifier(**settings).fit(np.vstack([X, X[y == 1]]), np.append(y, y[y == 1]))
    for other in (by_sample, repeated):
        np.testing.assert_allclose(by_class.coef_, other.coef_, atol=1e-5)
    balanced = SoftmaxClassifier(**settings, class_weight="balanced").fit(X[:120], y[:120])
    counts = np.bincount(y[:120])
    own = SoftmaxClassifier(**settings).fit(X[:120], y[:120], sample_weight=1 / counts[y[:120]])
    np.testing.assert_allclose(balanced.coef_, own.coef_, atol=1e-5)


def test_warm_start_saves_passes_and_leaves_the_last_w_alone():
    X, y = some_digits()
    found = SoftmaxClassifier(1.0, tol=1e-6, warm_start=True).fit(X, y)
    first, W, copy = found.n_passes_, found.W_, found.W_.copy()
    found.set_params(reg=0.9).fit(X, y)
    assert found.n_passes_ < first
    np.testing.assert_array_equal(W, copy)
    found.fit(X[:, :20], y)  # another shape: from the start
    assert found.status_ == "certified"


@pytest.mark.parametrize("bias", ["penalized", "free"])
@pytest.mark.parametrize("loss", ["svm", "crammer_singer", "one_vs_rest"])
def test_a_warm_start_beside_the_optimum_is_certified_to_a_smaller_gap(loss, bias):
    """The start may be better than every point that its dual variables lead to: then it is what is proven."""
    X, y = load_iris(return_X_y=True)
    for tol in (1e-5, 1e-6, 1e-8):
        found = LinearClassifier(loss=loss, reg=0.1, tol=1e-4, bias=bias, warm_start=True).fit(X[:100], y[:100])
        found.set_params(tol=tol).fit(X[:100], y[:100])
        assert found.status_ == "certified" and found.gap_ <= tol


def test_callbacks_get_the_trace_rows_and_verbose_prints_them(capsys):
    X, y = load_iris(return_X_y=True)
    rows = []
    found = SoftmaxClassifier(callbacks=[rows.append], verbose=1).fit(X, y)
    assert rows == found.trace_ and {"objective", "gap", "n_passes", "reg"} <= set(rows[0])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(rows) and all("gap" in line and "passes" in line for line in lines)


def test_ctrl_c_keeps_the_best_w_with_its_gap():
    X, y = load_iris(return_X_y=True)

    def press(row):
        if row["iteration"] == 4:
            raise KeyboardInterrupt

    with pytest.warns(ConvergenceWarning, match="interrupted"):
        found = SoftmaxClassifier(callbacks=[press], tol=1e-9, solver="lbfgs").fit(X, y)
    assert found.status_ == "interrupted" and 1e-9 < found.gap_ < 1
    best = SoftmaxClassifier(tol=1e-9).fit(X, y)
    assert 0 < 1 - best.objective_ / found.objective_ <= found.gap_


def test_not_certified_is_a_warning_one_can_read():
    X, y = load_iris(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match="not certified: gap .* stopped after 3 passes; larger reg"):
        found = SoftmaxClassifier(1e-9, max_passes=3, tol=1e-9, solver="lbfgs").fit(X, y)
    assert found.status_ == "max_passes"


def test_two_classes_are_one_column_as_in_scikit_learn():
    X, y = load_breast_cancer(return_X_y=True)
    found = SoftmaxClassifier(1e-2, preprocess="standardize").fit(X, y)
    assert found.coef_.shape == (1, 30) and found.decision_function(X).shape == (len(X),)
    np.testing.assert_array_equal(found.decision_function(X) > 0, found.predict(X) == 1)
    np.testing.assert_allclose(
        found.predict_proba(X)[:, 1], 1 / (1 + np.exp(-found.decision_function(X))), rtol=1e-6
    )
