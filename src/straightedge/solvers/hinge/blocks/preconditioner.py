"""The preconditioner of Newton steps on blocks: κΣ + R, Σ the second moment of the rows that have curvature."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from straightedge.newton.work import LARGEST_METRIC
from straightedge.objective import Objective
from straightedge.penalties import PenaltyTerm
from straightedge.solvers.hinge.dual_ascent import row_coupling
from straightedge.solvers.preconditioner import Preconditioner, second_moment

SAMPLE_ROWS = 10_000  # rows of the second moment
ALL_ROWS = 1 << 62
FEW_SAMPLE_ROWS = 4_000  # where reg outweighs all but the largest eigenvalues
MILD = 0.5  # ρ up to which it does
DRIFT = 6.0, 12.0  # times that a factor's reg/κ may be too small, or too large, before it is made anew
RENEWAL = 1.5  # of a second moment's cost that products with the Hessian may take before it is made anew
RENEWED_ROWS = 12_000  # of them, evenly spread, that it is then made of
ADDED_ROWS = 5_000  # of those that it has not seen, where it was of such rows before: 4,000 took more products
LEAST_OF_MOMENT = 2  # rows that a second moment is made of, for each feature
NEW_ROWS = 0.5  # of the rows: more that Σ has not seen, and it is made anew once more; 0.8 never was, on paths


class Metric:
    """M⁻¹ for M = κΣ + R with R the penalty's Hessian: Σ once, a factor whenever κ or reg have drifted.

    Σ is of the rows that have curvature, where they are known, as on a path from the answer before; else of a
    sample of all rows, which is not the same: with it a hard problem takes half as many iterations again. So where
    the products with the Hessian have come to cost as much as another Σ would, it is made anew. Further along a
    path half of it stays then, and the other half is of the rows that it has not seen.

    Args:
        objective: Gives the rows.
        index: Rows (n,) of this rank that Σ is of; None for a sample of all.
        sample: So many rows; by default as many as reg calls for.

    Attributes:
        sample: As above; 0 where Σ was of given rows from the beginning.
        made_of: Rows (n,) of this rank for which Σ was made, and made anew; none: it is of a sample of all.
        products: Products with the Hessian since Σ was made.
    """

    def __init__(self, objective: Objective, index: Tensor | None = None, sample: int | None = None) -> None:
        self.dense = objective.design.width <= LARGEST_METRIC
        self.penalty = objective.penalty
        self.design = objective.design
        self.sample, self.made_of = sample or 0, list[Tensor]()
        if index is not None and self.dense:
            self.refit(objective, index)
            return
        if sample is None:
            self.sample = FEW_SAMPLE_ROWS if row_coupling(objective) <= MILD else SAMPLE_ROWS
        self._take(second_moment(self.design, self.sample))

    @property
    def index(self) -> Tensor | None:
        """Rows (n,) of this rank that Σ was made for the last time; None: it is of a sample of all."""
        return self.made_of[-1] if self.made_of else None

    def _take(self, moment: Tensor) -> None:
        """Go on with another Σ."""
        self.moment = moment
        self._inverse: Preconditioner | None = None
        self.products = 0
        self.made_for: tuple[float, float] = (0.0, 0.0)
        self._blunt: Metric | None = None

    def refit(self, objective: Objective, index: Tensor) -> None:
        """Make Σ anew for these rows (n,) of this rank: half of it from those that it has not seen, if any."""
        rough, (new, count) = objective.design.rough, self._unseen(objective, index)
        if self.made_of and count >= objective.design.width:
            moment = self.moment.lerp(rough.subset(spread_over(new, ADDED_ROWS)).second_moment(ALL_ROWS), 0.5)
            self.made_of.append(index)
        else:
            moment = rough.subset(spread_over(index, RENEWED_ROWS)).second_moment(ALL_ROWS)
            self.made_of = [index]
        self._take(moment)

    def _unseen(self, objective: Objective, index: Tensor) -> tuple[Tensor, float]:
        """Return which of these rows of this rank Σ has not seen, and how many these are on all ranks."""
        new = index if self.index is None else index[~torch.isin(index, self.index)]
        count = torch.tensor([len(new)], dtype=torch.float64)
        return new, float(objective.communicator.all_reduce(count))

    @property
    def blunt(self) -> Metric:
        """A metric of the same Σ with a factor of its own, to be made with more of I: see `gcr`."""
        if self._blunt is None:
            self._blunt = copy.copy(self)
            self._blunt.made_for = (0.0, 0.0)
        return self._blunt

    def is_stale(self, objective: Objective, cost: float, index: Tensor) -> bool:
        """Return whether another Σ, of a Hessian's rows (n,) of this rank, is worth its cost by now.

        Args:
            objective: The configuration.
            cost: Passes of one product with the Hessian.
            index: Its rows.
        """
        width, n_rows = len(self.moment), cost * objective.n_total
        products = self.products * 4 * objective.n_classes  # and Σ: D numbers for each number of a row
        if not self.dense or n_rows < LEAST_OF_MOMENT * width or products < RENEWAL * width:
            return False
        return self.index is None or self._unseen(objective, index)[1] >= NEW_ROWS * n_rows

    def fit(self, kappa: float, penalty: PenaltyTerm) -> None:
        """Make the factor for κ and a penalty of one configuration, unless the one there is near enough."""
        kappa = max(kappa, 1e-3)
        if self._is_close_enough(float(penalty.curvature[0]) / kappa):
            return
        self.penalty = penalty
        self._inverse = Preconditioner.of(self.design, self.moment, kappa, penalty)
        self.made_for = (kappa, float(penalty.reg[0]))

    def _is_close_enough(self, ratio: float) -> bool:
        """Tell whether the factor is near enough to that of curvature/κ: its scale is of no matter."""
        kappa, smaller, larger = self.made_for[0], *DRIFT
        return kappa > 0 and ratio / smaller <= float(self.penalty.curvature[0]) / kappa <= ratio * larger

    def solve(self, G: Tensor) -> Tensor:
        """Return M⁻¹ applied to each row of G (C, D + 1)."""
        assert self._inverse is not None, "no factor was made"
        return self._inverse.solve(G)

    def times_moment(self, direction: Tensor, image: Tensor) -> Tensor:
        """Return Σ applied to each row of a direction (C, D + 1), from its image M Δ: without a product."""
        return (image - self.penalty.times_hessian(direction[None])[0]) / self.made_for[0]


def spread_over(index: Tensor, most: int) -> Tensor:
    """Return at most so many entries of an index (n,), evenly spread over it."""
    if len(index) <= most:
        return index
    return index[torch.arange(most, device=index.device) * len(index) // most]
