"""A pass at the best bias: one half gives the scores, of which it is found, the other half the gradient.

A bias is held by the loss, whose curvature there differs between classes by more than the metric knows, and hardly
by a penalty: a descent of W and bias together waits for the bias. P as a function of the rest of W, the bias at its
minimum, is rounder.

The gradient of a likelihood at a row is a = p − e_y. A shift t of all scores makes p_j e^{t_j}/Σ p_k e^{t_k} of the
softmax's p_j, and p_j e^{t_j}/(1 − p_j + p_j e^{t_j}) where each class has a probability of its own. So the minimum
is found without another exponential of a score, by Newton's method, with conjugate gradients and the Hessian's
diagonal for its steps. One whose entries spread over r is taken log(1 + r)/r long: that lowers any loss.

References:
    Golub and Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems whose variables
    separate", SIAM J. Numer. Anal. 10, 1973 (variable projection). Bach, "Self-concordant analysis for logistic
    regression", Electron. J. Statist. 4, 2010 (the length).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from straightedge.newton.conjugate import conjugate_gradients
from straightedge.newton.free_bias import mixed_gap
from straightedge.objective import Block, Evaluation, Objective
from straightedge.solvers.newton_rows import row_weights
from straightedge.workers import block_spans

LARGEST_SCORES = 2**25  # scores whose best bias is looked for: 256 MB in float64
BLOCK_SCORES = 2**18  # of a block: they stay in a cache
MOST_STEPS = 30  # of Newton in float64: two are usual, each gains two digits, and far away a number or two
MOST_PRODUCTS = 20  # of a step
FORCING = 1e-2  # share of the bias's gradient that a step leaves
LEFT_OF_BIAS = 1e-2  # of the gap asked for: what a better bias would gain in float32, or spare a bound in float64
LEAST_WIDTH = 256  # entries of a row from which a penalised bias is worth it: passes are 0.55 to 0.9 as many
STILL = 1e-12  # of the loss, or of a class's share: float64's rounding of sums
JITTER = 1e-14  # of the mean curvature of a class: one may have none

Spans = Iterator[tuple[int, int]]


@dataclass
class Passes:
    """Passes of an objective at W as it is.

    Attributes:
        objective: It; in the type of usual passes.
    """

    objective: Objective

    def at_zero(self) -> tuple[Tensor, Evaluation]:
        """Return W = 0 and what is known there."""
        return torch.zeros(self.objective.shape), self.objective.at_zero()

    def at(self, W: Tensor, *, double: bool = False) -> tuple[Tensor, Evaluation]:
        """Return W (K, C, D + 1) and what one pass finds there, in float64 where that is asked for."""
        return W, (self.objective.in_dtype(torch.float64) if double else self.objective).evaluate(W)


@dataclass
class BestBias(Passes):
    """Passes of an objective of one configuration, at the best penalised bias for the rest of W.

    Attributes:
        tol: Relative gap asked for.
        held: Room for all scores (N, C), kept from one pass to the next.
    """

    tol: float
    held: Tensor = field(default_factory=lambda: torch.empty(0), repr=False)

    @classmethod
    def of(cls, objective: Objective, tol: float) -> BestBias | None:
        """Return it where one configuration on the CPU has a best bias that is worth finding; else None."""
        loss, penalty = objective.loss.second_order, objective.penalty
        near = objective.n_configs == 1 and objective.device.type == "cpu" and objective.communicator.size == 1
        small = objective.n_samples * objective.n_classes <= LARGEST_SCORES
        if loss is None or objective.labels is not None or not (loss.likely and penalty.plain and near and small):
            return None
        if penalty.free_bias:
            found = BestFreeBias(objective, tol)
            return found if bool((found.shares > 0).all()) else None
        design = objective.design
        long = design.n_entries >= LEAST_WIDTH * design.n_samples and design.loops(objective.n_classes) is None
        return cls(objective, tol) if long and bool(penalty.bounds_below.all()) else None

    @property
    def _together(self) -> bool:
        """Whether the probabilities of all classes sum to 1: the softmax's."""
        loss = self.objective.loss.second_order
        return loss is not None and loss.shift_invariant

    def at(self, W: Tensor, *, double: bool = False) -> tuple[Tensor, Evaluation]:
        """Return W (1, C, D + 1) float64 with the best bias for the rest of it, and what one pass finds there.

        In float32 one step is taken at most, since the next pass begins where this one ends; in float64 as many as
        the bound asks for.
        """
        objective = self.objective.in_dtype(torch.float64) if double else self.objective
        rows, penalty = _Rows.scored(objective, W, self._together, self._buffer(objective.dtype)), objective.penalty
        exact = objective.dtype == torch.float64
        moved = W.to(torch.float64, copy=True)
        ridge = penalty.hessian_diagonal(moved)[0, :, -1].numpy()
        for _ in range(MOST_STEPS if exact else 1):
            pull = rows.pull + penalty.gradient(moved)[0, :, -1].numpy()
            curvature = ridge + np.maximum(rows.curvature, JITTER * rows.curvature.mean() + 1e-300)
            cost = self._cost(pull, ridge) if exact else pull @ (pull / curvature)
            if not float(cost) > max(LEFT_OF_BIAS * self.tol, STILL) * rows.mean_loss:
                break
            step = _newton_step(rows.product, curvature, ridge, pull)
            spread = float(np.ptp(step) if self._together else np.abs(step).max())
            step *= np.log1p(spread) / spread if spread > 0 else 1.0
            rows.move(step)
            moved[0, :, -1] += torch.from_numpy(step)
        V = objective.design.adjoint(torch.from_numpy(rows.A)[:, None], torch.from_numpy(rows.weights))
        return moved, self._evaluation(moved, rows.mean_loss, V)

    def _buffer(self, dtype: torch.dtype) -> Tensor:
        """Return room for all scores (N, C): new memory for each pass would cost a tenth of it."""
        if self.held.dtype != dtype or not len(self.held):
            self.held = torch.empty(self.objective.n_samples, self.objective.n_classes, dtype=dtype)
        return self.held

    def _cost(self, pull: np.ndarray, ridge: np.ndarray) -> float:
        """Return what a bias whose gradient is pull (C,) costs the bound."""
        return float(pull @ (pull / ridge)) / 2

    def _evaluation(self, W: Tensor, mean_loss: float, V: Tensor) -> Evaluation:
        return self.objective.evaluation(W, torch.tensor([mean_loss], dtype=torch.float64), V[None])


class BestFreeBias(BestBias):
    """The same where the bias is free; its gradient is 0 in what is returned."""

    @cached_property
    def shares(self) -> np.ndarray:
        """The sums of the row weights of each class (C,)."""
        objective = self.objective
        return np.bincount(objective.y.numpy(), row_weights(objective, 0), objective.n_classes)

    @cached_property
    def sums(self) -> np.ndarray:
        """Σ w_i x̂_i of each class and, last, of all rows, by sums in the type of usual passes: (C + 1, D + 1)."""
        objective = self.objective
        sums = objective.design.class_sums(objective.y, objective.n_classes, objective.row_weights)[0].numpy()
        return np.vstack([sums, sums.sum(axis=0)])

    def at_zero(self) -> tuple[Tensor, Evaluation]:
        """Return W = 0 with its best bias, whose probabilities are the classes' shares, and what is known there."""
        W, shares = torch.zeros(self.objective.shape, dtype=torch.float64), self.shares
        bias = np.log(shares) - (np.log(shares).mean() if self._together else np.log1p(-shares))
        W[0, :, -1] = torch.from_numpy(bias)
        entropy = -shares @ np.log(shares) - (0 if self._together else (1 - shares) @ np.log1p(-shares))
        V = shares[:, None] * self.sums[-1] - self.sums[:-1]
        return W, self._evaluation(W, float(entropy), torch.from_numpy(V))

    def _cost(self, pull: np.ndarray, ridge: np.ndarray) -> float:
        return float(np.abs(pull / self.shares).max())

    def _evaluation(self, W: Tensor, mean_loss: float, V: Tensor) -> Evaluation:
        penalty = self.objective.penalty
        value = mean_loss + float(penalty.value(W)[0])
        gap = min(mixed_gap(W[0].numpy(), V.numpy(), mean_loss, penalty.ridge(W[0, 0]).numpy(), self.sums), value)
        gradient = V + penalty.gradient(W)
        gradient[..., -1] = 0
        bounds = torch.tensor([[value], [value - gap], [gap]], dtype=torch.float64)  # 0 is a bound of every loss
        return Evaluation(bounds[0], gradient, bounds[1], V[None], bounds[2])


def _newton_step(
    product: Callable[[np.ndarray], np.ndarray], diagonal: np.ndarray, ridge: np.ndarray, pull: np.ndarray
) -> np.ndarray:
    """Return −H⁻¹ pull (C,), up to `FORCING`, H the loss's Hessian and a ridge, preconditioned by its diagonal."""

    def with_ridge(u: np.ndarray) -> np.ndarray:
        bent: np.ndarray = product(u) + ridge * u
        return bent

    return conjugate_gradients(with_ridge, lambda r: r / diagonal, -pull, FORCING, MOST_PRODUCTS)[0]


@dataclass
class _Rows:
    """The loss of all rows, and its gradient.

    Attributes:
        together: Whether the probabilities of a row sum to 1, or each class has its own.
        A: (N, C) gradients in the scores, p − e_y.
        losses: (N,).
        y: (N,) labels.
        weights: (N,) float64 of sum 1.
        run: Runs work on shares of blocks of rows, and returns what it gives, in order.
        mean_loss: Of the rows.
        pull: (C,) Σ w a.
        curvature: (C,) Σ w p (1 − p).
    """

    together: bool
    A: np.ndarray
    losses: np.ndarray
    y: np.ndarray
    weights: np.ndarray
    run: Callable[[Callable[[Spans], np.ndarray]], list[np.ndarray]]

    @classmethod
    def scored(cls, objective: Objective, W: Tensor, together: bool, A: Tensor) -> _Rows:
        """Return the rows at W (1, C, D + 1), in the room A (N, C)."""
        spans = block_spans(len(A), max(1, BLOCK_SCORES // A.shape[1]))
        losses = torch.empty(len(A), dtype=A.dtype)

        def keep(S: Tensor, block: Block) -> tuple[()]:
            losses[block.start : block.stop] = objective.losses(S, block)[:, 0]
            A[block.start : block.stop] = S[:, 0]
            return ()

        objective.sweep(W, keep, gradient=False)
        run = partial(objective.design.pool.run, spans)
        weights = row_weights(objective, 0)
        rows = cls(together, A.numpy(), losses.numpy(), objective.y.numpy(), weights, run)
        rows._visit(lambda start, stop: None)
        return rows

    def _visit(self, change: Callable[[int, int], None]) -> None:
        """Change the blocks of rows, and add up what is known of them."""
        C = self.A.shape[1]

        def work(spans: Spans) -> np.ndarray:
            sums = np.zeros((2, C))
            for start, stop in spans:
                change(start, stop)
                A, y = self.A[start:stop], self.y[start:stop]
                w = self.weights[start:stop].astype(A.dtype)
                sums[0] += w @ A
                own = np.bincount(y, w * A[np.arange(len(y)), y], C)
                sums[1] -= w @ np.square(A) + 2 * own  # p − p² is −a − a² of the row's own class, else a − a²
            return sums

        self.pull, self.curvature = np.sum(self.run(work), axis=0)
        self.curvature += self.pull
        self.mean_loss = float(self.weights @ self.losses)

    def product(self, u: np.ndarray) -> np.ndarray:
        """Return the Hessian in the bias times u (C,): Σ w (p ∘ u − p ⟨p, u⟩), or Σ w p ∘ (1 − p) ∘ u."""
        C = len(u)
        if not self.together:
            alone: np.ndarray = self.curvature * u
            return alone

        def work(spans: Spans) -> np.ndarray:
            total = np.zeros(C)
            for start, stop in spans:
                A, y = self.A[start:stop], self.y[start:stop]
                along = (self.weights[start:stop] * (A @ narrow + u[y])).astype(A.dtype)
                total += along @ A + np.bincount(y, along, C)
            return total

        narrow, shares = u.astype(self.A.dtype), np.bincount(self.y, self.weights, C)
        found: np.ndarray = (self.pull + shares) * u - np.sum(self.run(work), axis=0)
        return found

    def move(self, step: np.ndarray) -> None:
        """Go to the scores to which step (C,) is added."""
        grown = np.exp(step).astype(self.A.dtype)

        def move(start: int, stop: int) -> None:
            A, y = self.A[start:stop], self.y[start:stop]
            own = np.arange(len(y)), y
            A[own] += 1
            total = (A @ grown)[:, None] if self.together else 1 + A * (grown - 1)
            self.losses[start:stop] += np.log(total).sum(axis=1) - step[y]
            A *= grown
            A /= total
            A[own] -= 1

        self._visit(move)
