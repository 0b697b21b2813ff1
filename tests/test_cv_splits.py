"""`LinearClassifierCV` with scikit-learn's splitters and scorers gives what `cross_validate` gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import (
    GroupKFold,
    LeaveOneGroupOut,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
    cross_validate,
)

from straightedge import LinearClassifier, LinearClassifierCV
from straightedge.errors import InputError

rng = np.random.default_rng(0)
Y = rng.integers(0, 3, 150)
X = rng.normal(size=(150, 5)) + 1.2 * np.eye(3, 5)[Y]
PLACE = rng.integers(0, 5, 150) + 7  # groups of unequal size
REGS = [1.0, 1e-1, 1e-3]


def rightly_sure(model: Any, X: Any, y: Any) -> float:
    """The mean score of the right class, less that of all."""
    scores = model.decision_function(X)
    return float(np.mean(scores[np.arange(len(y)), np.searchsorted(model.classes_, y)] - scores.mean(axis=1)))


WAYS: dict[str, tuple[Any, Any]] = {
    "group k-fold": (GroupKFold(3), "accuracy"),
    "leave one group out": (LeaveOneGroupOut(), "balanced_accuracy"),
    "time series": (TimeSeriesSplit(4), "accuracy"),
    "a list of splits": ([(np.arange(90), np.arange(90, 150)), (np.arange(40, 150), np.arange(40))], "accuracy"),
    "random splits": (ShuffleSplit(3, random_state=1), "f1_macro"),
    "a scorer by its name": (GroupKFold(3), "neg_log_loss"),
    "a scorer of areas": (StratifiedKFold(3), "roc_auc_ovr"),
    "a scorer that was made": (TimeSeriesSplit(3), make_scorer(accuracy_score, normalize=False)),
    "a function": (StratifiedKFold(4), rightly_sure),
}


@pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")
@pytest.mark.parametrize("way", WAYS)
def test_scores_are_those_of_cross_validate(way: str) -> None:
    cv, scoring = WAYS[way]
    groups = PLACE if isinstance(cv, GroupKFold | LeaveOneGroupOut) else None
    words = {"tol": 1e-9, "preprocess": "standardize", "class_weight": {0: 2.0, 1: 1.0, 2: 1.0}}
    found = LinearClassifierCV(regs=REGS, cv=cv, scoring=scoring, **words).fit(X, Y, groups=groups)
    expected = np.array(
        [
            cross_validate(LinearClassifier(reg=reg, **words), X, Y, groups=groups, cv=cv, scoring=scoring)[
                "test_score"
            ]
            for reg in found.regs_
        ]
    ).T
    np.testing.assert_allclose(found.split_scores_, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.scores_, expected.mean(axis=0), rtol=1e-6, atol=1e-6)
    assert found.reg_ == max(zip(found.scores_, found.regs_, strict=True))[1]
    whole = LinearClassifier(reg=found.reg_, **words).fit(X, Y)
    np.testing.assert_allclose(found.coef_, whole.coef_, atol=1e-4)


@pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")
def test_weights_count_in_the_fits_and_where_they_are_judged() -> None:
    weight = rng.integers(0, 3, 150).astype(float)
    cv = StratifiedKFold(3)
    found = LinearClassifierCV(regs=REGS, cv=cv, tol=1e-9).fit(X, Y, weight)
    for s, (train, test) in enumerate(cv.split(X, Y)):
        for k, reg in enumerate(found.regs_):
            model = LinearClassifier(reg=reg, tol=1e-9).fit(X[train], Y[train], weight[train])
            assert found.split_scores_[s, k] == model.score(X[test], Y[test], weight[test])
    by_rows = LinearClassifierCV(regs=REGS, cv=cv, scoring=rightly_sure).fit(sparse.csr_matrix(X), Y, weight)
    assert by_rows.split_scores_.shape == (3, 3)


def test_a_scorer_that_is_none_is_refused_by_name() -> None:
    for scoring in ("accurracy", 3):
        with pytest.raises(InputError, match="metric-unknown"):
            LinearClassifierCV(regs=REGS, scoring=scoring).fit(X, Y)
