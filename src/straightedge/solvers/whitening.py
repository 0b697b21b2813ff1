"""The whitening metric: M = κ X̂ᵀX̂/N + 2 reg I, factored once and shared by neighbouring values of reg.

The second-moment matrix of raw pixels has a condition number above 1e4, and a gradient method pays for every
digit of it. In the metric M the softmax objective is nearly round: L-BFGS needs some twenty passes where the
plain one needs hundreds.

References:
    Böhning, "Multinomial logistic regression algorithm", Ann. Inst. Stat. Math. 44, 1992 (the bound that M
    comes from). Nocedal and Wright, "Numerical Optimization", 2006, section 7.2 (initial matrix of L-BFGS).
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.linalg import get_lapack_funcs
from torch import Tensor

from straightedge.objective import Objective

SAMPLE_ROWS = 8_000  # rows of the Gram matrix; more give fewer passes and cost more than those
DIAGONAL_SAMPLE = 8_000  # rows of the mean squares that stand for it where D is large
LARGEST_DENSE = 16_384  # features up to which a D × D factor is worth its memory
SHARED_DECADE = 10.0  # values of reg within this ratio share a factor
SMALLEST_HALF = 256  # triangular matrices up to this size are inverted by one solve


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
        sample_rows: int = SAMPLE_ROWS,
        centres: Tensor | None = None,
    ) -> None:
        self.centres = _decades(objective.reg) if centres is None else centres
        self.design = objective.design
        self.dense = self.design.width <= LARGEST_DENSE
        self._factors: dict[float, Tensor] = {}
        rough = self.design.rough
        moment = rough.second_moment(sample_rows) if self.dense else rough.mean_squares(DIAGONAL_SAMPLE)[None]
        for reg in sorted(set(self.centres.tolist())):
            ridge = objective.penalty.at(torch.tensor([reg], dtype=torch.float64)).ridge(moment[0])
            if self.dense:
                self._factors[reg] = inverse_factor(with_ridge(moment * kappa, ridge))
            else:
                self._factors[reg] = 1 / (kappa * moment[0] + ridge).clamp_min(torch.finfo(moment.dtype).tiny)

    def solve(self, G: Tensor) -> Tensor:
        """Return M⁻¹ applied to each row of G (K, C, D + 1)."""
        out = torch.empty_like(G)
        for reg, factor in self._factors.items():
            members = (self.centres == reg).to(G.device)
            part = G[members].to(factor.dtype)
            whitened = self.design.gram_applied(factor, part.flatten(0, 1)) if self.dense else part * factor
            out[members] = whitened.view_as(part).to(G.dtype)
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


def with_ridge(M: Tensor, ridge: Tensor) -> Tensor:
    """Add the ridge, and what the rounding of the factorisation needs, to M's diagonal in place."""
    M.diagonal().add_(ridge + 30 * torch.finfo(M.dtype).eps * float(M.diagonal().mean()))
    return M


def inverse_factor(M: Tensor) -> Tensor:
    """Return R with RᵀR = M⁻¹: the inverse of the Cholesky factor, lower triangular.

    Applying R twice is two plain products; a triangular solve with ten right-hand sides is slower.
    """
    invert = _lapack_inverse if M.device.type == "cpu" else _torch_inverse
    for attempt in range(6):
        factor = invert(M)
        if factor is not None:
            return factor
        M.diagonal().add_(float(M.diagonal().mean()) * 10.0 ** (attempt - 6))
    raise FloatingPointError("the second-moment matrix has no Cholesky factor")


def _lapack_inverse(M: Tensor) -> Tensor | None:
    """Return L⁻¹ of M = L Lᵀ, None where M has no L; SciPy's LAPACK takes half of the time of torch's."""
    decompose, invert = get_lapack_funcs(("potrf", "trtri"), dtype=np.dtype(str(M.dtype)[6:]))
    upper, info = decompose(M.numpy().T, lower=0, clean=1)  # LAPACK has columns first: all is transposed
    if info != 0:
        return None
    inverse, _ = invert(upper, lower=0, overwrite_c=1)
    return torch.from_numpy(inverse.T)


def _torch_inverse(M: Tensor) -> Tensor | None:
    """Return L⁻¹ of M = L Lᵀ, None where M has no L."""
    factor, info = torch.linalg.cholesky_ex(M)
    return _triangular_inverse(factor) if int(info) == 0 else None


def _triangular_inverse(L: Tensor) -> Tensor:
    """Return L⁻¹ of a lower triangular L, by halves: nearly all of the work is plain products.

    [[A, 0], [B, C]]⁻¹ = [[A⁻¹, 0], [−C⁻¹ B A⁻¹, C⁻¹]]
    """
    n = len(L)
    if n <= SMALLEST_HALF:
        identity = torch.eye(n, dtype=L.dtype, device=L.device)
        small: Tensor = torch.linalg.solve_triangular(L, identity, upper=False)
        return small.tril().contiguous()
    half = n // 2
    out = torch.zeros_like(L, memory_format=torch.contiguous_format)
    out[:half, :half] = _triangular_inverse(L[:half, :half])
    out[half:, half:] = _triangular_inverse(L[half:, half:])
    out[half:, :half] = -(out[half:, half:] @ (L[half:, :half] @ out[:half, :half]))
    return out
