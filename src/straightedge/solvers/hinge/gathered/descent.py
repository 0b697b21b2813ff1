"""One hinge problem on its way: epochs of dual ascent where they pay, then the augmented Lagrangian."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from straightedge.solvers.hinge.gathered.ascent import WORTH, Ascent, near_step_cost, worthwhile
from straightedge.solvers.hinge.gathered.lagrangian import (
    COLD_SMOOTHING,
    FOLLOWING_SMOOTHING,
    LENGTHENED,
    MOST_STEPS,
    NEXT_SMOOTHING,
    REOPENED,
    WARM_SMOOTHING,
    AugmentedLagrangian,
)
from straightedge.solvers.hinge.gathered.margins import Array
from straightedge.solvers.hinge.gathered.problem import Bounds, HingeProblem
from straightedge.solvers.hinge.gathered.spaces import FeatureSpace, Point
from straightedge.solvers.state import taken_from

CHEAP = 200
"""Rows times margins of a problem that is taken beyond its gap: a step is then mostly calls of NumPy."""
SHARP = 1e-15  # relative gap that it is taken to: scores are then right to seven digits
SHARPEST = 40  # steps that this may take
LONGER = 1.01  # times b: where that has no entry beyond its bound, rows are separated
LASTING = 0.03  # of the gap asked for, to which the answer of separated rows is taken on a path
LASTING_STEPS = 4  # that this may take: a move of the centre or two, and as many steps
FOLLOWING_STEPS = 5  # Newton steps to the answer at another reg close by, as they are counted,
STEPS_A_RATIO = 20.0  # and for each time that the one reg is e times the other: epochs first took 0.9
STRETCHED = 0.1  # gap on a path up to which the answer before may be the answer, but for its length
NEAR = 10.0  # times the gap asked for, within which an answer at another reg
NEAR_STEPS = 1  # takes so many
STEP_PASSES = 2.0  # products of a Newton step with all rows, in passes


@dataclass
class AscentState:
    """What a checkpoint keeps of `Ascent`; see there."""

    tol: float
    b: Array
    W: Array
    gaps: Array
    epochs: int
    work: float
    dual: float
    total: float
    early: float
    since_full: float
    gap: float
    seen: list[tuple[float, float]]
    follows: bool


@dataclass
class LagrangianState:
    """What a checkpoint keeps of `AugmentedLagrangian`; see there."""

    point: Point
    bias: Array
    centre: Array
    mu: float
    steps: int
    idle: int
    gap_before: float
    floor: float
    n_steps: int


@dataclass
class DescentState:
    """What a checkpoint keeps of a `Descent`: the best so far, and the stage at work."""

    bounds: Bounds
    ascended: bool
    epochs_work: float
    ascent: AscentState | None
    lagrangian: LagrangianState | None


@dataclass
class Former:
    """What an answer leaves to the same problem at another reg.

    Attributes:
        curvature: 2 reg.
        bounds: The best of it.
        mu: The last smoothing, 0 where epochs were enough.
        epochs_work: See `Descent`.
    """

    curvature: float
    bounds: Bounds
    mu: float
    epochs_work: float


@dataclass
class Descent:
    """The two stages, one after the other.

    Attributes:
        problem: The problem.
        tol: Relative gap to reach.
        bounds: Best so far.
        stage: The one at work.
        ascended: Whether epochs have begun: at once, or because Newton steps from far away did not arrive.
        epochs_work: Operations that epochs took before Newton steps, here or at the last reg that began with them;
            infinite where none was worth its while.
    """

    problem: HingeProblem
    tol: float
    bounds: Bounds
    stage: Ascent | AugmentedLagrangian
    ascended: bool
    epochs_work: float = math.inf

    @classmethod
    def begin(cls, problem: HingeProblem, tol: float, b: Array | None) -> Descent:
        """Start at dual variables b (n, m), or at none."""
        bounds = Bounds.at_zero(problem)
        first = bounds.b.copy() if b is None else b
        if worthwhile(problem):
            return cls(problem, tol, bounds, Ascent.begin(problem, bounds, tol, first), True)
        smoothing = COLD_SMOOTHING if b is None else WARM_SMOOTHING
        nothing = np.zeros_like(bounds.bias)
        stage = AugmentedLagrangian.from_dual(problem, bounds, first, nothing, smoothing)
        return cls(problem, tol, bounds, stage, False)

    @classmethod
    def after(cls, problem: HingeProblem, tol: float, former: Former) -> Descent:
        """Start at the answer at another reg: without epochs, unless it took no more than these or they cost less.

        Where rows are separated W stays, and b is in the ratio of the two regs: then it is the answer here, too.
        """
        bounds, last = Bounds.at_zero(problem), former.bounds
        there, image = problem.space.at(last.coordinates), problem.from_dual(last.b)
        share, scale, dual = problem.mixture(last.b, image)
        bounds.offer_dual(dual, last.b)
        primal, s = problem.primal(there, last.bias), 1.0
        if primal - dual <= max(STRETCHED, NEAR * tol) * primal:
            s = problem.stretched(there, last.bias, WORTH * (primal - dual))[0] * (1.0 + LENGTHENED * tol)
            primal = problem.primal(there.times(s), s * last.bias)
        bounds.offer_primal(primal, there.times(s), s * last.bias)
        near = bounds.gap <= NEAR * tol
        ratio = abs(math.log(former.curvature / problem.curvature))
        steps = NEAR_STEPS if near else FOLLOWING_STEPS + STEPS_A_RATIO * ratio
        steps_work = steps * near_step_cost(problem, last.b)
        if not former.mu or steps_work > former.epochs_work:
            if share:
                scale = 1.0
            first = Ascent.begin(problem, bounds, tol, scale * last.b, image.times(scale))
            first.follows = True
            return cls(problem, tol, bounds, first, True)
        scale = min(1.0, problem.curvature / former.curvature)
        stage = AugmentedLagrangian.from_dual(problem, bounds, scale * last.b, last.bias, NEXT_SMOOTHING, there)
        opened = 1.0 / scale if near else REOPENED  # where b fell by ``scale``, the same margins move it as far
        stage.mu = max(min(stage.mu, opened * former.mu), stage.floor)
        return cls(problem, tol, bounds, stage, False, former.epochs_work)

    def left(self) -> Former:
        """Return what this answer leaves to the next reg."""
        stage = self.stage
        mu = stage.mu if isinstance(stage, AugmentedLagrangian) else 0.0
        return Former(self.problem.curvature, self.bounds, mu, self.epochs_work)

    @property
    def is_done(self) -> bool:
        """Whether the gap is reached."""
        return self.bounds.gap <= self.tol

    @property
    def exhausted(self) -> bool:
        """Whether steps have stopped helping."""
        return isinstance(self.stage, AugmentedLagrangian) and self.stage.exhausted

    @property
    def is_cheap(self) -> bool:
        """Whether steps take so little that they go on beyond the gap asked for."""
        return len(self.problem.weights) * self.problem.margins.n_columns <= CHEAP

    def advance(self) -> float:
        """Take a round of epochs or a Newton step; return the passes over the coordinates that it took.

        A cheap problem that is done goes on to the limit of float64 in the same round.
        """
        passes = self._advance()
        return passes + self._beyond(SHARP, SHARPEST) if self.is_done and self.is_cheap else passes

    def _beyond(self, tol: float, most: int) -> float:
        """Go on to a smaller gap than is asked for, and return the passes that it took."""
        passes, asked = 0.0, self.tol
        self.tol = min(asked, tol)
        for _ in range(most):
            if self.is_done or self.exhausted:
                break
            passes += self._advance()
        self.tol = asked
        return passes

    def lasting(self) -> float:
        """Go on beyond the gap asked for where the answer is that of every smaller reg; return the passes it took.

        It is where no b is at its upper bound: rows are separated. A Newton step is then as good as several digits.
        """
        stage, b = self.stage, LONGER * self.bounds.b
        if not isinstance(stage, AugmentedLagrangian) or not stage.n_steps:
            return 0.0
        if not np.array_equal(self.problem.margins.project(b), b):
            return 0.0
        return self._beyond(LASTING * self.tol, LASTING_STEPS)

    def _advance(self) -> float:
        if isinstance(self.stage, AugmentedLagrangian):
            if self.stage.steps < MOST_STEPS or self.ascended:
                self.stage.advance(self.tol)
                return STEP_PASSES
            self.stage = Ascent.begin(self.problem, self.bounds, self.tol, self.bounds.b.copy())
            self.ascended = True
        passes = self.stage.advance()
        if not self.is_done and self.stage.is_done:
            b, bias, self.epochs_work = self.stage.duals, self.stage.bias, self.stage.work
            smoothing, point = WARM_SMOOTHING, None
            if self.stage.follows:  # the answer before, at its best length, is nearer than W(b)
                smoothing, bias = FOLLOWING_SMOOTHING, self.bounds.bias
                point = self.problem.space.at(self.bounds.coordinates)
            self.stage = AugmentedLagrangian.from_dual(self.problem, self.bounds, b, bias, smoothing, point)
        return passes

    # ---------------------------------------------------------------- checkpoints

    def state(self) -> DescentState:
        """Return the state from which `restored` makes the same descent."""
        stage, ascent, lagrangian = self.stage, None, None
        if isinstance(stage, Ascent):
            ascent = taken_from(AscentState, stage)
        else:
            lagrangian = taken_from(LagrangianState, stage)
        return DescentState(self.bounds, self.ascended, self.epochs_work, ascent, lagrangian)

    @classmethod
    def restored(cls, problem: HingeProblem, tol: float, state: DescentState) -> Descent:
        """Return the descent whose `state` this is."""
        stage: Ascent | AugmentedLagrangian
        if state.ascent is not None:
            stage = Ascent(problem, state.bounds, **vars(state.ascent))
        else:
            assert state.lagrangian is not None
            stage = AugmentedLagrangian(problem, state.bounds, **vars(state.lagrangian))
        return cls(problem, tol, state.bounds, stage, state.ascended, state.epochs_work)


def best_weight(descent: Descent, X: Array) -> Array:
    """Return the best W (M, d) in the features of the rows X (n, d) that the problem is over."""
    coordinates = descent.bounds.coordinates
    return coordinates if isinstance(descent.problem.space, FeatureSpace) else coordinates @ X
