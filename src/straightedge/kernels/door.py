"""Which products a pass uses.

On CUDA fused kernels where Triton runs; on a CPU compiled loops where a pass is long and narrow; plain torch
everywhere else. The environment variable ``STRAIGHTEDGE_KERNELS`` decides otherwise: ``portable`` is plain torch
alone, ``compiled`` asks for the loops however small the pass, ``fused`` for Triton on every device (on a CPU its
kernels run in the interpreter: that is how they are tested).
"""

from __future__ import annotations

import os
from functools import lru_cache
from importlib.util import find_spec
from types import ModuleType

import torch
from torch import Tensor

from straightedge.errors import InputError, warn
from straightedge.kernels.base import PortableProducts, Products
from straightedge.kernels.splitting import KINDS
from straightedge.losses import Loss
from straightedge.preprocess import AffineMap
from straightedge.rows import Rows
from straightedge.workers import BlockPool

SWITCH = "STRAIGHTEDGE_KERNELS"
CHOICES = ("auto", "portable", "compiled", "fused")
COMPILED_KINDS = {"uint8", "float32", "float64"}
LONG = 10**9  # multiplications of half a pass from which loops repay the second that Numba takes to load
WIDE = 48  # columns beyond which a BLAS is faster
LONG_FACTOR = 1024  # rows of a triangular factor from which compiled loops are faster than a BLAS
LONG_GRAM = 10**7  # multiplications of one application from which a hundred of them repay Numba's second of loading
PANEL_ROWS = 384  # of a factor applied together: they stay in cache between the two products
WIDEST_SPREAD = 2.0**16  # of features' scales: beyond, a column's smallest weights leave float16's range
DEVICE_BLOCK_ROWS = 16384
LARGEST_SCORES = 2**28  # entries of a block of scores, 1 GiB
LARGEST_COPY = 2**29  # bytes of a block of rows that are gathered, or copied from the host
MOST_ROWS = 2**17
MOST_CLASSES = 8192  # of a row that a program of the loss kernels holds


def products_for(rows: Rows, block_rows: int, dtype: torch.dtype, affine: AffineMap, *, n_columns: int) -> Products:
    """Return the products of one worker's pass.

    Args:
        rows: X.
        block_rows: Most rows of a block.
        dtype: Float type of the products; the fused ones stand in for float32 alone.
        affine: The map that will be folded into the weights.
        n_columns: Columns of W, M = K·C.
    """
    if fused_apply(rows, dtype, affine):
        from straightedge.kernels.fused import FusedProducts

        return FusedProducts(rows)
    if rows.dtype_name in COMPILED_KINDS and worth_compiling(rows, n_columns):
        from straightedge.kernels.compiled import CompiledProducts

        return CompiledProducts(rows)
    return PortableProducts(rows, block_rows, dtype)


def fused_apply(rows: Rows, dtype: torch.dtype, affine: AffineMap) -> bool:
    """Return whether a pass over these rows uses the fused kernels."""
    if dtype != torch.float32 or rows.dtype_name not in KINDS or not switched_on(rows.device):
        return False
    return not KINDS[rows.dtype_name].scaled or affine.spread <= WIDEST_SPREAD


def worth_compiling(rows: Rows, n_columns: int) -> bool:
    """Return whether compiled loops are to do what they can of a pass over these rows."""
    if not _loops_apply(rows.device, n_columns):
        return False
    return _choice() == "compiled" or rows.n_whole * rows.n_features * n_columns >= LONG


def gram_applied(R: Tensor, G: Tensor, pool: BlockPool) -> Tensor:
    """Return G RᵀR (M, D) for a contiguous lower triangular R (D, D), by compiled loops where they are faster."""
    long = len(R) >= LONG_FACTOR and (_choice() == "compiled" or len(R) ** 2 * len(G) >= LONG_GRAM)
    if long and R.is_contiguous() and _loops_apply(R.device, len(G)):
        from straightedge.kernels.compiled import compiled_gram

        return compiled_gram(R, G, pool)
    out = torch.zeros_like(G)
    for start in range(0, len(R), PANEL_ROWS):  # each panel is read once, and half of R is zeros
        panel = R[start : start + PANEL_ROWS, : start + PANEL_ROWS]
        width = panel.shape[1]
        out[:, :width].addmm_(G[:, :width] @ panel.t(), panel)
    return out


def cpu_loops() -> ModuleType:
    """Return the module of compiled loops, `cpu_kernels`; passes use it where `worth_compiling` says so."""
    from straightedge.kernels import cpu_kernels

    return cpu_kernels


def _loops_apply(device: torch.device, n_columns: int) -> bool:
    """Return whether compiled loops may do a product of so many columns at all."""
    return device.type == "cpu" and _choice() in {"auto", "compiled"} and n_columns <= WIDE


def _choice() -> str:
    """Return the value of the environment variable.

    Raises:
        InputError: ``kernels-unknown`` for one that means nothing.
    """
    choice = os.environ.get(SWITCH, "auto")
    if choice not in CHOICES:
        raise InputError("kernels-unknown", f"{SWITCH} is {choice!r}", mend=f"one of: {', '.join(CHOICES)}")
    return choice


def switched_on(device: torch.device) -> bool:
    """Return whether the fused kernels are to be used on a device, as far as that does not depend on the rows."""
    choice = _choice()
    if choice == "auto":
        return device.type == "cuda" and _runs_on(device.index)
    return choice == "fused"


@lru_cache
def _runs_on(index: int | None) -> bool:
    """Try a small product on a CUDA device: Triton may be missing, or find no compiler for its launchers."""
    device = torch.device("cuda", torch.cuda.current_device() if index is None else index)
    if find_spec("triton") is None or torch.version.hip is not None:
        return False
    if torch.cuda.get_device_capability(device) < (8, 0):
        return False
    from straightedge.kernels.fused import trial

    try:
        error = trial(device)
    except Exception as problem:  # whatever a compiler or driver raises: the portable products go on
        warn("kernels-unavailable", f"the fused kernels do not run here, the portable ones do: {problem}")
        return False
    if not error <= 1e-5:
        warn("kernels-unavailable", f"the fused kernels are wrong here, by {error:.1e}: the portable ones run")
        return False
    return True


def default_block_rows(rows: Rows, n_columns: int, dtype: torch.dtype, affine: AffineMap) -> int:
    """Return the rows of a block on a device that is no CPU: many, since a launch costs as much as thousands."""
    if not fused_apply(rows, dtype, affine):
        return DEVICE_BLOCK_ROWS
    most = min(MOST_ROWS, LARGEST_SCORES // n_columns)
    if rows.is_copied:
        most = min(most, LARGEST_COPY // (4 * rows.n_features))
    return max(1024, most)


def value_and_gradient(loss: Loss, S: Tensor, y: Tensor, *, compiled: bool = False) -> Tensor:
    """Return what `Loss.value_and_gradient` does, by a kernel where there is one.

    Args:
        loss: The loss.
        S: (n, K, C) scores, overwritten.
        y: (n,) labels.
        compiled: What `worth_compiling` says of the pass.
    """
    if loss.kernel is None:
        return loss.value_and_gradient(S, y)
    if compiled:
        from straightedge.kernels.compiled import compiled_loss

        return compiled_loss(loss.kernel, S, y)
    fused = S.dtype == torch.float32 and S.shape[2] <= MOST_CLASSES
    if fused and S.stride()[1:] == (S.shape[2], 1) and switched_on(S.device):
        from straightedge.kernels.fused import fused_loss

        return fused_loss(loss.kernel, S, y)
    return loss.value_and_gradient(S, y)
