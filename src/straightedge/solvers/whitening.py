"""The whitening metric: M = κ X̂ᵀX̂/N + 2 reg I, factored once and shared by neighbouring values of reg.

Configurations of different rows, such as folds, share no factor: each is made of its own rows and of no others. A
fold's training rows are what the other folds hold out. So the moment of what each fold holds out is taken once, and
that of its training rows is a mean of the others': F folds take about as much work as one fit of all rows.

The second-moment matrix of raw pixels has a condition number above 1e4, and a gradient method pays for every
digit of it. In the metric M the softmax objective is nearly round: L-BFGS needs some twenty passes where the
plain one needs hundreds.

References:
    Böhning, "Multinomial logistic regression algorithm", Ann. Inst. Stat. Math. 44, 1992 (the bound that M
    comes from). Nocedal and Wright, "Numerical Optimization", 2006, section 7.2 (initial matrix of L-BFGS).
"""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor

from straightedge.design import Design, Stratum
from straightedge.newton.work import LARGEST_METRIC, METRIC_ROWS
from straightedge.objective import Objective
from straightedge.solvers.preconditioner import Preconditioner, second_moment

SHARED_DECADE = 10.1  # values of reg within this ratio share a factor; those of a grid are rounded to three digits
ROUND = 2.0  # κ times the largest eigenvalue of Σ, in 2 reg, up to which the diagonal took no more passes than Σ
POWER_ROWS = 2048  # of the sample whose largest eigenvalue is looked for,
POWER_STEPS = 8  # by so many products


class Whitening:
    """M⁻¹ for each configuration.

    Args:
        objective: Gives Σ (from a sample), reg and the kind of bias.
        kappa: κ, the loss's curvature along a score.
        sample_rows: Rows of the sample.

    Attributes:
        centres: (K,) the reg whose factor each configuration uses: values of reg are grouped by decades, and each
            uses its group's geometric mean.
        cohorts: (K,) configurations of the same number have the same rows; see `cohorts_of`.
        whole: What it was made for: (2, K) reg and numbers of row weights, and the centres and cohorts of all.
    """

    def __init__(self, objective: Objective, kappa: float, sample_rows: int = METRIC_ROWS) -> None:
        self.centres = _decades(objective.reg)
        self.cohorts = cohorts_of(objective)
        self.whole = _values_of(objective), self.centres, self.cohorts
        self._factors: dict[tuple[int, float], Preconditioner] = {}
        if _is_round(objective, kappa, float(self.centres.min()), sample_rows):
            self._add_factors(objective, 0, objective.design.rough.mean_squares(sample_rows), kappa)
            return
        for cohort, moment in enumerate(cohort_moments(objective, sample_rows)):
            self._add_factors(objective, cohort, moment, kappa)

    @property
    def _keys(self) -> list[tuple[int, float]]:
        """K keys of factors, of each configuration."""
        return list(zip(self.cohorts.tolist(), self.centres.tolist(), strict=True))

    def _add_factors(self, objective: Objective, cohort: int, moment: Tensor, kappa: float) -> None:
        """Factor the metric of configurations of the same rows, at each of their centres."""
        for reg in self.centres[self.cohorts == cohort].unique().tolist():
            penalty = objective.penalty.at(torch.tensor([reg], dtype=torch.float64))
            self._factors[cohort, reg] = Preconditioner.of(objective.design, moment, kappa, penalty)

    def of(self, objective: Objective) -> Whitening | None:
        """Return that of these configurations, of whatever float type; None where it was made for others."""
        values, centres, cohorts = self.whole
        equal = (values[:, None, :] == _values_of(objective)[:, :, None]).all(dim=0)
        if not bool(equal.any(dim=1).all()):
            return None
        part, positions = copy(self), equal.to(torch.int64).argmax(dim=1)
        part.centres, part.cohorts = centres[positions], cohorts[positions]
        return part

    def solve(self, G: Tensor, configs: Tensor | None = None) -> Tensor:
        """Return M⁻¹ (K', C, D + 1) applied to each row of G (K, C, D + 1), of some configurations or of all."""
        keys = self._keys
        chosen = list(range(len(keys))) if configs is None else configs.tolist()
        out = G.new_empty(len(chosen), *G.shape[1:])
        for key, factor in self._factors.items():
            places = [i for i, k in enumerate(chosen) if keys[k] == key]
            if places:
                own = G[_consecutive([chosen[i] for i in places])]
                out[_consecutive(places)] = factor.solve(own.flatten(0, 1)).view_as(own)
        return out

    def keep(self, positions: Tensor) -> None:
        """Go on with these configurations alone."""
        self.centres, self.cohorts = self.centres[positions], self.cohorts[positions]


def _is_round(objective: Objective, kappa: float, reg: float, sample_rows: int) -> bool:
    """Return whether Σ, dear beside a pass, bends the metric so little that its diagonal will do.

    The largest eigenvalue of a sample's Σ is above that of all rows; a mean eigenvalue is below.
    """
    design, penalty = objective.design.rough, objective.penalty.at(torch.tensor([reg], dtype=torch.float64))
    dear = min(sample_rows, objective.n_total) * design.width > objective.n_total * objective.n_classes
    alone = objective.n_configs == 1 and objective.weights is None and objective.communicator.size == 1
    if not (dear and alone and penalty.plain) or design.sparse or design.width > LARGEST_METRIC:
        return False
    most = ROUND * float(penalty.curvature[0]) / kappa
    if design.mean_square_norm() > most * design.width:
        return False
    n = min(design.n_samples, POWER_ROWS)
    rows = torch.empty(n, design.width, dtype=design.dtype, device=design.device)
    design.gather(torch.arange(n, device=design.device) * design.n_samples // n, rows)
    vector, largest = torch.ones(design.width, dtype=rows.dtype, device=rows.device), 0.0
    for _ in range(POWER_STEPS):
        vector = rows.t() @ (rows @ (vector / torch.linalg.vector_norm(vector))) / n
        largest = float(torch.linalg.vector_norm(vector))
    return largest <= most


def _values_of(objective: Objective) -> Tensor:
    return torch.stack([objective.reg, objective.fold.to(objective.reg)])


def _consecutive(places: list[int]) -> slice | list[int]:
    """Return rising places as a slice where they have no gaps: what it picks is not copied."""
    whole = places[-1] - places[0] + 1 == len(places)
    return slice(places[0], places[-1] + 1) if whole else places


def _decades(strength: Tensor) -> Tensor:
    """Return for each strength (K,) the geometric mean of its group: neighbours within `SHARED_DECADE`."""
    centres = torch.empty_like(strength)
    group: list[int] = []
    for k in [*strength.argsort().tolist(), -1]:
        if k < 0 or (group and float(strength[k] / strength[group[0]]) > SHARED_DECADE * (1 + 1e-9)):
            centres[group] = strength[group].clamp_min(1e-300).log().mean().exp()
            group = []
        group.append(k)
    return centres


def cohorts_of(objective: Objective) -> Tensor:
    """Return (K,) int64: configurations of the same number see the same X̂, and weigh its rows alike."""
    maps = objective.design.map_numbers(objective.n_configs)
    numbers: Tensor = torch.unique(torch.stack([maps, objective.fold]), dim=1, return_inverse=True)[1]
    return numbers


def cohort_moments(objective: Objective, sample_rows: int) -> list[Tensor]:
    """Return Σ of the rows that count in each cohort, or its diagonal; see `second_moment`.

    It is the same to the bit for an objective and for any of its configurations.
    """
    cohorts = cohorts_of(objective).tolist()
    firsts = [cohorts.index(cohort) for cohort in range(max(cohorts) + 1)]
    strata = objective.row_weights.strata()
    if strata and objective.design.maps_alike and objective.design.width <= LARGEST_METRIC:
        sets = _of_strata(objective.design.unselected, strata, sample_rows)
        return [objective.design.remapped(sets[int(objective.fold[k])], k) for k in firsts]
    alone = [objective.select(torch.tensor([k])) for k in firsts]
    return [second_moment(one.design, sample_rows, one.row_weights.counting()) for one in alone]


def _of_strata(design: Design, strata: list[Stratum], sample_rows: int) -> list[Tensor]:
    """Return the moment of each set of weights: the mean of those of the strata that count in it."""
    members = torch.stack([stratum.members for stratum in strata]).to(torch.float64)
    shares = members * torch.tensor([[float(stratum.rows.sum())] for stratum in strata], dtype=torch.float64)
    shares /= shares.sum(dim=0)
    parts = [
        second_moment(design, max(1, round(sample_rows * float(share.max()))), stratum.rows)
        for share, stratum in zip(shares, strata, strict=True)
    ]
    return [
        torch.stack([part * float(own) for part, own in zip(parts, share, strict=True)]).sum(dim=0)
        for share in shares.t()
    ]
