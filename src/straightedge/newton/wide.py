"""Fewer rows than features: Newton on W = BX̂ by products with the rows' Gram matrix alone.

With K = X̂X̂ᵀ the scores are BK, the gradient is RX̂ with R = A/N + 2 reg B, and ‖∇P‖² = ⟨R, RK⟩. A Newton step
Z solves A″(ZK)/N + 2 reg Z = −R, whose operator is self-adjoint in the inner product ⟨U, VK⟩: conjugate gradients
there are those of W's own space, for one product with K a turn. W is mapped back once, and proven on the rows.

References:
    Kimeldorf and Wahba, "Some results on Tchebycheffian spline functions", J. Math. Anal. Appl. 33, 1971 (the
    representer theorem). Chapelle, "Training a support vector machine in the primal", Neural Computation 19, 2007.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.linalg import lapack

from straightedge.newton import descent
from straightedge.newton.blocks import RowBlocks
from straightedge.newton.curvature import RowTerms, SecondOrder
from straightedge.newton.direct import Answer, Log, proven
from straightedge.newton.free_bias import bias_step
from straightedge.newton.work import Size
from straightedge.status import Status

FORCING = 0.1  # conjugate gradients leave this share of the gradient
SHARE_OF_GOAL = 0.3  # of the gap asked for, that they may leave
SLACK = 0.5  # of the gap asked for: what the Gram matrix says, before the rows themselves prove it
SHARPER = 1e-20  # relative gap that cheap problems go on to: W is then right to ten digits
CHEAP = 4_000_000  # operations of a product with K below which digits cost little
MOST_PRODUCTS = 300  # of one step
MOST_STEPS = 60
ROUNDS = 3  # of proofs on the rows, each after a smaller goal of a tenth
ARMIJO = 1e-4
SHORTEST = 1e-6  # step length below which nothing is gained
FLATTEST = 1e-6  # share of the largest curvature of a row that the preconditioner counts at least
MOST_ROWS = 5000  # whose Gram matrix and its factor are 200 MB each in float64
LARGEST_TABLE = 30_000_000  # entries of X, of which there may be a copy in float64
GRAM_SPEED = 3  # operations of a Gram matrix in the time of one of a product with few columns
COUNTED = 1e-4  # relative gap that steps and products are counted for
READ = 4  # columns of W whose products take as long as what a pass over the rows takes anyhow
READ_OF_ONE = 6  # the same where W is one column: its products need no copies of the rows
READ_OF_CACHED = 2  # the same where the rows stay in a processor's last cache
CACHED = 2**25  # bytes of rows that do
GRAM_IN_COLUMNS = 4.4  # rows of a Gram matrix in the time of one column, or what counts as one, of a pass
PRODUCTS_A_DECADE = 10  # of mean ‖x̂‖²/(2 reg N): how many products a fit in W's own space takes


@dataclass
class Place:
    """What is known at B.

    Attributes:
        B: (C, N) float64.
        b: (C,) a free bias, which is the best one; 0 where it is penalised.
        S: (C, N) scores BK + b.
        terms: The loss at the scores.
        value: P(W).
        R: (C, N), the gradient's coefficients.
        RK: (C, N).
        gap: ‖∇P‖²/(4 reg).
    """

    B: np.ndarray
    b: np.ndarray
    S: np.ndarray
    terms: RowTerms
    value: float
    R: np.ndarray
    RK: np.ndarray
    gap: float


@dataclass
class GramProblem:
    """The problem in the coefficients of the rows.

    Attributes:
        K: (N, N) inner products of the rows with their constant, or, where the bias is free, of the rows less their
            mean; float32 or float64.
        rows: All rows.
        reg: Strength of the ridge.
        factor: Cholesky factor of the preconditioner; None before there is one.
        root: (N,) roots of the row curvatures it was made with.
        spent: Products since then.
        n_products: Products so far.
        curvature: The last place's loss, and its Hessian in the bias.
        reached: The best place so far.
    """

    K: np.ndarray
    rows: RowBlocks
    reg: float
    factor: np.ndarray | None = None
    root: np.ndarray | None = None
    spent: int = 0
    n_products: int = 0
    curvature: tuple[RowTerms, np.ndarray] | None = None
    reached: Place = field(init=False)

    def times(self, U: np.ndarray) -> np.ndarray:
        """Return UK for U (C, N), in float64."""
        self.spent += 1
        self.n_products += 1
        found: np.ndarray = (U.astype(self.K.dtype, copy=False) @ self.K).astype(np.float64, copy=False)
        return found

    def at(self, B: np.ndarray, b: np.ndarray, S: np.ndarray) -> Place:
        """Return what is known at B and a bias b (C,), whose scores are S."""
        N = len(self.K)
        moved, S, terms = self.rows.with_best_bias(b[:, None], S)
        b = moved[:, 0]
        R = terms.gradient / N + 2 * self.reg * B
        RK = self.times(R)
        value = float(terms.value.mean()) + self.reg * float(np.vdot(B, S - b[:, None]))
        return Place(B, b, S, terms, value, R, RK, self.gap_of(R, RK))

    def bent(self, terms: RowTerms, T: np.ndarray) -> np.ndarray:
        """Return A″T/N (C, N) for scores T that a direction makes, with the free bias that goes with them."""
        return terms.product(T + self.bias_of(terms, T) if self.rows.free_bias else T) / len(self.K)

    def bias_of(self, terms: RowTerms, T: np.ndarray) -> np.ndarray:
        """Return the free bias (C, 1) that goes with a direction's scores T (C, N): Newton's for them."""
        if not self.rows.free_bias:
            return np.zeros((len(T), 1))
        if self.curvature is None or self.curvature[0] is not terms:
            self.curvature = terms, terms.total(np.ones(T.shape[1]))
        return bias_step(self.curvature[1], terms.product(T).sum(axis=1))[:, None]

    def gap_of(self, R: np.ndarray, RK: np.ndarray) -> float:
        """Return ‖RX̂‖²/(4 reg)."""
        return max(float(np.vdot(R, RK)), 0.0) / (4 * self.reg)

    def precondition(self, place: Place, n_classes: int) -> None:
        """Make the preconditioner at a place, once products have cost as much: D^½KD^½ + 2 reg, factored."""
        N = len(self.K)
        if self.spent <= N / (6 * n_classes):
            return
        curvature = place.terms.mean_diagonal() / N
        root = np.sqrt(np.maximum(curvature, FLATTEST * curvature.max())).astype(self.K.dtype)
        matrix = self.K * root
        matrix *= root[:, None]
        matrix.flat[:: N + 1] += 2 * self.reg + 4 * np.finfo(matrix.dtype).eps * matrix.diagonal().max()
        factorise = lapack.spotrf if matrix.dtype == np.float32 else lapack.dpotrf
        factor, failed = factorise(matrix.T, lower=True, clean=False, overwrite_a=True)
        self.factor, self.root, self.spent = (None if failed else factor), root, 0

    def natural(self, R: np.ndarray) -> np.ndarray:
        """Return the preconditioner's inverse applied to R (C, N): D^½ (D^½KD^½ + 2 reg)⁻¹ D^−½."""
        if self.factor is None or self.root is None:
            return R
        solve = lapack.spotrs if self.factor.dtype == np.float32 else lapack.dpotrs
        scaled = np.asfortranarray((R / self.root).T, dtype=self.factor.dtype)
        found, _ = solve(self.factor, scaled, lower=True, overwrite_b=True)
        natural: np.ndarray = found.T.astype(np.float64) * self.root
        return natural


def fits(size: Size, loss: SecondOrder) -> bool:
    """Return whether rows are fewer than features, and all they are multiplied into fits in memory."""
    return loss.curved and size.N + 1 < size.D and size.N <= MOST_ROWS and size.N * size.D <= LARGEST_TABLE


def is_cheaper(rows: RowBlocks, size: Size, reg: float) -> bool:
    """Return whether this takes less work than the products of a fit by a preconditioner in W's own space."""
    return _steps_win(rows, size, reg) or _gram_wins(rows, size, reg)


def _decades(rows: RowBlocks, reg: float) -> float:
    """Return the decades of mean ‖x̂‖²/(2 reg N), which every fit takes some passes for."""
    return max(0.0, math.log10(rows.mean_square_norm / (2 * reg * len(rows.X))))


def _gram_wins(rows: RowBlocks, size: Size, reg: float) -> bool:
    return PRODUCTS_A_DECADE * max(_decades(rows, reg), 1.0) >= size.N / (4 * GRAM_SPEED * size.C)


def _steps_win(rows: RowBlocks, size: Size, reg: float, tol: float = COUNTED) -> bool:
    """Return whether L-BFGS takes fewer passes than the Gram matrix, with the products it is made for, is worth."""
    decades = _decades(rows, reg)
    of_one = READ_OF_CACHED if rows.X.nbytes <= CACHED else READ_OF_ONE
    columns = 1 + of_one if size.C == 2 else size.C + READ
    products = PRODUCTS_A_DECADE * decades * size.N / (2 * size.D)
    sharper = max(1.0, math.log(tol) / math.log(COUNTED))
    most = (size.N / (GRAM_IN_COLUMNS * columns) + products) / sharper
    return descent.steps(rows, decades, most) <= most


def minimise(rows: RowBlocks, size: Size, reg: float, tol: float, *, rough: bool) -> Answer | None:
    """Return the W that minimises mean ℓ + reg ΣW², proven; None where roundings keep it away.

    Args:
        rows: All rows.
        size: Of the problem.
        reg: Strength of the penalty, > 0.
        tol: Relative gap asked for.
        rough: Whether products, or the Gram matrix, are float32's.
    """
    cheap = not rough and size.N**2 * size.C <= CHEAP
    found = None if cheap or not _steps_win(rows, size, reg, tol) else descent.minimise(rows, reg, tol, rough=rough)
    return found or _by_gram(rows, size, reg, tol, rough=rough)


def _by_gram(rows: RowBlocks, size: Size, reg: float, tol: float, *, rough: bool) -> Answer | None:
    """Return the same by products with the Gram matrix alone."""
    log = Log()
    X: Any = rows.X.astype(np.float32 if rough else np.float64, copy=False)
    problem = GramProblem(_centred(X @ X.T) if rows.free_bias else X @ X.T + 1, rows, reg)
    zero = np.zeros((size.C, size.N))
    problem.reached = problem.at(zero, zero[:, 0], zero)
    cheap = not rough and size.N**2 * size.C <= CHEAP
    goal = min(SLACK * tol, SHARPER) if cheap else SLACK * tol
    answer = Answer(zero, math.inf, 0.0, math.inf)
    try:
        for _ in range(ROUNDS):
            _solve(problem, goal)
            answer = _proven(problem, X, tol)
            log.write(2.0 + problem.n_products, reg, answer.bounds)
            if answer.gap <= tol:
                break
            goal /= 10
    except KeyboardInterrupt:
        answer = _proven(problem, X, tol)
        answer.status = Status.INTERRUPTED
    answer.n_passes, answer.trace = 2.0 + problem.n_products, log.rows
    return answer if answer.gap <= tol or answer.status is Status.INTERRUPTED else None


def _centred(K: np.ndarray) -> np.ndarray:
    """Return the products of rows less their mean, whose scores differ by a free bias; K is overwritten."""
    K -= K.mean(axis=0, dtype=np.float64).astype(K.dtype)
    K -= K.mean(axis=1, dtype=np.float64).astype(K.dtype)[:, None]
    return K


def _solve(problem: GramProblem, goal: float) -> None:
    """Reach a place whose gap is at most the goal, or where steps gain nothing any more."""
    for _ in range(MOST_STEPS):
        place = problem.reached
        if place.gap <= goal * place.value:
            break
        problem.precondition(place, len(place.B))
        new = _searched(problem, place, *_direction(problem, place, goal))
        if new is None:
            break
        still = new.gap > place.gap / 2 and place.value - new.value <= 1e-14 * abs(place.value)
        if new.value < place.value or new.gap < place.gap:
            problem.reached = new
        if still:
            break


def _direction(problem: GramProblem, place: Place, goal: float) -> tuple[np.ndarray, np.ndarray]:
    """Return Newton's Z (C, N) and ZK, by conjugate gradients in the inner product of K.

    Where the bias is free they are those of the minimum over it (the Schur complement of its Hessian).
    """
    most = max(SHARE_OF_GOAL * goal * place.value, FORCING**2 * place.gap)
    rest, restK = -place.R, -place.RK
    Z, ZK = np.zeros_like(rest), np.zeros_like(rest)
    search, searchK, former = None, None, 1.0
    for _ in range(MOST_PRODUCTS):
        natural = problem.natural(rest)
        naturalK = restK if natural is rest else problem.times(natural)
        strength = float(np.vdot(rest, naturalK))
        if search is None or searchK is None:
            search, searchK = natural.copy(), naturalK.copy()
        else:
            search = natural + (strength / former) * search
            searchK = naturalK + (strength / former) * searchK
        bent = problem.bent(place.terms, searchK) + 2 * problem.reg * search
        length = strength / float(np.vdot(searchK, bent))
        Z += length * search
        ZK += length * searchK
        rest = rest - length * bent
        restK = problem.times(rest)
        if not problem.gap_of(rest, restK) > most:
            break
        former = strength
    return Z, ZK


def _searched(problem: GramProblem, place: Place, Z: np.ndarray, ZK: np.ndarray) -> Place | None:
    """Return the place of the first length, halved from 1, that lowers P enough."""
    slope, length, bias = float(np.vdot(place.RK, Z)), 1.0, problem.bias_of(place.terms, ZK)
    noise = 1e-13 * abs(place.value)
    while slope < 0 and length > SHORTEST:
        new = problem.at(place.B + length * Z, place.b + length * bias[:, 0], place.S + length * (ZK + bias))
        if new.value <= place.value + ARMIJO * length * slope + noise:
            return new
        length /= 2
    return None


def _proven(problem: GramProblem, X: np.ndarray, tol: float) -> Answer:
    """Return W = BX̂ with its value and bound from the rows as they are, in float64."""
    rows, B = problem.rows, problem.reached.B
    if rows.free_bias:
        B = B - B.mean(axis=1, keepdims=True)
    W = np.empty((len(B), X.shape[1] + 1))
    W[:, :-1] = B.astype(X.dtype, copy=False) @ X
    W[:, -1] = B.sum(axis=1)
    if rows.free_bias:
        W[:, -1] = problem.reached.b - W[:, :-1] @ rows.class_sums[-1, :-1]
    W -= W.mean(axis=0) if rows.loss.shift_invariant else 0.0
    return proven(rows, W, problem.reg, tol)
