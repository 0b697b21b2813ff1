"""One configuration over sparse rows, as plain arrays: what dual coordinate ascent works on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from straightedge.design.csr import (
    add_csr_adjoint,
    centre_classes,
    csr_class_sums,
    csr_norms,
    csr_scores,
    square_sum,
)
from straightedge.losses import Loss
from straightedge.objective import Objective
from straightedge.solvers.sparse.balance import balanced
from straightedge.solvers.sparse.dense_rows import compressed
from straightedge.solvers.sparse.duals import FORMS, DualForm
from straightedge.solvers.sparse.held_bias import free_stiffness, stiffness
from straightedge.sparse_rows import SparseRows
from straightedge.workers import BlockPool, block_spans

STRETCH_SPANS, STRETCH_ROWS = 40, 50  # of rows that the best multiple of W is looked for by
STRETCH_STEPS = 14  # halvings of the bracket of that: 1e-4 of W is left
SHORTEST_STRETCH, LONGEST_STRETCH = 0.5, 2.0  # that bracket
BLOCK_ROWS = 2**16  # whose scores are held at once
MOST_NARROWED = 50_000_000  # entries that are copied into float32 for epochs
FLOAT32_TOL = 1e-5  # relative gaps down to which W in float32 leads as near as float64 does


def inner(first: np.ndarray, second: np.ndarray) -> float:
    """Return Σ first_i second_i of two vectors (n,), float64, on this thread.

    A BLAS wakes its threads for more than 10,000 numbers, and they spin on: of a fit of 3 ms they made 7 ms.
    """
    return float(np.einsum("i,i->", first, second))


@dataclass(frozen=True)
class Configuration:
    """One value of reg over sparse rows without a map.

    Attributes:
        rows: X, as compressed rows.
        pool: Workers for half passes.
        y: (N,) int64 labels.
        n_classes: C.
        loss: The loss.
        curvature: 2 reg, the penalty's Hessian.
        weights: (N,) float64, w_i.
        free_bias: Whether the bias is not penalised.
    """

    rows: SparseRows
    pool: BlockPool
    y: np.ndarray
    n_classes: int
    loss: Loss
    curvature: float
    weights: np.ndarray
    free_bias: bool = False

    @classmethod
    def of(cls, objective: Objective, rows: SparseRows | None = None) -> Configuration:
        """Return the one configuration of an objective, whose mapped rows may be given compressed already."""
        rows = compressed(objective)[0] if rows is None else rows
        y = np.ascontiguousarray(objective.y.numpy())
        weights = objective.row_weights.of_one(len(y), objective.device).numpy()
        curvature = float(objective.penalty.curvature[0])
        free = objective.penalty.free_bias
        return cls(rows, objective.pool, y, objective.n_classes, objective.loss, curvature, weights, free)


class SparseProblem:
    """P(W) = Σ w_i ℓ(x̂_i W, y_i) + reg ‖W‖² with W laid out (D + 1, C), and its dual in b (N, C).

    Args:
        given: What is minimised.
        tol: Relative gap asked for; it decides the float type of W on the way.

    Attributes:
        rows: See `Configuration`; and ``pool``, ``y``, ``loss``, ``curvature``, ``weights``, ``free_bias``.
        geometry: The word for the row's exact subproblem, `Loss.geometry`.
        form: What its dual variables are.
        caps: (N,) float64, w_i/(2 reg): a row's part of W is −caps_i x̂_i a_iᵀ.
        norms: (N,) float64, ‖x̂_i‖².
        stiffness: s of the bias on the way; see `held_bias`.
        shape: (D + 1, C).
        first_bias: (C,) float64, where a free bias begins.
        dtype: Float type of W during epochs; most of their time goes into reading W.
    """

    def __init__(self, given: Configuration, tol: float) -> None:
        self.rows, self.pool, self.y = given.rows, given.pool, given.y
        self.loss, self.curvature, self.weights = given.loss, given.curvature, given.weights
        self.free_bias = given.free_bias
        self.geometry = given.loss.geometry or ""
        self.form: DualForm = FORMS[self.geometry]
        self.caps = self.weights / self.curvature
        self.norms = csr_norms(self.rows)
        self.stiffness = self._stiffness()
        self.shape = self.rows.n_features + 1, given.n_classes
        self.first_bias = np.zeros(given.n_classes)
        self.dtype = np.dtype(np.float32 if tol >= FLOAT32_TOL else np.float64)

    def visit_data(self, dtype: np.dtype[Any]) -> np.ndarray:
        """Return the entries (nnz,) as epochs read them: in W's float type, which takes a tenth less time."""
        if dtype != np.float32 or self.rows.data.dtype != np.float64 or self.rows.n_stored > MOST_NARROWED:
            return self.rows.data
        if self.rows.narrow is None:
            self.rows.narrow = self.rows.data.astype(np.float32)
        return self.rows.narrow

    def _stiffness(self) -> float:
        entropy = self.form.entropy
        if self.free_bias:
            return free_stiffness(self.curvature, inner(self.weights, self.norms - 1.0), entropy=entropy)
        return stiffness(self.curvature, self.coupling, entropy=entropy)

    @cached_property
    def visit_norms(self) -> np.ndarray:
        """(N,) ‖x̂_i‖² as epochs take it: the entry of the held bias counts less."""
        return self.norms - (1.0 - 1.0 / self.stiffness)

    @property
    def coupling(self) -> float:
        """Mean over rows of q = w_i ‖x̂_i‖²/(2 reg): how much a row's step moves the scores of one like it."""
        return float((self.caps * self.norms).mean())

    def run_epoch(self, order: np.ndarray, W: np.ndarray, b: np.ndarray, gaps: np.ndarray, relax: float) -> None:
        """Visit rows in an order; see `epoch` for the arguments."""
        from straightedge.solvers.sparse.epoch import EPOCHS

        rows = self.rows
        arrays = rows.indptr, rows.indices, self.visit_data(W.dtype), self.y, self.caps, self.visit_norms
        EPOCHS[self.geometry](order, *arrays, 1.0 / self.stiffness, W, b, gaps, relax)

    def minimiser(self, b: np.ndarray) -> np.ndarray:
        """Return the W (D + 1, C) that b belongs to, −X̂ᵀ diag(caps) a(b); half a pass."""
        W = np.zeros((self.shape[0], b.shape[1]))
        for start, stop in self._blocks():
            A = self.form.to_scores(b[start:stop], self.y[start:stop])
            A *= -self.caps[start:stop, None]
            add_csr_adjoint(self.rows, A, self.pool, start, W)
        return W

    def _blocks(self) -> list[tuple[int, int]]:
        """Return spans of rows; what has an entry for each row and class besides b is not held whole."""
        return block_spans(len(self.y), BLOCK_ROWS)

    def scores(self, W: np.ndarray) -> np.ndarray:
        """Return X̂W (N, C); half a pass."""
        return csr_scores(self.rows, W, self.pool)

    def penalty(self, W: np.ndarray) -> float:
        """Return reg ‖W‖², summed in float64; without the last row where that is a free bias."""
        return self.curvature / 2 * square_sum(W[:-1] if self.free_bias else W)

    def primal(self, W: np.ndarray) -> float:
        """Return P(W); half a pass."""
        return self.mean_loss(W) + self.penalty(W)

    def stretch(self, W: np.ndarray) -> float:
        """Return the multiple of W whose P is the least, by some evenly spread rows.

        Where rows are nearly apart, the W of dual variables that are not settled is too short, and most of P is the
        loss of that: 0.6 percent more has a fifteenth of the gap (768 features, 100 classes, reg 1e-5).
        """
        spans = block_spans(len(self.y), STRETCH_ROWS)[:: max(1, len(self.y) // (STRETCH_SPANS * STRETCH_ROWS))]
        S = torch.from_numpy(np.vstack([csr_scores(self.rows, W, self.pool, *span) for span in spans]))
        index = np.concatenate([np.arange(*span) for span in spans])
        y, weights, square = torch.from_numpy(self.y[index]), self.weights[index], 2 * self.penalty(W)
        low, high = SHORTEST_STRETCH, LONGEST_STRETCH
        for _ in range(STRETCH_STEPS):
            middle = (low + high) / 2
            A = (middle * S)[:, None]
            self.loss.value_and_gradient(A, y)
            slope = inner(weights, (A[:, 0] * S).sum(dim=1).numpy()) / weights.sum() + middle * square
            low, high = (middle, high) if slope < 0 else (low, middle)
        return (low + high) / 2

    def mean_loss(self, W: np.ndarray) -> float:
        """Return Σ w_i ℓ(x̂_i W, y_i); half a pass."""
        total = 0.0
        for start, stop in self._blocks():
            S = torch.from_numpy(csr_scores(self.rows, W, self.pool, start, stop))
            values = self.loss.value_and_gradient(S[:, None], torch.from_numpy(self.y[start:stop]))
            total += inner(self.weights[start:stop], values[:, 0].numpy())
        return total

    def conjugate(self, b: np.ndarray) -> float:
        """Return Σ w_i (−ℓ*(a(b_i)))."""
        return sum(
            inner(self.weights[start:stop], self.form.values(b[start:stop], self.y[start:stop]))
            for start, stop in self._blocks()
        )

    def proven_dual(self, b: np.ndarray) -> float:
        """Return the D of dual variables near b that are in balance, as a free bias asks for; half a pass."""
        b = balanced(self.loss, self.form, b, self.y, self.weights)
        return self.conjugate(b) - self.penalty(self.minimiser(b))

    def class_point(self) -> np.ndarray:
        """Return the W (D + 1, C) of a = 1/C − e_y in all rows; an entry of X is read once."""
        W = csr_class_sums(self.rows, self.caps, self.y, self.shape[1])
        centre_classes(W)
        return W

    def subgradient_point(self, W: np.ndarray) -> np.ndarray:
        """Return the dual variables (N, C) of the loss's (sub)gradient at W; half a pass."""
        A = torch.from_numpy(self.scores(W))
        self.loss.value_and_gradient(A[:, None], torch.from_numpy(self.y))
        return self.form.from_scores(A.numpy(), self.y)

    def own_dual(self, b: np.ndarray) -> np.ndarray:
        """Return the dual variables (N, C) of all classes in the layout of this problem."""
        return b

    def write_whole(self, W: np.ndarray, out: np.ndarray) -> None:
        """Write the weights of all classes that this problem's W stands for into out (C, D + 1)."""
        out[:] = W.T
