"""Protocol, loop and result of every solver, in one import: `protocol`, `loop`, `solution`."""

from straightedge.solvers.loop import Limits, Loop, minimize
from straightedge.solvers.protocol import Progress, Solver, missing
from straightedge.solvers.solution import Solution, relative_gap
from straightedge.status import Callback, Status, TraceRow

__all__ = [
    "Callback",
    "Limits",
    "Loop",
    "Progress",
    "Solution",
    "Solver",
    "Status",
    "TraceRow",
    "minimize",
    "missing",
    "relative_gap",
]
