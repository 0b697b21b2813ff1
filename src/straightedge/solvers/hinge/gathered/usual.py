"""The counted work of a usual fit of gathered rows, from its sizes alone."""

from straightedge.newton.work import Size
from straightedge.solvers.hinge.gathered.newton import forms
from straightedge.solvers.work import CALL

USUAL_PASSES = 15  # of a usual fit: epochs, then Newton steps on the rows that can move
USUAL_STEPS = 15  # Newton steps of a usual fit
CALLS = 1000  # of NumPy in a usual fit
TURN_WORK = 2e7  # operations of a turn of the loop at least: as long as what it does between two, 1 to 2 ms
MOST_STEPS = 8  # of a turn; more save little, and a limit of passes is looked at once a turn
LONG_WORK = 1e10  # operations of a fit, a second: for shorter ones threads and a loop of tensors are a burden


def usual_work(n: int, width: int, n_classes: int, apart: bool) -> float:
    """Return the operations of one configuration: passes over the gathered rows, Newton steps, calls of NumPy.

    Args:
        n: Rows.
        width: Columns of X̂.
        n_classes: C.
        apart: Whether each class is a problem of its own.
    """
    passes = USUAL_PASSES * 4.0 * n * width * n_classes
    return passes + USUAL_STEPS * usual_step(n, width, n_classes, apart) + CALLS * CALL


def usual_step(n: int, width: int, n_classes: int, apart: bool) -> float:
    """Return the operations of a Newton step with as many free directions as an answer usually has."""
    columns, pairs = (1, n) if apart or n_classes == 2 else (n_classes, n * (n_classes - 1))
    crowded = Size(n, width, n_classes, n_classes).is_crowded
    directions = min(pairs, columns * width) if crowded else n
    step = forms(n, columns, width, directions, featured=n > width, inner_products=n <= width)
    return (n_classes if apart else 1) * min(step.values())


def steps_a_turn(n: int, width: int, n_classes: int, apart: bool) -> int:
    """Return how many steps go together, so that the loop's own work is small beside them."""
    step = usual_step(n, width, n_classes, apart) + CALLS / USUAL_STEPS * CALL
    return int(max(1, min(MOST_STEPS, TURN_WORK // step)))


def inner_products(n: int, width: int) -> float:
    """Return the operations of the rows' inner products, for all configurations; 0 where features are fewer."""
    return float(n) * n * width if n <= width else 0.0


def is_short(n: int, width: int, n_classes: int, apart: bool) -> bool:
    """Return whether a fit is short enough for one thread: a team that waits for its next share spins."""
    return usual_work(n, width, n_classes, apart) + inner_products(n, width) <= LONG_WORK
