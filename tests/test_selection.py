"""The path, folds and the choice of reg: all at once is each on its own, and nothing leaks."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_iris
from sklearn.model_selection import StratifiedKFold

from straightedge import LinearClassifier, LinearClassifierCV, SoftmaxClassifier, fit_path, selection
from straightedge.errors import InputError, StraightedgeWarning
from straightedge.fitting import FitSettings, build_objective
from straightedge.losses import LOSSES
from straightedge.rows import Rows
from straightedge.selection import (
    METRICS,
    CandidateScore,
    SelectionSettings,
    cautions,
    choose,
    cross_validate,
    default_grid,
    group_size,
    judge,
    solve_path,
)
from straightedge.solvers import choose_solver
from straightedge.splits import NEVER, fold_of_rows, hold_out, undivided
from straightedge.training import TrainingRows
from support.linear_problems import needs_solver

X, y = load_iris(return_X_y=True)
REGS = [1.0, 1e-1, 1e-2]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("bias", ["penalized", "free"])
def test_a_path_is_its_single_fits(loss, bias):
    needs_solver(loss)
    path = fit_path(X, y, REGS, loss=loss, bias=bias, tol=1e-5, max_passes=3000)
    assert path.coef.shape == (3, 3, 4) and path.intercept.shape == (3, 3)
    for k, reg in enumerate(REGS):
        alone = LinearClassifier(loss, reg=reg, bias=bias, tol=1e-5, max_passes=3000).fit(X, y)
        assert path.solution.status[k].value == alone.status_ == "certified"
        assert math.isclose(float(path.solution.objective[k]), alone.objective_, rel_tol=2e-5)
        scores = X @ path.coef[k].T + path.intercept[k]
        assert (scores.argmax(axis=1) == alone.predict(X)).mean() > 0.98


@pytest.mark.parametrize("loss", LOSSES)
def test_each_value_of_a_path_has_its_own_tolerance(loss):
    needs_solver(loss)
    tols = [1e-6, 1e-2, 1e-4]
    path = fit_path(X, y, REGS, loss=loss, tol=tols, max_passes=3000)
    for gap, tol, message in zip(path.solution.gap.tolist(), tols, path.solution.message, strict=True):
        assert gap <= tol
        assert message.endswith(f"≤ {tol:.0e}")
    tight = fit_path(X, y, REGS, loss=loss, tol=min(tols), max_passes=3000)
    # a small fit at a loose tolerance goes on while that costs little, so it may take some passes more
    assert float(path.solution.n_passes.sum()) <= 1.5 * float(tight.solution.n_passes.sum())


@pytest.mark.parametrize(
    "tol", [[1e-3, 1e-3], [], [1e-3, 0.0, 1e-3], [1e-3, math.nan, 1e-3], None, "x", np.array(0.0)]
)
def test_tolerances_of_a_path_are_checked(tol):
    with pytest.raises(InputError) as refusal:
        fit_path(X, y, REGS, tol=tol)
    assert refusal.value.code == "tol-invalid"


def test_groups_of_a_path_that_does_not_fit_into_memory():
    settings = {"tol": 1e-8, "max_passes": 3000}
    whole = fit_path(X, y, [1e-2, 1.0, 1e-1], **settings)
    one = 50 * 4 * 3 * 5
    assert [group_size((1, 3, 5), 3, m) for m in (math.inf, one, 2 * one, 0)] == [3, 1, 2, 1]
    parts = fit_path(X, y, [1e-2, 1.0, 1e-1], memory=one, **settings)
    np.testing.assert_allclose(parts.coef, whole.coef, atol=1e-3)
    assert [s.value for s in parts.solution.status] == ["certified"] * 3
    assert parts.reg == [1e-2, 1.0, 1e-1]  # in the order asked for


def test_path_of_torch_tensors_images_and_weights():
    pixels, labels = load_digits(return_X_y=True)
    images = torch.tensor(pixels[:200].reshape(-1, 1, 8, 8), dtype=torch.uint8)
    weights = np.arange(200) % 3 + 1.0
    path = fit_path(images, torch.tensor(labels[:200]), [0.1], preprocess="pixels", sample_weight=weights, tol=1e-6)
    alone = SoftmaxClassifier(0.1, preprocess="pixels", tol=1e-6).fit(images, labels[:200], weights)
    assert math.isclose(float(path.solution.objective[0]), alone.objective_, rel_tol=2e-6)


@pytest.mark.parametrize("loss", ["softmax", pytest.param("svm", marks=pytest.mark.long)])
@pytest.mark.parametrize("bias", ["penalized", "free"])
def test_out_of_fold_scores_are_those_of_explicit_fits_on_the_subsets(loss, bias):
    needs_solver(loss)
    fold = fold_of_rows(y, 3, seed=1)
    settings = FitSettings(loss=loss, bias=bias, tol=1e-9 if loss == "softmax" else 1e-7, max_passes=5000)
    weights = torch.as_tensor(1.0 + np.arange(150) % 2)
    found = cross_validate(TrainingRows(X, y, 3, settings, weights=weights), REGS[:2], fold)
    scores, fits = found.scores, found.fits
    assert scores.shape == (150, 2, 3) and all(s.value == "certified" for fit in fits for s in fit.status)
    for f in range(3):
        for k, reg in enumerate(REGS[:2]):
            own = LinearClassifier(loss, reg=reg, bias=bias, tol=settings.tol, max_passes=5000)
            own.fit(X[fold != f], y[fold != f], weights.numpy()[fold != f])
            assert math.isclose(own.objective_, float(fits[f].objective[k]), rel_tol=3e-7)
            expected = own.decision_function(X[fold == f])
            found = scores[fold == f, k].numpy()
            if bias == "free":  # a constant added to every class's bias changes nothing, P included
                found, expected = (s - s.mean(axis=1, keepdims=True) for s in (found, expected))
            np.testing.assert_allclose(found, expected, atol=2e-3)


def scored(values, errors=None):
    regs = [10.0**-k for k in range(len(values))]
    return [
        CandidateScore(r, {}, v, e) for r, v, e in zip(regs, values, errors or [0.05] * len(values), strict=True)
    ]


@pytest.mark.parametrize(
    ("values", "one_error", "index"),
    [
        pytest.param([0.5, 0.9, 0.8], False, 1, id="the best"),
        pytest.param([0.5, 0.9, 0.9], False, 1, id="the larger reg among equals"),
        pytest.param([0.84, 0.86, 0.9], True, 1, id="the largest reg within one standard error"),
        pytest.param([0.5, 0.6, 0.9], True, 2, id="none other within one standard error"),
    ],
)
def test_the_rule_of_the_choice(values, one_error, index):
    assert choose(scored(values), SelectionSettings(one_standard_error=one_error)) == index


def test_equal_accuracies_are_told_apart_by_the_log_loss():
    losses = [2.3, 0.52, 0.5, 0.9]  # of falling reg; the first W is nearly 0
    tied = scored([0.5] * 4)
    for one, loss in zip(tied, losses, strict=True):
        one.metrics["log_loss"] = {"value": loss, "interval": [loss - 0.1, loss + 0.1]}
    assert choose(tied, SelectionSettings()) == 1  # the largest reg within one standard error of 0.5
    assert choose([*tied, *scored([0.6])], SelectionSettings()) == 4


def test_choices_without_merit_are_said():
    labels, settings = np.array([0, 0, 0, 1]), SelectionSettings()
    found = scored([0.2, 0.3, 0.6])
    for one in found:
        one.metrics["accuracy"] = one.value
    said = cautions(found, 2, labels, settings)
    assert "try smaller values" in said["choice-at-the-edge"] and "0.7500" in said["choice-below-chance"]
    assert not cautions(found, 1, np.array([0, 1, 2, 3]), settings)


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_prefers_the_better_scores(metric):
    good = torch.nn.functional.one_hot(torch.as_tensor(y), 3).double() * 3
    bad = good[torch.randperm(150, generator=torch.Generator().manual_seed(0))]
    both = torch.stack([bad, good], dim=1)
    judged = judge(both, y, [1.0, 0.1], SelectionSettings(metric), softmax=True)
    assert judged[1].value > judged[0].value and all(s.error > 0 for s in judged[:1])
    assert choose(judged, SelectionSettings(metric)) == 1


def test_an_unknown_metric_is_refused():
    with pytest.raises(InputError, match="accuracy"):
        SelectionSettings("kappa").checked()


@pytest.mark.parametrize(("size", "n"), [(0.1, 15), (30, 30), (0.5, 75)])
def test_hold_out_is_stratified_and_a_partition(size, n):
    train, validation = hold_out(y, size, seed=3)
    assert len(validation) == n and sorted([*train, *validation]) == list(range(150))
    assert np.ptp(np.bincount(y[validation])) <= 1
    again = hold_out(y, size, seed=3)
    np.testing.assert_array_equal(again[1], validation)
    assert not np.array_equal(hold_out(y, size, seed=4)[1], validation)


def test_hold_out_leaves_every_class_something_to_train_on():
    labels = np.array([0, 1, 2, 3, 3, 3, 3, 3, 3, 3])
    train, validation = hold_out(labels, 0.2)
    assert labels[validation].tolist() == [3, 3] and sorted([*train, *validation]) == list(range(10))
    assert not len(hold_out(np.arange(10), 0.2)[1])  # nothing can be held out
    assert sorted(hold_out(np.array([0, 0, 1, 1, 2]), 0.99)[1].tolist())[-1] < 4
    random = np.random.default_rng(0)
    for seed in range(200):
        labels = random.integers(0, random.integers(2, 12), random.integers(2, 40))
        train, validation = hold_out(labels, float(random.uniform(0.01, 0.99)), seed)
        assert sorted([*train, *validation]) == list(range(len(labels)))
        assert set(labels[train]) == set(labels)


@pytest.mark.parametrize("seed", range(4))
def test_folds_are_those_of_scikit_learn(seed):
    fold = fold_of_rows(y, 5, seed)
    assert all(np.bincount(y[fold == f]).tolist() == [10, 10, 10] for f in range(5))
    labels = np.random.default_rng(seed).integers(0, 4, 60)
    expected = np.empty(60)
    splitter = StratifiedKFold(4, shuffle=True, random_state=seed)
    for f, (_, held_out) in enumerate(splitter.split(labels, labels)):
        expected[held_out] = f
    np.testing.assert_array_equal(fold_of_rows(labels, 4, seed), expected)


def test_folds_of_small_classes():
    labels = np.array([0, 0, 0, 0, 1, 2, 2])
    few = fold_of_rows(labels, 3)
    assert few[4] == NEVER and few[5] != few[6] and (np.delete(few, 4) >= 0).all()
    assert "1 class has one sample, which stays in training: b" in undivided(labels, ["a", "b", "c"])
    assert undivided(np.array([0, 0, 1, 1]), ["a", "b"]) is None
    assert "0, 1, 2, 3, 4 and 3 more" in undivided(np.arange(8), range(8))
    for labels, folds in ((y, 1), (y, 151), (np.arange(9), 2)):
        with pytest.raises(InputError) as caught:
            fold_of_rows(labels, folds)
        assert caught.value.code == "folds-invalid"


def test_the_default_grid_follows_the_scale_of_the_data():
    assert len(default_grid(100.0)) == 16 and default_grid(100.0)[0] == pytest.approx(100 * 10**-2.25, rel=1e-2)
    assert default_grid(1.0) == sorted(default_grid(1.0), reverse=True)
    one, other = (fit_path(X * size, y, tol=1e-1).reg for size in (10.0, 100.0))
    np.testing.assert_allclose(np.array(other) / one, 100, rtol=0.02)


def test_the_cv_estimator_refits_its_choice():
    settings = {"regs": [10.0, 1e-2, 1e-1], "cv": 3, "random_state": 0}
    with pytest.warns(StraightedgeWarning, match="scores still rise there: try smaller values"):
        found = LinearClassifierCV(**settings, tol=1e-7, max_passes=3000).fit(X, y)
    assert found.reg_ == 1e-2 and found.regs_ == [10.0, 1e-2, 1e-1]
    assert found.scores_.shape == (3,) and found.scores_.argmax() == found.regs_.index(found.reg_)
    alone = SoftmaxClassifier(found.reg_, tol=1e-7, max_passes=3000).fit(X, y)
    assert math.isclose(found.objective_, alone.objective_, rel_tol=2e-7)
    np.testing.assert_array_equal(found.predict(X), alone.predict(X))
    np.testing.assert_allclose(found.predict_proba(X).sum(axis=1), 1)
    with pytest.warns(StraightedgeWarning, match="choice-at-the-edge"):
        cautious = LinearClassifierCV(**settings, one_standard_error=True).fit(X, y)
    assert cautious.reg_ >= found.reg_


def test_the_cv_estimator_of_an_svm_on_torch():
    needs_solver("svm")
    estimator = LinearClassifierCV("svm", regs=[1e-1, 1e-2], cv=2, preprocess="standardize")
    with pytest.warns(StraightedgeWarning, match="choice-at-the-edge"):
        found = estimator.fit(torch.tensor(X), torch.tensor(y))
    assert isinstance(found.predict(torch.tensor(X)), torch.Tensor)
    assert not hasattr(found, "predict_proba")


@pytest.mark.parametrize(
    ("loss", "solver"),
    [
        ("softmax", "newton"),
        ("softmax", "lbfgs"),
        pytest.param("svm", "auto", marks=pytest.mark.long),
        pytest.param("svm", "hinge_alm", marks=pytest.mark.long),
        ("svm", "dual_ascent"),
    ],
)
def test_the_number_of_threads_changes_neither_the_answer_nor_the_choice(loss, solver, monkeypatch):
    random = np.random.default_rng(0)
    n, width, n_classes = 9000, 240, 4  # several groups of blocks, and float32 products
    y = random.integers(0, n_classes, n)
    centres = random.normal(size=(n_classes, width)) * 0.05
    X = (centres[y] + random.normal(size=(n, width))).astype(np.float32)
    train, held_out = np.arange(7500), np.arange(7500, n)
    values = [1.0, 1e-1, 1e-2]
    found = []
    for workers in (1, 2, 3):
        monkeypatch.setattr("straightedge.moments.available_cores", lambda workers=workers: workers)
        settings = FitSettings(loss=loss, solver=solver, tol=1e-2, workers=workers)
        part = TrainingRows(X, y, n_classes, settings, "standardize").part(train)
        path = solve_path(part.objective, values, settings)
        scored = judge(part.scores(path.W, X, held_out), y[held_out], values, SelectionSettings(), False)
        found.append((path, [one.value for one in scored]))
    for path, scores in found[1:]:
        torch.testing.assert_close(path.W, found[0][0].W, rtol=0, atol=1e-9)
        assert scores == found[0][1]


def test_the_solver_is_chosen_by_the_problem_and_not_by_the_cores():
    random = np.random.default_rng(1)
    rows = Rows(random.normal(size=(3000, 20)).astype(np.float32))
    y = torch.from_numpy(random.integers(0, 3, 3000))
    for loss in LOSSES:
        for reg in (1e-4, 1e-2, 1.0, 100.0):
            kinds = set()
            for workers in (1, 2, 8, 64):
                settings = FitSettings(loss=loss, workers=workers)
                kinds.add(type(choose_solver("auto", build_objective(rows, y, 3, [reg], settings))))
            assert len(kinds) == 1


@pytest.mark.parametrize(
    ("former", "now"), [("Scored", "CandidateScore"), ("Choice", "RegChoice"), ("Path", "RegularizationPath")]
)
def test_former_names_warn_and_work(former: str, now: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"is called {now} now"):
        assert getattr(selection, former) is getattr(selection, now)


def test_what_is_compared_is_the_same_with_and_without_resampling() -> None:
    rng = np.random.default_rng(5)
    scores, y = torch.from_numpy(rng.normal(size=(200, 2, 3))), rng.integers(0, 3, 200)
    for weights in (None, torch.from_numpy(rng.uniform(0.0, 2.0, 200))):
        arguments = (scores, y, [1.0, 0.1], SelectionSettings(), True, weights)
        whole, lean = judge(*arguments), judge(*arguments, whole=False)
        for one, other in zip(whole, lean, strict=True):
            assert (one.value, one.error) == pytest.approx((other.value, other.error))
            assert one.metrics["log_loss"]["value"] == pytest.approx(other.metrics["log_loss"]["value"])
            assert other.metrics["log_loss"]["interval"] == pytest.approx(
                one.metrics["log_loss"]["interval"], abs=0.05
            )


def test_the_one_standard_error_rule_compares_the_same_samples() -> None:
    y = np.zeros(100, dtype=int)
    right, wrong = [1.0, 0.0], [0.0, 1.0]
    best = np.array([right] * 80 + [wrong] * 20)
    near = np.array([right] * 79 + [wrong] * 21)  # one sample lost: 0.01, and the error of the difference is 0.01
    worse = np.array([right] * 77 + [wrong] * 23)  # three lost: 0.03, error 0.0171; an accuracy's own is 0.04
    for first, index in ((near, 0), (worse, 1)):
        scores = torch.from_numpy(np.stack([first, best], axis=1))
        settings = SelectionSettings(one_standard_error=True)
        assert choose(judge(scores, y, [1.0, 0.1], settings, True), settings) == index
        equal = torch.full((100,), 1.5, dtype=torch.float64)  # weights that are no copies: still a hundred samples
        assert choose(judge(scores, y, [1.0, 0.1], settings, True, equal, whole=False), settings) == index
