"""Weights are repetitions: a row of weight w is w rows, in fits, maps, grids and metrics; of weight 0, none."""

from importlib import import_module

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from straightedge import LinearClassifier, LinearClassifierCV, SoftmaxClassifier, fit_path
from straightedge.calibration import find_temperature
from straightedge.errors import InputError, StraightedgeWarning
from straightedge.evaluation import evaluate
from straightedge.evaluation.intervals import share_interval
from straightedge.evaluation.metrics import accuracy, balanced_accuracy, confusion, log_loss, top_k_accuracy
from straightedge.evaluation.outcomes import outcomes
from straightedge.losses import LOSSES
from straightedge.moments import affine_from, moments
from straightedge.row_weights import row_weights, sample_size
from straightedge.rows import Rows
from straightedge.selection import METRICS, SelectionSettings, judge
from support.linear_problems import needs_solver

RNG = np.random.default_rng(0)
N = 90
PLAIN = RNG.normal(size=(N, 4))
X = PLAIN * [1.0, 3.0, 0.2, 1.0] + [0, 5.0, 0, 0]
Y = np.argmax(PLAIN @ RNG.normal(size=(4, 3)) + RNG.gumbel(size=(N, 3)), axis=1)
COPIES = RNG.integers(0, 5, N)
REPEATED, LABELS = X.repeat(COPIES, axis=0), Y.repeat(COPIES)
FAR = np.vstack([X, X[:20] * 1e4 + 7]), np.r_[Y, Y[:20]], np.r_[np.ones(N), np.zeros(20)]


@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 2.0, 2: 0.5}])
@pytest.mark.parametrize("preprocess", ["none", "center", "standardize"])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_fit_by_weights_is_the_fit_of_the_repeated_rows(loss, preprocess, class_weight):
    needs_solver(loss)
    settings = {"reg": 0.1, "tol": 1e-10, "preprocess": preprocess, "class_weight": class_weight}
    one = LinearClassifier(loss, **settings).fit(X, Y, sample_weight=COPIES)
    other = LinearClassifier(loss, **settings).fit(REPEATED, LABELS)
    assert one.status_ == other.status_ == "certified"
    assert one.objective_ == pytest.approx(other.objective_, rel=1e-9)
    assert one.value_range_ == other.value_range_
    np.testing.assert_allclose(one.decision_function(X), other.decision_function(X), atol=2e-4)


def test_moments_and_the_default_grid_count_rows_by_weight():
    one, other = moments(Rows(X), weights=torch.tensor(COPIES)), moments(Rows(REPEATED))
    assert one.count == other.count == COPIES.sum()
    assert (one.smallest, one.largest) == (other.smallest, other.largest)
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-13)
    np.testing.assert_allclose(one.variance, other.variance, rtol=1e-12)
    np.testing.assert_allclose(one.variance, REPEATED.var(axis=0), rtol=1e-10)
    for preprocess in ("none", "standardize"):
        weighed = fit_path(X, Y, preprocess=preprocess, sample_weight=COPIES, tol=0.1)
        assert weighed.reg == fit_path(REPEATED, LABELS, preprocess=preprocess, tol=0.1).reg
    # half a weight changes nothing but the count
    half = moments(Rows(X), weights=torch.tensor(COPIES) / 2)
    np.testing.assert_allclose(half.variance, one.variance, rtol=1e-12)


def test_the_mean_square_norm_is_that_of_the_mapped_rows():
    for kind in ("none", "center", "standardize"):
        facts = moments(Rows(X))
        affine = affine_from(facts, kind)
        mapped = affine.apply(torch.from_numpy(X))
        assert facts.mean_square_norm(affine) == pytest.approx(float(mapped.square().sum(dim=1).mean()), rel=1e-12)


@pytest.mark.parametrize("copies", [np.ones(N, dtype=int), COPIES])
def test_balanced_is_that_of_scikit_learn(copies):
    found = row_weights(torch.from_numpy(Y), 3, copies, "balanced")
    own = compute_class_weight("balanced", classes=np.arange(3), y=np.repeat(Y, copies))
    np.testing.assert_allclose(found, own[Y] * copies, rtol=1e-12)


def test_balanced_gives_every_class_the_same_share_of_any_weights():
    given = RNG.uniform(size=N)
    found = row_weights(torch.from_numpy(Y), 3, given, "balanced")
    np.testing.assert_allclose(np.bincount(Y, weights=found), np.full(3, given.sum() / 3), rtol=1e-12)


@pytest.mark.parametrize("names", [{"1": 5.0}, {3: 1.0}, {0: 1.0, "other": 2.0}, {1.5: 1.0}])
def test_class_weights_of_unknown_classes_are_refused(names):
    for work in (
        lambda: SoftmaxClassifier(class_weight=names).fit(X, Y),
        lambda: LinearClassifierCV(class_weight=names).fit(X, Y),
        lambda: fit_path(X, Y, [1.0], class_weight=names),
    ):
        with pytest.raises(InputError, match="no class of y") as caught:
            work()
        assert caught.value.code == "class-weight-invalid"
    with pytest.raises(InputError, match="'1' is, of another type"):
        SoftmaxClassifier(class_weight={1: 5.0}).fit(X, Y.astype(str))


@pytest.mark.filterwarnings("ignore:.*choice-at-the-edge")
@pytest.mark.parametrize("scoring", METRICS)
@pytest.mark.parametrize("preprocess", ["none", "standardize"])
def test_rows_of_weight_0_change_nothing(scoring, preprocess):
    settings = {"scoring": scoring, "preprocess": preprocess, "tol": 1e-6}
    one = LinearClassifierCV(**settings).fit(FAR[0], FAR[1], sample_weight=FAR[2])
    other = LinearClassifierCV(**settings).fit(X, Y)
    assert one.reg_ == other.reg_ and one.regs_ == other.regs_ and one.value_range_ == other.value_range_
    np.testing.assert_allclose(one.scores_, other.scores_, rtol=1e-12)  # sums in other groups of rows
    np.testing.assert_allclose(one.coef_, other.coef_, rtol=1e-9, atol=1e-12)


def test_rows_of_weight_0_on_disk_change_nothing(tmp_path):
    np.save(tmp_path / "X.npy", FAR[0])
    on_disk = np.load(tmp_path / "X.npy", mmap_mode="r")
    settings = {"regs": [1.0], "cv": 2, "preprocess": "standardize", "tol": 1e-8}
    one = LinearClassifierCV(**settings).fit(on_disk, FAR[1], sample_weight=FAR[2])
    other = LinearClassifierCV(**settings).fit(X, Y)
    assert one.reg_ == other.reg_ and one.value_range_ == other.value_range_
    np.testing.assert_allclose(one.scores_, other.scores_, rtol=1e-9)
    np.testing.assert_allclose(one.coef_, other.coef_, atol=1e-3)  # gap 1e-8: ‖ΔW‖ up to 1e-4


def test_a_class_whose_rows_all_have_weight_0_is_no_class():
    weight = np.where(Y == 1, 0.0, 1.0)
    with pytest.warns(StraightedgeWarning, match="class-without-weight"):
        one = SoftmaxClassifier(tol=1e-8).fit(X, Y, sample_weight=weight)
    other = SoftmaxClassifier(tol=1e-8).fit(X[Y != 1], Y[Y != 1])
    assert one.classes_.tolist() == [0, 2]
    np.testing.assert_allclose(one.coef_, other.coef_, rtol=1e-12)


@pytest.mark.parametrize("spoil", [np.nan, np.inf])
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_what_is_no_number_is_refused_in_a_row_of_weight_0(spoil, kind):
    spoiled, weight = X.copy(), np.ones(N)
    spoiled[7, 2], weight[7] = spoil, 0.0
    for work in (
        lambda data: SoftmaxClassifier().fit(data, Y, sample_weight=weight),
        lambda data: LinearClassifierCV().fit(data, Y, sample_weight=weight),
        lambda data: fit_path(data, Y, [1.0], sample_weight=weight),
    ):
        with pytest.raises(InputError, match="row 7, column 2") as caught:
            work(kind(spoiled))
        assert caught.value.code == "x-not-finite"


# ------------------------------------------------------------------ metrics

SCORES = RNG.normal(size=(N, 3)) + 1.5 * np.eye(3)[Y]
NAMES = ["a", "b", "c"]


def test_metrics_by_whole_weights_are_those_of_the_repeated_samples():
    repeated = SCORES.repeat(COPIES, axis=0)
    for metric in (accuracy, balanced_accuracy, log_loss, confusion, top_k_accuracy):
        np.testing.assert_array_equal(metric(SCORES, Y, weights=COPIES), metric(repeated, LABELS))
    assert top_k_accuracy(SCORES, Y, 2, weights=COPIES) == top_k_accuracy(repeated, LABELS, 2)
    one, other = evaluate(SCORES, Y, NAMES, weights=COPIES), evaluate(repeated, LABELS, NAMES)
    assert "sum of the weights" in one.pop("weighted")
    assert one == other  # every interval too
    assert one["n"] == COPIES.sum()
    fitted = find_temperature(repeated, LABELS).value
    assert find_temperature(SCORES, Y, COPIES).value == pytest.approx(fitted, rel=1e-9)


def test_metrics_by_whole_weights_too_large_to_repeat_agree(monkeypatch):
    module = import_module("straightedge.evaluation.outcomes")  # the package has a function of that name
    exact = evaluate(SCORES, Y, NAMES, weights=COPIES * 50)
    monkeypatch.setattr(module, "MOST_COPIES", 10)
    found = evaluate(SCORES, Y, NAMES, weights=COPIES * 50)
    assert found["n"] == exact["n"] == 50 * COPIES.sum() and found["weighted"] == exact["weighted"]
    for name in ("accuracy", "interval", "confusion"):
        np.testing.assert_allclose(found[name], exact[name], rtol=1e-12)
    for name in ("balanced_accuracy", "top_k"):
        np.testing.assert_allclose(found[name]["interval"], exact[name]["interval"], rtol=1e-12)
    assert found["log_loss"]["value"] == pytest.approx(exact["log_loss"]["value"], rel=1e-12)
    assert found["ece"]["value"] == pytest.approx(exact["ece"]["value"], rel=1e-12)
    assert found["ece"]["interval"] == pytest.approx(exact["ece"]["interval"], rel=0.1)


def test_the_n_of_fractional_weights_is_the_effective_one():
    weights = RNG.uniform(0.1, 2.0, N)
    n = weights.sum() ** 2 / (weights**2).sum()
    found = evaluate(SCORES, Y, NAMES, weights=weights)
    assert found["n"] == pytest.approx(n, rel=1e-12) and sample_size(weights) == found["n"]
    assert "(Σw)²/Σw²" in found["weighted"]
    right = SCORES.argmax(axis=1) == Y
    assert found["accuracy"] == pytest.approx(np.average(right, weights=weights), rel=1e-12)
    # a common factor is no information
    again = evaluate(SCORES, Y, NAMES, weights=weights * 7.3)
    for name in ("interval", "accuracy", "n"):
        assert again[name] == pytest.approx(found[name], rel=1e-9)
    for name in ("balanced_accuracy", "top_k", "log_loss", "ece"):
        assert again[name]["interval"] == pytest.approx(found[name]["interval"], rel=1e-6)


def test_samples_of_weight_0_change_no_metric():
    weights = np.r_[RNG.uniform(0.1, 2.0, N), np.zeros(5)]
    others = np.vstack([SCORES, np.full((5, 3), 1e6) * [1, 0, -1]]), np.r_[Y, [2] * 5]
    assert evaluate(*others, NAMES, weights=weights) == evaluate(SCORES, Y, NAMES, weights=weights[:N])
    assert find_temperature(*others, weights) == find_temperature(SCORES, Y, weights[:N])


def test_the_interval_of_a_weighted_share_covers():
    """With weights that know nothing of the answers, the true share lies in its interval in about 95 %."""
    rng, inside = np.random.default_rng(3), 0
    for _ in range(200):
        scores, y = rng.normal(size=(150, 3)), rng.integers(0, 3, 150)
        weights = rng.exponential(size=150)
        happened = outcomes(scores, y, weights=weights)
        low, high = share_interval(happened.share(happened.correct) * happened.n, happened.n)
        inside += low <= 1 / 3 <= high
    assert 182 <= inside <= 199  # 190 ± 2.6 standard deviations


def test_values_are_judged_by_weight():
    scores = torch.from_numpy(SCORES)[:, None]
    one = judge(scores, Y, [0.1], SelectionSettings("log_loss"), True, torch.tensor(COPIES))[0]
    again = scores.repeat_interleave(torch.tensor(COPIES), dim=0)
    other = judge(again, LABELS, [0.1], SelectionSettings("log_loss"), True)[0]
    assert (one.value, one.error) == (other.value, other.error)


def test_reg_is_chosen_by_what_mistakes_of_a_class_cost():
    """Of two overlapping classes one counts nearly alone: what is right for it is chosen, and counted."""
    rng = np.random.default_rng(3)
    rows, labels = rng.normal(size=(120, 2)) * 20, np.arange(120) % 2
    costs, settings = {0: 1000.0, 1: 1e-4}, {"regs": [1e3, 1e-3], "preprocess": "standardize", "cv": 3}
    with pytest.warns(StraightedgeWarning):
        chosen = LinearClassifierCV(class_weight=costs, **settings).fit(rows, labels)
        plain = LinearClassifierCV(**settings).fit(rows, labels)
    assert (chosen.predict(rows) == 0).all() and chosen.scores_.max() > 0.999
    assert plain.scores_.max() < 0.7
