"""One hinge problem on its way: epochs of dual ascent where they pay, then the augmented Lagrangian."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from straightedge.solvers.hinge.ascent import Ascent, worthwhile
from straightedge.solvers.hinge.lagrangian import (
    COLD_SMOOTHING,
    MOST_STEPS,
    WARM_SMOOTHING,
    AugmentedLagrangian,
)
from straightedge.solvers.hinge.margins import Array
from straightedge.solvers.hinge.problem import Bounds, HingeProblem
from straightedge.solvers.hinge.spaces import FeatureSpace, Point

STEP_PASSES = 2.0  # products of a Newton step with all rows, in passes


@dataclass
class Descent:
    """The two stages, one after the other.

    Attributes:
        problem: The problem.
        tol: Relative gap to reach.
        bounds: Best so far.
        stage: The one at work.
        ascended: Whether epochs have begun: at once, or because Newton steps from far away did not arrive.
    """

    problem: HingeProblem
    tol: float
    bounds: Bounds
    stage: Ascent | AugmentedLagrangian
    ascended: bool

    @classmethod
    def begin(cls, problem: HingeProblem, tol: float, b: Array | None) -> Descent:
        """Start at dual variables b (n, m), or at none."""
        bounds = Bounds.at_zero(problem)
        first = bounds.b.copy() if b is None else b
        if worthwhile(problem):
            return cls(problem, tol, bounds, Ascent(problem, bounds, first), True)
        smoothing = COLD_SMOOTHING if b is None else WARM_SMOOTHING
        nothing = np.zeros_like(bounds.bias)
        stage = AugmentedLagrangian.from_dual(problem, bounds, first, nothing, smoothing)
        return cls(problem, tol, bounds, stage, False)

    @property
    def is_done(self) -> bool:
        """Whether the gap is reached."""
        return self.bounds.gap <= self.tol

    @property
    def exhausted(self) -> bool:
        """Whether steps have stopped helping."""
        return isinstance(self.stage, AugmentedLagrangian) and self.stage.exhausted

    def advance(self) -> float:
        """Take a round of epochs or a Newton step; return the passes over the coordinates that it took."""
        if isinstance(self.stage, AugmentedLagrangian):
            if self.stage.steps < MOST_STEPS or self.ascended:
                self.stage.advance(self.tol)
                return STEP_PASSES
            self.stage, self.ascended = Ascent(self.problem, self.bounds, self.bounds.b.copy()), True
        passes = self.stage.advance()
        if not self.is_done and self.stage.is_done(self.tol):
            b, bias = self.stage.b, self.stage.bias
            self.stage = AugmentedLagrangian.from_dual(self.problem, self.bounds, b, bias, WARM_SMOOTHING)
        return passes

    # ---------------------------------------------------------------- checkpoints

    def state(self) -> dict[str, Array]:
        """Return the arrays from which `restored` makes the same descent."""
        bounds = self.bounds
        own = {"best_coordinates": bounds.coordinates, "best_bias": bounds.bias, "best_b": bounds.b}
        own["bounds"] = np.array([bounds.primal, bounds.dual, self.ascended])
        stage = self.stage
        if isinstance(stage, Ascent):
            own |= {"b": stage.b, "seen": np.array(stage.seen).reshape(-1, 2)}
            own["random"] = stage.random.view(np.float64)
            own["numbers"] = np.array([stage.epochs, stage.work])
            return own
        own |= {"point": stage.point.coordinates, "scores": stage.point.scores}
        own |= {"bias": stage.bias, "centre": stage.centre}
        numbers = [stage.mu, stage.steps, stage.idle, stage.gap_before, stage.floor, stage.n_steps]
        own["numbers"] = np.array(numbers, dtype=np.float64)
        return own

    @classmethod
    def restored(cls, problem: HingeProblem, tol: float, state: dict[str, Array]) -> Descent:
        """Return the descent whose `state` this is."""
        primal, dual, ascended = state["bounds"].tolist()
        best = (state[name].copy() for name in ("best_coordinates", "best_bias", "best_b"))
        bounds = Bounds(primal, dual, *best)
        if "random" in state:
            epochs, work = state["numbers"].tolist()
            random = state["random"].copy().view(np.uint64)
            seen = [(float(x), float(gap)) for x, gap in state["seen"]]
            ascent = Ascent(problem, bounds, state["b"].copy(), random, int(epochs), work, seen)
            return cls(problem, tol, bounds, ascent, True)
        mu, steps, idle, before, floor, n_steps = state["numbers"].tolist()
        point = Point(state["point"].copy(), state["scores"].copy())
        stage = AugmentedLagrangian(
            problem, bounds, point, state["bias"].copy(), state["centre"].copy(), mu, int(steps), int(idle)
        )
        stage.gap_before, stage.floor, stage.n_steps = before, floor, int(n_steps)
        return cls(problem, tol, bounds, stage, bool(ascended))


def best_weight(descent: Descent, X: Array) -> Array:
    """Return the best W (M, d) in the features of the rows X (n, d) that the problem is over."""
    coordinates = descent.bounds.coordinates
    return coordinates if isinstance(descent.problem.space, FeatureSpace) else coordinates @ X
