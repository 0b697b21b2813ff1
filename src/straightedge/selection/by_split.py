"""Values of reg judged split by split, as scikit-learn's `cross_validate` does: any splits, any scorer.

Each split is fitted by a `LinearClassifier` of its own, so that what is compared is what scikit-learn would find.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from straightedge.errors import InputError
from straightedge.estimators import LinearClassifier
from straightedge.selection.choice import METRICS, CandidateScore

Splits = list[tuple[np.ndarray, np.ndarray]]
Scorer = Callable[..., float]


def splits_of(cv: Any, y: Any, groups: Any) -> Splits:
    """Return positions of training and held-out rows for each split.

    Args:
        cv: A splitter of scikit-learn, or pairs of positions or masks.
        y: (N,) labels.
        groups: (N,) what belongs together, or None.

    Raises:
        InputError: ``cv-invalid`` where cv is neither, gives no split, or positions that are not there.
    """
    if isinstance(cv, str) or not (hasattr(cv, "split") or isinstance(cv, Iterable)):
        raise _invalid(f"cv is {cv!r}")
    n = len(y)
    try:
        pairs = cv.split(np.zeros(n), y, groups) if hasattr(cv, "split") else cv
        splits = [(np.arange(n)[train], np.arange(n)[test]) for train, test in pairs]
    except (IndexError, TypeError, ValueError) as error:
        raise _invalid(f"cv gives no splits of {n} rows: {error}") from None
    if not splits or not all(len(train) and len(test) for train, test in splits):
        raise _invalid("cv gives no split, or one without rows")
    return splits


def _invalid(what: str) -> InputError:
    return InputError("cv-invalid", what, mend="give a number of folds, a splitter or pairs of positions")


SCORERS = {
    "log_loss": "neg_log_loss",
    "auc": "roc_auc_ovr",
    "f1": "f1_macro",
    "mcc": "matthews_corrcoef",
    "brier": "neg_brier_score",
}
"""Metrics of `choice` -> what scikit-learn calls them, where it has another name for them."""


def scorer_of(scoring: Any) -> Scorer:
    """Return scikit-learn's scorer for a metric of `choice`, a name of scikit-learn or a callable."""
    from sklearn.metrics import get_scorer

    try:
        found: Scorer = get_scorer(SCORERS.get(scoring, scoring) if isinstance(scoring, str) else scoring)
    except (ValueError, TypeError):
        mend = f"one of: {', '.join(METRICS)}; or a scorer of scikit-learn, by its name or as a callable"
        raise InputError("metric-unknown", f"scoring is {scoring!r}", mend=mend) from None
    return found


def scores_by_split(
    model: LinearClassifier, regs: Sequence[float], splits: Splits, scoring: Any, X: Any, y: Any, weight: Any
) -> np.ndarray:
    """Fit and judge S splits at K values of reg; return (S, K) scores, of which more is better.

    Args:
        model: What is fitted, but for its reg; it stays as it is.
        regs: K values.
        splits: S splits.
        scoring: Name of a metric of `choice` or of scikit-learn, or a callable ``(estimator, X, y)``.
        X: N rows.
        y: (N,) labels.
        weight: (N,) how often rows count in the fits, and where the scorer takes weights in its scores; or None.
    """
    from sklearn.base import clone
    from sklearn.utils import _safe_indexing

    scorer = scorer_of(scoring)
    out = np.empty((len(splits), len(regs)))
    for s, (train, test) in enumerate(splits):
        own = [_safe_indexing(X, rows) for rows in (train, test)], [y[train], y[test]]
        counts = (None, None) if weight is None else (weight[train], weight[test])
        given = {"sample_weight": counts[1]} if counts[1] is not None and takes_weights(scorer) else {}
        for k, reg in enumerate(regs):
            fitted = clone(model).set_params(reg=reg).fit(own[0][0], own[1][0], counts[0])
            out[s, k] = scorer(fitted, own[0][1], own[1][1], **given)
    return out


def takes_weights(scorer: Scorer) -> bool:
    """Whether a scorer takes weights: those of scikit-learn do, and callables that name them."""
    words = inspect.signature(scorer).parameters.values()
    return any(word.name == "sample_weight" or word.kind is word.VAR_KEYWORD for word in words)


def candidates(scores: np.ndarray, regs: Sequence[float]) -> list[CandidateScore]:
    """Return values of reg with the mean over splits (S, K) and its standard error."""
    n = len(scores)
    errors = scores.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.zeros(len(regs))
    means = scores.mean(axis=0)
    return [
        CandidateScore(reg, {}, float(mean), float(error))
        for reg, mean, error in zip(regs, means, errors, strict=True)
    ]
