"""The whitening metric: M = κ X̂ᵀX̂/N + 2 reg I, factored once and shared by neighbouring values of reg.

The second-moment matrix of raw pixels has a condition number above 1e4, and a gradient method pays for every
digit of it. In the metric M the softmax objective is nearly round: L-BFGS needs some twenty passes where the
plain one needs hundreds.

References:
    Böhning, "Multinomial logistic regression algorithm", Ann. Inst. Stat. Math. 44, 1992 (the bound that M
    comes from). Nocedal and Wright, "Numerical Optimization", 2006, section 7.2 (initial matrix of L-BFGS).
"""

from __future__ import annotations

import torch
from torch import Tensor

from straightedge.newton.work import METRIC_ROWS
from straightedge.objective import Objective
from straightedge.solvers.preconditioner import Preconditioner, second_moment

SHARED_DECADE = (
    10.1  # values of reg within this ratio share a factor; those of a grid are rounded to three digits
)


class Whitening:
    """M⁻¹ for each configuration.

    Args:
        objective: Gives Σ (from a sample), reg and the kind of bias.
        kappa: κ, the loss's curvature along a score.
        sample_rows: Rows of the sample.
        centres: (K,) the reg whose factor each configuration uses; by default the values of reg are grouped
            by decades and each uses its group's geometric mean. Given when a run is resumed.

    Attributes:
        centres: As above.
    """

    def __init__(
        self,
        objective: Objective,
        kappa: float,
        sample_rows: int = METRIC_ROWS,
        centres: Tensor | None = None,
    ) -> None:
        self.centres = _decades(objective.reg) if centres is None else centres
        moment = second_moment(objective.design, sample_rows)
        self._factors = {
            reg: Preconditioner.of(
                objective.design,
                moment,
                kappa,
                objective.penalty.at(torch.tensor([reg], dtype=torch.float64)),
            )
            for reg in sorted(set(self.centres.tolist()))
        }

    def solve(self, G: Tensor) -> Tensor:
        """Return M⁻¹ applied to each row of G (K, C, D + 1)."""
        out = torch.empty_like(G)
        for reg, factor in self._factors.items():
            members = (self.centres == reg).to(G.device)
            out[members] = factor.solve(G[members].flatten(0, 1)).view(-1, *G.shape[1:])
        return out

    def keep(self, positions: Tensor) -> None:
        """Go on with these configurations alone."""
        self.centres = self.centres[positions]
        used = set(self.centres.tolist())
        self._factors = {reg: factor for reg, factor in self._factors.items() if reg in used}


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
