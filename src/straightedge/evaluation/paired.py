"""Two models on the same images: which is better, and could it be chance."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from straightedge.errors import InputError
from straightedge.evaluation.intervals import TAILS

DRAWS = 20_000


@dataclass(frozen=True)
class PairedTest:
    """The answer of `paired_test`.

    Attributes:
        n: Number of images both models judged.
        both: Right in both.
        only_first: Right in the first model alone.
        only_second: Right in the second model alone.
        neither: Wrong in both.
        difference: Accuracy of the first minus accuracy of the second.
        interval: Its 95 % bootstrap interval.
        p_value: Exact McNemar, two-sided: how often models equally good differ at least as much.
    """

    n: int
    both: int
    only_first: int
    only_second: int
    neither: int
    difference: float
    interval: tuple[float, float]
    p_value: float


def paired_test(correct_first: Any, correct_second: Any, *, seed: int = 0) -> PairedTest:
    """Compare two models on the same images.

    Args:
        correct_first: (N,) bool, whether the first model is right on each image.
        correct_second: (N,) bool, the second model on the same images in the same order.
        seed: Seed of the bootstrap.

    Raises:
        InputError: ``paired-length`` when the two are not (N,) of one N > 0.

    Numerics:
        Images that both models get right, or both wrong, say nothing of the difference: given the number of
        the others, those of the first model alone are Binomial(·, ½) if the models are equally good. The
        interval is the Bayesian bootstrap of all images and two more, half a one in each of the four cells of
        the table (as Agresti and Min add to it).

    References:
        McNemar, Psychometrika 1947; Agresti and Min, Statistics in Medicine 2005.
    """
    from scipy.stats import binomtest

    first, second = np.asarray(correct_first, dtype=bool), np.asarray(correct_second, dtype=bool)
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise InputError("paired-length", f"cannot pair {first.shape} with {second.shape} predictions")
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    both = int((first & second).sum())
    disagree, n = only_first + only_second, len(first)
    p_value = float(binomtest(only_first, disagree).pvalue) if disagree else 1.0
    return PairedTest(
        n=n,
        both=both,
        only_first=only_first,
        only_second=only_second,
        neither=n - both - disagree,
        difference=(only_first - only_second) / n,
        interval=_difference_interval(only_first, only_second, n, seed),
        p_value=p_value,
    )


def _difference_interval(only_first: int, only_second: int, n: int, seed: int) -> tuple[float, float]:
    """Return quantiles of the difference of two Dirichlet weights."""
    rng = np.random.default_rng(seed)
    agree = n - only_first - only_second
    weights = rng.dirichlet((only_first + 0.5, only_second + 0.5, agree + 1.0), DRAWS)
    low, high = np.quantile(weights[:, 0] - weights[:, 1], TAILS)
    return float(low), float(high)
