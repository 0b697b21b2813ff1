"""The choice of reg by what held-out samples say.

Nothing here takes a test split: the choice is made from training and validation samples alone, and the sealed test
split is opened by the caller afterwards, for the one final model.

References:
    Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning", 2009, section 7.10 (cross-validation
    and the one-standard-error rule).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from straightedge.calibration import find_temperature
from straightedge.errors import InputError
from straightedge.evaluation import evaluate
from straightedge.evaluation.measures import MEASURES
from straightedge.evaluation.metrics import METRIC_NAMES, mean
from straightedge.evaluation.outcomes import Outcomes, outcomes
from straightedge.solvers.base import Solution

METRICS = ("accuracy", "balanced_accuracy", "log_loss", *MEASURES)
SMALL = ("log_loss", "brier")
"""Metrics of which less is better."""
SAME = 1e-9  # values of a metric nearer than this are equal: rounding tells them apart
WIDTH = 3.92  # standard errors in a 95 % interval
NO_LOSS = 0.01
"""Nats of log loss by which nobody would choose: a hundredth of a probability."""


@dataclass(frozen=True)
class SelectionSettings:
    """How reg is chosen.

    Attributes:
        metric: One of `METRICS`.
        folds: Number of folds, or None for a held-out validation split.
        validation_size: Share or number of training samples held out where the data bring no validation split.
        one_standard_error: Take the largest reg whose metric is within one standard error of the best, and whose
            log loss of the least among those.
        seed: Seed of the splits.
    """

    metric: str = "accuracy"
    folds: int | None = None
    validation_size: float | int = 0.1
    one_standard_error: bool = False
    seed: int = 0

    def checked(self) -> SelectionSettings:
        """Return self; raise `InputError` ``metric-unknown``."""
        if self.metric not in METRICS:
            raise InputError("metric-unknown", f"metric is {self.metric!r}", mend=f"one of: {', '.join(METRICS)}")
        return self


@dataclass
class CandidateScore:
    """One value of reg, judged on samples its W has not seen.

    Attributes:
        reg: The value.
        metrics: What `evaluation.evaluate` says of the validation samples.
        value: The metric of the choice (larger is better; losses negated).
        error: Its standard error.
        happened: What happened to each sample, where the metric is the accuracy: values are compared row by row.
    """

    reg: float
    metrics: dict[str, Any]
    value: float
    error: float
    happened: Outcomes | None = None


@dataclass
class RegChoice:
    """The chosen reg and all that was looked at for it.

    Attributes:
        index: Position of the chosen value.
        reg: The chosen value.
        scored: Every value, judged.
        scores: (N_validation, C) scores of the chosen configuration on the validation samples: out-of-fold
            scores of the rows that folds hold out, in row order, where folds were used.
        labels: (N_validation,) their labels.
        path: The solutions of the path (trained without the validation samples; on all rows for folds).
        rule: The rule in words.
        notes: Warnings for the user.
    """

    index: int
    reg: float
    scored: list[CandidateScore]
    scores: np.ndarray
    labels: np.ndarray
    path: Solution
    rule: str
    notes: list[str] = field(default_factory=list)

    def solution(self) -> Solution:
        """Return the chosen configuration of the path as a solution of its own."""
        rows = [row for row in self.path.trace if row["reg"] == self.reg]
        return replace(self.path.select(torch.tensor([self.index])), trace=rows)


def judge(
    scores: Tensor,
    y: np.ndarray,
    reg: Sequence[float],
    settings: SelectionSettings,
    softmax: bool,
    weights: Tensor | None = None,
    *,
    whole: bool = True,
) -> list[CandidateScore]:
    """Judge K configurations by their scores on samples that they have not seen, by weight.

    Args:
        scores: (N, K, C).
        y: (N,) labels.
        reg: K values.
        settings: Which metric is judged.
        softmax: Whether scores are log-odds; others are calibrated first.
        weights: (N,) ≥ 0, or None.
        whole: Whether all that `evaluate` says is wanted, with its bootstrap intervals, or what is compared alone.
    """
    n_classes = scores.shape[2]
    names = [str(c) for c in range(n_classes)]
    counts = None if weights is None else weights.numpy()
    out = []
    for k, value in enumerate(reg):
        own = scores[:, k].cpu().numpy()
        temperature = None if softmax else find_temperature(own, y, counts).value
        happened = outcomes(own, y, temperature or 1.0, counts)
        if whole or settings.metric not in ("accuracy", "log_loss"):
            metrics: dict[str, Any] = evaluate(
                own,
                y,
                names,
                temperature=temperature,
                weights=counts,
                measured=[settings.metric] if settings.metric in MEASURES else [],
                keep_scores=False,
            )
        else:
            metrics = _compared(happened)
        found = _value_and_error(metrics, settings.metric, metrics["n"])
        out.append(CandidateScore(value, metrics, *found, happened if settings.metric == "accuracy" else None))
    return out


def _compared(happened: Outcomes) -> dict[str, Any]:
    """Return the accuracy and the log loss with its normal interval: `evaluate` without its resampling."""
    loss, weights = happened.loss.astype(np.float64), happened.weights
    middle, scale = mean(loss, weights), float(loss.max()) or 1.0  # squares of 1e300 would overflow
    variance = mean(((loss - middle) / scale) ** 2, weights)
    spread = scale * math.sqrt(variance / max(happened.n - 1, 1))
    interval = [middle - WIDTH / 2 * spread, middle + WIDTH / 2 * spread]
    return {
        "n": happened.n,
        "accuracy": happened.share(happened.correct),
        "log_loss": {"value": middle, "interval": interval},
    }


def _value_and_error(metrics: dict[str, Any], metric: str, n: float) -> tuple[float, float]:
    if metric == "accuracy":
        share = metrics["accuracy"]
        return share, math.sqrt(max(share * (1 - share), 0.25 / n) / n)
    entry = metrics[metric]
    if entry is None:
        what = f"these held-out samples tell no {metric.replace('_', ' ')}: they are all of one class"
        raise InputError("metric-untold", what, mend="hold out more of them: --folds 5, or another --metric")
    return (-entry["value"] if metric in SMALL else entry["value"]), standard_error(entry)


def standard_error(entry: dict[str, Any]) -> float:
    """Return the standard error that a 95 % interval stands for, 0 where there is none."""
    low, high = entry["interval"] or (0.0, 0.0)
    return float(high - low) / WIDTH


def choose(scored: Sequence[CandidateScore], settings: SelectionSettings) -> int:
    """Return the position of the chosen value: the best metric; among equals see `_among_equals`.

    With the one-standard-error rule, values are equals that are worse than the best by at most one standard error
    of the difference, which is of the same samples; where only values are known, by one of the best.

    Numerics:
        The largest of these alone lost 0.2 to 1.1 points of test accuracy on wine, isolet and 784 pixels (means of
        ten splits): few rows do not tell accuracies apart where log losses differ by many standard errors.
    """
    best = max(scored, key=lambda one: (one.value, one.reg))
    slack = [_error_beside(best, one) if settings.one_standard_error else SAME for one in scored]
    return _among_equals(scored, [k for k, one in enumerate(scored) if best.value - one.value <= slack[k]])


def _error_beside(best: CandidateScore, other: CandidateScore) -> float:
    """Return the standard error of the difference of two values; of the best alone where rows are not known.

    Most samples are right, or wrong, by both: the difference varies far less than each accuracy.
    """
    if best.happened is None or other.happened is None:
        return best.error
    lost = best.happened.correct.astype(np.float64) - other.happened.correct
    n, weights = best.happened.n, best.happened.weights
    return math.sqrt(mean((lost - mean(lost, weights)) ** 2, weights) / max(n - 1, 1)) + SAME


def _among_equals(scored: Sequence[CandidateScore], equals: Sequence[int]) -> int:
    """Return the largest reg whose log loss is within one standard error of the least among equals.

    Few samples give few different accuracies: a hundred values of reg tie, the largest among them, whose W is
    nearly 0. The log loss tells those apart. Where all samples are right at any reg it falls with reg for ever, and
    so does its standard error: differences below `NO_LOSS` say nothing.
    """
    found = {k: scored[k].metrics.get("log_loss") for k in equals}
    known = {k: entry for k, entry in found.items() if entry}
    if len(known) < len(equals):
        return max(equals, key=lambda k: scored[k].reg)
    least = min(known.values(), key=lambda entry: entry["value"])
    ceiling = least["value"] + max(standard_error(least), NO_LOSS)
    return max((k for k in equals if known[k]["value"] <= ceiling), key=lambda k: scored[k].reg)


def rule_in_words(settings: SelectionSettings) -> str:
    """Return the rule of the choice as a phrase."""
    metric = METRIC_NAMES[settings.metric]
    if settings.one_standard_error:
        if settings.metric == "log_loss":
            return "the largest reg within one standard error of the best validation log loss"
        best = f"the best validation {metric}"
        return f"the largest reg within one standard error of {best} and of the least log loss"
    if settings.metric == "log_loss":
        return "the best validation log loss"
    equals = "the largest reg within one standard error of the least log loss"
    return f"the best validation {metric}; among equals {equals}"
