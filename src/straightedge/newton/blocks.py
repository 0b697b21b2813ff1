"""Passes over many rows of few columns as they lie: products of blocks, on every core.

A block is some thousand rows, so that its scores, their exponentials and its share of the gradient stay in cache
and one call of NumPy is long beside its own cost. Scores lie class-major. Sums over blocks are float64.
"""

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from straightedge.cores import available_cores
from straightedge.newton.curvature import RowTerms, SecondOrder
from straightedge.newton.free_bias import best_bias, bias_step, mixed_gap
from straightedge.newton.problem import Table
from straightedge.newton.products import back, forward

BLOCK_BYTES = 2**22  # of rows and scores together: they stay in a shared cache; a quarter took a fifth longer
CORE_BYTES = 2**20  # the same in the cache of a core: of blocks of so much there may be fewer than
SHARES = 16  # blocks, so that workers have equal shares of the rows
LANES = 4  # columns that a BLAS takes at a time: of 3, 7 and 11 it takes a third longer than of one more
FEWEST_ROWS = 64  # of a block, however long they are: the weights are read once a block
ROWS_A_CLASS = 4  # of a block at least: of 2 or 3 classes, blocks of 8 long rows took half of the time of 64
FEW_ROWS = 64  # that say how long rows are, and how flat their Gram matrix is
SIGNS = 4  # random signs of theirs that the sum of their squares is estimated by, to a tenth
MOST_SHIFTS = 4  # of a free bias
LEFT_OF_SQUARE = 0.01  # share of the gap asked for, that the square of the bias's last step may be
WORTH_THREADS = 2**22  # bytes below which starting threads takes longer than they save
Result = TypeVar("Result")


def shared(n_rows: int, step: int, work: Callable[[range], Result], workers: int) -> list[Result]:
    """Run work on contiguous shares of the blocks' first rows, one a worker, and return results in order."""
    starts = range(0, n_rows, step)
    edges = [len(starts) * t // workers for t in range(workers + 1)]
    shares = [starts[a:b] for a, b in itertools.pairwise(edges) if a < b]
    if len(shares) == 1:
        return [work(shares[0])]
    with ThreadPoolExecutor(len(shares), "straightedge") as executor:
        return list(executor.map(work, shares))


def extremes(X: np.ndarray) -> tuple[float, float]:
    """Return the smallest and the largest entry of a table, NaN where one is."""
    X = X.T if X.flags.f_contiguous else X  # along memory, whose order does not matter here
    step = max(1, CORE_BYTES // (X.shape[1] * X.itemsize))

    def of_share(starts: range) -> tuple[float, float]:
        blocks = (X[start : start + step] for start in starts)
        found = np.array([(block.min(), block.max()) for block in blocks], dtype=np.float64)
        return found[:, 0].min(), found[:, 1].max()

    found = np.array(shared(len(X), step, of_share, available_cores() if X.nbytes > WORTH_THREADS else 1))
    return float(found[:, 0].min()), float(found[:, 1].max())


@dataclass
class RowBlocks:
    """N rows of D features with their labels.

    Attributes:
        X: (N, D) numbers, without the constant.
        y: (N,) labels in [0, C).
        n_classes: C.
        loss: The loss to second order.
        free_bias: Whether the penalty leaves the bias out.
        workers: Threads.
    """

    X: np.ndarray
    y: np.ndarray
    n_classes: int
    loss: SecondOrder
    free_bias: bool = False
    workers: int = field(default_factory=available_cores)
    _samples: dict[int, tuple[Table, np.ndarray]] = field(default_factory=dict, repr=False)

    @property
    def own_type(self) -> Any:
        """The float type of products with X as it lies."""
        return self.X.dtype if self.X.dtype in (np.float32, np.float64) else np.dtype(np.float32)

    @cached_property
    def mean_square_norm(self) -> float:
        """The mean of ‖x̂‖² over some evenly spaced rows."""
        return float(self._few[1].mean())

    @cached_property
    def _few(self) -> tuple[np.ndarray, np.ndarray]:
        """Some evenly spaced rows in their own type, and their ‖x̂‖²."""
        few = self.X[:: -(-len(self.X) // FEW_ROWS)].astype(self.own_type, copy=False)
        return few, np.array([np.dot(row, row) for row in few], dtype=np.float64) + 1

    @cached_property
    def spread(self) -> float:
        """The variance of the eigenvalues of X̂X̂ᵀ in squares of their mean, by some evenly spaced rows.

        For random signs z, E‖(K − diag K) z‖² is the sum of squares off the diagonal: the matrix K of products
        is not made (Hutchinson, "A stochastic estimator of the trace of the influence matrix", 1990).
        """
        few, diagonal = self._few
        signs = np.random.default_rng(0).choice(np.array([-1, 1], few.dtype), (SIGNS, len(few)))
        products = [few @ (z @ few) + z.sum() - diagonal * z for z in signs]
        apart = np.square(products).sum(axis=1).mean() / (len(few) * (len(few) - 1))
        return float(len(self.X) * apart / diagonal.mean() ** 2)

    @cached_property
    def class_sums(self) -> np.ndarray:
        """Σ x̂/N over each class, and over all rows, by products in the rows' type: (C + 1, D + 1)."""
        N, D, classes = len(self.y), self.X.shape[1], np.arange(self.n_classes)[:, None]

        def of_share(spans: range) -> np.ndarray:
            total = np.zeros((len(classes), D + 1))
            for start in spans:
                own = (self.y[start : start + spans.step] == classes).astype(self.own_type)
                block = self.X[start : start + spans.step].astype(self.own_type, copy=False)
                total[:, :-1] += back(own, block)
                total[:, -1] += own.sum(axis=1)
            return total / N

        sums = np.sum(shared(N, self.step(self.own_type), of_share, self.workers), axis=0)
        return np.vstack([sums, sums.sum(axis=0)])

    @property
    def is_bounded(self) -> bool:
        """Whether a bound of P is proven: with a free bias that of a likelihood, where no class lacks rows."""
        if not self.free_bias:
            return True
        return self.loss.likely and bool((np.bincount(self.y, minlength=self.n_classes) > 0).all())

    def penalised(self, W: np.ndarray) -> np.ndarray:
        """Return W (…, D + 1) as the penalty sees it: with a free bias of 0."""
        if not self.free_bias:
            return W
        own = W.copy()
        own[..., -1] = 0
        return own

    def ridge(self, strength: float) -> np.ndarray:
        """Return the penalty's Hessian (D + 1,), so much for each feature, and nothing for a free bias."""
        return self.penalised(np.full(self.X.shape[1] + 1, strength))

    def evaluate(self, W: np.ndarray, reg: float, dtype: Any) -> tuple[float, np.ndarray, float]:
        """Return mean ℓ + reg ΣW², its gradient and ‖∇P‖²/(4 reg), of a free bias as if it were penalised."""
        return self._with_penalty(W, reg, *self._means(W, dtype))

    def _means(self, W: np.ndarray, dtype: Any) -> tuple[float, np.ndarray]:
        """Return the mean loss and its gradient."""
        loss, V = self.sums(W, dtype)
        return loss / len(self.y), V / len(self.y)

    def _with_penalty(
        self, W: np.ndarray, reg: float, mean_loss: float, V: np.ndarray
    ) -> tuple[float, np.ndarray, float]:
        own = self.penalised(W)
        gradient = V + 2 * reg * own
        value = mean_loss + reg * float(np.vdot(own, own))
        return value, gradient, float(np.vdot(gradient, gradient)) / (4 * reg)

    def prove(self, W: np.ndarray, reg: float, tol: float) -> tuple[np.ndarray, float, np.ndarray, float]:
        """Return W with the best free bias, P there, its gradient and a bound of P − min P, in float64.

        Args:
            W: (C, D + 1).
            reg: Strength of the penalty.
            tol: Relative gap asked for.
        """
        W = self._centred(W, tol) if self.free_bias else W
        mean_loss, V = self._means(W, np.float64)
        value, gradient, gap = self._with_penalty(W, reg, mean_loss, V)
        if self.free_bias:
            gap = mixed_gap(W, V, mean_loss, self.ridge(2 * reg), self.class_sums)
        return W, value, gradient, gap

    def with_best_bias(self, W: np.ndarray, S: np.ndarray) -> tuple[np.ndarray, np.ndarray, RowTerms]:
        """Return W (C or 1, D + 1) with the best bias where it is free, the scores (C, N) and the loss there.

        Args:
            W: Of two classes the second's alone, whose negative the first's is.
            S: (C, N), its scores.
        """
        terms = self.loss.at(S, self.y)
        if not self.free_bias:
            return W, S, terms
        shift, terms = best_bias(self.loss, S, self.y, np.full(len(self.y), 1 / len(self.y)), terms)
        W = W.copy()
        W[:, -1] += shift[-len(W) :]
        return W, S + shift[:, None], terms

    def _centred(self, W: np.ndarray, tol: float) -> np.ndarray:
        """Return W (C, D + 1) with a bias from which a step leads no farther than the gap asked for allows."""
        many = len(self.y) > self.X.shape[1] and tol > np.finfo(np.float32).eps
        dtype = self.own_type if many else np.dtype(np.float64)  # long rows cost a bound more for the same rest
        W = W.copy()
        for _ in range(MOST_SHIFTS):
            pull, curvature = self._bias_sums(W, dtype)
            step = bias_step(curvature, pull)
            W[:, -1] += step
            if float(np.abs(step).max()) ** 2 <= LEFT_OF_SQUARE * tol:
                break
        return W

    def _bias_sums(self, W: np.ndarray, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean loss's gradient (C,) and Hessian (C, C) in the bias, by half a pass."""
        step, N = self.step(dtype), len(self.y)

        def of_share(spans: range) -> tuple[np.ndarray, np.ndarray]:
            pull, curvature = np.zeros(len(W)), np.zeros((len(W), len(W)))
            for S, y, _ in self._blocks(W.astype(dtype), spans):
                terms = self.loss.at(S, y)
                pull += terms.gradient.sum(axis=1, dtype=np.float64)
                curvature += terms.total(np.ones(len(y), S.dtype))
            return pull / N, curvature / N

        pulls, curvatures = zip(*shared(N, step, of_share, self.workers), strict=True)
        return np.sum(pulls, axis=0), np.sum(curvatures, axis=0)

    def step(self, dtype: Any) -> int:
        """Return the rows of a block whose products are in a float type."""
        numbers = int(self.X.shape[1]) + 2 * self.n_classes
        fewest = min(FEWEST_ROWS, ROWS_A_CLASS * self.n_classes)
        least, most = (size // (int(np.dtype(dtype).itemsize) * numbers) for size in (CORE_BYTES, BLOCK_BYTES))
        return max(fewest, min(most, max(least, len(self.X) // SHARES)))

    def sums(self, W: np.ndarray, dtype: Any) -> tuple[float, np.ndarray]:
        """Return Σ ℓ and Σ a xᵀ (C, D + 1) float64 at W (C, D + 1), by products in a float type."""
        one = self.n_classes == 2 and self.loss.shift_invariant  # scores differ by one column alone
        columns = (W[1:] - W[:1] if one else W).astype(dtype)
        step = self.step(dtype)
        parts = shared(len(self.X), step, lambda spans: self._sums(columns, spans), self.workers)
        V = sum(part[1] for part in parts)
        assert isinstance(V, np.ndarray)
        return sum(part[0] for part in parts), np.vstack([-V, V]) if one else V

    def _sums(self, columns: np.ndarray, spans: range) -> tuple[float, np.ndarray]:
        n = len(columns)
        columns = np.vstack([columns, np.zeros_like(columns[:1])]) if n % LANES == LANES - 1 else columns
        total, V = 0.0, np.zeros(columns.shape)
        for S, y, block in self._blocks(columns, spans):
            total += float(self.loss.overwrite(S[:n], y).sum(dtype=np.float64))
            V[:, :-1] += back(S, block)
            V[:, -1] += S.sum(axis=1)
        return total, V[:n]

    def _blocks(self, columns: np.ndarray, spans: range) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Return the scores of some columns, which may be overwritten, the labels and the rows of each block."""
        step, D = spans.step, self.X.shape[1]
        weight, offset = np.ascontiguousarray(columns[:, :-1]), columns[:, -1:]
        converted = None if self.X.dtype == columns.dtype else np.empty((step, D), columns.dtype)
        kept = np.empty(step * len(columns), columns.dtype)
        for start in spans:
            block, y = self.X[start : start + step], self.y[start : start + step]
            if converted is not None:
                np.copyto(converted[: len(y)], block)
                block = converted[: len(y)]
            S = forward(weight, block, kept[: len(columns) * len(y)].reshape(len(columns), len(y)))
            S += offset
            yield S, y, block

    def drawn(self, n_rows: int) -> tuple[Table, np.ndarray]:
        """Return some rows with the constant (n, D + 1) and their labels, by a fixed seed; samples are kept."""
        if n_rows not in self._samples:
            index = np.sort(np.random.default_rng(0).integers(0, len(self.X), n_rows))
            table = np.ones((n_rows, self.X.shape[1] + 1))
            table[:, :-1] = self.X[index]
            self._samples[n_rows] = Table(table), self.y[index]
        return self._samples[n_rows]
