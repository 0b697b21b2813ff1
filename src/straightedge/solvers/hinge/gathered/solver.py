"""The solver of the hinges for problems of moderate size: rows are gathered once, and all work is done on them.

Each configuration is one problem on plain arrays, or one for each class where classes do not touch one another
(one-versus-rest); two classes are one column of W inside. What comes out is W on the features, and dual variables
of all rows, with which `SequentialSolver.certify` proves the gap on the rows as they lie.

References:
    Those of `lagrangian` and of `row_updates`.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from straightedge.losses import piecewise
from straightedge.newton.direct import Answer, Log
from straightedge.objective import Objective
from straightedge.solvers.hinge.dual_ascent import row_coupling
from straightedge.solvers.hinge.gathered.layout import Gathered, as_plain_ridge
from straightedge.solvers.hinge.gathered.margins import Array
from straightedge.solvers.hinge.gathered.short import NAME
from straightedge.solvers.hinge.gathered.spaces import FeatureSpace, KernelSpace, Space
from straightedge.solvers.hinge.gathered.subproblem import Answered, Subproblem, SubproblemState, sizes_of
from straightedge.solvers.hinge.gathered.usual import inner_products, is_short, usual_work
from straightedge.solvers.hinge.half_pass import row_weights
from straightedge.solvers.hinge.sequential import SAFE, SequentialSolver, SequentialState, WarmStart
from straightedge.solvers.protocol import Progress, missing
from straightedge.solvers.solution import Solution, solution_of
from straightedge.status import Status
from straightedge.workers import one_thread

MOST_ENTRIES = 20_000_000  # of X̂, kept in float64: 160 MB
SMALLEST_SIDE = 5000  # of X̂ at most: its inner products take 200 MB
MOST_MARGINS = 2_000_000  # N·C: some ten arrays of that size are kept
LARGER = 2.1  # times both, where epochs alone will do
WEAK_COUPLING = 2.5
"""The ρ up to which they do: of half a million rows at 0.5 in 0.4 of the time, at 5 in 1.7 times it."""
GEOMETRIES = ("weston_watkins", "crammer_singer", "one_vs_rest")  # of which `margins` has the maps


@dataclass
class SemismoothState(SequentialState):
    """See `SequentialState`.

    Attributes:
        former: Of the last configuration that was worked on, if any.
    """

    fit: SubproblemState | None
    former: Answered | None


class SemismoothNewton(SequentialSolver):
    """Dual ascent, then an augmented Lagrangian with semismooth Newton steps; in one process, for all hinges."""

    name = NAME
    State = SemismoothState

    def __init__(self) -> None:
        super().__init__()
        self._rows: Array | None = None
        self._gathered: tuple[int, Gathered] | None = None
        self.former: Answered | None = None

    @classmethod
    def supports(cls, objective: Objective) -> str | None:
        """See `Solver.supports`."""
        n, width = objective.n_samples, objective.design.width
        loss = objective.loss
        size = max(n * width / MOST_ENTRIES, n * objective.n_classes / MOST_MARGINS)
        return super().supports(objective) or missing(
            (loss.geometry in GEOMETRIES, f"margins that it has maps of, and has none for {loss.name}"),
            (objective.communicator.size == 1, "one process"),
            (min(n, width) <= SMALLEST_SIDE, f"at most {SMALLEST_SIDE} rows or features, whichever are fewer"),
            (bool(objective.penalty.bounds_below.all()), "reg > 0"),
            (
                size <= 1 or (size <= LARGER and row_coupling(objective) <= WEAK_COUPLING),
                "fewer rows, features or classes: all rows are gathered in float64",
            ),
        )

    @classmethod
    def cost(cls, objective: Objective) -> float:
        """See `Solver.cost`: passes over the gathered rows, Newton steps, inner products, calls of NumPy."""
        one = usual_work(*sizes_of(objective))
        return objective.n_configs * one + inner_products(objective.n_total, objective.design.width)

    def at_once(self, objective: Objective, tol: Tensor) -> Solution | None:
        """See `Solver.at_once`: of short fits, each from the answer at the reg before."""
        if not is_short(*sizes_of(objective)):
            return None
        objective, fold = objective.in_dtype(torch.float64), objective.fold.tolist()
        order = sorted(objective.reg.argsort(descending=True).tolist(), key=fold.__getitem__)
        answers, log, ended = dict[int, Answer](), Log(NAME), False
        with one_thread():
            for k in order:
                one_tol = float(tol[k])
                fit = self._follow(objective.select(torch.tensor([k])), SAFE * one_tol, leads=k != order[-1])
                answers[k] = fit.answer(one_tol, self.most_passes, log, ended=ended)
                ended, self.former = answers[k].status is Status.INTERRUPTED, fit.left()
        return solution_of([answers[k] for k in sorted(answers)], tol.tolist(), log.rows)

    def start(self, objective: Objective, W: Tensor | None, tol: Tensor) -> Progress:
        """See `Solver.start`. All work is float64's."""
        return super().start(objective.in_dtype(torch.float64), W, tol)

    def restore(self, objective: Objective, state: Any, tol: Tensor) -> Progress:
        """See `Solver.restore`."""
        self.former = state.former
        return super().restore(objective.in_dtype(torch.float64), state, tol)

    def first_fit(self, part: Objective, W: Tensor, last: WarmStart | None) -> Subproblem:
        """See `SequentialSolver.first_fit`. An answer is gone on from in its own fold alone."""
        leads = self.objective.n_configs > 1
        if last is not None and last.fold == int(part.fold[0]):
            return self._follow(part, SAFE * self.tol, last.b, leads=leads)
        b = None
        if last is None and bool((W != 0).any()):
            loss = piecewise(part.loss)
            b = loss.subgradient(loss.margins(part.scores(W[None]), part.y))
        return Subproblem(part, self._gather(part), SAFE * self.tol, b, leads=leads)

    def _follow(self, part: Objective, tol: float, b: Tensor | None = None, *, leads: bool) -> Subproblem:
        """Return a fit that starts from the last answer of its fold, else at dual variables b or at none."""
        gathered, former = self._gather(part), self.former
        if former is None or former.fold != int(part.fold[0]):
            return Subproblem(part, gathered, tol, b, leads=leads)
        return Subproblem(part, gathered, tol, None, former.parts, leads=leads)

    def _put_away(self) -> None:
        if isinstance(self.fit, Subproblem):
            self.former = self.fit.left()
        super()._put_away()

    def state(self, **more: Any) -> SequentialState:
        """See `Solver.state`."""
        return super().state(former=self.former, **more)

    def restored_fit(self, part: Objective, state: Any) -> Subproblem:
        """See `SequentialSolver.restored_fit`."""
        fit = Subproblem(part, self._gather(part), SAFE * self.tol, None, leads=self.objective.n_configs > 1)
        fit.restore(state)
        return fit

    def step(self) -> Progress:
        """See `Solver.step`."""
        with _threads_for(self.objective):
            return super().step()

    def _gather(self, part: Objective) -> Gathered:
        """Return the rows of a configuration; those of the last fold are kept."""
        fold = int(part.fold[0])
        if self._gathered is None or self._gathered[0] != fold:
            if self._rows is None:
                self._rows = part.design.table().cpu().numpy()
            self._gathered = (fold, _positive_rows(part, self._rows))
        return self._gathered[1]


def _threads_for(objective: Objective) -> AbstractContextManager[None]:
    """Give short fits one thread."""
    return one_thread() if is_short(*sizes_of(objective)) else nullcontext()


def _positive_rows(part: Objective, X: Array) -> Gathered:
    """Return the rows of positive weight, in the space of the fewer coordinates."""
    weights = row_weights(part).cpu().numpy()
    index = np.flatnonzero(weights > 0)
    own = X if len(index) == len(X) else X[index]
    scale = as_plain_ridge(part)[1]
    if scale is not None:
        own = own / scale
    if part.bias == "free":
        own = np.ascontiguousarray(own[:, :-1])
    n, d = own.shape
    space: Space = KernelSpace(own @ own.T) if n <= d else FeatureSpace(own)
    return Gathered(index, own, part.y.cpu().numpy()[index], weights[index], space, scale)
