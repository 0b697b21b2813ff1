"""Two classes and many rows: one column of weights, steps in float32 with exact searches, and a proof in float64.

Scores of all rows are kept and move along a direction, so that a search reads no row and a step is one pass.
Directions are those of L-BFGS around the whole Hessian, which is made anew where they gain too little. Where
float32 gains no more, float64 goes on.

References:
    Nocedal and Wright, "Numerical Optimization", 2nd ed., Springer 2006, chapters 6 and 7.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from straightedge.newton.blocks import RowBlocks
from straightedge.newton.curvature import RowTerms, SecondOrder
from straightedge.newton.direct import Answer, Log, proven
from straightedge.newton.exact import scaled_factor
from straightedge.newton.linesearch import flat_point, slopes
from straightedge.newton.quasi import Pairs
from straightedge.newton.work import Size
from straightedge.status import Status

LEAST = 500_000  # entries of X: below, steps by the table in float64 take as long
MOST_ROWS = 80_000  # of more, a sample's answer saves passes, and their scores no longer stay in cache
LARGEST = 8_000_000  # entries of X, whose copy in float32 is 32 MB
MOST_COLUMNS = 240  # whose Hessian costs as much as 15 passes; 7 gained, 30 lost
MEMORY = 10  # pairs of L-BFGS
FLAT = 0.1  # a search ends where the slope is this share of its start
LEAST_GAIN = 3  # by how many times a step lessens Newton's decrement, or the Hessian is made anew
NOISE = 1e-7  # of P: decrements below which rounding in float32 may be what keeps a step from gaining
MOST_POOR = 8  # steps in float32 that gain too little: its Hessian may be at fault; far starts take 4
STILL = 1e-14  # the same of float64
SLACK = 0.8  # of the gap asked for: what float32 says, before float64 proves it
MOST_STEPS = 80
ROWS = 4096  # of a block of the Hessian: 1,024 to 8,192 took the same time within a tenth


class ColumnRows(Protocol):
    """Rows of two classes and their loss, as functions of one column of weights, and of its scores T (N,).

    Attributes:
        rough: Whether products are float32's.
    """

    rough: bool

    def scores(self, d: np.ndarray) -> np.ndarray:
        """Return T (N,) of d (D + 1,)."""
        ...

    def pulled(self, T: np.ndarray) -> tuple[Any, float, np.ndarray]:
        """Return the loss at T, to be handed to `hessian`, its mean and the mean's gradient (D + 1,) float64."""
        ...

    def along(self, T: np.ndarray, moves: np.ndarray, t: float) -> tuple[float, float]:
        """Return the mean loss's slope and second derivative in t at T + t moves."""
        ...

    def moved(self, T: np.ndarray, moves: np.ndarray, t: float) -> np.ndarray:
        """Return T + t moves."""
        ...

    def hessian(self, terms: Any) -> np.ndarray:
        """Return the mean loss's Hessian (D + 1, D + 1) float64."""
        ...


@dataclass
class TableRows:
    """Those of a table.

    Attributes:
        X: (N, D) rows in the float type of products.
        y: (N,) labels 0 and 1 in that type.
        loss: The loss of the difference of scores.
    """

    X: np.ndarray
    y: np.ndarray
    loss: SecondOrder

    def __post_init__(self) -> None:
        self.rough = self.X.dtype == np.float32

    def scores(self, d: np.ndarray) -> np.ndarray:
        """See `ColumnRows.scores`."""
        own = d.astype(self.X.dtype)
        found: np.ndarray = self.X @ own[:-1]
        found += own[-1]
        return found

    def pulled(self, T: np.ndarray) -> tuple[RowTerms, float, np.ndarray]:
        """See `ColumnRows.pulled`."""
        terms = self.loss.at(T[None], self.y)
        pull = terms.gradient[0]
        gradient = np.append(pull @ self.X, pull.sum(dtype=np.float64)) / len(self.y)
        return terms, float(terms.value.mean(dtype=np.float64)), gradient

    def along(self, T: np.ndarray, moves: np.ndarray, t: float) -> tuple[float, float]:
        """See `ColumnRows.along`."""
        return slopes(self.loss, self.y, T[None], moves[None], t)

    def moved(self, T: np.ndarray, moves: np.ndarray, t: float) -> np.ndarray:
        """See `ColumnRows.moved`."""
        found: np.ndarray = T + self.X.dtype.type(t) * moves
        return found

    def hessian(self, terms: RowTerms) -> np.ndarray:
        """See `ColumnRows.hessian`."""
        root = np.sqrt(terms.mean_diagonal() / len(self.y)).astype(self.X.dtype)
        D = self.X.shape[1] + 1
        H = np.zeros((D, D))
        for start in range(0, len(root), ROWS):
            own, block = root[start : start + ROWS], self.X[start : start + ROWS]
            bent = np.empty((len(own), D), self.X.dtype, order="F" if self.X.flags.f_contiguous else "C")
            np.multiply(block, own[:, None], out=bent[:, :-1])
            bent[:, -1] = own
            H += bent.T @ bent
        return H


@dataclass
class Place:
    """What is known at d.

    Attributes:
        d: (D + 1,) float64.
        T: (N,) scores.
        terms: The loss there.
        value: P.
        gradient: (D + 1,) float64.
        gap: ‖∇P‖²/(2 reg), of a free bias as if it were penalised.
    """

    d: np.ndarray
    T: np.ndarray
    terms: Any
    value: float
    gradient: np.ndarray
    gap: float


@dataclass
class Column:
    """The problem in the difference d of the classes' weights, and how far it is solved.

    Attributes:
        rows: And their loss.
        ridge: (D + 1,) the penalty's Hessian: reg, the strength of ‖d‖²/2, and 0 for a free bias.
        n_passes: Passes over the rows.
        reached: The best place so far.
        pairs: What directions are made of.
        decrement: What Newton's model says that the last step was to gain, twice.
        fall: What it gained.
        fresh: Whether the Hessian is that of the place reached.
    """

    rows: ColumnRows
    ridge: np.ndarray
    n_passes: float = 0.0
    reached: Place = field(init=False)
    pairs: Pairs = field(init=False)
    decrement: float = math.inf
    fall: float = math.inf
    fresh: bool = False

    def start(self, d: np.ndarray, pairs: Pairs | None) -> None:
        """Begin at d (D + 1,), with the metric of d where there is none."""
        self.reached = self._at(d, self._scores(d))
        if pairs is None:
            self.renew()
        else:
            self.pairs = pairs

    def _scores(self, d: np.ndarray) -> np.ndarray:
        self.n_passes += 0.5
        return self.rows.scores(d)

    def _at(self, d: np.ndarray, T: np.ndarray) -> Place:
        self.n_passes += 0.5
        terms, value, gradient = self.rows.pulled(T)
        own = self.ridge * d
        gradient += own
        value += float(own @ d) / 2
        return Place(d, T, terms, value, gradient, float(gradient @ gradient) / (2 * float(self.ridge[0])))

    def renew(self) -> None:
        """Take the Hessian of the present place."""
        self.n_passes += 1
        self.fresh = True
        H = self.rows.hessian(self.reached.terms)
        H.flat[:: len(H) + 1] += self.ridge
        factor = scaled_factor(H)
        self.pairs = Pairs(lambda R, _: factor.solve(R), MEMORY)

    def step(self) -> bool:
        """Go to the lowest point along the direction; return whether this gained as much as a step should."""
        old = self.reached
        direction = self.pairs.direction(old.gradient)
        self.decrement, self.fresh = -float(direction @ old.gradient), False
        moves = self._scores(direction)
        t = self._length(old, direction, moves)
        new = self._at(old.d + t * direction, self.rows.moved(old.T, moves, t))
        self.pairs.add(new.d - old.d, new.gradient - old.gradient)
        self.fall = old.value - new.value
        if self.fall < -NOISE * old.value:
            return False
        self.reached = new
        left = -float(self.pairs.direction(new.gradient) @ new.gradient)
        return left * LEAST_GAIN < self.decrement

    def _length(self, old: Place, direction: np.ndarray, moves: np.ndarray) -> float:
        """Return t with |φ′(t)| ≤ FLAT |φ′(0)|, φ(t) = P(d + t direction)."""
        slope, bend = (float((self.ridge * d) @ direction) for d in (old.d, direction))

        def line(t: float) -> tuple[float, float]:
            own = self.rows.along(old.T, moves, t)
            return own[0] + slope + t * bend, own[1] + bend

        return flat_point(line, FLAT * self.decrement)


def fits(size: Size) -> bool:
    """Return whether rows of two classes are many beside their features."""
    moderate = min(size.N, MOST_COLUMNS) >= size.D and size.N <= MOST_ROWS
    return size.C == 2 and size.c == 1 and moderate and LEAST <= size.N * size.D <= LARGEST


def minimise(rows: RowBlocks, own: SecondOrder, reg: float, tol: float, most: float) -> Answer | None:
    """Return what `direct.minimise` does, of two classes; None where float64 has no more to give."""
    log = Log()
    d, pairs, passes = np.zeros(rows.X.shape[1] + 1), None, 0.0
    for dtype, slack in ((np.float32, SLACK), (np.float64, 1.0)):
        table = TableRows(rows.X.astype(dtype, copy=False), rows.y.astype(dtype), own)
        fit = Column(table, rows.ridge(reg), passes)
        fit.start(d, pairs)
        status = solve(fit, slack * tol, most)
        d, pairs, passes = fit.reached.d, fit.pairs, fit.n_passes + 1
        answer = proven(rows, np.stack([-d, d]) / 2, reg, tol)
        log.write(passes, reg, answer.bounds)
        if answer.gap <= tol or status is not Status.CERTIFIED:
            answer.status = Status.CERTIFIED if answer.gap <= tol else status
            answer.n_passes, answer.trace = passes, log.rows
            return answer
    return None


def solve(fit: Column, tol: float, most: float) -> Status:
    """Take steps until the gap is at most what is asked for, or they gain nothing."""
    rough, poor = fit.rows.rough, 0
    try:
        for _ in range(MOST_STEPS):
            if fit.reached.gap <= tol * fit.reached.value:
                break
            if fit.n_passes >= most:
                return Status.MAX_PASSES
            was_fresh = fit.fresh
            if fit.step():
                continue
            poor += 1
            still = fit.fall <= (NOISE if rough else STILL) * fit.reached.value
            if (still and (rough or was_fresh)) or (rough and poor > MOST_POOR):
                break
            fit.renew()
    except KeyboardInterrupt:
        return Status.INTERRUPTED
    return Status.CERTIFIED
