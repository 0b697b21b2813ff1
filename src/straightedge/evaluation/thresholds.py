"""Where two classes are parted: the threshold that held-out samples find best, by cost or by a measure.

The second class is named where its score exceeds the first one's by the threshold or more. The score of a
softmax is a log probability, so a threshold δ is one of the probability, σ(δ / T).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from straightedge.errors import InputError

COST = re.compile(r"cost:(?P<first>FP|FN)=(?P<one>[^,]+),(?P<second>FP|FN)=(?P<two>[^,]+)", re.IGNORECASE)
Counts = tuple[np.ndarray, np.ndarray, float, float]
"""True and false positives (K,) at each threshold, and the sums of weights of positive and of negative samples."""


def _f1(counts: Counts) -> np.ndarray:
    right, wrong, positive, _ = counts
    return np.asarray(2 * right / (right + wrong + positive))


def _accuracy(counts: Counts) -> np.ndarray:
    right, wrong, positive, negative = counts
    return np.asarray((right + negative - wrong) / (positive + negative))


def _balanced(counts: Counts) -> np.ndarray:
    right, wrong, positive, negative = counts
    return np.asarray((right / positive + (negative - wrong) / negative) / 2)


def _mcc(counts: Counts) -> np.ndarray:
    right, wrong, positive, negative = counts
    told, total = right + wrong, positive + negative
    rest = np.where(told > total * (1 - 1e-12), 0.0, total - told)  # of sums of weights, rounding may be left
    size = np.sqrt(told * rest * positive * negative)
    above = right * negative - wrong * positive
    return np.divide(above, size, out=np.zeros_like(size), where=size > 0)


MEASURED: dict[str, Callable[[Counts], np.ndarray]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced,
    "f1": _f1,
    "mcc": _mcc,
}
"""Measures that a threshold can be chosen by."""


@dataclass(frozen=True)
class ThresholdRule:
    """How a threshold is found.

    Attributes:
        measure: A name of `MEASURED`; None by cost or as given.
        costs: What a false positive and a false negative cost.
        probability: The probability of the second class that was given.
    """

    measure: str | None = None
    costs: tuple[float, float] | None = None
    probability: float | None = None

    @classmethod
    def read(cls, text: str) -> ThresholdRule:
        """Read ``f1``, ``cost:FP=1,FN=5`` or a probability such as ``0.3``."""
        if text in MEASURED:
            return cls(measure=text)
        try:
            if found := COST.fullmatch(text.replace(" ", "")):
                costs = {found["first"].upper(): float(found["one"]), found["second"].upper(): float(found["two"])}
                if len(costs) == 2 and all(0 < cost < math.inf for cost in costs.values()):
                    return cls(costs=(costs["FP"], costs["FN"]))
            elif 0 < (probability := float(text)) < 1:
                return cls(probability=probability)
        except ValueError:
            pass
        mend = f"one of: {', '.join(MEASURED)}; cost:FP=1,FN=5; or a probability such as 0.3"
        raise InputError("threshold-unknown", f"the threshold is {text!r}", "--threshold", mend)

    def in_words(self) -> str:
        """Return the rule as a phrase."""
        if self.costs is not None:
            return f"the least cost, {self.costs[0]:g} a false positive and {self.costs[1]:g} a false negative"
        return "as given" if self.measure is None else f"the best {self.measure.replace('_', ' ')}"

    def values(self, counts: Counts) -> np.ndarray:
        """Return what the rule makes large at each threshold (K,): a measure, or the mean cost with a minus."""
        if self.costs is None:
            return MEASURED[self.measure or "accuracy"](counts)
        right, wrong, positive, negative = counts
        lost = self.costs[0] * wrong + self.costs[1] * (positive - right)
        return np.asarray(-lost / (positive + negative))


@dataclass(frozen=True)
class Threshold:
    """A threshold that was found.

    Attributes:
        score: Difference of scores, second class less first, from which the second is named.
        value: The measure, or the mean cost of a sample, on the samples that it was chosen on; None if it was
            given.
        n: Number of these samples.
    """

    score: float
    value: float | None = None
    n: int = 0


def find_threshold(
    rule: ThresholdRule, scores: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None
) -> Threshold:
    """Find the threshold that samples find best; among equally good ones, the nearest to 0, where none is.

    Args:
        rule: By measure or by cost.
        scores: (N, 2) scores of samples that their model has not seen.
        y: (N,) labels, 0 or 1.
        weights: (N,) ≥ 0, how often each counts, or None.

    Raises:
        InputError: ``threshold-rows`` where they are not of both classes.

    Numerics:
        All N + 1 ways to part the sorted samples are looked at; the threshold is in the middle between two samples.
    """
    counts = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
    positive, negative = float(counts[y == 1].sum()), float(counts[y == 0].sum())
    if not positive or not negative:
        what = "a threshold is chosen on held-out samples, and these are not of both classes"
        raise InputError("threshold-rows", what, mend="hold out more of them: --folds 5, or --validation 0.2")
    differences = (scores[:, 1] - scores[:, 0]).astype(np.float64)
    values, place = np.unique(differences, return_inverse=True)

    def from_each_on(chosen: np.ndarray) -> np.ndarray:
        sums = np.bincount(place, counts * chosen, len(values))
        return np.append(np.cumsum(sums[::-1])[::-1], 0.0)

    judged = rule.values((from_each_on(y == 1), from_each_on(y == 0), positive, negative))
    inner = np.maximum((values[1:] + values[:-1]) / 2, np.nextafter(values[:-1], np.inf))
    cuts = np.concatenate([[min(values[0] - 1, 0.0)], inner, [max(values[-1] + 1, 0.0)]])
    cuts = _through_zero(cuts, values)
    best = np.flatnonzero(judged >= judged.max() - 1e-12 * max(1.0, abs(float(judged.max()))))
    chosen = int(best[np.argmin(np.abs(cuts[best]))])
    value = float(judged[chosen])
    return Threshold(float(cuts[chosen]), value if rule.costs is None else -value, len(y))


def _through_zero(cuts: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return cuts with 0 for the one whose neighbours have it between them: the way without a threshold."""
    lower = np.concatenate([[-np.inf], values])
    upper = np.concatenate([values, [np.inf]])
    return np.where((lower < 0) & (upper >= 0), 0.0, cuts)


def given_threshold(probability: float, temperature: float | None) -> Threshold:
    """Return the threshold on scores of one on the probability of the second class."""
    return Threshold((temperature or 1.0) * math.log(probability / (1 - probability)))


def probability_from(score: float, temperature: float) -> float:
    """Return the probability of the second class that a threshold on scores is one on."""
    return 1 / (1 + math.exp(-score / temperature))


def described(found: Threshold, rule: ThresholdRule, classes: Any, temperature: float | None) -> dict[str, Any]:
    """Return what metrics.json holds of a threshold."""
    return {
        "class": str(classes[1]),
        "score": found.score,
        "probability": None if temperature is None else probability_from(found.score, temperature),
        "rule": rule.in_words(),
        "value": found.value,
        "n": found.n,
    }
