"""From arrays to a solved problem: checks, row weights, float type, choice of solver. Shared by all front doors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from straightedge.design import Design, OwnMaps, SparseDesign
from straightedge.distributed import Communicator
from straightedge.errors import InputError, MachineError
from straightedge.losses import get_loss
from straightedge.memory import require_memory
from straightedge.objective import Objective
from straightedge.parameters import check_positive
from straightedge.penalties import Penalty
from straightedge.preprocess import AffineMap
from straightedge.rows import Rows
from straightedge.solvers import choose_solver
from straightedge.solvers.base import Callback, Limits, Loop, Solution, Solver, minimize
from straightedge.sparse_rows import AnyRows, SparseRows
from straightedge.workers import is_out_of_memory, out_of_memory

SMALL = 2_000_000  # entries of X up to which products are float64 from the start: it costs nothing
VECTORS = 50  # (C, D + 1) float32 vectors for one configuration at work: L-BFGS pairs, sums of the workers
RESULT_VECTORS = 6  # the same for one that waits or is done: W in float64, the best W, the start
FINE = 1e-6  # relative gaps below this are float64's from the start


@dataclass(frozen=True)
class FitSettings:
    """What a fit is asked for, beside the data and reg.

    Attributes:
        loss: Name of the loss.
        tol: Relative duality gap to certify.
        max_passes: Passes over the data for one configuration.
        max_seconds: Wall time, s.
        bias: "penalized" or "free".
        penalty: A member of `straightedge.penalties`, which then says how the bias is treated; None is the ridge.
        solver: "auto" or a solver's name.
        device: Where products run; None means where X is.
        seed: For solvers that draw samples.
        workers: Worker threads on the CPU; None means the cores of this process.
    """

    loss: str = "softmax"
    tol: float = 1e-4
    max_passes: float = 1000
    max_seconds: float = math.inf
    bias: str = "penalized"
    penalty: Penalty | None = None
    solver: str = "auto"
    device: str | None = None
    seed: int = 0
    workers: int | None = None

    def checked(self) -> FitSettings:
        """Return the same settings in plain floats; raise `InputError` on values that make no sense."""
        get_loss(self.loss)
        for name in ("tol", "max_passes", "max_seconds"):
            check_positive(name, getattr(self, name))
        return replace(
            self, tol=float(self.tol), max_passes=float(self.max_passes), max_seconds=float(self.max_seconds)
        )


def working_dtype(design: Design, tol: float) -> torch.dtype:
    """Return the float type of the products on every rank: float64 where it is cheap or needed, else float32.

    A pass over sparse rows is as long as its stored entries, whatever their type.
    """
    small = design.n_total * design.n_features <= SMALL
    sparse = isinstance(design, SparseDesign)
    return torch.float64 if small or sparse or tol < FINE else torch.float32


def build_objective(
    rows: AnyRows,
    y: Tensor,
    n_classes: int,
    reg: Sequence[float],
    settings: FitSettings,
    *,
    affine: AffineMap | None = None,
    weights: Tensor | None = None,
    fold: Tensor | None = None,
    maps: Sequence[AffineMap] | None = None,
    communicator: Communicator | None = None,
) -> Objective:
    """Return the objective of a fit, after the checks that need no pass over the data.

    Args:
        rows: X, of this rank.
        y: (N,) int64 labels in [0, n_classes).
        n_classes: C.
        reg: K values.
        settings: Loss, penalty, device, workers.
        affine: The map of all configurations.
        weights: See `Objective`; and ``fold``.
        fold: See `Objective`.
        maps: K maps, of each configuration, of dense rows; None where all have ``affine``.
        communicator: Who owns which rows.
    """
    if rows.n_samples != len(y):
        what = f"X has {rows.n_samples} rows and y has {len(y)} labels: inconsistent numbers of samples"
        raise InputError("labels-length", what, mend="give one label for each row")
    objective = Objective(
        _source(rows, settings, affine, communicator, maps),
        y,
        n_classes,
        get_loss(settings.loss),
        reg,
        affine=affine,
        weights=weights,
        fold=fold,
        bias=settings.bias,
        penalty=settings.penalty,
        communicator=communicator,
        workers=settings.workers,
    )
    return objective.in_dtype(working_dtype(objective.design, settings.tol))


def _source(
    rows: AnyRows,
    settings: FitSettings,
    affine: AffineMap | None,
    communicator: Communicator | None,
    maps: Sequence[AffineMap] | None,
) -> Rows | Design:
    """Return what the objective goes over; small sparse rows are a dense table, for which more solvers apply."""
    if not isinstance(rows, SparseRows):
        return rows if maps is None else OwnMaps(rows, maps, workers=settings.workers)
    if settings.solver != "sparse_dual_ascent" and rows.n_samples * rows.n_features <= SMALL:
        return Rows(rows.csr.toarray())
    return SparseDesign(rows, affine, communicator=communicator, workers=settings.workers)


def solve(
    objective: Objective,
    settings: FitSettings,
    *,
    tol: Sequence[float] | None = None,
    W: Tensor | None = None,
    callbacks: Sequence[Callback] = (),
    checkpoint: Callable[[Loop], None] | None = None,
    resume: dict[str, Tensor] | None = None,
) -> Solution:
    """Choose the solver and minimise every configuration; see `solvers.loop.minimize`.

    Args:
        objective: K configurations.
        settings: Gap, limits, solver.
        tol: (K,) a gap for each configuration; the one of the settings for all when None.
        W: See `solvers.loop.minimize`; and the rest.
        callbacks: Called with each trace row.
        checkpoint: Called after each step.
        resume: A saved state.

    Raises:
        MachineError: ``out-of-memory``, with the size.
    """
    settings = settings.checked()
    solver = choose_solver(settings.solver, objective, seed=settings.seed)
    _refuse_beyond_memory(objective, solver)
    limits = Limits(settings.tol if tol is None else tol, settings.max_passes, settings.max_seconds)
    try:
        return minimize(objective, solver, limits, W=W, callbacks=callbacks, checkpoint=checkpoint, resume=resume)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MachineError) or not is_out_of_memory(error):
            raise
        K, C, width = objective.shape
        raise out_of_memory(error, f"{K} values of reg × {C} classes × {width} weights each") from error


def _refuse_beyond_memory(objective: Objective, solver: Solver) -> None:
    """Refuse, before the work, what this machine's memory cannot hold.

    Raises:
        MachineError: ``out-of-memory`` with what is needed and what is free.
    """
    if objective.device.type != "cpu":
        return
    K, C, width = objective.shape
    at_once = K if solver.together else 1  # others go from one configuration to the next
    needed = 4 * C * width * (VECTORS * at_once + RESULT_VECTORS * (K - at_once))
    needed += 8 * objective.n_samples * C * solver.score_tables
    require_memory(
        needed,
        f"{solver.name} of {K} values of reg × {C} classes × {width} weights each",
        mend="fit fewer values of reg at once (memory=, --memory), fewer values of reg, or fewer features",
    )
