"""A path of the SVM: dual ascent where reg is large, from there the augmented Lagrangian.

Both keep the same dual variables b, so that the one's answer is the other's start. Which of them a configuration is
given to is decided by ρ alone (see `dual_ascent`), before it begins.
"""

from __future__ import annotations

from torch import Tensor

from straightedge.objective import Objective
from straightedge.solvers.dual_ascent import (
    LEAST_ENTRIES,
    AscentFit,
    first_ascent,
    is_mild,
    needs_of_dual_ascent,
)
from straightedge.solvers.hinge_alm import HingeALM
from straightedge.solvers.one_by_one import Answer, DualFit


class HingePath(HingeALM):
    """Each configuration by the faster of the two; for what `dual_ascent` is for.

    Args:
        seed: Of the orders in which dual ascent visits rows.
    """

    name = "hinge_path"
    seeded = True

    @classmethod
    def supports(cls, objective: Objective) -> str | None:
        """See `Solver.supports`."""
        return needs_of_dual_ascent(objective)

    @classmethod
    def worthwhile(cls, objective: Objective) -> bool:
        """See `Solver.worthwhile`: dual ascent is the faster one at the largest reg."""
        mildest = objective.select(objective.penalty.curvature.argmax()[None])
        return objective.design.n_entries >= LEAST_ENTRIES and is_mild(mildest)

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed

    def first_fit(self, part: Objective, W: Tensor, last: Answer | None) -> DualFit:
        """See `OneByOne.first_fit`."""
        if not is_mild(part):
            return super().first_fit(part, W, last)
        return first_ascent(part, self.tol, W, last, self.seed)

    def restored_fit(self, part: Objective, state: dict[str, Tensor]) -> DualFit:
        """See `OneByOne.restored_fit`."""
        if "alpha" in state:
            return AscentFit.restored(part, self.tol, state)
        return super().restored_fit(part, state)
