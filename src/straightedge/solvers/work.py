"""Counted work of usual fits, for the choice of a solver: the same problem is given to the same solver everywhere.

The unit is one floating-point operation inside a product of large matrices, of which a core does 10¹⁰ a second.
What is counted is the order of magnitude: solvers that are near one another take nearly the same time.
"""

from straightedge.newton.work import Size, metric_work
from straightedge.objective import Objective

CALL = 20_000  # operations in the time of one call of torch on small tensors: 2 µs
LOADING = 3e10  # the same of importing and loading compiled loops: 3 s


def pass_work(objective: Objective) -> float:
    """Return the work of one pass of one configuration: its two products."""
    _, C, width = objective.shape
    return 4.0 * objective.n_total * width * C


def moment_work(objective: Objective, rows: int) -> float:
    """Return the work of a metric made of so many rows, at most; see `newton.work.metric_work`."""
    return metric_work(min(rows, objective.n_total), objective.design.width)


def is_crowded(objective: Objective) -> bool:
    """Return whether rows are so many that classes overlap unless they are really apart; see `Size`.

    With fewer, an answer of a hinge rests on few rows, and passes over all of them stall.
    """
    _, C, width = objective.shape
    return Size(objective.n_total, width, C, C).is_crowded
