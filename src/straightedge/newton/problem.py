"""A smooth problem on arrays: P(W) = Σ w_i ℓ(W x_i, y_i) + ½ Σ h_d W_cd², and all that one point of it says.

Nothing here knows where rows came from: X is a float64 table with its constant column.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from straightedge.newton.bounds import scaled_bound
from straightedge.newton.curvature import RowTerms, SecondOrder
from straightedge.newton.free_bias import Reference, best_bias, mixed_gap, referred_gap
from straightedge.newton.products import back, forward

FEW_ROWS = 64  # that say how long rows are
BIAS_STEPS = 1  # of the best free bias at each point: the next step, which is one of W and bias, sees what is left
LEAST_SINGLE = 1_000_000  # entries of X: below, a float32 copy for one product is not worth its making


def contrasts(n_classes: int) -> np.ndarray:
    """Return an orthonormal basis (C, C − 1) of the vectors whose entries sum to 0 (Helmert's).

    A loss that does not see a number added to all scores has its optimum in this space, where ‖QU‖ = ‖U‖: two
    classes become one column, and the Hessian loses the direction along which only the penalty bends.
    """
    basis = np.zeros((n_classes, n_classes - 1))
    for j in range(1, n_classes):
        basis[:j, j - 1] = -1.0
        basis[j, j - 1] = j
    normed: np.ndarray = basis / np.sqrt((basis * basis).sum(axis=0))
    return normed


@dataclass
class Table:
    """Mapped rows, with what is made of them when it is first asked for.

    Attributes:
        double: (N, D) float64, the constant column among the columns.
    """

    double: np.ndarray

    @cached_property
    def single(self) -> np.ndarray:
        """The same in float32, for products whose rounding does not matter."""
        return self.double.astype(np.float32)

    @cached_property
    def mean_square_norm(self) -> float:
        """The mean of ‖x‖² over some evenly spaced rows."""
        few = self.double[:: -(-len(self.double) // FEW_ROWS)]
        return float((few * few).sum(axis=1).mean())

    @cached_property
    def squares(self) -> np.ndarray:
        """The squares of its entries in float32: every preconditioner asks for their sums."""
        found: np.ndarray = self.single * self.single
        return found


@dataclass
class SmoothProblem:
    """One configuration's problem.

    Attributes:
        table: N mapped rows of D columns.
        y: (N,) int64 labels in [0, C).
        weights: (N,) float64 ≥ 0, sum 1.
        ridge: (D,) float64, the penalty's Hessian h: 2 reg for a plain ridge, 0 for a free bias.
        loss: The loss to second order.
        basis: (C, c) float64, the basis Q of the space that holds the optimum's classes: contrasts, or I.
        check: Called between products; raises KeyboardInterrupt where the user asked to stop.
        reference: Of a loss that is no likelihood, for the bound of a free bias; None where others prove it.
    """

    table: Table
    y: np.ndarray
    weights: np.ndarray
    ridge: np.ndarray
    loss: SecondOrder
    basis: np.ndarray
    check: Callable[[], None] = lambda: None
    reference: Reference | None = None

    def scores(self, W: np.ndarray) -> np.ndarray:
        """Return W xᵢ for every row, (C, N), for W (C, D)."""
        if not W.any():
            return np.zeros((len(W), len(self.y)))
        return self._forward(W, self.table.double)

    def _forward(self, W: np.ndarray, X: np.ndarray) -> np.ndarray:
        Q = self.basis.astype(X.dtype, copy=False)
        return Q @ forward(Q.T @ W, X) if Q.shape == (2, 1) else forward(W, X)

    def back(self, A: np.ndarray, *, rough: bool = False) -> np.ndarray:
        """Return Σ a_i x_iᵀ (C, D) for A (C, N) in the space of the basis, where two classes are one row."""
        Q, X = self.basis, self.table.single if rough else self.table.double
        own = (Q.T @ A if Q.shape == (2, 1) else A).astype(X.dtype, copy=False)
        V = back(own, X).astype(np.float64, copy=False)
        return Q @ V if Q.shape == (2, 1) else V

    @property
    def carries(self) -> bool:
        """Whether scores moved along a search are as good as those computed afresh."""
        return self.table.double.size < LEAST_SINGLE

    def moves(self, direction: np.ndarray, *, rough: bool = False) -> np.ndarray:
        """Return the scores of a direction, for a search along it: in float32 where that saves work."""
        if self.carries and not rough:
            return self.scores(direction)
        return self._forward(direction.astype(np.float32), self.table.single).astype(np.float64)

    def at(self, W: np.ndarray, carried: Scored | None = None, *, rough: bool = False) -> Point:
        """Return all that is known at W (C, D).

        Args:
            W: Where.
            carried: Scores that a search has moved there; None computes them afresh, as proofs ask for.
            rough: Whether the gradient's product is float32's, of carried scores.
        """
        found = self.scored(self.scores(W)) if carried is None else carried
        if self.has_best_bias:
            W, found = self._with_best_bias(W, found)
        V = self.back(found.pull, rough=rough)
        own = self.ridge * W
        gradient = V + own
        mean_loss = float(self.weights @ found.terms.value)
        value = mean_loss + float(np.vdot(own, W)) / 2
        gap = self._gap(W, V, gradient, mean_loss)
        return Point(W, found, mean_loss, value, V, gradient, gap, self.ridge, carried is not None)

    @cached_property
    def class_sums(self) -> np.ndarray:
        """Σ w_i x_i of each class, or of the second of two that share a column, and of all rows: (C + 1, D)."""
        C = len(self.basis)
        own = (self.y == (np.arange(C)[:, None] if C > 1 else 1)) * self.weights
        sums: np.ndarray = np.vstack([own, self.weights]) @ self.table.double
        return sums

    @cached_property
    def has_best_bias(self) -> bool:
        """Whether the bias is free and every point has the best one; see `free_bias`."""
        if self.ridge[-1] or not self.loss.likely or not (self.ridge[:-1] > 0).all():
            return False
        shares = np.bincount(self.y, self.weights, minlength=max(len(self.basis), 2))
        return bool((shares > 0).all())

    @property
    def is_bounded(self) -> bool:
        """Whether the gap of a point is a bound of P − min P."""
        return bool(self.ridge[-1]) or self.has_best_bias

    def _with_best_bias(self, W: np.ndarray, found: Scored) -> tuple[np.ndarray, Scored]:
        shift, terms = best_bias(self.loss, found.S, self.y, self.weights, found.terms, BIAS_STEPS)
        if not shift.any():
            return W, found
        moved = W.copy()
        moved[:, -1] += shift
        return moved, Scored(found.S + shift[:, None], terms, terms.gradient * self.weights)

    def _gap(self, W: np.ndarray, V: np.ndarray, gradient: np.ndarray, mean_loss: float) -> float:
        if self.has_best_bias:
            return mixed_gap(W, V, mean_loss, self.ridge, self.class_sums)
        far = self.gap_of(gradient)
        if self.reference is not None and far < mean_loss:  # farther away 0 is the bound
            return referred_gap(W, V, mean_loss, self.ridge, self.class_sums, self.reference)
        return far

    def with_own_ridge(self, point: Point) -> Point:
        """Return what is known at a point of a problem that differs in its ridge alone: no product is needed."""
        own = self.ridge * point.W
        gradient = point.V + own
        value = point.mean_loss + float(np.vdot(own, point.W)) / 2
        gap = self._gap(point.W, point.V, gradient, point.mean_loss)
        return replace(point, value=value, gradient=gradient, gap=gap, ridge=self.ridge)

    def scored(self, S: np.ndarray) -> Scored:
        """Return the loss and its derivatives at scores S (C, N)."""
        terms = self.loss.at(S, self.y)
        return Scored(S, terms, terms.gradient * self.weights)

    @cached_property
    def measure(self) -> np.ndarray:
        """The ridge, with a free bias counted as if it were penalised: what a gradient there costs a bound."""
        return np.where(self.ridge > 0, self.ridge, self.ridge.max())

    def gap_of(self, residual: np.ndarray) -> float:
        """Return ½ Σ r²/h for a gradient or a residual r (c, D): by how much P can be above its minimum."""
        return float((residual * residual / self.measure).sum()) / 2

    def centred(self, W: np.ndarray) -> np.ndarray:
        """Return W (C, D) without what the loss does not see: nothing is lost, and the penalty is less."""
        return W - W.mean(axis=0) if self.basis.shape[1] < len(self.basis) else W

    def sampled(self, n_rows: int) -> SmoothProblem:
        """Return the problem of some rows, drawn without replacement by a fixed seed, with weights of sum 1."""
        index = np.sort(np.random.default_rng(0).choice(len(self.y), n_rows, replace=False))
        weights = self.weights[index]
        share = weights.sum()
        weights = weights / share if share > 0 else np.full(n_rows, 1 / n_rows)
        return replace(self, table=Table(self.table.double[index]), y=self.y[index], weights=weights)

    def zero(self) -> np.ndarray:
        """Return W = 0 (C, D)."""
        return np.zeros((len(self.basis), self.table.double.shape[1]))


@dataclass
class Scored:
    """The loss at the scores of all rows.

    Attributes:
        S: (C, N), the scores.
        terms: The loss of each row and its derivatives.
        pull: (C, N), w_i a_i: the score gradients by weight.
    """

    S: np.ndarray
    terms: RowTerms
    pull: np.ndarray


@dataclass
class Point:
    """What is known at a W.

    Attributes:
        W: (C, D).
        scored: The loss at its scores.
        mean_loss: Σ w_i ℓ_i.
        value: P(W).
        V: (C, D), Σ w_i a_i x_iᵀ: the data's part of the gradient.
        gradient: (C, D), ∇P(W).
        gap: ½ Σ ∇P²/h: P(W) − min P is no larger where every column is penalised, or the bias is the best one.
        ridge: The penalty's Hessian h, of the problem.
        is_carried: Whether scores were moved along searches, and not computed from W.
    """

    W: np.ndarray
    scored: Scored
    mean_loss: float
    value: float
    V: np.ndarray
    gradient: np.ndarray
    gap: float
    ridge: np.ndarray
    is_carried: bool = False

    @property
    def terms(self) -> RowTerms:
        """The loss of each row and its derivatives."""
        return self.scored.terms

    def bound(self) -> float:
        """Return a lower bound on min P where `gap` is one of P(W) − min P; see `Objective.dual_value`.

        The dual point tA has the best t in [0, 1]: t = 1 is P minus the gap, t = 0 is the bound 0 of every loss.
        """
        if self.gap < self.value / 2 or not self.ridge[-1]:
            return max(self.value - self.gap, 0.0)
        conjugate = self.mean_loss - float(np.vdot(self.W, self.V))
        quadratic = float((self.V * self.V / self.ridge).sum()) / 2
        return scaled_bound(conjugate, quadratic)[1]
