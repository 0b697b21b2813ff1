"""scikit-learn's own checks, all of them, with none expected to fail."""

from __future__ import annotations

from sklearn.utils.estimator_checks import parametrize_with_checks

from straightedge.estimators import LinearClassifier, SoftmaxClassifier, SVMClassifier

# Two checks compare fits that differ in the last bit (weights against repetitions, one dtype against another)
# to 1e-7 in the scores: they need an optimum that is as sharp, so the gap asked for is small.
SHARP = {"tol": 1e-18, "reg": 1e-1, "max_passes": 3000}


ESTIMATORS = [
    SoftmaxClassifier(**SHARP),
    SVMClassifier(**(SHARP | {"tol": 1e-11})),
    LinearClassifier("squared_hinge", **SHARP),
]


@parametrize_with_checks(ESTIMATORS)
def test_sklearn_check(estimator, check) -> None:
    check(estimator)
