"""Protocol, loop and result of every solver, in one import: `protocol`, `loop`, `solution`."""

from straightedge.solvers.loop import Limits, Loop, minimize
from straightedge.solvers.protocol import Progress, Solver, TakesManyPasses, missing, state_under
from straightedge.solvers.solution import Callback, Solution, Status, TraceRow, relative_gap

__all__ = [
    "Callback",
    "Limits",
    "Loop",
    "Progress",
    "Solution",
    "Solver",
    "Status",
    "TakesManyPasses",
    "TraceRow",
    "minimize",
    "missing",
    "relative_gap",
    "state_under",
]
