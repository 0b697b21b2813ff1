"""Translations checked on the systems themselves, protocols on their sources, and the command."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.svm import LinearSVC

from straightedge.calibration import probabilities
from straightedge.errors import InputError
from straightedge.protocols import PROTOCOLS, SYSTEMS, protocol, translate

BY_KEY = {system.key: system for system in SYSTEMS}


def problem(classes, n=60, features=4, constant=False):
    rng = np.random.default_rng(classes)
    X = rng.normal(size=(n, features))
    y = (X @ rng.normal(size=(features, classes)) + rng.normal(size=(n, classes))).argmax(1)
    assert len(np.unique(y)) == classes
    return (np.hstack([X, np.ones((n, 1))]) if constant else X), y


def softmax_gradient(W, b, X, y, reg):
    """Return the gradient of the mean cross-entropy + reg ΣW² in W and in b."""
    A = probabilities(X @ W + b)
    A[np.arange(len(y)), y] -= 1
    return X.T @ A / len(y) + 2 * reg * W, A.mean(0)


def svm_value(W, X, y, reg):
    margins = np.maximum(0, X @ W - (X @ W)[np.arange(len(y)), y][:, None] + 1)
    return margins.sum() / len(y) - 1 + reg * (W**2).sum()


def least_svm(X, y, reg, classes):
    """Return the minimum by an independent route: slack variables, sequential quadratic programming."""
    n, size = len(y), X.shape[1] * classes
    pairs = [(i, j) for i in range(n) for j in range(classes) if j != y[i]]
    G = np.zeros((len(pairs), size + len(pairs)))
    for row, (i, j) in enumerate(pairs):
        G[row, :size].reshape(-1, classes)[:, y[i]] = X[i]
        G[row, :size].reshape(-1, classes)[:, j] -= X[i]
    G[:, size:] = np.eye(len(pairs))
    slope = np.r_[np.zeros(size), np.full(len(pairs), 1 / n)]
    result = minimize(
        lambda v: slope @ v + reg * (v[:size] ** 2).sum(),
        np.r_[np.zeros(size), np.ones(len(pairs))],
        jac=lambda v: slope + np.r_[2 * reg * v[:size], np.zeros(len(pairs))],
        bounds=[(None, None)] * size + [(0, None)] * len(pairs),
        constraints={"type": "ineq", "fun": lambda v: G @ v - 1, "jac": lambda v: G},
        method="SLSQP",
        options={"maxiter": 300, "ftol": 1e-12},
    )
    assert result.success
    return result.fun


def two_columns(w):
    """One weight vector w as W = [−w/2, w/2], which gives the same difference of scores."""
    return np.stack([-w / 2, w / 2], axis=1)


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("C", [0.03, 2.0])
def test_logistic_regression_has_our_minimiser(classes, C):
    X, y = problem(classes)
    model = LogisticRegression(C=C, tol=1e-10, max_iter=10_000).fit(X, y)
    W, b = model.coef_.T, model.intercept_
    if classes == 2:
        W, b = two_columns(model.coef_[0]), two_columns(model.intercept_)[0]
    reg = BY_KEY["sklearn-logistic"].to_reg(C, len(y), classes)
    assert reg == pytest.approx(1 / (2 * len(y) * C) * (2 if classes == 2 else 1))
    in_W, in_b = softmax_gradient(W, b, X, y, reg)
    assert max(abs(in_W).max(), abs(in_b).max()) < 1e-6
    # and the test can fail: half or twice the reg is not stationary
    assert abs(softmax_gradient(W, b, X, y, 2 * reg)[0]).max() > 1e-3


@pytest.mark.parametrize("multi_class", ["ovr", "crammer_singer"])
def test_linear_svc_of_two_classes_has_our_minimum(multi_class):
    X, y = problem(2, n=25, features=2, constant=True)
    model = LinearSVC(
        C=0.2, loss="hinge", multi_class=multi_class, fit_intercept=False, tol=1e-10, max_iter=200_000
    )
    W = two_columns(model.fit(X, y).coef_[0])
    key = {"ovr": "sklearn-linearsvc", "crammer_singer": "sklearn-crammer-singer"}[multi_class]
    reg = BY_KEY[key].to_reg(0.2, len(y), 2)
    assert BY_KEY[key].equals(2) == "svm"
    assert BY_KEY[key].equals(3) == ""
    assert svm_value(W, X, y, reg) == pytest.approx(least_svm(X, y, reg, 2), rel=1e-6)
    assert svm_value(W, X, y, 2 * reg) > least_svm(X, y, 2 * reg, 2) * 1.001


def test_crammer_singer_counts_the_largest_violation_only():
    X, y = problem(3, n=25, features=2, constant=True)
    model = LinearSVC(C=0.5, multi_class="crammer_singer", fit_intercept=False, tol=1e-10, max_iter=200_000).fit(
        X, y
    )
    reg = BY_KEY["sklearn-crammer-singer"].to_reg(0.5, len(y), 3)
    assert svm_value(model.coef_.T, X, y, reg) > least_svm(X, y, reg, 3) * 1.0001


def test_multi_margin_loss_is_ours_over_the_number_of_classes():
    X, y = problem(4)
    W = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    decay = 0.3
    theirs = torch.nn.MultiMarginLoss()(torch.tensor(X) @ W, torch.tensor(y))
    reg = BY_KEY["torch-multi-margin"].to_reg(decay, len(y), 4)
    ours = svm_value(W.detach().numpy(), X, y, reg)
    assert 4 * (theirs.item() + decay / 2 * (W**2).sum().item()) == pytest.approx(ours, rel=1e-12)
    # what one step of SGD adds to the gradient is the derivative of that penalty
    optimiser = torch.optim.SGD([W], lr=1.0, weight_decay=decay)
    theirs.backward()
    before, gradient = W.detach().clone(), W.grad.clone()
    optimiser.step()
    torch.testing.assert_close(before - W.detach(), gradient + decay * before)


def test_sgd_with_weight_decay_ends_at_our_minimiser():
    X, y = problem(3, constant=True)
    inputs, labels = torch.tensor(X), torch.tensor(y)
    W = torch.zeros(X.shape[1], 3, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.SGD([W], lr=1.0, weight_decay=0.05)
    for _ in range(600):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(inputs @ W, labels).backward()
        optimiser.step()
    reg = BY_KEY["torch-cross-entropy"].to_reg(0.05, len(y), 3)
    assert reg == 0.025
    assert abs(softmax_gradient(W.detach().numpy(), 0, X, y, reg)[0]).max() < 1e-7


def test_sgd_classifier_of_two_classes_comes_near_our_minimiser():
    X, y = problem(2)
    model = SGDClassifier(loss="log_loss", alpha=0.1, max_iter=3_000, tol=None, average=True, random_state=0)
    model.fit(X, y)
    reg = BY_KEY["sklearn-sgd"].to_reg(0.1, len(y), 2)
    W, b = two_columns(model.coef_[0]), two_columns(model.intercept_)[0]
    assert abs(softmax_gradient(W, b, X, y, reg)[0]).max() < 3e-3
    assert abs(softmax_gradient(W, b, X, y, reg / 2)[0]).max() > 2e-2


def test_ridge_classifier_weighs_the_penalty_as_said():
    X, y = problem(3)
    model = RidgeClassifier(alpha=3.0).fit(X, y)
    reg = BY_KEY["sklearn-ridge"].to_reg(3.0, len(y), 3)
    signs = np.where(np.arange(3) == y[:, None], 1.0, -1.0)
    residual = X @ model.coef_.T + model.intercept_ - signs
    assert abs(2 * X.T @ residual / len(y) + 2 * reg * model.coef_.T).max() < 1e-10


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("key", BY_KEY)
def test_every_system_goes_there_and_back(key, classes):
    system = BY_KEY[key]
    answer = translate(system.parameter, 0.37, n=1234, classes=classes, system=key)
    back = {row.system.key: row.value for row in answer.rows}
    assert back[key] == pytest.approx(0.37, rel=1e-14)
    assert back["straightedge"] == pytest.approx(answer.reg, rel=1e-14)


def test_the_conversion_of_the_notes():
    answer = translate("C", 1.0, n=50_000)
    assert answer.reg == pytest.approx(1e-5, rel=1e-14)
    values = {row.system.key: row.value for row in answer.rows}
    assert values["torch-cross-entropy"] == pytest.approx(2e-5)
    assert values["torch-multi-margin"] == pytest.approx(2e-6)
    assert values["clip"] == pytest.approx(1.0)
    assert translate("weight_decay", 1e-4).reg == pytest.approx(5e-5)
    without = {row.system.key: row.value for row in translate("weight_decay", 1e-4).rows}
    assert without["sklearn-logistic"] is None
    assert without["cyanure"] == pytest.approx(1e-4)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        pytest.param({"parameter": "C", "value": 1.0}, "translate-needs-n", id="C without N"),
        pytest.param({"parameter": "C", "value": 1.0, "n": 0}, "translate-needs-n", id="N = 0"),
        pytest.param({"parameter": "reg", "value": -1.0}, "translate-value", id="reg negative"),
        pytest.param({"parameter": "reg", "value": 0.0}, "translate-value", id="zero"),
        pytest.param({"parameter": "reg", "value": float("nan")}, "translate-value", id="reg NaN"),
        pytest.param({"parameter": "gamma", "value": 1.0}, "translate-parameter", id="unknown parameter"),
        pytest.param({"parameter": "reg", "value": 1.0, "system": "clip"}, "translate-system", id="wrong system"),
        pytest.param({"parameter": "reg", "value": 1.0, "classes": 1}, "translate-classes", id="one class"),
    ],
)
def test_bad_translations_are_refused(call, code):
    with pytest.raises(InputError) as caught:
        translate(**call)
    assert caught.value.code == code


def test_clip_is_96_values_of_lambda():
    clip = protocol("clip")
    assert np.allclose(clip.grid, np.logspace(-6, 6, 96), rtol=1e-12)
    reg = clip.reg_values(1_000, 10)
    assert reg[0] == pytest.approx(1e-6 / 2_000)
    assert reg[-1] == pytest.approx(1e6 / 2_000)
    assert (clip.bias, clip.normalization, clip.metric, clip.refit) == ("free", "none", "accuracy", True)
    # read as C, the grid is the same set: the paper does not have to say which it means
    assert np.allclose(sorted(1 / np.array(clip.grid)), clip.grid, rtol=1e-12)


def test_dinov2_is_its_c_power_range():
    dino = protocol("dinov2")
    torch.testing.assert_close(
        torch.tensor(dino.grid), 10 ** torch.linspace(-6, 5, 45), rtol=1e-5, atol=0.0, check_dtype=False
    )
    assert dino.split.size(1_281_167) == 1_281_167 // 10
    # the same C on more samples is a smaller reg
    assert dino.reg(1.0, 1_000, 10) == pytest.approx(dino.reg(1.0, 900, 10) * 0.9)
    assert dino.reg(1.0, 900, 2) == pytest.approx(1 / 900)


def test_course_is_49000_and_1000():
    course = protocol("course")
    assert course.split.size(50_000) == 1_000
    assert course.split.size(800) == 799  # never all of them
    assert course.reg_values(49_000, 10) == course.grid
    assert (course.bias, course.normalization, course.refit) == ("penalized", "channel-mean", False)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_protocols_are_complete(name):
    known = protocol(name)
    assert BY_KEY[known.system].parameter == known.parameter
    assert known.references
    assert known.split.where in {"random", "stratified"}
    assert list(known.grid) == sorted(known.grid)
    with pytest.raises(AttributeError):
        known.bias = "other"


def test_unknown_protocol_lists_the_names():
    with pytest.raises(InputError, match="clip, dinov2, course"):
        protocol("imagenet")


def run_cli(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "straightedge", *arguments], capture_output=True, text=True, check=False
    )


def test_translate_prints_every_system_and_json():
    shown = run_cli("translate", "--C", "1.0", "--n", "50000")
    assert shown.returncode == 0, shown.stderr
    assert "reg = 1e-05" in shown.stdout
    for word in ("LIBLINEAR", "DINOv2", "cyanure", "weight_decay = 2e-05", "intercept is not penalised"):
        assert word in shown.stdout
    alone = json.loads(run_cli("translate", "--lambda", "0.5", "--system", "cyanure", "--json").stdout)
    assert alone["reg"] == 0.25
    assert {row["system"] for row in alone["systems"]} == set(BY_KEY)


def test_translate_mistakes_end_in_status_2():
    for arguments, code in (
        ((), "translate-one-parameter"),
        (("--C", "1", "--reg", "1"), "translate-one-parameter"),
        (("--C", "1"), "translate-needs-n"),
    ):
        ended = run_cli("translate", *arguments)
        assert ended.returncode == 2
        assert code in ended.stderr
        assert "Traceback" not in ended.stderr


def test_cli_needs_no_torch_to_translate():
    code = (
        "import sys; from straightedge.cli.translate import command;"
        "command(C=1.0, n=10); assert 'torch' not in sys.modules and 'sklearn' not in sys.modules"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
