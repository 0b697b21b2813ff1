"""Second moments of configurations that do not see the same rows, such as folds: from sums over what they share.

A fold's training rows are what the other folds hold out. So the moment of what each fold holds out is taken once,
and that of its training rows is a mean of the others': F folds take about as much work as one fit of all rows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from straightedge.design import Design, Stratum
from straightedge.newton.work import LARGEST_METRIC
from straightedge.objective import Objective
from straightedge.solvers.preconditioner import second_moment


def cohorts_of(objective: Objective) -> Tensor:
    """Return (K,) int64: configurations of the same number see the same X̂, and weigh its rows alike."""
    maps = objective.design.map_numbers(objective.n_configs)
    numbers: Tensor = torch.unique(torch.stack([maps, objective.fold]), dim=1, return_inverse=True)[1]
    return numbers


def cohort_moments(objective: Objective, sample_rows: int) -> list[Tensor]:
    """Return Σ of the rows that count in each cohort, or its diagonal; see `second_moment`.

    It is the same to the bit for an objective and for any of its configurations.

    Args:
        objective: K configurations, in cohorts as `cohorts_of` numbers them.
        sample_rows: Rows of the sample of each.
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
