"""Quantiles of the beta distribution, in plain Python: scipy.stats takes a second and a half to import."""

import math

SMALLEST = 1e-300  # stands for a zero in a denominator of the continued fraction
ROUNDING = 1e-15  # relative change at which the continued fraction has converged
CLOSE = 1e-13  # change of the log-odds at which the quantile has been found
MOST_STEPS = 100  # Newton's method takes three to six steps; bisection, where it leaves the bracket, some fifty
FARTHEST = 600.0  # log-odds from those of the mean between which quantiles are looked for: exp(600) is still finite
NORMAL_FROM = 1e9  # where both parameters are larger, log-odds are normal to eight digits
STIRLING_FROM = 16.0  # from here on three terms of Stirling's series are exact in float64


def beta_quantile(p: float, a: float, b: float) -> float:
    """Return the value that a Beta(a, b) variable is below with probability p in (0, 1); a, b ≥ 1.

    Numerics:
        Newton's method for the log-odds of x: the derivative of I_x(a, b) in them is xᵃ(1 − x)ᵇ/B(a, b), and
        quantiles near 0 and near 1 are equally exact, to eight digits for up to a hundred million outcomes (tested
        against SciPy's). A step takes up to √max(a, b) operations. The start is that of normal log-odds.
    """
    mean = math.log(a / b)
    apart = _normal_quantile(p) * math.sqrt(1 / a + 1 / b)
    if min(a, b) < NORMAL_FROM:
        apart = _log_odds(p, a, b, apart)
    return 1 / (1 + math.exp(-mean - apart))


def _normal_quantile(p: float) -> float:
    """Return the quantile of the standard normal distribution, p within 1e-6 and 1 − 1e-6."""
    z: float = 4.91 * (p**0.14 - (1 - p) ** 0.14)  # Tukey's lambda, within some hundredths
    for _ in range(4):
        z -= (0.5 * math.erfc(-z / math.sqrt(2)) - p) * math.sqrt(math.tau) * math.exp(z * z / 2)
    return z


def _log_odds(p: float, a: float, b: float, start: float) -> float:
    """Return the log-odds of the quantile less those of the mean, found from a start."""
    low, high = -FARTHEST, FARTHEST
    apart = start
    for _ in range(MOST_STEPS):
        below, density = _distribution(apart, a, b)
        low, high = (apart, high) if below < p else (low, apart)
        following = apart - (below - p) / density if density > 0 else math.inf
        following = following if low < following < high else (low + high) / 2
        change, apart = abs(following - apart), following
        if change <= CLOSE * max(1.0, abs(apart)):
            break
    return apart


def _distribution(apart: float, a: float, b: float) -> tuple[float, float]:
    """Return I_x(a, b) and its derivative in the log-odds of x, which are `apart` from those of the mean."""
    mean = a / (a + b)
    log_density = -a * math.log1p((1 - mean) * math.expm1(-apart)) - b * math.log1p(mean * math.expm1(apart))
    log_density += 0.5 * math.log(a / (a + b) * b / math.tau)
    density = math.exp(log_density + _stirling_rest(a + b) - _stirling_rest(a) - _stirling_rest(b))
    odds = a / b * math.exp(apart)
    x, rest = odds / (1 + odds), 1 / (1 + odds)
    if x < (a + 1) / (a + b + 2):
        return density * _continued_fraction(x, a, b) / a, density
    return 1 - density * _continued_fraction(rest, b, a) / b, density


def _stirling_rest(z: float) -> float:
    """Return log Γ(z) less Stirling's formula (z − ½) log z − z + ½ log 2π, without its cancellation."""
    if z < STIRLING_FROM:
        return math.lgamma(z) - (z - 0.5) * math.log(z) + z - 0.5 * math.log(math.tau)
    return (1 / 12 - (1 / 360 - (1 / 1260 - 1 / (1680 * z * z)) / (z * z)) / (z * z)) / z


def _continued_fraction(x: float, a: float, b: float) -> float:
    """Return I_x(a, b) · a B(a, b)/(xᵃ(1 − x)ᵇ) as a continued fraction, by Lentz's method.

    References:
        Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.5.8; Press et al., "Numerical Recipes",
        section 6.4.
    """
    ratio = 1.0
    value = inverse = 1 / _nonzero(1 - (a + b) * x / (a + 1))
    for m in range(1, 100 + 10 * int(math.sqrt(max(a, b)))):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            inverse = 1 / _nonzero(1 + term * inverse)
            ratio = _nonzero(1 + term / ratio)
            value *= inverse * ratio
        if abs(inverse * ratio - 1) < ROUNDING:
            break
    return value


def _nonzero(value: float) -> float:
    return value if abs(value) > SMALLEST else SMALLEST
