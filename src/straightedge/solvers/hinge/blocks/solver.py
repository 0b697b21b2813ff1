"""Hinges by an augmented Lagrangian: smooth around a moving centre, Newton steps, a certificate in each.

A hinge is max over b in B of ⟨b, z⟩. With −μ/2 ‖b − c‖² inside it is smooth, b = project(c + z/μ) is its gradient
and a dual point; when W is near the smoothed optimum, c moves to b, and the smoothing costs nothing in the
limit: μ need not go to zero (this is the proximal point method on the dual). For every W

    P(W) − D(b) = Σ_i w_i [ℓ(z_i) − ⟨b_i, z_i⟩] + ‖∇f(W)‖²/(4 reg),

the first term from the smoothing, the second from the distance to the smoothed optimum: the two are what
decides whether to go on with W or to move the centre. The bound is taken over the convex hull of the last few
dual points, whose V = X̂ᵀA are at hand.

P comes near its optimum long before the dual does: of a residual of V + 2 reg W the bound sees the square over
4 reg. So before the centre moves b is brought to the solution of the smoothed problem by a few Newton steps of the
dual (`BlockSubproblem._solve_dual`), of least residual: the move is then a whole step of the proximal point method.
They go over the rows that can move alone; the margins of the others are computed once they are done.

Configurations are solved one after another, large reg first, each from the answer of the one before: W and b
are continuous in reg, and a path costs a few passes a value.

References:
    Rockafellar, "Augmented Lagrangians and applications of the proximal point algorithm in convex programming",
    Math. Oper. Res. 1, 1976. Li, Sun and Toh, "A highly efficient semismooth Newton augmented Lagrangian method
    for solving Lasso problems", SIAM J. Optim. 28, 2018.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from straightedge.losses import piecewise
from straightedge.objective import Objective
from straightedge.solvers.hinge.blocks.dual_bundle import DualBundle
from straightedge.solvers.hinge.blocks.preconditioner import LEAST_OF_MOMENT, Metric
from straightedge.solvers.hinge.blocks.preconditioner import SAMPLE_ROWS as METRIC_ROWS
from straightedge.solvers.hinge.blocks.records import (
    FORCING_COLD,
    FORCING_WARM,
    BlockSubproblemState,
    Change,
    Control,
)
from straightedge.solvers.hinge.blocks.subproblem import DAMPING, FINE, FIRST_MU, WARM_MU, BlockSubproblem
from straightedge.solvers.hinge.half_pass import row_weights, scores
from straightedge.solvers.hinge.sequential import (
    BestPoint,
    DualSubproblem,
    SequentialSolver,
    SequentialState,
    WarmStart,
)
from straightedge.solvers.protocol import Progress
from straightedge.solvers.state import OF_ROWS
from straightedge.solvers.work import CALL, is_crowded, moment_work, pass_work

USUAL_PASSES = 300  # of a usual fit
STALLING = 10.0  # times as many where rows are few: the method stalls
CALLS = 1500  # of torch in a pass
ON_MARGINS = 750  # operations in the time of what a pass does for each margin beside its products
ONWARD = 0.5  # of the last change of b along a path that the next one starts with


@dataclass
class MetricState:
    """What `Metric` is made of again, beside the data.

    Attributes:
        made_for: (κ, reg) of the factor; κ = 0 where there is none.
        blunt_made_for: The same of the blunt one.
        products: Products with the Hessian since Σ was made.
        sample: Rows of the sample that Σ is of.
        rows: (N,) bool each, the rows of this rank that Σ was made for, one after another; none: of a sample.
    """

    made_for: tuple[float, float]
    blunt_made_for: tuple[float, float]
    products: int
    sample: int
    rows: list[Tensor] = field(metadata=OF_ROWS)


@dataclass
class HingeALMState(SequentialState):
    """See `SequentialState`.

    Attributes:
        metric: Of all configurations; None before the first.
    """

    fit: BlockSubproblemState | None
    metric: MetricState | None


class HingeALM(SequentialSolver):
    """The augmented Lagrangian for every hinge with a projection: `svm`, `crammer_singer`, `one_vs_rest`."""

    name = "hinge_alm"
    State: ClassVar[type[SequentialState]] = HingeALMState
    one_thread = True

    @classmethod
    def cost(cls, objective: Objective) -> float:
        """See `Solver.cost`: passes, and the metric once for all configurations."""
        passes = objective.n_configs * usual_passes(objective)
        return passes * block_pass_work(objective) + metric_work(objective)

    def __init__(self) -> None:
        super().__init__()
        self.metric: Metric | None = None

    def _metric(self, part: Objective, last: WarmStart | None) -> Metric:
        """Return the metric of all configurations, made at the first of them: of the rows that move, if known."""
        if self.metric is None:
            index = None if last is None else self._moving_rows(part, last)
            self.metric = Metric(part, index)
        return self.metric

    def _moving_rows(self, part: Objective, last: WarmStart) -> Tensor | None:
        """Return the indices (n,) of this rank's rows that can move at an answer, None if they are few in all."""
        index = piecewise(part.loss).projection_jacobian(last.b.to(part.dtype)).moving_rows()
        count = torch.tensor([len(index)], dtype=torch.float64)
        enough = float(part.communicator.all_reduce(count)) >= LEAST_OF_MOMENT * part.design.width
        return index if enough else None

    def first_fit(self, part: Objective, W: Tensor, last: WarmStart | None) -> DualSubproblem:
        """See `SequentialSolver.first_fit`; half a pass to a pass and a half."""
        loss = piecewise(part.loss)
        warm = bool((W != 0).any())
        z, spent = self._margins(part, W, last)
        centre, changes = torch.zeros_like(z), []
        if last is not None:
            centre = last.b.to(part.dtype)
            if self._goes_on(part):
                step, margins, further, cost = self._last_change(part)
                changes.append(Change(step, margins))
                centre = loss.project(centre + ONWARD * further, part.y)
                spent += cost
        control = Control(
            WARM_MU if warm else FIRST_MU,
            damping=DAMPING[2] if warm else 0.0,
            forcing=FORCING_COLD if last is None else FORCING_WARM,
            pending=0.5 + spent,
        )
        fit = BlockSubproblem(
            part,
            self._metric(part, last),
            self.tol,
            row_weights(part),
            W.clone(),
            z,
            centre,
            control,
            DualBundle(part),
            BestPoint(W),
            changes,
        )
        fit.look()
        return fit

    def _margins(self, part: Objective, W: Tensor, last: WarmStart | None) -> tuple[Tensor, float]:
        """Return the margins (N, 1, C) at W, and the passes it took: none at 0, or at the last answer's W."""
        loss = piecewise(part.loss)
        if last is not None and last.z is not None and self._serve(last.z, part) and torch.equal(W, last.W):
            return last.z, 0.0
        if bool((W != 0).any()):
            return loss.margins(scores(part, W), part.y), 0.5
        S = torch.zeros(len(part.y), 1, part.n_classes, dtype=part.dtype, device=part.device)
        return loss.margins(S, part.y), 0.0

    def _serve(self, z: Tensor | None, part: Objective) -> bool:
        """Tell whether margins that an answer left are exact enough: W was only followed."""
        return z is not None and z.dtype == part.dtype and self.tol >= FINE

    def _goes_on(self, part: Objective) -> bool:
        """Tell whether the last two configurations lead to this one: reg falls, in one fold."""
        fold, reg = int(part.fold[0]), float(part.reg[0])
        falling = [answer.reg for answer in self.answers if answer.fold == fold]
        return len(falling) == 2 and falling[0] > falling[1] > reg

    def _last_change(self, part: Objective) -> tuple[Tensor, Tensor, Tensor, float]:
        """Return what changed from the last configuration but one to the last, and the passes it took.

        W (C, D + 1), its margins (N, 1, C) and b (N, 1, C).
        """
        earlier, last = self.answers
        step, further = (a.to(part.dtype) - b.to(part.dtype) for a, b in ((last.W, earlier.W), (last.b, earlier.b)))
        if self._serve(earlier.z, part) and self._serve(last.z, part):
            assert last.z is not None and earlier.z is not None
            return step, last.z - earlier.z, further, 0.0
        return step, piecewise(part.loss).margin_change(scores(part, step), part.y), further, 0.5

    def state(self, **more: Any) -> SequentialState:
        """See `Solver.state`."""
        metric = self.metric
        if metric is None:
            return super().state(metric=None, **more)
        rows = [torch.zeros(self.objective.n_samples, dtype=torch.bool) for _ in metric.made_of]
        for own_rows, index in zip(rows, metric.made_of, strict=True):
            own_rows[index.cpu()] = True
        own = MetricState(metric.made_for, metric.blunt.made_for, metric.products, metric.sample, rows)
        return super().state(metric=own, **more)

    def restored_fit(self, part: Objective, state: Any) -> DualSubproblem:
        """See `SequentialSolver.restored_fit`."""
        return BlockSubproblem.restored(part, self._metric(part, None), self.tol, state)

    def restore(self, objective: Objective, state: Any, tol: Tensor) -> Progress:
        """See `Solver.restore`. Σ and its factor are computed anew: they depend on the data alone."""
        if state.metric is not None:
            self.metric = _restored_metric(objective, state.metric)
        return super().restore(objective, state, tol)


def usual_passes(objective: Objective) -> float:
    """Return the passes of a usual fit of one configuration."""
    return USUAL_PASSES * (1.0 if is_crowded(objective) else STALLING)


def block_pass_work(objective: Objective) -> float:
    """Return the work of one pass: its products, what is done for each margin, and calls of torch."""
    margins = float(objective.n_total) * objective.n_classes
    return pass_work(objective) + ON_MARGINS * margins + CALLS * CALL


def metric_work(objective: Objective) -> float:
    """Return the work of the metric that all configurations share."""
    return moment_work(objective, METRIC_ROWS)


def _restored_metric(objective: Objective, state: MetricState) -> Metric:
    indices = [rows.nonzero().flatten().to(objective.device) for rows in state.rows]
    metric = Metric(objective, indices[0] if indices else None, state.sample)
    for index in indices[1:]:
        metric.refit(objective, index)
    metric.products = state.products
    for one, (kappa, reg) in ((metric, state.made_for), (metric.blunt, state.blunt_made_for)):
        if kappa > 0:
            one.fit(kappa, objective.penalty.at(torch.tensor([reg], dtype=torch.float64)))
    return metric
