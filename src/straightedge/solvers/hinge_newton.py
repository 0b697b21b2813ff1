"""Semismooth Newton directions for a smoothed hinge and its dual.

The smoothed objective is f(W) = Σ_i w_i φ(z_i) + reg ‖W‖² with φ(z) = max over b in B of ⟨b, z⟩ − μ/2 ‖b − c‖²,
so ∇φ = b = project(c + z/μ) and its generalised Hessian is T/μ, T the projection's derivative: rows with
nothing between its bounds have no curvature at all. Three savings make a Newton step cost about a pass:

* products with the Hessian see only rows that have curvature, and of many such rows only an even share;
* what the share leaves out is represented by the second moment Σ of the data, which costs no rows at all;
* conjugate gradients are preconditioned by the Cholesky factor of κΣ + 2 reg I.

How far to go along them `hinge_span` finds.

References:
    Li, Sun and Toh, "A highly efficient semismooth Newton augmented Lagrangian method for solving Lasso
    problems", SIAM J. Optim. 28, 2018. Byrd, Chin, Neveitt and Nocedal, "On the use of stochastic Hessian
    information in optimization methods for machine learning", SIAM J. Optim. 21, 2011.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from straightedge.losses import PiecewiseLinearLoss, ProjectionJacobian, piecewise
from straightedge.objective import Block, Objective
from straightedge.penalties import PenaltyTerm
from straightedge.solvers.dual_ascent import disturbance
from straightedge.solvers.hinge_pairs import ActiveMargins
from straightedge.solvers.whitening import (
    DIAGONAL_SAMPLE,
    LARGEST_DENSE,
    inverse_factor,
    with_ridge,
)

SAMPLE_ROWS = 10_000  # rows of the second moment
ALL_ROWS = 1 << 62
FEW_SAMPLE_ROWS = 4_000  # where reg outweighs all but the largest eigenvalues
MILD = 0.5  # ρ up to which it does
SHARE_BYTES = 2**27  # memory of rows copied from disk, at most
LEAST_SHARE = 4_096  # rows below which none are left out
SHARE = 5  # at most one row in five, where there are many
DRIFT = 6.0, 12.0  # times that a factor's reg/κ may be too small, or too large, before it is made anew
LONGEST_CG = 60
REMEMBERED_BYTES = 2**28  # of directions and their images; fewer are kept where C·D is large
FLAT = 1e-9  # of the metric's curvature: less is none, as where a free bias moves and no pair is between its bounds
RENEWAL = 1.5  # of a second moment's cost that products with the Hessian may take before it is made anew
RENEWED_ROWS = 12_000  # of them, evenly spread, that it is then made of
LEAST_OF_MOMENT = 2  # rows that a second moment is made of, for each feature
NEW_ROWS = 0.8  # of the rows: more that Σ has not seen, and it is made anew a second time


class Metric:
    """M⁻¹ for M = κΣ + R with R the penalty's Hessian: Σ once, a factor whenever κ or reg have drifted.

    Σ is of the rows that have curvature, where they are known, as on a path from the answer before; else of a
    sample of all rows, which is not the same: with it a hard problem takes half as many iterations again. So where
    the products with the Hessian have come to cost as much as another Σ would, it is made anew.

    Args:
        objective: Gives the rows.
        index: Rows (n,) of this rank that Σ is of; None for a sample of all.
        sample: So many rows; by default as many as reg calls for.

    Attributes:
        sample: As above; 0 where Σ was of given rows from the beginning.
        index: Rows (n,) of this rank that Σ is of; None: of a sample of all.
        products: Products with the Hessian since Σ was made.
    """

    def __init__(self, objective: Objective, index: Tensor | None = None, sample: int | None = None) -> None:
        self.dense = objective.design.width <= LARGEST_DENSE
        self.penalty = objective.penalty
        self.design = objective.design
        self.sample = sample or 0
        if index is not None and self.dense:
            self.renew(objective, index)
            return
        if sample is None:
            self.sample = FEW_SAMPLE_ROWS if disturbance(objective) <= MILD else SAMPLE_ROWS
        rough = objective.design.rough
        moment = rough.second_moment(self.sample) if self.dense else rough.mean_squares(DIAGONAL_SAMPLE)
        self._take(moment, None)

    def _take(self, moment: Tensor, index: Tensor | None) -> None:
        """Go on with another Σ, of the rows of this rank that have these indices."""
        self.moment = self._factor = moment
        self.index, self.products = index, 0
        self.made_for: tuple[float, float] = (0.0, 0.0)
        self._blunt: Metric | None = None

    def renew(self, objective: Objective, index: Tensor) -> None:
        """Make Σ anew from these rows (n,) of this rank."""
        part = objective.design.rough.subset(_spread_over(index, RENEWED_ROWS))
        self._take(part.second_moment(ALL_ROWS), index)

    @property
    def blunt(self) -> Metric:
        """A metric of the same Σ with a factor of its own, to be made with more of I: see `least_residual`."""
        if self._blunt is None:
            self._blunt = copy.copy(self)
            self._blunt.made_for = (0.0, 0.0)
        return self._blunt

    def outworn(self, hessian: Hessian) -> bool:
        """Return whether another Σ, of the rows of a Hessian, is worth its cost by now."""
        width, n_rows = len(self.moment), hessian.cost * hessian.objective.n_total
        products = (
            self.products * 4 * hessian.objective.n_classes
        )  # and Σ: D numbers for each number of a row
        if not self.dense or n_rows < LEAST_OF_MOMENT * width or products < RENEWAL * width:
            return False
        if self.index is None:
            return True
        new = torch.tensor([float((~torch.isin(hessian.index, self.index)).sum())], dtype=torch.float64)
        return float(hessian.objective.communicator.all_reduce(new)) >= NEW_ROWS * n_rows

    def fit(self, kappa: float, penalty: PenaltyTerm) -> None:
        """Make the factor for κ and a penalty of one configuration, unless the one there is near enough."""
        kappa = max(kappa, 1e-3)
        if self._serves(float(penalty.curvature[0]) / kappa):
            return
        self.penalty = penalty
        ridge = penalty.ridge(self.moment[0] if self.dense else self.moment)
        if self.dense:
            self._factor = inverse_factor(with_ridge(self.moment * kappa, ridge))
        else:
            self._factor = 1 / (kappa * self.moment + ridge).clamp_min(torch.finfo(ridge.dtype).tiny)
        self.made_for = (kappa, float(penalty.reg[0]))

    def _serves(self, ratio: float) -> bool:
        """Tell whether the factor is near enough to that of curvature/κ: its scale is of no matter."""
        kappa, smaller, larger = self.made_for[0], *DRIFT
        return kappa > 0 and ratio / smaller <= float(self.penalty.curvature[0]) / kappa <= ratio * larger

    def solve(self, G: Tensor) -> Tensor:
        """Return M⁻¹ applied to each row of G (C, D + 1)."""
        if self.dense:
            return self.design.gram_applied(self._factor, G.to(self._factor.dtype)).to(G.dtype)
        return (G * self._factor).to(G.dtype)

    def times_moment(self, direction: Tensor, image: Tensor) -> Tensor:
        """Return Σ applied to each row of a direction (C, D + 1), from its image M Δ: without a product."""
        return (image - self.penalty.times_hessian(direction[None])[0]) / self.made_for[0]


@dataclass
class Hessian:
    """The generalised Hessian of the smoothed objective, over a share of the rows that have curvature.

    Attributes:
        objective: The one configuration.
        metric: Gives Σ.
        part: The share's rows.
        index: (n,) which rows of this rank they are.
        jacobian: T of these rows.
        weights: (n, 1, 1) row weights over μ.
        rest: (C, 1) curvature per class that the share leaves out; Σ stands for its rows. None: it is all.
        cost: Passes one product costs.
        curvature: Mean over classes of the whole curvature: the κ of the metric.
        pairs: The share's margins that move, where products go over them; None: whole rows.
    """

    objective: Objective
    metric: Metric
    part: Objective
    index: Tensor
    jacobian: ProjectionJacobian
    weights: Tensor
    rest: Tensor | None
    cost: float
    curvature: float
    pairs: ActiveMargins | None

    @classmethod
    def at(
        cls,
        objective: Objective,
        metric: Metric,
        b: Tensor,
        mu: float,
        weights: Tensor,
        *,
        damping: float = 0.0,
        complete: bool = False,
    ) -> Hessian:
        """Return the Hessian at b (N, 1, C) = project(c + z/μ) with row weights (N,).

        Args:
            objective: One configuration.
            metric: Gives Σ.
            b: (N, 1, C).
            mu: μ.
            weights: (N,) row weights.
            damping: Curvature appears where a step brings a row between its bounds; this part of the present
                curvature is added for that, in the shape of Σ.
            complete: Leave no row out that fits into memory.
        """
        jacobian = piecewise(objective.loss).projection_jacobian(b)
        total = _class_curvature(objective, jacobian.mask, weights / mu)
        share = _share(jacobian.moving_rows(), objective, complete)
        part = jacobian.select(share)
        seen = _class_curvature(objective, part.mask, weights[share] / mu, share)
        rest = ((total - seen) * (1 - 1 / objective.n_classes)).clamp_min(0.0) + damping * total.mean()
        seen_rows = objective.subset(share)
        return cls(
            objective,
            metric,
            seen_rows,
            share,
            part,
            (weights[share] / mu).to(b.dtype)[:, None, None],
            rest.to(b.dtype)[:, None] if bool((rest > 1e-6 * total.mean()).any()) else None,
            _share_of_all(share, objective),
            float(total.mean()),
            ActiveMargins.of(seen_rows, part.mask),
        )

    @property
    def _loss(self) -> PiecewiseLinearLoss:
        return piecewise(self.objective.loss)

    def times(self, direction: Tensor, image: Tensor) -> Tensor:
        """Return the Hessian applied to a direction (C, D + 1) whose image M Δ by the metric is known."""
        product = self._seen(direction).to(direction.dtype)
        if self.rest is not None:
            product += self.rest * self.metric.times_moment(direction, image)
        return product + self.objective.penalty.times_hessian(direction[None])[0]

    def moves(self, direction: Tensor) -> Tensor:
        """Return T J X̂Δ (n, 1, C) of the share's rows along a direction (C, D + 1)."""
        if self.pairs is not None:
            return self.jacobian.apply(self.pairs.spread(self.pairs.products.products(direction)))
        change = self._loss.margin_change(self.part.scores(direction[None]), self.part.y)
        return self.jacobian.apply(change)

    def _seen(self, direction: Tensor) -> Tensor:
        """Return X̂ᵀJᵀTJX̂Δ/μ (C, D + 1) float64 over the share's rows."""
        loss, pairs = self._loss, self.pairs

        def bend(S: Tensor, block: Block) -> Sequence[Tensor]:
            rows = slice(block.start, block.stop)
            y = self.part.y[rows]
            z = self.jacobian.select(rows).apply(loss.margin_change(S, y)).mul_(self.weights[rows])
            loss.to_scores(z, y)
            return ()

        if pairs is None:
            return self.part.sweep(direction[None], bend)[1][0]
        if self.jacobian.free is None:
            return pairs.products.curve(direction, self.weights[pairs.row, 0, 0])
        z = self.moves(direction).mul_(self.weights)
        return pairs.products.adjoint(pairs.select(z), direction)


def _class_curvature(
    objective: Objective, mask: Tensor, weights: Tensor, index: Tensor | None = None
) -> Tensor:
    """Return (C,) float64 over all ranks: the diagonal of Σ_i w_i JᵀTJ, class by class."""
    y = objective.y if index is None else objective.y[index]
    touched = piecewise(objective.loss).to_scores(mask.clone(), y).abs_()
    sums = weights @ touched[:, 0].to(torch.float64)
    return objective.communicator.all_reduce(sums)


def _share_of_all(share: Tensor, objective: Objective) -> float:
    """Return the part of all ranks' rows that their shares are: ranks count the same passes."""
    count = torch.tensor([len(share)], dtype=torch.float64)
    return float(objective.communicator.all_reduce(count)) / objective.n_total


def _share(moving: Tensor, objective: Objective, complete: bool) -> Tensor:
    """Return an even share of the rows that have curvature, or all of them where they are few."""
    design = objective.design
    most = len(moving) if complete else max(LEAST_SHARE, design.n_samples // SHARE)
    if not design.in_memory:  # the share is a copy
        most = min(most, max(256, SHARE_BYTES // (4 * design.n_features)))
    return _spread_over(moving, most)


def _spread_over(index: Tensor, most: int) -> Tensor:
    """Return at most so many entries of an index (n,), evenly spread over it."""
    if len(index) <= most:
        return index
    return index[torch.arange(most, device=index.device) * len(index) // most]


def newton_direction(hessian: Hessian, gradient: Tensor, forcing: float) -> tuple[Tensor, int]:
    """Return an approximate solution of H x = −∇f by preconditioned conjugate gradients, and its iterations.

    Args:
        hessian: H, positive semidefinite.
        gradient: (C, D + 1) ∇f.
        forcing: Residual, relative to ∇f, at which to stop.

    Numerics:
        The image M p of a direction p follows the same recurrence as p, from residuals; so Σp costs no product.
    """
    solution = torch.zeros_like(gradient)
    residual = -gradient
    whitened = hessian.metric.solve(residual)
    direction, image = whitened.clone(), residual.clone()
    energy = _inner(residual, whitened)
    goal = forcing * float(residual.norm())
    for iteration in range(1, LONGEST_CG + 1):
        product = hessian.times(direction, image)
        curvature = _inner(direction, product)
        if not curvature > FLAT * _inner(direction, image) or not energy > 0:
            return solution if iteration > 1 else whitened, iteration
        solution += direction * (energy / curvature)
        residual -= product * (energy / curvature)
        if float(residual.norm()) <= goal:
            break
        whitened = hessian.metric.solve(residual)
        fresh = _inner(residual, whitened)
        direction = whitened + direction * (fresh / energy)
        image = residual + image * (fresh / energy)
        energy = fresh
    return solution, iteration


def least_residual(hessian: Hessian, gradient: Tensor, forcing: float) -> tuple[Tensor, int]:
    """Return an x whose residual ‖H x + ∇f‖ is the least in a growing space, and the iterations.

    Conjugate gradients make the error small in the norm of H, and leave residuals in directions of large curvature.
    A lower bound sees just those: it is off by ‖V + 2 reg W‖²/(4 reg). So here each direction, preconditioned as
    there, is made orthogonal to the former ones in its image by H (generalised conjugate residuals). A metric with
    more of I in it than M has serves these better.

    Args:
        hessian: H.
        gradient: (C, D + 1) ∇f.
        forcing: Residual, relative to ∇f, at which to stop.

    References:
        Eisenstat, Elman and Schultz, "Variational iterative methods for nonsymmetric systems of linear equations",
        SIAM J. Numer. Anal. 20, 1983.
    """
    solution, residual = torch.zeros_like(gradient), -gradient
    directions: list[Tensor] = []
    images: list[Tensor] = []
    goal = forcing * float(residual.norm())
    room = max(1, REMEMBERED_BYTES // (2 * gradient.numel() * gradient.element_size()))
    spent = 0
    while spent < LONGEST_CG:
        spent += 1
        direction = hessian.metric.solve(residual)
        image = hessian.times(direction, residual)
        for former, seen in zip(directions, images, strict=True):
            share = _inner(image, seen)
            direction, image = direction - share * former, image - share * seen
        size = float(image.norm())
        if not size > 0:
            break
        directions, images = [*directions, direction / size][-room:], [*images, image / size][-room:]
        length = _inner(residual, images[-1])
        solution += length * directions[-1]
        residual = residual - length * images[-1]
        if float(residual.norm()) <= goal:
            break
    return solution, spent


def _inner(a: Tensor, b: Tensor) -> float:
    return float((a * b).sum(dtype=torch.float64))
