"""The answer of every solver: bounds, gap, status, and the sentence that says how a fit ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import torch
from torch import Tensor

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
        """Return the sentence for a person.

        Args:
            gap: Relative gap reached.
            tol: Relative gap asked for.
            n_passes: Passes used.
        """
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


@dataclass
class Solution:
    """The answer for K configurations, with its proof.

    Attributes:
        W: (K, C, D + 1) float64 on the CPU, bias last, on mapped rows.
        objective: (K,) float64, P(W).
        dual: (K,) float64, the proven lower bound on the optimum.
        gap: (K,) float64, (objective − dual)/objective.
        status: K members of `Status`.
        message: K sentences.
        n_passes: (K,) passes over the data while the configuration was being worked on.
        seconds: Wall time of the whole solution, s.
        trace: A row for each step and configuration: iteration, n_passes, seconds, reg, objective, dual, gap,
            solver.
    """

    W: Tensor
    objective: Tensor
    dual: Tensor
    gap: Tensor
    status: list[Status]
    message: list[str]
    n_passes: Tensor
    seconds: float
    trace: list[TraceRow] = field(default_factory=list)


def relative_gap(objective: Tensor, dual: Tensor) -> Tensor:
    """Return (P − D)/P, at least 0; P is never negative, and 0 only where D is too."""
    gap = ((objective - dual) / objective.clamp_min(1e-300)).clamp_min(0.0)
    return gap.nan_to_num(nan=torch.inf, posinf=torch.inf)  # nothing known yet: ∞ − (−∞) over ∞
