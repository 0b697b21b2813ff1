"""The solver of the hinges for problems of moderate size: rows are gathered once, and all work is done on them.

Each configuration is one problem on plain arrays, or one for each class where classes do not touch one another
(one-versus-rest); two classes are one column of W inside. What comes out is W on the features, and dual variables
of all rows, with which `OneByOne.certify` proves the gap on the rows as they lie.

References:
    Those of `lagrangian` and of `row_updates`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from straightedge.losses import piecewise
from straightedge.objective import Objective
from straightedge.solvers.hinge.descent import Descent, best_weight
from straightedge.solvers.hinge.layout import Gathered, layout_for
from straightedge.solvers.hinge.margins import Array
from straightedge.solvers.hinge.spaces import FeatureSpace, KernelSpace, Space
from straightedge.solvers.hinge_products import gather, row_weights
from straightedge.solvers.one_by_one import SAFE, Answer, OneByOne, OneHinge
from straightedge.solvers.protocol import Progress, missing, state_under

MOST_ENTRIES = 20_000_000  # of X̂, kept in float64: 160 MB
SMALLEST_SIDE = 5000  # of X̂ at most: its inner products take 200 MB
MOST_MARGINS = 2_000_000  # N·C: some ten arrays of that size are kept
GEOMETRIES = ("weston_watkins", "crammer_singer", "one_vs_rest")  # of which `margins` has the maps
REPORT = 0.5  # of the reported gap: W is mapped to the features again once the gap is below


class SemismoothNewton(OneByOne):
    """Dual ascent, then an augmented Lagrangian with semismooth Newton steps; in one process, for all hinges."""

    name = "semismooth_newton"

    def __init__(self) -> None:
        super().__init__()
        self._rows: Array | None = None
        self._gathered: tuple[int, Gathered] | None = None

    @classmethod
    def supports(cls, objective: Objective) -> str | None:
        """See `Solver.supports`."""
        n, width = objective.n_samples, objective.design.width
        loss, penalty = objective.loss, objective.penalty.penalty
        fits = n * width <= MOST_ENTRIES and n * objective.n_classes <= MOST_MARGINS
        return super().supports(objective) or missing(
            (loss.geometry in GEOMETRIES, f"margins that it has maps of, and has none for {loss.name}"),
            (penalty.rotation_invariant, f"one weight for all features, and {penalty.name} has many"),
            (objective.communicator.size == 1, "one process"),
            (fits, "fewer rows, features or classes: all rows are gathered in float64"),
            (
                min(n, width) <= SMALLEST_SIDE,
                f"at most {SMALLEST_SIDE} rows or features, whichever are fewer",
            ),
            (bool(objective.penalty.bounds_below.all()), "reg > 0"),
        )

    def start(self, objective: Objective, W: Tensor | None, tol: Tensor) -> Progress:
        """See `Solver.start`. All work is float64's."""
        return super().start(objective.in_dtype(torch.float64), W, tol)

    def restore(self, objective: Objective, state: dict[str, Tensor], tol: Tensor) -> Progress:
        """See `Solver.restore`."""
        return super().restore(objective.in_dtype(torch.float64), state, tol)

    def first_fit(self, part: Objective, W: Tensor, last: Answer | None) -> Subproblem:
        """See `OneByOne.first_fit`. An answer is gone on from in its own fold alone."""
        gathered = self._gather(part)
        b = None
        if last is not None and last.fold == int(part.fold[0]):
            b = last.b
        elif last is None and bool((W != 0).any()):
            loss = piecewise(part.loss)
            b = loss.subgradient(loss.margins(part.scores(W[None]), part.y))
        return Subproblem(part, gathered, SAFE * self.tol, b)

    def restored_fit(self, part: Objective, state: dict[str, Tensor]) -> Subproblem:
        """See `OneByOne.restored_fit`."""
        fit = Subproblem(part, self._gather(part), SAFE * self.tol, None)
        fit.restore(state)
        return fit

    def certify(self, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `Solver.certify`. The best W so far is taken, not the last one that was reported."""
        if isinstance(self.fit, Subproblem):
            self.fit.report()
            self.W[self.current] = self.fit.best_weight
        return super().certify(positions)

    def _gather(self, part: Objective) -> Gathered:
        """Return the rows of a configuration; those of the last fold are kept."""
        fold = int(part.fold[0])
        if self._gathered is None or self._gathered[0] != fold:
            if self._rows is None:
                self._rows = _mapped(part)
            self._gathered = (fold, _positive_rows(part, self._rows))
        return self._gathered[1]


def _mapped(objective: Objective) -> Array:
    """Return x̂ of all rows (N, D + 1) float64."""
    n, width = objective.n_samples, objective.design.width
    index = torch.arange(n, device=objective.device)
    out = torch.empty(n, width, dtype=torch.float64, device=objective.device)
    return gather(objective, index, out).cpu().numpy()


def _positive_rows(part: Objective, X: Array) -> Gathered:
    """Return the rows of positive weight, in the space of the fewer coordinates."""
    weights = row_weights(part).cpu().numpy()
    index = np.flatnonzero(weights > 0)
    own = X if len(index) == len(X) else X[index]
    if part.bias == "free":
        own = np.ascontiguousarray(own[:, :-1])
    n, d = own.shape
    space: Space = KernelSpace(own @ own.T) if n <= d else FeatureSpace(own)
    return Gathered(index, own, part.y.cpu().numpy()[index], weights[index], space)


class Subproblem(OneHinge):
    """One configuration; see `one_by_one.DualFit`.

    Args:
        objective: The configuration, in float64.
        gathered: Its rows.
        tol: Relative gap to reach.
        b: (N, 1, C) dual variables to start from, or None.
    """

    def __init__(self, objective: Objective, gathered: Gathered, tol: float, b: Tensor | None) -> None:
        self.objective, self.gathered = objective, gathered
        self.layout = layout_for(objective)
        problems = self.layout.problems(gathered)
        start = None if b is None else b[:, 0].cpu().numpy().astype(np.float64)[gathered.index]
        starts = [None] * len(problems) if start is None else self.layout.parts(start, gathered.y)
        self.descents = [Descent.begin(p, tol, own) for p, own in zip(problems, starts, strict=True)]
        C, width = objective.shape[1:]
        self.best_weight = torch.zeros(C, width, dtype=torch.float64, device=objective.device)
        self.best_objective = self.primal
        self.W = self.best_weight
        self.reported_gap = float("inf")

    @property
    def primal(self) -> float:
        """P of the best point, reported or not."""
        return self.layout.copies * sum(descent.bounds.primal for descent in self.descents)

    @property
    def bound(self) -> float:
        """The best lower bound so far."""
        return self.layout.copies * sum(descent.bounds.dual for descent in self.descents)

    @property
    def b(self) -> Tensor:
        """(N, 1, C) the dual variables of the best bound; 0 where a row has no weight."""
        part, own = self.objective, self.gathered
        b = np.zeros((part.rows.n_samples, part.n_classes))
        b[own.index] = self.layout.joined([d.problem.feasible(d.bounds.b) for d in self.descents], own.y)
        return torch.from_numpy(b)[:, None].to(part.device)

    @property
    def dual_point(self) -> Tensor:
        """The same."""
        return self.b

    @property
    def exhausted(self) -> bool:
        """Whether no part can be brought further."""
        stopped = [descent.exhausted for descent in self.descents]
        done = [descent.is_done for descent in self.descents]
        return any(stopped) and all(a or b for a, b in zip(stopped, done, strict=True))

    def advance(self) -> float:
        """Take a step of the first part that is not done; return the passes it took."""
        left = [d for d in self.descents if not d.is_done and not d.exhausted]
        if not left:
            self.report()
            return 0.0
        passes = left[0].advance()
        gap = (self.primal - self.bound) / max(self.primal, 1e-300)
        ended = len(left) == 1 and (left[0].is_done or left[0].exhausted)
        if ended or gap < REPORT * self.reported_gap:
            self.report()
        problem = left[0].problem
        columns = problem.margins.n_columns / self.objective.n_classes
        return passes * columns * problem.space.dimension / (self.objective.shape[2])

    def report(self) -> None:
        """Map the best point to the features: from now on it is what `best_weight` says."""
        columns = [best_weight(descent, self.gathered.X) for descent in self.descents]
        if self.objective.bias == "free":
            pairs = zip(columns, self.descents, strict=True)
            columns = [np.hstack([own, descent.bounds.bias[:, None]]) for own, descent in pairs]
        W = self.layout.weight(np.concatenate(columns))
        self.best_weight = torch.from_numpy(np.ascontiguousarray(W)).to(self.objective.device)
        self.W = self.best_weight
        self.best_objective = self.primal
        self.reported_gap = self.gap

    # ---------------------------------------------------------------- checkpoints

    def state(self) -> dict[str, Tensor]:
        """See `one_by_one.DualFit.state`."""
        numbers = torch.tensor([self.best_objective, self.reported_gap], dtype=torch.float64)
        state = {"best_weight": self.best_weight, "numbers": numbers}
        for place, descent in enumerate(self.descents):
            own = {f"part.{place}.{key}": value for key, value in descent.state().items()}
            state |= {key: torch.from_numpy(np.array(value)) for key, value in own.items()}
        return state

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take up a `state`."""
        self.W = self.best_weight = state["best_weight"].clone()
        self.best_objective, self.reported_gap = state["numbers"].tolist()
        for place, descent in enumerate(self.descents):
            own = {key: value.numpy() for key, value in state_under(f"part.{place}.", state).items()}
            self.descents[place] = Descent.restored(descent.problem, descent.tol, own)
