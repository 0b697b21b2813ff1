"""Metrics against scikit-learn, edges of every number, calibration, suspects."""

import json
import sys
import tracemalloc

import numpy as np
import pytest
import torch
from sklearn import metrics as oracle
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from straightedge.calibration import find_temperature, log_softmax, probabilities, reliability
from straightedge.errors import InputError
from straightedge.evaluation import (
    accuracy,
    balanced_accuracy,
    confusion,
    evaluate,
    hardest,
    log_loss,
    paired_test,
    suspects,
    top_k_accuracy,
)
from straightedge.evaluation.roc import two_class_curves

CLASSES = tuple("abcdefg")


@pytest.fixture
def judged():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 7, 900)
    scores = rng.normal(size=(900, 7))
    scores[np.arange(900), y] += 1.5
    return scores, y


def test_metrics_equal_scikit_learns(judged):
    scores, y = judged
    said, told = probabilities(scores), scores.argmax(1)
    assert accuracy(scores, y) == oracle.accuracy_score(y, told)
    assert balanced_accuracy(scores, y) == pytest.approx(oracle.balanced_accuracy_score(y, told), rel=1e-12)
    assert top_k_accuracy(scores, y, 3) == oracle.top_k_accuracy_score(y, scores, k=3)
    assert log_loss(scores, y) == pytest.approx(oracle.log_loss(y, said), rel=1e-12)
    assert (confusion(scores, y) == oracle.confusion_matrix(y, told)).all()
    found = evaluate(scores, y, CLASSES)
    columns = oracle.precision_recall_fscore_support(y, told)
    for i, row in enumerate(found["per_class"]):
        assert [row["precision"], row["recall"], row["f1"], row["n"]] == pytest.approx(
            [column[i] for column in columns]
        )


def test_the_dictionary_is_json_and_torch_gives_the_same(judged):
    scores, y = judged
    found = evaluate(scores, y, CLASSES, temperature=1.3)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert evaluate(torch.tensor(scores), torch.tensor(y), CLASSES, temperature=1.3) == found
    assert found["temperature"] == 1.3
    assert found["interval"][0] < found["accuracy"] < found["interval"][1]
    assert sum(bin_["n"] for bin_ in found["reliability"]) == 900
    by_hand = sum(abs(b["accuracy"] - b["confidence"]) * b["n"] for b in found["reliability"] if b["n"])
    assert found["ece"]["value"] == pytest.approx(by_hand / 900)
    for name in ("balanced_accuracy", "top_k", "log_loss", "ece"):
        low, high = found[name]["interval"]
        assert low <= found[name]["value"] <= high


def test_the_seed_decides_and_the_order_of_rows_does_not_change_the_value(judged):
    scores, y = judged
    assert evaluate(scores, y, CLASSES, seed=4) == evaluate(scores, y, CLASSES, seed=4)
    turned = evaluate(scores[::-1], y[::-1], CLASSES)
    assert turned["confusion"] == evaluate(scores, y, CLASSES)["confusion"]


def test_without_probabilities_nothing_is_made_up(judged):
    found = evaluate(*judged, CLASSES, probabilities=False)
    assert found["log_loss"] is None
    assert found["ece"] is None
    assert found["reliability"] is None
    assert found["accuracy"] > 0.4


def test_many_samples_are_judged_in_little_memory_by_the_same_numbers(judged, monkeypatch):
    scores, y = judged
    whole = evaluate(scores, y, CLASSES)
    listed, curves = hardest(scores, y), two_class_curves(scores[:, :2], y % 2, None, 0.3)
    monkeypatch.setattr(sys.modules["straightedge.evaluation.outcomes"], "COMPACT_FROM", 1)
    monkeypatch.setattr(sys.modules["straightedge.evaluation.ranking"], "MOST_RANKED", 5)
    monkeypatch.setattr(sys.modules["straightedge.evaluation.roc"], "MOST_EXACT", 1)
    found = evaluate(scores, y, CLASSES)
    for name in ("accuracy", "interval", "confusion", "per_class", "mcc"):
        assert found[name] == whole[name]
    for name in ("log_loss", "ece", "brier"):
        assert found[name]["value"] == pytest.approx(whole[name]["value"], rel=1e-6)
        assert found[name]["interval"] == pytest.approx(whole[name]["interval"], rel=1e-3)
    first = hardest(scores, y)
    assert first.index.tolist() == listed.index[:5].tolist()
    some = two_class_curves(scores[:, :2], y % 2, None, 0.3)
    assert some["at"] == pytest.approx(curves["at"]) and some["roc"][0] == [0, 0] and some["roc"][-1] == [1, 1]
    far = np.array([[1e35, 0.0], [0.0, 1.0]])
    assert evaluate(far, [1, 1], ["a", "b"])["log_loss"]["value"] == pytest.approx(5e34)


@pytest.mark.parametrize("weighted", [False, True])
def test_curves_of_two_classes_go_through_scikit_learns_points(judged, weighted):
    scores, y = judged[0][:, :2].round(1), judged[1] % 2
    weights = np.random.default_rng(0).random(len(y)) if weighted else None
    found = two_class_curves(scores, y, weights, 0.3)
    apart = (scores[:, 1] - scores[:, 0]).astype(np.float64)
    false, true, _ = oracle.roc_curve(y, apart, sample_weight=weights, drop_intermediate=False)
    precision, recall, _ = oracle.precision_recall_curve(y, apart, sample_weight=weights)
    for shown, points in (("roc", (false, true)), ("precision_recall", (recall, precision))):
        known = np.stack(points, axis=1)
        for point in found[shown]:
            assert np.abs(known - point).max(axis=1).min() < 1e-12
    decided = apart >= 0.3
    at = [decided[y == 0], decided[y == 1]] if weights is None else []
    if at:
        assert found["at"] == pytest.approx([at[0].mean(), at[1].mean(), at[1].mean(), y[decided].mean()])


def test_blocks_give_the_same(judged, monkeypatch):
    whole = evaluate(*judged, CLASSES)
    monkeypatch.setattr("straightedge.calibration.BLOCK_VALUES", 450)
    assert evaluate(*judged, CLASSES) == whole


def test_known_values_at_zero_weights():
    y = np.arange(10).repeat(5)
    found = evaluate(np.zeros((50, 10)), y, [str(i) for i in range(10)])
    assert found["log_loss"]["value"] == pytest.approx(np.log(10), rel=1e-14)
    assert found["accuracy"] == 0.1  # all scores equal: the first class, as argmax says
    assert found["top_k"] == found["top_k"] | {"k": 5, "value": 0.5}


@pytest.mark.parametrize("size", [1e4, 1e308])
def test_huge_scores_give_finite_numbers(size):
    scores = np.array([[size, -size, 0], [-size, size, 0], [size, -size, 1], [0.0, 0.0, size]])
    found = evaluate(scores, np.array([0, 0, 2, 2]), tuple("abc"))
    json.dumps(found, allow_nan=False)
    assert found["accuracy"] == 0.5
    assert found["log_loss"]["value"] > 0
    assert np.isfinite(log_softmax(scores, 1e-3)).all()


def test_class_without_samples_or_predictions_is_none_not_nan():
    scores = np.array([[2.0, 1, 0], [2, 1, 0], [0, 2, 1]])
    found = evaluate(scores, np.array([0, 1, 1]), tuple("abc"))
    assert found["per_class"][2] == {"class": "c", "n": 0, "precision": None, "recall": None, "f1": None}
    assert found["balanced_accuracy"]["value"] == pytest.approx((1 + 0.5) / 2)
    json.dumps(found, allow_nan=False)


def test_one_sample_and_two_classes_work():
    found = evaluate(np.array([[1.0, 0.0]]), np.array([0]), ("a", "b"))
    assert found["accuracy"] == 1
    assert found["interval"][0] < 0.2
    assert found["log_loss"]["interval"] is None
    assert found["top_k"]["k"] == 1


@pytest.mark.parametrize(
    ("scores", "y", "code"),
    [
        pytest.param(np.zeros(4), np.zeros(4, int), "scores-shape", id="1-D scores"),
        pytest.param(np.zeros((0, 3)), np.zeros(0, int), "scores-shape", id="empty set"),
        pytest.param(np.zeros((3, 1)), np.zeros(3, int), "scores-shape", id="one class"),
        pytest.param(np.zeros((3, 2)), np.zeros(2, int), "scores-length", id="len(y) ≠ N"),
        pytest.param(np.zeros((3, 2)), np.array([0, 1, 2]), "labels-out-of-range", id="label ≥ C"),
        pytest.param(np.zeros((3, 2)), np.array([0, -1, 1]), "labels-out-of-range", id="negative label"),
        pytest.param(np.array([[0, np.nan]]), np.array([0]), "scores-not-finite", id="NaN score"),
        pytest.param(np.array([[0, np.inf]]), np.array([0]), "scores-not-finite", id="infinite score"),
        pytest.param(np.zeros((3, 3)), np.array([0, 1, 1]), "scores-classes", id="names ≠ columns"),
    ],
)
def test_bad_input_is_refused(scores, y, code):
    with pytest.raises(InputError) as caught:
        evaluate(scores, y, ("a", "b"))
    assert caught.value.code == code
    if code != "scores-classes":
        with pytest.raises(InputError) as caught:
            suspects(scores, y)
        assert caught.value.code == code


def test_temperature_finds_the_true_one():
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(20_000, 6)) * 2
    chance = probabilities(scores)
    y = (chance.cumsum(1) < rng.random((20_000, 1))).sum(1)
    for factor in (1e-6, 0.3, 1, 4, 1e6, 1e300):
        assert find_temperature(scores * factor, y).value == pytest.approx(factor, rel=0.04)


def test_temperature_is_the_minimum_of_the_loss(judged):
    scores, y = judged
    best = find_temperature(scores, y).value
    at_best = log_loss(scores, y, best)
    assert at_best <= min(log_loss(scores, y, best * f) for f in (0.9, 0.999, 1.001, 1.1))
    slope = (log_loss(scores, y, best * 1.0001) - log_loss(scores, y, best * 0.9999)) / 2e-4
    assert abs(slope) < 1e-6


@pytest.mark.parametrize("sign", [1, -1])
def test_there_is_no_temperature_without_a_minimum_and_a_reason_is_given(sign):
    found = find_temperature(np.eye(4)[np.arange(40) % 4] * sign, np.arange(40) % 4)
    assert found.value is None and found.refusal


@pytest.mark.parametrize("n_wrong", range(13))
def test_a_temperature_needs_ten_mistakes(n_wrong):
    scores = np.random.default_rng(0).normal(size=(300, 3)) + 4 * np.eye(3)[np.arange(300) % 3]
    y = scores.argmax(axis=1)
    y[:n_wrong] = (y[:n_wrong] + 1) % 3
    found = find_temperature(scores, y)
    assert (found.value is not None) == (n_wrong >= 10)
    assert bool(found.refusal) == (n_wrong < 10)
    if n_wrong < 10:
        assert f"{n_wrong} of 300 held-out answers are wrong" in found.refusal


@pytest.mark.parametrize("seed", range(5))
def test_a_temperature_of_ten_mistakes_is_near_the_true_one(seed):
    rng = np.random.default_rng(seed)
    scores = 5 * rng.normal(size=(4000, 2))
    y = (probabilities(scores).cumsum(1) < rng.random((4000, 1))).sum(1)
    wrong = scores.argmax(axis=1) != y
    rows = slice(0, int(np.flatnonzero(wrong.cumsum() == 10)[0]) + 1)  # as many samples as have ten mistakes
    found = find_temperature(7 * scores[rows], y[rows]).value
    assert found is not None
    assert 0.5 < found / 7 < 2


@pytest.mark.parametrize("loss_of_scores", [1, -1], ids=["noise", "worse than noise"])
def test_a_temperature_of_scores_that_say_nothing_is_inside_its_bounds_or_refused(loss_of_scores):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(200, 4)) + loss_of_scores * 0.2 * np.eye(4)[np.arange(200) % 4] - 0.2
    found = find_temperature(scores, np.arange(200) % 4)
    assert found.value is None or found.value < 1e3 / 2  # BETA_RANGE ends at 1000 spreads, here above 2


def test_labels_that_are_likeliest_are_no_suspects():
    scores = np.array([[3.0, 1, 0], [0, 2, 1], [0, 1, 1], [5, 5, 5]])
    assert suspects(scores, [0, 1, 2, 1]).index.tolist() == []  # equal scores accuse nobody
    ranked = suspects(scores, [1, 1, 0, 2])
    assert ranked.index.tolist() == [0, 2]
    assert ranked.suggested.tolist() == [0, 1]
    assert (ranked.score >= 0.5).all()


def test_reliability_bins_hold_their_edges():
    bins = reliability(np.array([0.2, 0.2000001, 1.0]), np.array([True, False, True]), 5)
    assert [bin_.n for bin_ in bins] == [1, 1, 0, 0, 1]
    assert bins[0].accuracy == 1
    assert bins[2].confidence is None


def test_mcnemar_is_the_exact_binomial():
    first = np.array([1] * 10 + [0] * 2 + [1] * 30 + [0] * 5, dtype=bool)
    second = np.array([0] * 10 + [1] * 2 + [1] * 30 + [0] * 5, dtype=bool)
    found = paired_test(first, second)
    assert (found.only_first, found.only_second, found.both, found.neither) == (10, 2, 30, 5)
    assert found.p_value == pytest.approx(2 * (1 + 12 + 66) / 2**12)
    assert found.difference == pytest.approx(8 / 47)
    assert found.interval[0] < 8 / 47 < found.interval[1]
    same = paired_test(first, first)
    assert same.p_value == 1
    assert same.interval[0] < 0 < same.interval[1]
    with pytest.raises(InputError, match="paired-length"):
        paired_test(first, second[:5])


def test_hardest_puts_the_least_probable_label_first():
    scores = np.array([[0.0, 1], [0, 90], [0, 80], [5, 0]])
    ranked = hardest(scores, np.array([0, 0, 0, 0]))
    assert ranked.index.tolist() == [1, 2, 0, 3]
    assert ranked.suggested.tolist() == [1, 1, 1, 0]
    assert (np.diff(ranked.score) <= 0).all()
    assert ranked.head(2).index.tolist() == [1, 2]


def test_of_many_ties_hardest_keeps_the_first_rows_in_little_memory(monkeypatch):
    ranking = sys.modules["straightedge.evaluation.ranking"]
    monkeypatch.setattr(ranking, "MOST_RANKED", 1000)
    n = 1_200_000
    scores = np.zeros((n, 2), dtype=np.float32)  # every loss is log 2
    scores[::200_000, 1] = 3  # but those of six rows
    y = np.zeros(n, dtype=np.int64)
    tracemalloc.start()
    found = hardest(scores, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    first = np.setdiff1d(np.arange(1001), [0])[:994]
    assert found.index.tolist() == [*range(0, n, 200_000), *first.tolist()]
    assert found.suggested.tolist() == [1] * 6 + [0] * 994
    assert peak < 24 * ranking.block_starts(scores).step * 8  # some columns of a block, none of all rows


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("margins", [False, True], ids=["log odds", "margins on another scale"])
def test_suspects_finds_flipped_digits(seed, margins):
    X, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    count = round(0.02 * len(y))
    flipped = rng.choice(len(y), count, replace=False)
    given = y.copy()
    given[flipped] = (y[flipped] + rng.integers(1, 10, count)) % 10
    model = LogisticRegression(C=0.1, max_iter=200, tol=1e-3)
    scores = cross_val_predict(model, X / 16, given, cv=3, method="decision_function")
    ranked = suspects(scores * (17 if margins else 1), given)
    assert sorted(ranked.index) == np.flatnonzero(scores.argmax(axis=1) != given).tolist()
    assert (ranked.score >= 0.5).all()
    first = ranked.head(count)
    found = np.isin(first.index, flipped)
    assert found.mean() >= 5 * 0.02  # chance finds 2 %
    assert found.mean() >= 0.6  # and far more than asked
    right = first.suggested[found] == y[first.index[found]]
    assert right.mean() >= 0.7
    assert (ranked.suggested != given[ranked.index]).all()
