"""The courses' gradient check: some entries, chosen at random, by central differences (item ② of the notes)."""

import random
from collections.abc import Callable
from typing import Any


def grad_check_sparse(
    f: Callable[[Any], Any],
    x: Any,
    analytic_grad: Any,
    num_checks: int = 10,
    h: float = 1e-5,
    *,
    seed: int | None = None,
) -> list[float]:
    """Compare some entries of a gradient with (f(x + h) − f(x − h)) / 2h and print a line for each.

    `straightedge.gradcheck.check_gradient` does more: it looks at every entry, tells a kink from a mistake
    and names the mistake.

    Args:
        f: Function of x alone that returns one number.
        x: Point, torch or NumPy, in float64 for small errors; it is changed while f is called and put back after.
        analytic_grad: What the gradient is claimed to be, of x's shape.
        num_checks: Number of entries.
        h: Half the step.
        seed: Seed of the choice of entries; None chooses anew each time.

    Returns:
        The relative errors |n − a| / (|n| + |a|), 0 where both are 0.
    """
    choice, errors = random.Random(seed), []
    for _ in range(num_checks):
        entry = tuple(choice.randrange(side) for side in x.shape)
        numerical, analytic = _difference(f, x, entry, h), float(analytic_grad[entry])
        size = abs(numerical) + abs(analytic)
        errors.append(abs(numerical - analytic) / size if size else 0.0)
        print(f"numerical: {numerical:f} analytic: {analytic:f}, relative error: {errors[-1]:e}")
    return errors


def _difference(f: Callable[[Any], Any], x: Any, entry: tuple[int, ...], h: float) -> float:
    before = float(x[entry])
    try:
        x[entry] = before + h
        above = float(f(x))
        x[entry] = before - h
        below = float(f(x))
    finally:
        x[entry] = before
    return (above - below) / (2 * h)
