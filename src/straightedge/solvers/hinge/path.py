"""A path of a hinge: dual ascent where reg is large, from there the augmented Lagrangian on blocks of rows.

Dual ascent is for Weston and Watkins' hinge with a penalised bias; see `needs_of_dual_ascent`. Both methods keep
the same dual variables b, so that the one's answer is the other's start. Which of them a configuration is given to
is decided by ρ alone, before it begins. Where the Lagrangian has taken as much work as semismooth Newton steps on
gathered rows usually take, these go on from its b: rows that can be told apart stall the one, and the many free
directions of rows that overlap make a step of the other dear.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from straightedge.objective import Objective
from straightedge.solvers.hinge.blocks.records import BlockSubproblemState
from straightedge.solvers.hinge.blocks.solver import (
    HingeALM,
    MetricState,
    block_pass_work,
    metric_work,
    usual_passes,
)
from straightedge.solvers.hinge.dual_ascent import (
    AscentState,
    AscentSubproblem,
    first_ascent,
    is_weakly_coupled,
    needs_of_dual_ascent,
    usual_epochs,
)
from straightedge.solvers.hinge.gathered.solver import SemismoothNewton
from straightedge.solvers.hinge.gathered.subproblem import Subproblem, SubproblemState
from straightedge.solvers.hinge.sequential import DualSubproblem, SequentialState, WarmStart
from straightedge.solvers.protocol import Progress, missing

LOADING = 1e9  # operations in the time of loading the compiled loops of dual ascent: 0.1 s
LEAST_BUDGET = 100  # passes of the Lagrangian before its work is compared with Newton's


@dataclass
class HingePathState(SequentialState):
    """See `HingeALMState`; a configuration is with one of the three methods.

    Attributes:
        spent: Passes that the configuration has taken.
        stalled: Whether the last one was handed to Newton steps.
    """

    fit: BlockSubproblemState | AscentState | SubproblemState | None
    metric: MetricState | None
    spent: float
    stalled: bool


class HingePath(HingeALM):
    """Each configuration by the faster of the methods, on the CPU and in one process.

    Args:
        seed: Of the orders in which dual ascent visits rows.
    """

    name = "hinge_path"
    State = HingePathState
    seeded = True

    @classmethod
    def supports(cls, objective: Objective) -> str | None:
        """See `Solver.supports`."""
        return super().supports(objective) or missing(
            (bool(objective.penalty.bounds_below.all()), "reg > 0"),
            (objective.device.type == "cpu", "rows of the CPU"),
            (objective.communicator.size == 1, "one process"),
        )

    @classmethod
    def cost(cls, objective: Objective) -> float:
        """See `Solver.cost`: each configuration by the method with the least work."""
        if needs_of_dual_ascent(objective) is not None:
            return super().cost(objective)
        most, epochs = usual_passes(objective), usual_epochs(objective)
        loading = LOADING * float((epochs < most).any())
        passes = float(epochs.clamp_max(most).sum())
        return loading + block_pass_work(objective) * passes + metric_work(objective)

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed
        self.newton = SemismoothNewton()
        self.spent, self.stalled = 0.0, False

    def step(self) -> Progress:
        """See `Solver.step`. Where the method at work has stalled, the next step is a Newton step."""
        progress = super().step()
        self.spent += float(torch.as_tensor(progress.n_passes)[self.current])
        if self._has_stalled():
            assert self.fit is not None
            self.stalled, progress.exhausted[self.current] = True, False
            self.fit = self._by_newton(self.fit.objective, self.fit.best.W, WarmStart.of(self.fit))
        return progress

    def _has_stalled(self) -> bool:
        """Tell whether the method at work has had the work that Newton steps usually take, or is exhausted."""
        if self.fit is None or isinstance(self.fit, Subproblem):
            return False
        part = self.fit.objective
        budget = max(LEAST_BUDGET, SemismoothNewton.cost(part) / block_pass_work(part))
        over = self.spent >= budget or self.fit.exhausted
        return over and SemismoothNewton.supports(part) is None

    def _newton(self) -> SemismoothNewton:
        """Return the solver of Newton steps, which keeps the gathered rows, for the present configuration."""
        self.newton.objective, self.newton.tols, self.newton.current = self.objective, self.tols, self.current
        return self.newton

    def _by_newton(self, part: Objective, W: Tensor, last: WarmStart | None) -> Subproblem:
        return self._newton().first_fit(part.in_dtype(torch.float64), W, last)

    def first_fit(self, part: Objective, W: Tensor, last: WarmStart | None) -> DualSubproblem:
        """See `SequentialSolver.first_fit`."""
        self.spent, self.stalled = 0.0, self.stalled and last is not None
        if self.stalled:
            return self._by_newton(part, W, last)
        if not is_weakly_coupled(part):
            return super().first_fit(part, W, last)
        return first_ascent(part, self.tol, W, last, self.seed)

    def state(self, **more: Any) -> SequentialState:
        """See `Solver.state`."""
        return super().state(spent=self.spent, stalled=self.stalled, **more)

    def restore(self, objective: Objective, state: Any, tol: Tensor) -> Progress:
        """See `Solver.restore`."""
        self.spent, self.stalled = state.spent, state.stalled
        return super().restore(objective, state, tol)

    def restored_fit(self, part: Objective, state: Any) -> DualSubproblem:
        """See `SequentialSolver.restored_fit`."""
        if isinstance(state, SubproblemState):
            return self._newton().restored_fit(part.in_dtype(torch.float64), state)
        if isinstance(state, AscentState):
            return AscentSubproblem.restored(part, self.tol, state)
        return super().restored_fit(part, state)
