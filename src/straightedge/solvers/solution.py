"""The answer of every solver: bounds, gap, status, and the sentence that says how a fit ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from straightedge.newton.direct import Answer
from straightedge.status import Status, TraceRow


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

    def facts(self, k: int) -> dict[str, Any]:
        """Return bounds, gap, status, message and passes of one configuration as plain values."""
        numbers = {name: float(getattr(self, name)[k]) for name in ("objective", "dual", "gap")}
        ended = {"status": self.status[k].value, "message": self.message[k]}
        return numbers | ended | {"n_passes": float(self.n_passes[k])}

    def select(self, index: Tensor) -> Solution:
        """Return the answer for some of the configurations (K',) int64, in that order, without a trace."""
        tensors = ("W", "objective", "dual", "gap", "n_passes")
        chosen = {name: getattr(self, name)[index] for name in tensors}
        status, message = ([known[k] for k in index.tolist()] for known in (self.status, self.message))
        return replace(self, **chosen, status=status, message=message, trace=[])


def solution_of(answers: Sequence[Answer], tol: Sequence[float], trace: list[TraceRow]) -> Solution:
    """Return the solution that K answers of single problems are, with their common trace."""
    numbers = {
        name: torch.tensor([getattr(answer, name) for answer in answers], dtype=torch.float64)
        for name in ("objective", "dual", "gap", "n_passes")
    }
    pairs = zip(answers, tol, strict=True)
    message = [answer.status.explain(answer.gap, asked, answer.n_passes) for answer, asked in pairs]
    return Solution(
        W=torch.from_numpy(np.stack([answer.W for answer in answers])),
        status=[answer.status for answer in answers],
        message=message,
        seconds=trace[-1]["seconds"] if trace else 0.0,
        trace=trace,
        **numbers,
    )


def joined(parts: Sequence[Solution], place: Tensor | None = None) -> Solution:
    """Put solutions of groups of configurations together; ``place`` reorders the configurations."""
    if len(parts) == 1:
        whole = parts[0]
    else:
        whole = Solution(
            W=torch.cat([p.W for p in parts]),
            objective=torch.cat([p.objective for p in parts]),
            dual=torch.cat([p.dual for p in parts]),
            gap=torch.cat([p.gap for p in parts]),
            status=[s for p in parts for s in p.status],
            message=[m for p in parts for m in p.message],
            n_passes=torch.cat([p.n_passes for p in parts]),
            seconds=sum(p.seconds for p in parts),
            trace=[row for p in parts for row in p.trace],
        )
    if place is None or place.tolist() == list(range(len(place))):
        return whole
    return replace(whole.select(place), trace=whole.trace)


def relative_gap(objective: Tensor, dual: Tensor) -> Tensor:
    """Return (P − D)/P, at least 0; P is never negative, and 0 only where D is too."""
    gap = ((objective - dual) / objective.clamp_min(1e-300)).clamp_min(0.0)
    return gap.nan_to_num(nan=torch.inf, posinf=torch.inf)  # nothing known yet: ∞ − (−∞) over ∞
