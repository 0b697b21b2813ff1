"""Numbers and proofs as a person reads them: never a digit more than is known, never a claim unproven."""

import math
from typing import Any

from straightedge.evaluation import share_interval

NOTHING = "–"
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def finite(value: Any) -> float | None:
    """Return `value` as a float, or None where it is missing, not a number or not finite."""
    if isinstance(value, bool) or value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def scientific(value: Any, digits: int = 2) -> str:
    """Return 0.00032 as ``3.2 × 10⁻⁴`` (unbreakable); numbers between 0.01 and 10,000 stay as they are."""
    number = finite(value)
    if number is None:
        return NOTHING
    if number == 0:
        return "0"
    if 1e-2 <= abs(number) < 1e4:
        return f"{number:.{digits}g}" if abs(number) < 10**digits else f"{number:,.0f}"
    mantissa, exponent = f"{number:.{digits - 1}e}".split("e")
    power = f"10{str(int(exponent)).translate(SUPERSCRIPT)}"
    if float(mantissa) == 1:
        return power
    short = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{short}\u00a0×\u00a0{power}"


def reg_text(value: Any) -> str:
    """Return a reg with three digits: it is an input, and people compare it with what they typed."""
    return scientific(value, 3)


def percent(value: Any) -> str:
    """Return a share as ``40.7 %``, with a space that does not break."""
    number = finite(value)
    return NOTHING if number is None else f"{100 * number:.1f}\u00a0%"


def percent_interval(interval: Any) -> str:
    """Return ``39.8–41.6 %``, or nothing where no interval was computed."""
    ends = _ends(interval)
    return "" if ends is None else f"{100 * ends[0]:.1f}–{100 * ends[1]:.1f}\u00a0%"


def number_interval(interval: Any) -> str:
    """Return ``1.71–1.75`` for numbers that are not shares."""
    ends = _ends(interval)
    return "" if ends is None else f"{ends[0]:.3f}–{ends[1]:.3f}"


def _ends(interval: Any) -> tuple[float, float] | None:
    if not isinstance(interval, list | tuple) or len(interval) != 2:
        return None
    low, high = finite(interval[0]), finite(interval[1])
    return None if low is None or high is None else (low, high)


def count(value: Any) -> str:
    """Return 50000 as ``50,000``."""
    number = finite(value)
    return NOTHING if number is None else f"{number:,.0f}"


def seconds(value: Any) -> str:
    """Return a duration as ``0.42 s``, ``12.3 s`` or ``2 min 05 s``."""
    number = finite(value)
    if number is None:
        return NOTHING
    if number < 60:
        return f"{number:.2f}\u00a0s" if number < 10 else f"{number:.1f}\u00a0s"
    minutes, rest = divmod(round(number), 60)
    return f"{minutes}\u00a0min {rest:02d}\u00a0s"


def bounds(objective: Any, dual: Any) -> tuple[str, str]:
    """Return objective and dual value with two digits more than they have in common."""
    upper, lower = finite(objective), finite(dual)
    if upper is None or lower is None:
        return fixed(objective), fixed(dual)
    distance = abs(upper - lower)
    digits = 10 if distance == 0 else min(10, max(4, math.ceil(-math.log10(distance)) + 1))
    return fixed(upper, digits), fixed(lower, digits)


def fixed(value: Any, digits: int = 5) -> str:
    """Return a number with `digits` decimals and a true minus sign."""
    number = finite(value)
    return NOTHING if number is None else f"{number:.{digits}f}".replace("-", "−")


def is_certified(gap: Any, tol: Any) -> bool:
    """Whether a proven relative gap reached the tolerance that was asked for."""
    proven, asked = finite(gap), finite(tol)
    return proven is not None and asked is not None and proven <= asked


def certificate(gap: Any, tol: Any) -> str:
    """Return the one phrase the page uses for a proof: certified, or not and how far."""
    if finite(gap) is None:
        return "not certified: no gap was computed"
    if finite(tol) is None:
        return f"gap {scientific(gap)}"
    if is_certified(gap, tol):
        return f"certified: gap {scientific(gap)}"
    return f"not certified: gap {scientific(gap)}, {scientific(tol)} was asked"


def interval_of_share(share: Any, n: Any) -> tuple[float, float] | None:
    """Return the 95 % interval of a share seen in `n` cases, that of metrics.json; None where there is none."""
    seen, total = finite(share), finite(n)
    if seen is None or total is None or total <= 0:
        return None
    return share_interval(seen * total, total)


def class_name(value: Any, classes: list[str]) -> str:
    """Return the class a label stands for: labels are indices, names are taken as they are."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(classes):
        return classes[value]
    return NOTHING if value is None else str(value)
