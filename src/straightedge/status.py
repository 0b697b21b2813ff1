"""How a fit ends: a word for files, a sentence for people, and the rows of its trace."""

from collections.abc import Callable
from enum import Enum
from typing import Any

ROUNDING = 1e-11  # relative gaps below this can be what float64's sums of a pass are off by
TraceRow = dict[str, Any]
Callback = Callable[[TraceRow], None]


class Status(Enum):
    """How a fit ended; the value is the word in files, `explain` the sentence a person reads."""

    CERTIFIED = "certified"
    MAX_PASSES = "max_passes"
    MAX_SECONDS = "max_seconds"
    INTERRUPTED = "interrupted"
    STALLED = "stalled"
    EPOCHS = "epochs"

    def explain(self, gap: float, tol: float, n_passes: float) -> str:
        """Return the sentence for a person."""
        if self is Status.CERTIFIED:
            return f"certified: gap {gap:.1e} ≤ {tol:.0e}"
        more = f"not certified: gap {gap:.1e} > {tol:.0e}"
        reasons = {
            Status.MAX_PASSES: f"stopped after {n_passes:.0f} passes; larger reg or more passes (max_passes)",
            Status.MAX_SECONDS: "stopped at the time limit; larger reg or more seconds",
            Status.INTERRUPTED: "interrupted; this is the best W so far",
            Status.EPOCHS: "sgd has run its epochs; solver='auto' goes to the optimum",
            Status.STALLED: _stalled(gap, n_passes),
        }
        return f"{more}; {reasons[self]}"


def _stalled(gap: float, n_passes: float) -> str:
    """Say that progress stopped; rounding is named where the gap is as small as roundings are."""
    if gap <= ROUNDING:
        return "float64 carries no more digits of this gap; ask for a larger tol"
    return f"progress stopped after {n_passes:.0f} passes, at this gap; larger reg, or another solver"
