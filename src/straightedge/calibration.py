"""Scores into probabilities: softmax at a temperature, the temperature fitted, how far to trust the result.

A temperature T divides every score before the softmax: it changes how sure the model says it is, never which
class it names. For a softmax model T = 1 is the model as trained. For an SVM the scores are margins, not log
probabilities, so nothing is a probability until a T has been fitted on samples the model was not trained on.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from straightedge.errors import InputError
from straightedge.row_weights import sample_size

BLOCK_VALUES = 262_144
"""Scores turned into float64 at a time: they stay in the cache, and millions of rows need no second copy."""

SUMMED_ROWS = 262_144  # samples whose sums are added up at a time, in float64

FLOOR = -1e300  # least log probability told apart: means of it stay finite, whatever the scores

BETA_RANGE = (1e-3, 1e2)  # 1/T is looked for between these, in units of 1 / (mean spread of a row of scores)

LEAST_MISTAKES = 10
"""Wrong answers that a temperature needs. Drawn from models whose T is 1 (two and ten classes, 60 to 600 samples):
with 10 to 12 mistakes, 95 % of the fitted T lie within 0.57 and 1.64; with 1 or 2 half of them are below 0.65,
and with none T is 0, whatever is true."""


@dataclass(frozen=True)
class TemperatureFit:
    """What held-out scores say of a temperature.

    Attributes:
        value: T > 0; None where the samples do not tell one, and T = 1 stands.
        refusal: Why there is none, as a sentence; empty where there is one.
    """

    value: float | None
    refusal: str = ""


@dataclass(frozen=True)
class Bin:
    """One bar of the reliability diagram.

    Attributes:
        low: Lower edge of the confidence, in [0, 1].
        high: Upper edge.
        n: Samples whose confidence falls between them, or the sum of their weights.
        confidence: Their mean confidence; None where there are none.
        accuracy: The share of them that is right; None where there are none.
    """

    low: float
    high: float
    n: float
    confidence: float | None
    accuracy: float | None


def block_starts(scores: np.ndarray) -> range:
    """Return where blocks of about `BLOCK_VALUES` scores begin; the step of the range is their length."""
    return range(0, len(scores), max(1, BLOCK_VALUES // scores.shape[1]))


def as_scores(scores: Any) -> np.ndarray:
    """Return scores (N, C) as an array without copying where possible; torch tensors come from any device.

    Raises:
        InputError: ``scores-shape`` when they are not two-dimensional with at least one row and two columns.
    """
    if hasattr(scores, "detach"):
        scores = scores.detach().to("cpu")
        scores = scores.float().numpy() if scores.element_size() < 4 else scores.numpy()
    array = np.asarray(scores)
    if array.ndim != 2 or array.shape[0] < 1 or array.shape[1] < 2:
        what = f"scores of shape {array.shape} cannot be judged"
        raise InputError("scores-shape", what, mend="expected (N, C) with at least one sample and two classes")
    return array


def checked(scores: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return scores (N, C) and labels (N,) int64 that fit each other.

    Raises:
        InputError: ``scores-shape``, ``scores-length``, ``labels-out-of-range``.
    """
    array, labels = as_scores(scores), np.asarray(y).astype(np.int64, copy=False)
    if labels.shape != array.shape[:1]:
        raise InputError("scores-length", f"{array.shape[0]} rows of scores, labels of shape {labels.shape}")
    wrong = np.flatnonzero((labels < 0) | (labels >= array.shape[1]))
    if len(wrong):
        what = f"{len(wrong)} labels are not among the {array.shape[1]} classes, the first is {labels[wrong[0]]}"
        raise InputError("labels-out-of-range", what, f"row {wrong[0]}")
    return array, labels


def decided(scores: np.ndarray, threshold: float | None = None) -> np.ndarray:
    """Return the class (N,) int64 that scores name: the largest, the first of equal ones.

    Args:
        scores: (N, C).
        threshold: Of two classes, the difference of scores from which the second is named; None is the
            largest score.
    """
    if threshold is None:
        return np.asarray(scores.argmax(axis=1), dtype=np.int64)
    return np.asarray(scores[:, 1] - scores[:, 0] >= threshold, dtype=np.int64)


def log_softmax(scores: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return log softmax(scores / temperature) (N, C) float64, row by row, at least `FLOOR`; temperature > 0.

    Numerics:
        The largest score is subtracted first, halved when the difference itself would overflow: scores of
        ±1e308 give finite values.
    """
    halved = scores.astype(np.float64) * 0.5
    shifted = np.maximum(halved - halved.max(axis=1, keepdims=True), FLOOR / 2)
    with np.errstate(over="ignore"):  # an overflow is −inf here, and the floor catches it
        scaled = np.maximum(shifted * (2.0 / temperature), FLOOR)
    return np.asarray(np.maximum(scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True)), FLOOR))


def probabilities(scores: Any, temperature: float = 1.0) -> np.ndarray:
    """Return softmax(scores / temperature) as (N, C) float64."""
    return np.asarray(np.exp(log_softmax(as_scores(scores), temperature)))


def find_temperature(scores: Any, y: Any, weights: np.ndarray | None = None) -> TemperatureFit:
    """Find the temperature whose probabilities explain the labels best.

    Args:
        scores: (N, C) scores of samples the model was *not* trained on (validation, or out of fold).
        y: (N,) int64 labels.
        weights: (N,) ≥ 0, how often each sample counts; None counts each once.

    Returns:
        T > 0 with the least mean negative log likelihood of softmax(scores / T), or the reason why there is none:
        fewer than `LEAST_MISTAKES` wrong answers, or a likelihood that rises up to an end of `BETA_RANGE`.

    Numerics:
        The loss is convex in β = 1/T: its derivative, mean(Σ p_j s_j − s_y), rises with β, so its root is
        bracketed and found by Newton steps in log β that fall back to bisection. There is no root where every
        sample is right (β → ∞: the model would be sure of everything) or scores are no better than chance (β → 0).

    Raises:
        InputError: ``scores-shape``, ``scores-length``, ``scores-not-finite``, ``labels-out-of-range``.

    References:
        Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, section 4.2.
    """
    array, labels = checked(scores, y)
    if weights is not None:
        kept = weights > 0
        array, labels, weights = array[kept], labels[kept], weights[kept]
    scale = float(np.abs(array).max()) or 1.0
    if not np.isfinite(scale):
        raise InputError("scores-not-finite", "a score is NaN or infinite")
    n, n_wrong = _counts(array.argmax(axis=1) != labels, weights)
    if n_wrong < LEAST_MISTAKES:
        return TemperatureFit(
            None, f"{n_wrong:.0f} of {n:,.0f} held-out answers are wrong, a temperature needs {LEAST_MISTAKES}"
        )
    shares = None if weights is None else weights / weights.sum()
    spreads = array.max(axis=1) / scale - array.min(axis=1) / scale
    spread = max(float(np.average(spreads, weights=weights)), 1e-30)
    edges = [math.log(edge / spread) for edge in BETA_RANGE]
    log_beta = _root(lambda beta: _slope(array, labels, beta, scale, shares), *edges)
    if log_beta in edges:
        return TemperatureFit(
            None, f"no temperature fits the {n:,.0f} held-out answers, {n_wrong:,.0f} of them wrong"
        )
    return TemperatureFit(scale * math.exp(-log_beta))


def _counts(wrong: np.ndarray, weights: np.ndarray | None) -> tuple[float, float]:
    """Return how many samples there are and how many of them are wrong, as far as weights tell."""
    if weights is None:
        return len(wrong), int(wrong.sum())
    n = sample_size(weights)
    return n, n * float(np.average(wrong, weights=weights))


def _root(slope_at: Callable[[float], tuple[float, float]], low: float, high: float) -> float:
    """Return log β where the slope crosses 0, or the end it would cross beyond.

    Newton's step, with d slope/d log β = β curvature, is replaced by bisection where it leaves the bracket.
    """
    if slope_at(math.exp(low))[0] >= 0:
        return low
    if slope_at(math.exp(high))[0] <= 0:
        return high
    log_beta = (low + high) / 2
    for _ in range(100):
        slope, curvature = slope_at(math.exp(log_beta))
        low, high = (low, log_beta) if slope > 0 else (log_beta, high)
        following = log_beta - slope / (math.exp(log_beta) * curvature) if curvature > 0 else math.inf
        if not low < following < high:
            following = (low + high) / 2
        if abs(following - log_beta) < 1e-9:
            break
        log_beta = following
    return log_beta


def _slope(
    scores: np.ndarray, y: np.ndarray, beta: float, scale: float, shares: np.ndarray | None
) -> tuple[float, float]:
    """Return the first and second derivative in β of the mean loss of softmax(β scores / scale).

    Shares (N,), where there are any, add up to 1.
    """
    first = second = 0.0
    starts = block_starts(scores)
    for start in starts:
        rows = slice(start, start + starts.step)
        block = scores[rows].astype(np.float64) / scale
        block = block - block.max(axis=1, keepdims=True)
        likely = np.exp(log_softmax(block, 1 / beta))
        mean = (likely * block).sum(axis=1)
        share = 1 / len(y) if shares is None else shares[rows]
        first += float(((mean - block[np.arange(len(block)), y[rows]]) * share).sum())
        second += float(((likely * (block - mean[:, None]) ** 2).sum(axis=1) * share).sum())
    return first, second


def bin_of(confidence: np.ndarray, n_bins: int) -> np.ndarray:
    """Return which of `n_bins` equal bins of (0, 1] each confidence (N,) falls into."""
    return np.asarray(np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1))


@dataclass(frozen=True)
class CellSums:
    """Sums over the samples of each bin of confidence, those that are wrong and those that are right.

    Attributes:
        counts: (n_bins, 2) samples, or sums of their weights; column 1 is of those that are right.
        said: (n_bins, 2) their confidence.
        spread: (n_bins, 2) confidence (1 − confidence): the variance of perfect predictions.
    """

    counts: np.ndarray
    said: np.ndarray
    spread: np.ndarray


def cell_sums(
    confidence: np.ndarray, correct: np.ndarray, n_bins: int = 15, weights: np.ndarray | None = None
) -> CellSums:
    """Add up samples by bin and answer, a block at a time (arguments as `reliability`)."""
    sums = np.zeros((3, 2 * n_bins))
    for start in range(0, len(confidence), SUMMED_ROWS):
        rows = slice(start, start + SUMMED_ROWS)
        said = confidence[rows].astype(np.float64)
        own = np.ones(len(said)) if weights is None else weights[rows]
        cell = bin_of(said, n_bins) * 2 + correct[rows]
        for place, values in enumerate((own, own * said, own * said * (1 - said))):
            sums[place] += np.bincount(cell, values, 2 * n_bins)
    return CellSums(*sums.reshape(3, n_bins, 2))


def reliability(
    confidence: np.ndarray, correct: np.ndarray, n_bins: int = 15, weights: np.ndarray | None = None
) -> list[Bin]:
    """Compare what the model says with what happens, in every bin, the empty ones too.

    Args:
        confidence: (N,) probability of the predicted class.
        correct: (N,) bool, whether the prediction is right.
        n_bins: Equal bins of confidence.
        weights: (N,) > 0, how often each sample counts; None counts each once.
    """
    sums = cell_sums(confidence, correct, n_bins, weights)
    counts = sums.counts.sum(axis=1)
    counts = counts.astype(np.int64) if weights is None else counts
    said, right = sums.said.sum(axis=1), sums.counts[:, 1]
    return [
        Bin(i / n_bins, (i + 1) / n_bins, n, said[i] / n if n else None, right[i] / n if n else None)
        for i, n in enumerate(counts.tolist())
    ]


def expected_calibration_error(
    confidence: np.ndarray, correct: np.ndarray, n_bins: int = 15, weights: np.ndarray | None = None
) -> float:
    """Return the mean over samples (by weight) of |accuracy − confidence| of their bin, in [0, 1].

    Numerics:
        A plug-in estimate: noise in each bin can only add to it, so it is above 0 for a perfect model.

    References:
        Naeini, Cooper, Hauskrecht, AAAI 2015; Guo et al., ICML 2017, equation 3.
    """
    residual = np.zeros(n_bins)
    for start in range(0, len(confidence), SUMMED_ROWS):
        rows = slice(start, start + SUMMED_ROWS)
        off = correct[rows] - confidence[rows].astype(np.float64)
        off = off if weights is None else off * weights[rows]
        residual += np.bincount(bin_of(confidence[rows], n_bins), off, n_bins)
    return float(np.abs(residual).sum() / (len(confidence) if weights is None else weights.sum()))
