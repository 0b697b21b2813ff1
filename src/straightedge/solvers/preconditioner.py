"""The preconditioner of every solver that goes over blocks of rows: M⁻¹ for M = κΣ + R, R the penalty's Hessian.

Σ is the second moment of some rows, or its diagonal where features are many. `whitening` has one for each decade of
reg; `hinge.blocks.preconditioner` makes its own anew as the rows that have curvature change.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import get_lapack_funcs
from torch import Tensor

from straightedge.design import Design, mirrored, panels
from straightedge.newton.work import LARGEST_METRIC
from straightedge.penalties import PenaltyTerm
from straightedge.workers import one_thread

DIAGONAL_SAMPLE = 8_000  # rows of the mean squares that stand for it where D is large
ALONE = 1024  # rows of a factor up to which one thread takes no longer than a team of two
SMALLEST_HALF = 256  # triangular matrices up to this size are inverted by one solve


@dataclass(frozen=True)
class Preconditioner:
    """M⁻¹, by a factor of M or by its diagonal.

    Attributes:
        design: Gives the product with a factor.
        factor: (D + 1, D + 1) R with RᵀR = M⁻¹, or (D + 1,) the diagonal of M⁻¹.
    """

    design: Design
    factor: Tensor

    @classmethod
    def of(cls, design: Design, moment: Tensor, kappa: float, penalty: PenaltyTerm) -> Preconditioner:
        """Return the preconditioner of κΣ + R.

        Args:
            design: See the class.
            moment: Σ (D + 1, D + 1), or its diagonal (D + 1,).
            kappa: κ > 0.
            penalty: Of one configuration.
        """
        ridge = penalty.ridge(moment[0] if moment.ndim == 2 else moment)
        if moment.ndim == 2:
            return cls(design, inverse_factor(with_ridge(moment * kappa, ridge)))
        return cls(design, 1 / (kappa * moment + ridge).clamp_min(torch.finfo(moment.dtype).tiny))

    def solve(self, G: Tensor) -> Tensor:
        """Return M⁻¹ applied to each row of G (m, D + 1), in the type of G."""
        own = G.to(self.factor.dtype)
        whitened = self.design.gram_applied(self.factor, own) if self.factor.ndim == 2 else own * self.factor
        return whitened.to(G.dtype)


def second_moment(design: Design, rows: int, within: Tensor | None = None) -> Tensor:
    """Return Σ of a sample of so many rows, or its diagonal where a matrix of all features is too large.

    Args:
        design: See `Preconditioner`.
        rows: Of the sample.
        within: (N,) bool, the rows that it is taken from; None for all.
    """
    rough = design.rough
    if design.width <= LARGEST_METRIC:
        return rough.second_moment(rows, within)
    return rough.mean_squares(DIAGONAL_SAMPLE, within)


def with_ridge(M: Tensor, ridge: Tensor) -> Tensor:
    """Add the ridge, and what the rounding of the factorisation needs, to M's diagonal in place."""
    M.diagonal().add_(ridge + 30 * torch.finfo(M.dtype).eps * float(M.diagonal().mean()))
    return M


def inverse_factor(M: Tensor) -> Tensor:
    """Return R with RᵀR = M⁻¹, in the place of M: the inverse of the Cholesky factor, lower triangular.

    Applying R twice is two plain products; a triangular solve with ten right-hand sides is slower.
    """
    invert = _lapack_inverse if M.device.type == "cpu" else _torch_inverse
    for attempt in range(6):
        with one_thread() if len(M) <= ALONE else nullcontext():
            factor = invert(M)
        if factor is not None:
            return factor
        M.diagonal().add_(float(M.diagonal().mean()) * 10.0 ** (attempt - 6))
    raise FloatingPointError("the second-moment matrix has no Cholesky factor")


def _lapack_inverse(M: Tensor) -> Tensor | None:
    """Return L⁻¹ of M = L Lᵀ in the place of M, None where M has no L; LAPACK takes half of the time of torch's."""
    decompose, invert = get_lapack_funcs(("potrf", "trtri"), dtype=np.dtype(str(M.dtype)[6:]))
    diagonal, turned = M.diagonal().clone(), M.numpy().T  # LAPACK has columns first: all is transposed
    _, info = decompose(turned, lower=0, clean=0, overwrite_a=1)
    if info != 0:  # the half above the diagonal is as it was
        M.diagonal().copy_(diagonal)
        mirrored(M.T)
        return None
    invert(turned, lower=0, overwrite_c=1)
    for left, right in panels(len(M)):
        M[left:right, left:right].tril_()
        M[left:right, right:] = 0
    return M


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
