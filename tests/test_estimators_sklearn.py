"""scikit-learn's own checks, all of them, of the estimators as they come, with none expected to fail.

Two of them compare fits with weights and with repeated rows to 1e-7 in the scores: a fit that costs little has to
be as sharp as that, whatever gap is asked for. `test_newton` has these two for every loss.
"""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from straightedge import LinearClassifierCV
from straightedge.estimators import LinearClassifier, SoftmaxClassifier, SVMClassifier

ESTIMATORS = [SoftmaxClassifier(), SVMClassifier(), LinearClassifier()]


@parametrize_with_checks(ESTIMATORS)
def test_sklearn_check(estimator, check) -> None:
    check(estimator)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")
@parametrize_with_checks([LinearClassifierCV(cv=3)])
def test_sklearn_check_of_the_choice(estimator, check) -> None:
    check(estimator)
