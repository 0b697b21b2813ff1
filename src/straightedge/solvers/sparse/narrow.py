"""Two classes and few columns, sparse rows or a table: Newton's method with the whole Hessian, in float64.

Where D is small the Hessian XᵀBX costs as much as some passes, and the rows are as hard to part for dual coordinate
ascent as they are many. A hinge is fitted with its corner rounded, over a width that falls until the bound of the
hinge itself, at the rounded one's dual variables α = −φ′, is near enough: with g the gradient of the rounded P,

P(w) − D(α) = Σ w_i (ℓ_i − α_i (1 − m_i)) + ‖g‖²/(2λ).

The problem is that of `two_classes`: P = κ (Σ w_i φ(t_i x̂_i w) + (λ/2) ‖w‖²). Where the bias is free, steps take it
along, and bounds are taken at the best one, where Σ w_i t_i α_i is 0 but for a rest. For that rest the α of one
class are lowered, which leaves them dual variables of each of these losses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from straightedge.losses import Loss
from straightedge.newton.column import Column, solve
from straightedge.newton.direct import Answer, Log
from straightedge.solvers.sparse.columns import Columns, CsrColumns, TableColumns
from straightedge.solvers.sparse.duals import FORMS, DualForm
from straightedge.solvers.sparse.problem import Configuration, inner
from straightedge.status import Status

GRAM_IN_PASSES = 30  # that a Hessian may cost
FACTOR = 24  # D³/3 operations of a Cholesky factor, eight in the time of one of a loop
HARD = 1.0  # mean of w_i ‖x̂_i‖²/λ from which on a hinge takes more epochs than Newton steps
FAR = 10.0  # the same up to which a sample's answer helps: at reg 1e-6 a1a's rare columns lead it astray
HARD_SQUARE = 0.3  # the same of the squared hinge: on a1a the ways meet at reg 4e-4 and 1.5e-3
FIRST_WIDTH = 4.0  # of the rounded corner: every row is in it at w = 0
NARROWER = 0.1  # at most, from one width to the next: 0.03 to 0.3 do as well
ALLOWED = 0.7  # of the gap asked for: what the corner may take
INNER = 0.2  # of what the corner takes: how near the rounded problem's answer is come
ROUGH = 0.03  # of P: the same at the first width
MOST_WIDTHS = 30
BIAS_STEPS = 8  # of Newton to the best free bias; each doubles the digits
STILL = 1e-13  # of its gradient, a share of all rows, that may be left
TINY = np.finfo(float).tiny
SHARES = 8  # of the rows, the first of which is fitted first
ROWS_A_COLUMN = 20  # of that sample: from fewer its answer is no help
EVEN = 0.5  # of its share of all weight: a sample that weighs less is none
SAMPLE_GAP = 0.03  # of the sample, whose answer is about that far from the whole one's
LOGISTIC, SQUARED_HINGE, HINGE = 0, 1, 2  # as in `column_losses`, which is loaded when it is first needed
MISSED = 3.0  # times what the corner takes: an inner answer that is farther away has no use for a sharper corner
MOST_COLUMNS = 240  # of a table, whose Hessian costs as much as D/2 passes


class Sums(NamedTuple):
    """The loss at some scores, summed over rows; see `column_losses.pulled`."""

    value: float
    slack: float
    bends: np.ndarray


@dataclass(frozen=True)
class NarrowProblem:
    """Rows of two classes, their loss and the penalty.

    Attributes:
        columns: Products of the rows.
        y: (N,) labels 0 and 1.
        weights: (N,) float64, w_i.
        loss: The loss.
        curvature: 2 reg.
        solver: The name that its trace has.
        free_bias: Whether the bias is not penalised.
    """

    columns: Columns
    y: np.ndarray
    weights: np.ndarray
    loss: Loss
    curvature: float
    solver: str = "sparse_dual_ascent"
    free_bias: bool = False

    @classmethod
    def of_table(
        cls, X: np.ndarray, y: np.ndarray, loss: Loss, curvature: float, *, free_bias: bool = False
    ) -> NarrowProblem:
        """Return that of a table (N, D) whose rows count alike."""
        return cls(TableColumns(X), y, np.full(len(y), 1 / len(y)), loss, curvature, "newton", free_bias)

    @classmethod
    def of(cls, given: Configuration) -> NarrowProblem:
        """Return the problem of a configuration of two classes."""
        columns = CsrColumns(given.rows, given.pool)
        return cls(columns, given.y, given.weights, given.loss, given.curvature, free_bias=given.free_bias)

    @property
    def facts(self) -> tuple[float, float, float]:
        """h, κ and λ; see `two_classes`."""
        share, copies = (1.0, 2.0) if (self.loss.geometry or "").startswith("one_vs_rest") else (0.5, 1.0)
        return share, copies, 2 * share * share * self.curvature / copies

    @property
    def form(self) -> DualForm:
        """What its dual variables are."""
        return FORMS[self.loss.geometry or ""]

    def hardness(self) -> float:
        """Return the mean of w_i ‖x̂_i‖²/λ: how much a row's step moves the scores of one like it."""
        return inner(self.weights**2, self.columns.norms()) / self.facts[2]

    def part(self, step: int) -> NarrowProblem | None:
        """Return that of every so-many-th row; None where they weigh less than their share, or lack a class."""
        weights, y = self.weights[::step], self.y[::step]
        total = float(weights.sum())
        if total * step < EVEN or (self.free_bias and not _are_both(y, weights)):
            return None
        return replace(self, columns=self.columns.part(step), y=y, weights=weights / total)


@dataclass
class NarrowRows:
    """Rows and their loss for `Column`.

    Attributes:
        problem: The problem.
        kind: Of the loss; see `column_losses`.
        width: Of the hinge's corner.
        parts: (N, 2) float64 of each row its sign ±1 and its weight.
        pulls: (N,) float64, w_i φ′ t_i where the loss was last pulled.
        rough: See `ColumnRows`.
    """

    problem: NarrowProblem
    kind: int
    width: float = FIRST_WIDTH
    rough: bool = False
    parts: np.ndarray = field(init=False)
    pulls: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.parts = np.stack([np.where(self.problem.y == 1, 1.0, -1.0), self.problem.weights], axis=1)

    def scores(self, d: np.ndarray) -> np.ndarray:
        """See `ColumnRows.scores`."""
        return self.problem.columns.scores(d)

    def pulled(self, T: np.ndarray) -> tuple[Sums, float, np.ndarray]:
        """See `ColumnRows.pulled`."""
        from straightedge.solvers.sparse.column_losses import pulled

        bends, self.pulls = np.empty(len(T)), np.empty(len(T))
        rounded, value, slack = pulled(self.parts, (self.kind, self.width), T, bends, self.pulls)
        return Sums(value, slack, bends), rounded, self.problem.columns.adjoint(self.pulls)

    def along(self, T: np.ndarray, moves: np.ndarray, t: float) -> tuple[float, float]:
        """See `ColumnRows.along`."""
        from straightedge.solvers.sparse.column_losses import along

        slope, bend = along(self.parts, (self.kind, self.width), T, moves, t)
        return float(slope), float(bend)

    def moved(self, T: np.ndarray, moves: np.ndarray, t: float) -> np.ndarray:
        """See `ColumnRows.moved`."""
        return T + t * moves

    def hessian(self, terms: Sums) -> np.ndarray:
        """See `ColumnRows.hessian`."""
        return self.problem.columns.gram(terms.bends)


def fits(given: Configuration) -> bool:
    """Return whether a problem is of two classes and few columns, and hard enough for Newton's steps."""
    form = FORMS.get(given.loss.geometry or "")
    if form is None or given.n_classes != 2:
        return False
    if given.free_bias and not _are_both(given.y, given.weights):
        return False
    if not is_narrow(given.rows.indptr, given.rows.n_features):
        return False
    return form.entropy or NarrowProblem.of(given).hardness() >= (HARD_SQUARE if form.squared else HARD)


def _are_both(y: np.ndarray, weights: np.ndarray) -> bool:
    """Tell whether both classes have weight: without one of them a free bias has no best value."""
    return bool((np.bincount(y, weights, 2) > 0).all())


def fits_table(n_rows: int, width: int, n_classes: int, loss: Loss) -> bool:
    """Return whether a table (N, D + 1) has many rows beside its columns, with a hinge of two classes."""
    form = FORMS.get(loss.geometry or "")
    many = width <= min(MOST_COLUMNS, n_rows // (SHARES * ROWS_A_COLUMN))
    return n_classes == 2 and many and form is not None and not (form.entropy or form.squared)


def is_narrow(indptr: np.ndarray, n_features: int) -> bool:
    """Return whether a Hessian of compressed rows costs little beside passes, by counted operations."""
    stored, D = np.diff(indptr) + 1.0, n_features + 1
    hessian = inner(stored, stored) / 2 + D**2 + D**3 / FACTOR
    return hessian <= GRAM_IN_PASSES * 2 * float(stored.sum())


class Narrow:
    """A fit on its way.

    Args:
        problem: What is minimised.
        reg: Strength of the penalty, for the trace.
        tol: Relative gap asked for.
        most: Passes over the rows.

    Attributes:
        w: (D + 1,) where it is; 0 at first.
        best: The best answer so far.
        ridges: (D + 1,) the penalty's Hessian without κ.
        sums: The loss at w.
        short: What P and its bound lack to be equal there, without κ.
    """

    def __init__(self, problem: NarrowProblem, reg: float, tol: float, most: float) -> None:
        self.reg, self.tol, self.most, self.log = reg, tol, most, Log(problem.solver)
        self.share, self.copies, self.ridge = problem.facts
        form = problem.form
        self.rows = NarrowRows(problem, LOGISTIC if form.entropy else SQUARED_HINGE if form.squared else HINGE)
        self.w = np.zeros(problem.columns.width)
        self.ridges = np.full(len(self.w), self.ridge)
        self.ridges[-1] *= not problem.free_bias
        self.passes = 0.0
        at_zero = self.copies * (np.log(2) if form.entropy else 1.0)
        self.best = Answer(np.zeros((2, len(self.w))), at_zero, 0.0, 1.0)

    def fit(self) -> Answer:
        """Return the answer."""
        try:
            if not self.w.any() and len(self.rows.parts) >= SHARES * ROWS_A_COLUMN * len(self.w):
                self._start_from_sample()
            status = self._solved()
        except KeyboardInterrupt:
            status = Status.INTERRUPTED
        best = self.best
        best.status = Status.CERTIFIED if best.gap <= self.tol else status
        best.n_passes, best.trace = self.passes, self.log.rows
        return best

    def _start_from_sample(self) -> None:
        """Begin at the answer of every so-many-th row, and for a hinge with the corner that this has ended with."""
        some = self.rows.problem.part(SHARES)
        if some is None or self.rows.problem.hardness() > FAR:
            return
        sample = Narrow(some, self.reg, SAMPLE_GAP, self.most)
        if len(some.y) >= SHARES * ROWS_A_COLUMN * len(self.w):
            sample._start_from_sample()
        if sample._solved() is Status.INTERRUPTED:
            raise KeyboardInterrupt
        self.w, self.rows.width = sample.w, sample.rows.width
        self.passes += sample.passes / SHARES

    def _solved(self) -> Status:
        """Go on until the gap is proven; return how it ended otherwise."""
        if self.rows.kind != HINGE:
            status = self._descend(self.tol)
            return Status.STALLED if status is Status.CERTIFIED else status
        inner_tol = ROUGH
        for _ in range(MOST_WIDTHS):
            status = self._descend(inner_tol)
            if self.best.gap <= self.tol or status is not Status.CERTIFIED:
                return status
            value = self._value()
            if self.short > MISSED * max(inner_tol * value, self.sums.slack):
                break
            allowed, slack = ALLOWED * self.tol * value, max(self.sums.slack, 1e-300)
            narrower = min(1.0, max(NARROWER, math.sqrt(allowed / slack)))
            self.rows.width *= narrower
            inner_tol = INNER * max(narrower**2 * slack, allowed) / value
        return Status.STALLED

    def _descend(self, tol: float) -> Status:
        """Minimise P with the corner rounded as it is, to a relative gap, and take the bounds there."""
        fit = Column(self.rows, self.ridges, self.passes)
        fit.start(self.w, None)
        status = solve(fit, tol, self.most)
        self.w, self.passes = fit.reached.d, fit.n_passes + 1
        self._look()
        return status

    def _value(self) -> float:
        """Return P at w, without κ."""
        return self.sums.value + float(self.ridges * self.w @ self.w) / 2

    def _look(self) -> None:
        """Take value and bound of w, from the rows as they are."""
        T, free = self.rows.scores(self.w), self.rows.problem.free_bias
        if free:
            shift = self._best_shift(T)
            self.w[-1] += shift
            T = T + shift
        self.sums, _, gradient = self.rows.pulled(T)
        if free:
            self.short = max(0.0, self._value() - self._balanced_bound())
        else:
            gradient += self.ridge * self.w
            self.short = float(gradient @ gradient) / (2 * self.ridge)
            self.short += self.sums.slack if self.rows.kind == HINGE else 0.0
        primal = self.copies * self._value()
        dual = max(0.0, primal - self.copies * self.short)
        bounds = primal, dual, min(self.copies * self.short / primal, 1.0)
        self.log.write(self.passes, self.reg, bounds)
        if bounds[2] <= self.best.gap:
            self.best = Answer(self.share * np.stack([-self.w, self.w]), *bounds)

    def _best_shift(self, T: np.ndarray) -> float:
        """Return what is added to scores T (N,) where their loss is least: the way to the best bias."""
        ones, shift = np.ones_like(T), 0.0
        for _ in range(BIAS_STEPS):
            slope, bend = self.rows.along(T, ones, shift)
            if abs(slope) <= STILL or not bend > 0:
                break
            shift -= slope / bend
        return shift

    def _balanced_bound(self) -> float:
        """Return D, without κ, at the last pulls −w_i t_i α_i: one class's are lowered until all sum to 0.

        The nearest ones in balance, as `balance` finds them for any classes, take a third longer on a million rows.
        """
        problem, pulls, y = self.rows.problem, self.rows.pulls, self.rows.problem.y
        self.passes += 0.5
        up = pulls > 0
        rise, fall = float(pulls[up].sum()), -float(pulls[~up].sum())
        least = min(rise, fall)
        pulls = pulls * np.where(up, least / max(rise, TINY), least / max(fall, TINY))
        a = pulls / np.maximum(problem.weights, TINY)
        values = problem.form.values(problem.form.from_scores(np.stack([-a, a], axis=1), y), y) / self.copies
        V = problem.columns.adjoint(pulls)[:-1]
        return inner(problem.weights, values) - float(V @ V) / (2 * self.ridge)
