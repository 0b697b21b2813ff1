"""Where a function under test is tried, what it answers there, and to how many digits."""

import math
from dataclasses import dataclass

import numpy as np

from straightedge.gradcheck.answers import FormError
from straightedge.gradcheck.function import LossUnderTest
from straightedge.gradcheck.mistakes import mistake
from straightedge.gradcheck.reference import Floats, Labels, margins

# Scores of this size at the probes: some margins are closed and some open, and no probability is rounded to 0.
PROBE_SCORE = 3.0
# Relative step between the values that show the rounding: a hundred times float32's, so that its rounding varies;
# the third difference of a smooth loss is then 1e-15 of it.
NOISE_STEP = 1e-5
# Above this share of the value, third differences are those of a lower precision than float64: they are 1e-7 in
# float32 and 1e-15 in float64.
NOISE_OF_SINGLE = 1e-11
N_PLACES = 3  # lines along which the rounding is looked at; the roundings of one may cancel
# Weights on each line: a kink between two of them bends three of nine third differences, and so not their median.
N_STEPS = 12


@dataclass(frozen=True)
class Precision:
    """How exactly a function under test computes.

    Attributes:
        value_epsilon: Rounding of its values, relative: 2.2e-16 or 1.2e-7.
        gradient_epsilon: The same of dW.
    """

    value_epsilon: float
    gradient_epsilon: float

    @property
    def is_single(self) -> bool:
        """Whether either is below float64."""
        return max(self.value_epsilon, self.gradient_epsilon) > NOISE_OF_SINGLE

    @property
    def value_tolerance(self) -> float:
        """Relative error up to which two values are the same."""
        return _tolerance(self.value_epsilon)

    @property
    def gradient_tolerance(self) -> float:
        """Relative error up to which two gradients are the same."""
        return _tolerance(max(self.value_epsilon, self.gradient_epsilon))


def _tolerance(epsilon: float) -> float:
    """1e-7 in float64 and 1e-4 in float32: sums of thousands of terms stay below, every mistake is above."""
    return max(1e-7, 800 * epsilon)


@dataclass(frozen=True)
class Probe:
    """What a function answers at one W, without regulariser.

    Attributes:
        W: (D, C).
        S: (N, C) scores.
        y: (N,) labels.
        value: Its loss.
        gradient: Its dW, (D, C).
        is_given: Whether W is the caller's.
    """

    W: Floats
    S: Floats
    y: Labels
    value: float
    gradient: Floats
    is_given: bool

    @property
    def is_finite(self) -> bool:
        """Whether loss and dW are numbers here."""
        return math.isfinite(self.value) and bool(np.isfinite(self.gradient).all())

    @property
    def has_ties(self) -> bool:
        """A margin of exactly 0: any subgradient is right there, so gradients may differ."""
        return bool((np.abs(margins(self.S, self.y)) < 1e-12).sum() > len(self.y))


def moderate_weights(shape: tuple[int, ...], X: Floats, generator: np.random.Generator) -> Floats:
    """Return random weights of this shape, no entry near 0, whose scores on X (N, D) are about 1."""
    size = 1 / max(float(np.sqrt(np.mean(np.sum(X**2, axis=1)))), 1.0)
    return np.asarray(size * generator.choice((-1, 1), shape) * generator.uniform(0.5, 1.5, shape))


def examine_form(function: LossUnderTest, W: Floats, reg: float) -> None:
    """Call the function three times with the same arguments.

    Args:
        function: The function under test.
        W: (D, C), not 0.
        reg: Above 0, so that even a loss without open margins has a value.

    Raises:
        FormError: It is a stub, returns something else than a pair, or answers otherwise each time.
    """
    first, second, third = (_flat(function(W, reg)) for _ in range(3))
    if not first.any():
        raise FormError(mistake("stub", found="loss and dW are 0"))
    change, next_change = second - first, third - second
    size = float(np.linalg.norm(first))
    if not np.linalg.norm(change) > 1e-6 * size:  # also where an answer is not finite
        return
    grows_alike = np.linalg.norm(next_change - change) <= 1e-3 * np.linalg.norm(change)
    raise FormError(mistake("accumulates-between-calls" if grows_alike else "answers-differ"))


def take_probes(function: LossUnderTest, given: Floats, moderate: Floats) -> list[Probe]:
    """Return the answers at the caller's W and at two weights where some margins are closed and some open.

    Where a margin is closed at one of the two it is open at the other, as their scores are opposite.
    """
    apart = PROBE_SCORE * moderate
    return [_probe(function, W, is_given=W is given) for W in (given, apart, -apart)]


def _probe(function: LossUnderTest, W: Floats, *, is_given: bool) -> Probe:
    value, gradient = function.attempt(W)
    return Probe(W, function.X @ W, function.y, value, gradient, is_given)


def measure_precision(function: LossUnderTest, W: Floats, generator: np.random.Generator) -> Precision:
    """Return the rounding of a function's values, by third differences over near weights on a line.

    Args:
        function: The function under test; it may compute in float32 whatever it is given and returns.
        W: (D, C) weights whose scores are about 1.
        generator: Of the directions.

    References:
        R. W. Hamming, Introduction to Applied Numerical Analysis, 1971, section 6; J. J. Moré and S. M. Wild,
        "Estimating Computational Noise", SIAM J. Sci. Comput. 33, 2011.
    """
    shares = []
    for _ in range(N_PLACES):
        direction = NOISE_STEP * W * generator.choice((-1, 1), W.shape)
        start = W * generator.uniform(0.9, 1.1, W.shape)
        values = np.array([function.attempt(start + k * direction)[0] for k in range(N_STEPS)])
        third = float(np.median(np.abs(np.diff(values, 3))))
        shares.append(third / max(float(np.abs(values).max()), 1e-300))
    is_single = max(shares) > NOISE_OF_SINGLE
    epsilon = float(np.finfo(np.float32 if is_single else np.float64).eps)
    return Precision(epsilon, max(epsilon, function.gradient_epsilon))


def _flat(answer: tuple[float, Floats]) -> Floats:
    return np.append(answer[1].ravel(), answer[0])
