"""Fewer rows than features, whose Gram matrix is nearly flat: L-BFGS in W's own space, with exact searches.

Rows of independent features are nearly orthogonal: the eigenvalues of their Gram matrix differ little, and a
gain of two digits takes some passes over the rows, where the Gram matrix alone takes as long as N/(12 C) of them.
The scores of a direction are kept, so that a search along it reads no row, and a step is one pass. The weights of
two classes are each other's negatives from the first step to the last: the second's alone are kept.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from straightedge.newton.blocks import RowBlocks
from straightedge.newton.curvature import RowTerms
from straightedge.newton.direct import Answer, Log, proven
from straightedge.newton.linesearch import length
from straightedge.newton.products import back, forward
from straightedge.newton.quasi import Change, Pairs, least_gradient
from straightedge.status import Status

MEMORY = 2  # changes of the gradient; 1 to 3 took the fewest steps, since those of the first steps mislead
SLACK = 0.7  # of the gap asked for: what own products say, before float64's prove it
ROUNDS = 2  # of proofs, the second after a goal of a tenth
MOST_STEPS = 80
FLAT = 0.02  # a search ends where the slope is this share of its start; 0.1 takes a step or two more
COMBINED = 4  # last points, whose combination of least gradient is proven a step sooner
NEAR = 3.0  # times the gap asked for: from farther away the combination may disappoint
JITTER = 1e-8  # relative, of the products of gradients, to whose rounding in float32 the combination is blind
FLATTEST = 1.0  # variance of its eigenvalues, in squares of their mean, up to which the counts of steps hold
FIRST_STEPS = 3.0  # of any fit
STEPS_A_DECADE = 1.0  # of mean ‖x̂‖²/(2 reg N), where all eigenvalues are equal
STEPS_A_SPREAD = 4.0  # the same for each standard deviation of the eigenvalues


@dataclass
class Place:
    """What is known at W.

    Attributes:
        W: (C, D + 1) float64, of two classes (1, D + 1).
        S: (C, N) scores.
        terms: The loss at the scores.
        value: P(W).
        gradient: Of W's shape.
        gap: ‖∇P‖²/(4 reg).
    """

    W: np.ndarray
    S: np.ndarray
    terms: RowTerms
    value: float
    gradient: np.ndarray
    gap: float


@dataclass
class Descent:
    """The problem, and how far it is solved.

    Attributes:
        rows: All rows; W has the best bias at every place where it is free.
        X: (N, D) they in the float type of products.
        reg: Strength of the ridge.
        bend: Second derivative of P along a usual direction at W = 0: the first step's guess.
        n_passes: Passes over the rows.
        pairs: What directions are made of.
        reached: The best place so far.
        last: The last points with their gradients.
        products: (m, m) of these gradients.
    """

    rows: RowBlocks
    X: np.ndarray
    reg: float
    bend: float
    n_passes: float = 0.0
    pairs: Pairs = field(init=False)
    reached: Place = field(init=False)
    last: list[Change] = field(default_factory=list)
    products: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))

    def __post_init__(self) -> None:
        self.pairs = Pairs(self._first, MEMORY)

    def _first(self, R: np.ndarray, kept: list[Change]) -> np.ndarray:
        """Return the first guess of H⁻¹R: a multiple of R, by the last change."""
        if not kept:
            return R / self.bend
        step, change = kept[-1]
        return R * float(np.vdot(step, change) / np.vdot(change, change))

    def scores(self, W: np.ndarray) -> np.ndarray:
        """Return the scores (C, N) float64 of W (C, D + 1)."""
        self.n_passes += 0.5
        own = W[:, :-1].astype(self.X.dtype)
        S = forward(own, self.X).astype(np.float64)
        return both(S + W[:, -1:])

    def at(self, W: np.ndarray, S: np.ndarray) -> Place:
        """Return what is known at W, whose scores are S."""
        self.n_passes += 0.5
        W, S, terms = self.rows.with_best_bias(W, S)
        N, A, own = len(S[0]), terms.gradient[-len(W) :], self.rows.penalised(W)
        gradient = 2 * self.reg * own
        gradient[:, :-1] += back(A.astype(self.X.dtype), self.X) / N
        gradient[:, -1] += A.sum(axis=1) / N
        value = float(terms.value.mean()) + self.reg * self._inner(own, own)
        return Place(W, S, terms, value, gradient, self._inner(gradient, gradient) / (4 * self.reg))

    def _inner(self, U: np.ndarray, V: np.ndarray) -> float:
        """Return the inner product of the weights of all classes."""
        return (2 if len(U) == 1 else 1) * float(np.vdot(U, V))

    def step(self) -> bool:
        """Go to the lowest point along the direction; return whether it is lower."""
        old = self.reached
        direction = self.pairs.direction(old.gradient)
        T = self.scores(direction)
        t = self._length(old, direction, T)
        new = self.at(old.W + t * direction, old.S + t * T)
        self.pairs.add(new.W - old.W, new.gradient - old.gradient)
        if not new.value < old.value:
            return False
        self.reached = new
        self._remember(new)
        return True

    def _remember(self, new: Place) -> None:
        self.last = [*self.last, (new.W, new.gradient)][-COMBINED:]
        along = np.array([self._inner(gradient, new.gradient) for _, gradient in self.last])
        kept = self.products[1:, 1:] if len(self.products) == COMBINED else self.products
        self.products = np.block([[kept, along[:-1, None]], [along[None]]])

    def near(self, goal: float) -> np.ndarray | None:
        """Return a W whose gap is at most a goal, the one reached or a combination of the last, or None."""
        most = goal * self.reached.value
        if self.reached.gap <= most:
            return self.reached.W
        if len(self.last) < COMBINED or self.reached.gap > NEAR * most:
            return None
        square, shares = least_gradient(self.products, JITTER)
        if square > 4 * self.reg * most:
            return None
        found: np.ndarray = sum(share * W for share, (W, _) in zip(shares, self.last, strict=True))
        return found

    def _length(self, old: Place, direction: np.ndarray, T: np.ndarray) -> float:
        """Return t with |φ′(t)| ≤ FLAT |φ′(0)|, φ(t) = P(W + t d)."""
        own = self.rows.penalised(direction)
        slope, bend = (2 * self.reg * self._inner(W, own) for W in (old.W, direction))
        most = FLAT * abs(self._inner(old.gradient, direction))
        return length(self.rows.loss, self.rows.y, old.S, T, (slope, bend), most)


def both(rows: np.ndarray) -> np.ndarray:
    """Return the rows of two classes, of which the second's alone are given; those of more as they are."""
    return np.vstack([-rows, rows]) if len(rows) == 1 else rows


def steps(rows: RowBlocks, decades: float, most: float = math.inf) -> float:
    """Return how many steps a fit takes, infinitely many where they are more than may be.

    Args:
        rows: All rows.
        decades: Of mean ‖x̂‖²/(2 reg N).
        most: Steps that may be; how flat the Gram matrix is is not asked where the flattest would take more.
    """
    if FIRST_STEPS + decades * STEPS_A_DECADE > most:
        return math.inf
    spread = rows.spread
    return (
        FIRST_STEPS + decades * (STEPS_A_DECADE + STEPS_A_SPREAD * math.sqrt(spread))
        if spread <= FLATTEST
        else math.inf
    )


def minimise(rows: RowBlocks, reg: float, tol: float, *, rough: bool) -> Answer | None:
    """Return the W that minimises mean ℓ + reg ΣW², proven; None where so many steps do not reach it.

    Args:
        rows: All rows.
        reg: Strength of the penalty, > 0.
        tol: Relative gap asked for.
        rough: Whether products are float32's.
    """
    log = Log()
    X = rows.X.astype(np.float32 if rough else np.float64, copy=False)
    bend = rows.mean_square_norm / (len(X) * rows.n_classes) + 2 * reg
    fit = Descent(rows, X, reg, bend)
    zero = np.zeros((1 if rows.n_classes == 2 else rows.n_classes, X.shape[1] + 1))
    fit.reached = fit.at(zero, np.zeros((rows.n_classes, len(X))))
    for goal in [SLACK * tol * 0.1**turn for turn in range(ROUNDS)]:
        W, status = _solve(fit, goal)
        answer = proven(rows, both(W), reg, tol)
        log.write(fit.n_passes + 1, reg, answer.bounds)
        if answer.gap <= tol or status is Status.INTERRUPTED:
            answer.status, answer.n_passes, answer.trace = status, fit.n_passes + len(log.rows), log.rows
            return answer
    return None


def _solve(fit: Descent, goal: float) -> tuple[np.ndarray, Status]:
    """Take steps until a point's gap is at most the goal, or they gain nothing; return the point."""
    try:
        for _ in range(MOST_STEPS):
            if (W := fit.near(goal)) is not None:
                return W, Status.CERTIFIED
            if not fit.step():
                break
    except KeyboardInterrupt:
        return fit.reached.W, Status.INTERRUPTED
    return fit.reached.W, Status.CERTIFIED
