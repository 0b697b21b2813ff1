"""AUC, average precision, F1, Matthews' correlation, Brier score: scikit-learn's values, honest intervals."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn import metrics as peers

from straightedge.errors import InputError
from straightedge.evaluation import evaluate
from straightedge.evaluation.measures import (
    MEASURES,
    OF_CELLS,
    OF_RANKS,
    Answers,
    cell_shares,
    mean_over_classes,
    measures,
)
from straightedge.evaluation.thresholds import ThresholdRule, find_threshold

T = 1.7
INFLUENCES = (*OF_RANKS, *OF_CELLS)


def drawn(classes, n=400, seed=0, weights=None):
    draw = np.random.default_rng(seed)
    y = draw.choice(classes, n, p=np.arange(1, classes + 1) / (classes * (classes + 1) / 2))
    scores = draw.normal(size=(n, classes)) + 1.1 * np.eye(classes)[y]
    scores = np.round(8 * scores) / 8 if classes == 2 else scores  # ties that rounding keeps
    w = {None: None, "whole": draw.integers(0, 4, n).astype(float), "any": draw.random(n)}[weights]
    return scores, y, w


def of_scikit_learn(name, scores, y, w):
    classes = scores.shape[1]
    chances, predicted = softmax(scores / T, axis=1), scores.argmax(axis=1)
    two = classes == 2
    given = {"sample_weight": w}
    if name == "auc":
        ranked = (scores[:, 1] - scores[:, 0]) if two else chances
        return peers.roc_auc_score(y, ranked, multi_class="ovr", **given)
    if name == "average_precision":
        return peers.average_precision_score(y, (scores[:, 1] - scores[:, 0]) if two else chances, **given)
    if name == "f1":
        return peers.f1_score(y, predicted, average="binary" if two else "macro", **given)
    if name == "mcc":
        return peers.matthews_corrcoef(y, predicted, **given)
    if two:
        return peers.brier_score_loss(y, chances[:, 1], **given)
    return np.average(np.square(chances - np.eye(classes)[y]).sum(axis=1), weights=w)  # from scikit-learn 1.7 on


@pytest.mark.parametrize("weights", [None, "whole", "any"])
@pytest.mark.parametrize("classes", [2, 4])
def test_values_are_those_of_scikit_learn(classes, weights):
    scores, y, w = drawn(classes, weights=weights)
    found = evaluate(scores, y, list("abcd")[:classes], temperature=T, weights=w)
    for name in MEASURES:
        expected = of_scikit_learn(name, scores, y, w)
        assert found[name]["value"] == pytest.approx(expected, abs=1e-12), name
        low, high = found[name]["interval"]
        assert low < expected < high


@pytest.mark.parametrize("classes", [2, 3])
def test_an_influence_is_the_derivative_by_a_weight(classes):
    scores, y, _ = drawn(classes, n=60)
    ones = np.ones(60)

    def value(name, w):
        found = Answers(scores, y, scores.argmax(axis=1), w, T, True)
        if name in OF_RANKS:
            return mean_over_classes(found, OF_RANKS[name])
        value, influence = OF_CELLS[name](cell_shares(found))
        return value, influence[y, found.predicted]

    for name in INFLUENCES:
        influence = value(name, ones)[1]
        assert abs(influence.mean()) < 1e-12
        for row in (0, 7, 31):
            step = 1e-6 * np.eye(60)[row]
            slope = (value(name, ones + step)[0] - value(name, ones - step)[0]) / 2e-6
            assert influence[row] / 60 == pytest.approx(slope, abs=1e-8), name


def test_intervals_cover():
    """Of 300 test sets of 200 samples, about 95 % of the intervals hold the value of all samples."""
    scores, y, _ = drawn(3, n=200_000, seed=1)
    true = {name: entry["value"] for name, entry in measures(scores, y, names=INFLUENCES).items()}
    draw, held = np.random.default_rng(2), dict.fromkeys(true, 0)
    for _ in range(300):
        rows = draw.integers(0, len(y), 200)
        for name, entry in measures(scores[rows], y[rows], names=INFLUENCES).items():
            held[name] += entry["interval"][0] <= true[name] <= entry["interval"][1]
    assert all(0.91 <= count / 300 <= 0.985 for count in held.values()), held


def test_an_area_of_scores_that_are_all_alike_has_the_interval_of_its_samples():
    y = np.arange(60) % 3
    found = measures(np.broadcast_to([1e-9, 0.0, 0.0], (60, 3)), y, names=("auc", "f1", "mcc"))
    low, high = found["auc"]["interval"]
    assert found["auc"]["value"] == pytest.approx(0.5) and 0.3 < low < 0.4 and 0.6 < high < 0.7
    assert all(np.isfinite(entry["interval"]).all() for entry in found.values())


def test_what_samples_do_not_tell_is_no_number():
    scores = np.array([[1.0, 0.0], [0.5, 0.0]])
    found = evaluate(scores, [0, 0], ["a", "b"], probabilities=False)
    assert found["auc"] is None and found["average_precision"] is None and found["brier"] is None
    perfect = evaluate(np.eye(2)[[0, 1] * 10], [0, 1] * 10, ["a", "b"])["auc"]
    assert perfect["value"] == 1 and perfect["interval"][0] < 0.95


@pytest.mark.parametrize("rule", ["f1", "mcc", "balanced_accuracy", "accuracy", "cost:FP=1,FN=5"])
@pytest.mark.parametrize("weights", [None, "any"])
def test_no_threshold_is_better_than_the_one_that_is_found(rule, weights):
    scores, y, w = drawn(2, weights=weights, seed=3)
    asked = ThresholdRule.read(rule)
    found = find_threshold(asked, scores, y, w)
    differences = scores[:, 1] - scores[:, 0]
    peer = {
        "f1": peers.f1_score,
        "mcc": peers.matthews_corrcoef,
        "balanced_accuracy": peers.balanced_accuracy_score,
        "accuracy": peers.accuracy_score,
    }.get(rule)

    def judged(cut):
        predicted = (differences >= cut).astype(int)
        if peer is not None:
            return peer(y, predicted, sample_weight=w)
        (_, wrong), (missed, _) = peers.confusion_matrix(y, predicted, sample_weight=w)
        return -(wrong + 5 * missed) / (len(y) if w is None else w.sum())

    cuts = [*np.unique(differences), differences.max() + 1]
    best = max(map(judged, cuts))
    assert judged(found.score) == pytest.approx(best)
    assert abs(found.value) == pytest.approx(abs(best))
    shown = evaluate(scores, y, ["no", "yes"], threshold=found.score, weights=w)
    if rule in ("f1", "mcc"):
        assert shown[rule]["value"] == pytest.approx(best)


def test_thresholds_that_make_no_sense_are_refused():
    for text in ("f2", "cost:FP=1", "cost:FP=1,FP=2", "cost:FP=-1,FN=2", "1.5", ""):
        with pytest.raises(InputError, match="threshold-unknown"):
            ThresholdRule.read(text)
    with pytest.raises(InputError, match="threshold-rows"):
        find_threshold(ThresholdRule.read("f1"), np.zeros((3, 2)), np.zeros(3, dtype=int))
