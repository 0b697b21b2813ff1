"""Parameters of fits as plain numbers: NumPy's numbers pass, text and lists are refused by name."""

import math
import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np

from straightedge.errors import InputError

LARGEST_SEED = 2**32 - 1  # the largest seed that NumPy's `RandomState`, which scikit-learn splits with, takes


def is_number(value: Any) -> bool:
    """Whether a value is one real number: Python's, NumPy's or a tensor of one entry; no bool and no text."""
    if isinstance(value, (bool, np.bool_)):
        return False
    if hasattr(value, "item") and not isinstance(value, np.generic):  # an array or a tensor
        return value.ndim == 0 and is_number(value.item())
    return isinstance(value, numbers.Real)


def check_positive(name: str, value: Any) -> None:
    """Refuse what is not a number above 0 (infinity passes).

    Raises:
        InputError: ``<name>-invalid``.
    """
    if not is_number(value) or not value > 0:
        raise InputError(f"{name.replace('_', '-')}-invalid", f"{name} is {value!r}", mend="give a number above 0")


def one_or_many(values: Any) -> list[Any]:
    """Return a list of values, of one where only one is given, whatever it is."""
    one = not isinstance(values, Iterable) or isinstance(values, str) or getattr(values, "ndim", 1) == 0
    return [values] if one else list(values)


def checked_reg(reg: Any) -> list[float]:
    """Return the values of reg, one number or several, as floats.

    Raises:
        InputError: ``reg-invalid`` for negative, NaN, infinite or not a number; ``reg-zero`` for 0, which no
            certificate goes with.
    """
    values = one_or_many(reg)
    if not values:
        raise InputError("reg-invalid", "the list of reg is empty", mend="give at least one value")
    return [_reg(value, exact=True) for value in values]


def one_reg(reg: Any, *, exact: bool = True) -> float:
    """Return the single value of reg where one is fitted.

    Args:
        reg: One number.
        exact: Whether a certificate is asked for, which needs reg above 0.

    Raises:
        InputError: ``reg-invalid`` for a list, and whatever `checked_reg` refuses.
    """
    values = one_or_many(reg)
    if len(values) != 1 or values[0] is not reg:
        what = f"reg is {reg!r}, where one value is fitted"
        mend = "give one number; LinearClassifierCV(regs=[...]) chooses among several, fit_path fits them all"
        raise InputError("reg-invalid", what, mend=mend)
    return _reg(reg, exact)


def _reg(value: Any, exact: bool) -> float:
    if isinstance(value, str):
        mend = f"give the number: reg={value.strip()}" if _reads_as_number(value) else "give a number ≥ 0"
        raise InputError("reg-invalid", f"reg is the text {value!r}", mend=mend)
    number = float(value) if is_number(value) else math.nan
    if not 0 <= number < math.inf:
        raise InputError("reg-invalid", f"reg is {value!r}", mend="give a number ≥ 0, such as 1e-4")
    if number == 0 and exact:
        what = "reg is 0: nothing bounds W, so on separable data there is no minimiser and never a certificate"
        mend = "give a small positive reg, such as 1e-8; minibatch SGD (fit --solver sgd) takes reg 0"
        raise InputError("reg-zero", what, mend=mend)
    return number


def _reads_as_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def seed_of(random_state: Any) -> int:
    """Return the seed that a random state stands for.

    Args:
        random_state: An int or NumPy integer in [0, 2³²): itself. A `RandomState`, `numpy.random` or a
            `Generator`: a seed is drawn from it, so a second call gives another. None: 0, so that the same
            input gives the same fit.
    """
    if random_state is None:
        return 0
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    if isinstance(random_state, np.random.RandomState) or random_state is np.random:
        return int(random_state.randint(2**31 - 1))
    whole = isinstance(random_state, numbers.Integral) and not isinstance(random_state, bool)
    if not whole or not 0 <= int(random_state) <= LARGEST_SEED:
        mend = f"give a whole number from 0 to {LARGEST_SEED}, a RandomState, a Generator or None"
        raise InputError("random-state-invalid", f"random_state is {random_state!r}", mend=mend)
    return int(random_state)
