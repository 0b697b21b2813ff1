"""The whitening metric: M = κ X̂ᵀX̂/N + 2 reg I, factored once and shared by neighbouring values of reg.

The second-moment matrix of raw pixels has a condition number above 1e4, and a gradient method pays for every
digit of it. In the metric M the softmax objective is nearly round: L-BFGS needs some twenty passes where the
plain one needs hundreds.

References:
    Böhning, "Multinomial logistic regression algorithm", Ann. Inst. Stat. Math. 44, 1992 (the bound that M
    comes from). Nocedal and Wright, "Numerical Optimization", 2006, section 7.2 (initial matrix of L-BFGS).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from scipy.linalg import get_lapack_funcs
from torch import Tensor

from straightedge.distributed import guarded_sum
from straightedge.kernels import gram_applied
from straightedge.objective import Objective
from straightedge.rows import block_spans

SAMPLE_ROWS = 8_000  # rows of the Gram matrix; more give fewer passes and cost more than those
LARGEST_DENSE = 16_384  # features up to which a D × D factor is worth its memory
SHARED_DECADE = 10.0  # values of reg within this ratio share a factor
FLOAT32_ABOVE = 2_000_000  # entries of X
RUN = 64  # rows read together
GRAM_ROWS = 1024  # rows of one product of the Gram matrix
SMALLEST_HALF = 256  # triangular matrices up to this size are inverted by one solve
PANELS = 6  # column panels of its lower triangle: 1/2 + 1/12 of the work of the square


def in_rough_dtype(objective: Objective) -> Objective:
    """Return the objective in float32 where data are large: a metric decides the pace, not the answer."""
    if objective.n_total * (objective.rows.n_features + 1) > FLOAT32_ABOVE:
        return objective.in_dtype(torch.float32)
    return objective


def second_moment(objective: Objective, sample_rows: int = SAMPLE_ROWS) -> Tensor:
    """Return X̂ᵀX̂/n (D + 1, D + 1) of a sample of n rows, in the objective's float type.

    The sample is short runs of rows, evenly spaced, so that files are read in order; every rank gives its share.
    """
    width = objective.rows.n_features + 1
    spans = _spread(objective.rows.n_samples, max(1, sample_rows // objective.communicator.size))
    count = float(sum(stop - start for start, stop in spans))
    like = torch.empty(width * width + 1, dtype=objective.dtype, device=objective.device)

    def own_sums() -> Tensor:
        total = torch.zeros(width, width, dtype=objective.dtype, device=objective.device)
        for part in objective.pool.run(spans, lambda share: _gram(objective, share)):
            total += part
        return torch.cat([total.flatten(), total.new_tensor([count])])

    summed = guarded_sum(objective.communicator, own_sums, like)
    lower = torch.tril(summed[:-1].view(width, width) / summed[-1])
    return lower + torch.tril(lower, -1).T


def _spread(n_rows: int, sample: int) -> list[tuple[int, int]]:
    """Return runs of at most 64 rows, evenly spaced over the data, with ``sample`` rows in all."""
    if sample >= n_rows:
        return block_spans(n_rows, RUN)
    n_runs = max(1, sample // RUN)
    starts = [n_rows * i // n_runs for i in range(n_runs)]
    return [(start, min(start + RUN, n_rows)) for start in starts]


def _mapped_blocks(objective: Objective, spans: Iterable[tuple[int, int]]) -> Iterator[Tensor]:
    """Yield the mapped rows x̂ of the spans, gathered in blocks of up to `GRAM_ROWS` (n, D + 1)."""
    rows = objective.rows
    like: dict[str, Any] = {"dtype": objective.dtype, "device": objective.device}
    shift, scale = objective.affine.shift.to(**like), objective.affine.scale.to(**like)
    block = torch.ones(GRAM_ROWS, rows.n_features + 1, **like)
    scratch = torch.empty(RUN, rows.n_features, **like)
    filled = 0
    for start, stop in spans:
        if filled + stop - start > GRAM_ROWS:
            yield block[:filled]
            filled = 0
        target = block[filled : filled + stop - start, :-1]
        torch.sub(rows.block(start, stop, scratch), shift, out=target)
        target *= scale
        filled += stop - start
    if filled:
        yield block[:filled]


def _gram(objective: Objective, spans: Iterable[tuple[int, int]]) -> Tensor:
    """Return X̂ᵀX̂ over the spans, its lower triangle (and a little more: panels are rectangular)."""
    width = objective.rows.n_features + 1
    total = torch.zeros(width, width, dtype=objective.dtype, device=objective.device)
    panel = max(256, -(-width // PANELS))
    for block in _mapped_blocks(objective, spans):
        for left in range(0, width, panel):
            total[left:, left : left + panel].addmm_(block[:, left:].t(), block[:, left : left + panel])
    return total


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
        self.pool = objective.pool
        self.dense = objective.rows.n_features + 1 <= LARGEST_DENSE
        self._factors: dict[float, Tensor] = {}
        rough = in_rough_dtype(objective)
        moment = second_moment(rough, sample_rows) if self.dense else _diagonal_moment(rough)[None]
        for reg in sorted(set(self.centres.tolist())):
            ridge = objective.penalty.at(torch.tensor([reg], dtype=torch.float64)).ridge(moment[0])
            if self.dense:
                self._factors[reg] = _inverse_factor(_with_ridge(moment * kappa, ridge))
            else:
                self._factors[reg] = 1 / (kappa * moment[0] + ridge).clamp_min(torch.finfo(moment.dtype).tiny)

    def solve(self, G: Tensor) -> Tensor:
        """Return M⁻¹ applied to each row of G (K, C, D + 1)."""
        out = torch.empty_like(G)
        for reg, factor in self._factors.items():
            members = (self.centres == reg).to(G.device)
            part = G[members].to(factor.dtype)
            whitened = gram_applied(factor, part.flatten(0, 1), self.pool) if self.dense else part * factor
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


def _with_ridge(M: Tensor, ridge: Tensor) -> Tensor:
    """Add the ridge, and what the rounding of the factorisation needs, to M's diagonal in place."""
    M.diagonal().add_(ridge + 30 * torch.finfo(M.dtype).eps * float(M.diagonal().mean()))
    return M


def _inverse_factor(M: Tensor) -> Tensor:
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


def _diagonal_moment(objective: Objective) -> Tensor:
    """Return the mean square of each mapped feature (D + 1,), from a sample."""
    spans = _spread(objective.rows.n_samples, SAMPLE_ROWS)
    like = torch.empty(objective.rows.n_features + 1, dtype=objective.dtype, device=objective.device)

    def own_sums() -> Tensor:
        total = torch.zeros_like(like)
        for block in _mapped_blocks(objective, spans):
            total += block.square().sum(dim=0)
        return total

    total = guarded_sum(objective.communicator, own_sums, like)
    return total / total[-1]  # the last feature is the constant 1: its sum is the number of rows
