"""Scores into probabilities: softmax at a temperature, the temperature fitted, how far to trust the result.

A temperature T divides every score before the softmax: it changes how sure the model says it is, never which
class it names. For a softmax model T = 1 is the model as trained. For an SVM the scores are margins, not log
probabilities, so nothing is a probability until a T has been fitted on samples the model was not trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from straightedge.errors import InputError, warn

BLOCK_ROWS = 65_536
"""Rows turned into float64 at a time, so that a million rows of scores never need a second copy."""

FLOOR = -1e300
"""Least log probability told apart: means of it stay finite, whatever the scores."""

BETA_RANGE = (1e-6, 1e6)
"""1/T is looked for between these, in units of 1 / (mean spread of a row of scores)."""


@dataclass(frozen=True)
class Bin:
    """One bar of the reliability diagram.

    Attributes:
        low: Lower edge of the confidence, in [0, 1].
        high: Upper edge.
        n: Samples whose confidence falls between them.
        confidence: Their mean confidence; None where there are none.
        accuracy: The share of them that is right; None where there are none.
    """

    low: float
    high: float
    n: int
    confidence: float | None
    accuracy: float | None


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
        raise InputError(
            "scores-shape",
            f"scores of shape {array.shape} cannot be judged",
            mend="expected (N, C) with at least one sample and two classes",
        )
    return array


def log_softmax(scores: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return log softmax(scores / temperature), row by row.

    Args:
        scores: (N, C) of any float type.
        temperature: T > 0.

    Returns:
        (N, C) float64, at least `FLOOR`, each row's exponentials summing to 1.

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


def fit_temperature(scores: Any, y: np.ndarray) -> float:
    """Find the temperature whose probabilities explain the labels best.

    Args:
        scores: (N, C) scores of samples the model was *not* trained on (validation, or out of fold).
        y: (N,) int64 labels.

    Returns:
        T > 0 with the least mean negative log likelihood of softmax(scores / T).

    Numerics:
        The loss is convex in β = 1/T: its derivative, mean(Σ p_j s_j − s_y), rises with β, so its root is
        bracketed and found by Newton steps that fall back to bisection of log β. Where there is no root
        (every sample right, or scores worse than chance) β stops at `BETA_RANGE` with a warning.

    References:
        Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, section 4.2.
    """
    array = as_scores(scores)
    spread = max(float(np.ptp(array.astype(np.float64), axis=1).mean()), np.finfo(np.float64).tiny * 1e10)
    low, high = np.log(BETA_RANGE[0] / spread), np.log(BETA_RANGE[1] / spread)
    log_beta = np.log(1 / spread)
    for _ in range(100):
        slope, curvature = _slope(array, y, np.exp(log_beta))
        low, high = (low, log_beta) if slope > 0 else (log_beta, high)
        # Newton in log β: d/d(log β) = β d/dβ, and the second derivative is β slope + β² curvature
        step = -slope / (slope + np.exp(log_beta) * curvature) if curvature > 0 else np.inf
        following = log_beta + step
        if not low < following < high:
            following = (low + high) / 2
        if abs(following - log_beta) < 1e-10:
            break
        log_beta = following
    _warn_at_the_edge(float(log_beta), spread)
    return float(np.exp(-log_beta))


def _slope(scores: np.ndarray, y: np.ndarray, beta: float) -> tuple[float, float]:
    """Return the first and second derivative in β of the mean loss at β."""
    first = second = 0.0
    for start in range(0, len(y), BLOCK_ROWS):
        block = scores[start : start + BLOCK_ROWS].astype(np.float64)
        block = block - block.max(axis=1, keepdims=True)
        likely = np.exp(log_softmax(block, 1 / beta))
        mean = (likely * block).sum(axis=1)
        first += float((mean - block[np.arange(len(block)), y[start : start + BLOCK_ROWS]]).sum())
        second += float((likely * (block - mean[:, None]) ** 2).sum())
    return first / len(y), second / len(y)


def _warn_at_the_edge(log_beta: float, spread: float) -> None:
    edges = np.log(BETA_RANGE) - np.log(spread)
    if min(abs(log_beta - edges[0]), abs(log_beta - edges[1])) < 1e-3:
        warn(
            "temperature-at-bound",
            "no temperature fits these labels best (all right, or none): probabilities are not calibrated",
        )


def bin_of(confidence: np.ndarray, n_bins: int) -> np.ndarray:
    """Return which of `n_bins` equal bins of (0, 1] each confidence (N,) falls into."""
    return np.asarray(np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1))


def reliability(confidence: np.ndarray, correct: np.ndarray, n_bins: int = 15) -> list[Bin]:
    """Compare what the model says with what happens.

    Args:
        confidence: (N,) probability of the predicted class.
        correct: (N,) bool, whether the prediction is right.
        n_bins: Equal bins of confidence.

    Returns:
        Every bin, the empty ones too.
    """
    where = bin_of(confidence, n_bins)
    counts = np.bincount(where, minlength=n_bins)
    said = np.bincount(where, confidence, n_bins)
    right = np.bincount(where, correct, n_bins)
    return [
        Bin(i / n_bins, (i + 1) / n_bins, int(n), said[i] / n if n else None, right[i] / n if n else None)
        for i, n in enumerate(counts)
    ]


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray, n_bins: int = 15) -> float:
    """Return the mean over samples of |accuracy − confidence| of their bin, in [0, 1].

    Numerics:
        A plug-in estimate: noise in each bin can only add to it, so it is above 0 for a perfect model.

    References:
        Naeini, Cooper, Hauskrecht, AAAI 2015; Guo et al., ICML 2017, equation 3.
    """
    residual = np.bincount(bin_of(confidence, n_bins), correct - confidence, n_bins)
    return float(np.abs(residual).sum() / len(confidence))
