"""A path of the SVM: dual ascent where reg is large, from there the augmented Lagrangian.

Both keep the same dual variables b, so that the one's answer is the other's start. Which of them a configuration is
given to is decided by ρ alone (see `dual_ascent`), before it begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from straightedge.objective import Objective
from straightedge.solvers.hinge.blocks.records import BlockSubproblemState
from straightedge.solvers.hinge.blocks.solver import USUAL_PASSES, HingeALM, MetricState, metric_work
from straightedge.solvers.hinge.dual_ascent import (
    AscentState,
    AscentSubproblem,
    first_ascent,
    is_weakly_coupled,
    needs_of_dual_ascent,
    usual_epochs,
)
from straightedge.solvers.hinge.sequential import DualSubproblem, SequentialState, WarmStart
from straightedge.solvers.work import LOADING, pass_work


@dataclass
class HingePathState(SequentialState):
    """See `HingeALMState`; a configuration is with one of the two methods."""

    fit: BlockSubproblemState | AscentState | None
    metric: MetricState | None


class HingePath(HingeALM):
    """Each configuration by the faster of the two; for what `dual_ascent` is for.

    Args:
        seed: Of the orders in which dual ascent visits rows.
    """

    name = "hinge_path"
    State = HingePathState
    seeded = True

    @classmethod
    def supports(cls, objective: Objective) -> str | None:
        """See `Solver.supports`."""
        return needs_of_dual_ascent(objective)

    @classmethod
    def cost(cls, objective: Objective) -> float:
        """See `Solver.cost`: each configuration by the method with the least work."""
        passes = usual_epochs(objective).clamp_max(USUAL_PASSES)
        return LOADING + pass_work(objective) * float(passes.sum()) + metric_work(objective)

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed

    def first_fit(self, part: Objective, W: Tensor, last: WarmStart | None) -> DualSubproblem:
        """See `SequentialSolver.first_fit`."""
        if not is_weakly_coupled(part):
            return super().first_fit(part, W, last)
        return first_ascent(part, self.tol, W, last, self.seed)

    def restored_fit(self, part: Objective, state: Any) -> DualSubproblem:
        """See `SequentialSolver.restored_fit`."""
        if isinstance(state, AscentState):
            return AscentSubproblem.restored(part, self.tol, state)
        return super().restored_fit(part, state)
