"""The classifiers where scikit-learn routes weights and groups to them; callbacks and warm starts of the choice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from straightedge import LinearClassifier, LinearClassifierCV, SoftmaxClassifier

rng = np.random.default_rng(1)
Y = rng.integers(0, 3, 120)
X = rng.normal(size=(120, 4)) + 1.1 * np.eye(3, 4)[Y]
WEIGHT = rng.integers(1, 4, 120).astype(float)
PLACE = rng.integers(0, 6, 120)
REGS = [1.0, 1e-1, 1e-2]
SHARED = {"sample_weight": WEIGHT, "groups": PLACE}
pytestmark = pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")


@pytest.fixture
def routed() -> Iterator[None]:
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def a_choice(**words: Any) -> Any:
    return LinearClassifierCV(regs=REGS, cv=3, tol=1e-6, **words)


def by_hand(scaled: bool) -> list[float]:
    """What each outer fold has to give: weights and groups given to `fit`, weights to `score`."""
    found = []
    for train, test in GroupKFold(3).split(X, Y, PLACE):
        mean, spread = (X[train].mean(axis=0), X[train].std(axis=0)) if scaled else (0.0, 1.0)
        model = a_choice().fit((X[train] - mean) / spread, Y[train], WEIGHT[train], PLACE[train])
        found.append(model.score((X[test] - mean) / spread, Y[test], WEIGHT[test]))
    return found


@pytest.mark.parametrize("piped", [False, True])
def test_weights_and_groups_reach_the_folds_within_folds(routed: None, piped: bool) -> None:
    model = a_choice().set_fit_request(sample_weight=True, groups=True)
    asked = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), model) if piped else model
    by_weight = make_scorer(accuracy_score).set_score_request(sample_weight=True)
    words = {"cv": GroupKFold(3), "scoring": by_weight, "params": SHARED, "error_score": "raise"}
    found = cross_validate(asked, X, Y, **words)["test_score"]
    np.testing.assert_allclose(found, by_hand(scaled=piped), rtol=1e-12)


def test_what_was_not_asked_for_is_refused_or_left_out(routed: None) -> None:
    with pytest.raises(ValueError, match="set_fit_request"):
        cross_validate(a_choice(), X, Y, cv=GroupKFold(3), params=SHARED, error_score="raise")
    left_out = a_choice().set_fit_request(groups=False)
    found = cross_validate(left_out, X, Y, cv=GroupKFold(3), params={"groups": PLACE}, error_score="raise")
    train, test = next(GroupKFold(3).split(X, Y, PLACE))
    assert found["test_score"][0] == a_choice().fit(X[train], Y[train]).score(X[test], Y[test])


def test_a_grid_search_hands_weights_to_every_classifier(routed: None) -> None:
    weighted = LinearClassifier(tol=1e-8).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    search = GridSearchCV(weighted, {"reg": REGS}, cv=GroupKFold(3)).fit(X, Y, **SHARED)
    whole = LinearClassifier(reg=search.best_params_["reg"], tol=1e-8).fit(X, Y, WEIGHT)
    np.testing.assert_array_equal(search.best_estimator_.coef_, whole.coef_)


def test_weights_are_routed_into_a_scorer_of_the_choice(routed: None) -> None:
    cv = GroupKFold(3)
    found = LinearClassifierCV(regs=REGS, cv=cv, scoring="accuracy", tol=1e-8).fit(X, Y, WEIGHT, PLACE)
    weighted = LinearClassifier(reg=REGS[1], tol=1e-8).set_fit_request(sample_weight=True)
    weighted.set_score_request(sample_weight=True)
    expected = cross_validate(weighted, X, Y, cv=cv, params=SHARED, error_score="raise")["test_score"]
    np.testing.assert_allclose(found.split_scores_[:, 1], expected, rtol=1e-6)


def test_callbacks_follow_the_last_fit_alone(capsys: Any) -> None:
    for cv in (3, GroupKFold(3)):
        rows: list[dict[str, Any]] = []
        chosen = a_choice(callbacks=[rows.append], verbose=1).set_params(cv=cv).fit(X, Y, groups=PLACE)
        assert len(rows) == len(chosen.trace_) and rows[-1]["gap"] == chosen.gap_
        assert capsys.readouterr().out.count("gap") == len(rows)
    assert clone(chosen).callbacks == chosen.callbacks


def test_a_warm_start_saves_passes_of_the_last_fit_and_changes_nothing_else() -> None:
    words: dict[str, Any] = {"regs": [1e-4], "cv": 2, "tol": 1e-7, "solver": "lbfgs"}
    cold = LinearClassifierCV(**words).fit(X, Y)
    warm = LinearClassifierCV(warm_start=True, **words).fit(X, Y)
    assert warm.n_passes_ == cold.n_passes_
    warm.fit(X, Y)
    assert warm.n_passes_ < cold.n_passes_ / 2
    np.testing.assert_array_equal(warm.scores_, cold.scores_)
    np.testing.assert_allclose(warm.coef_, cold.coef_, atol=1e-3)
    warm.fit(X[:, :3], Y)  # another shape starts from zero
    assert warm.W_.shape == (4, 3) and warm.status_ == "certified"


def test_a_fit_without_routing_takes_both_as_before() -> None:
    assert a_choice().fit(X, Y, WEIGHT, PLACE).reg_ in REGS
    assert SoftmaxClassifier().fit(X, Y, sample_weight=WEIGHT).status_ == "certified"
