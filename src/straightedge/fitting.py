"""From arrays to a solved problem: checks, row weights, float type, choice of solver. Shared by all front doors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from straightedge.distributed import Communicator
from straightedge.errors import InputError
from straightedge.losses import get_loss
from straightedge.objective import Objective
from straightedge.penalties import Penalty
from straightedge.preprocess import AffineMap
from straightedge.rows import Rows
from straightedge.solvers import choose_solver
from straightedge.solvers.base import Callback, Limits, Loop, Solution, minimize

SMALL = 2_000_000  # entries of X up to which products are float64 from the start: it costs nothing
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
        """Return self; raise `InputError` on values that make no sense."""
        get_loss(self.loss)
        _positive("tol", self.tol)
        _positive("max_passes", self.max_passes)
        _positive("max_seconds", self.max_seconds)
        return self


def _positive(name: str, value: float) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not value > 0:
        raise InputError(
            f"{name.replace('_', '-')}-invalid", f"{name} is {value!r}", mend="give a number above 0"
        )


def one_or_many(values: Any) -> list[Any]:
    """Return a list of values, of one where only one is given, whatever it is."""
    one = not isinstance(values, Iterable) or isinstance(values, str) or getattr(values, "ndim", 1) == 0
    return [values] if one else list(values)


def checked_reg(reg: Any, *, exact: bool = True) -> list[float]:
    """Return values of reg as floats.

    Raises:
        InputError: ``reg-invalid`` for negative, NaN, infinite or not a number; ``reg-zero`` for 0 where a
            certificate is asked for.
    """
    out: list[float] = []
    for value in one_or_many(reg):
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not 0 <= number < math.inf or isinstance(value, bool):
            raise InputError("reg-invalid", f"reg is {value!r}", mend="give a number ≥ 0, such as 1e-4")
        if number == 0 and exact:
            raise InputError(
                "reg-zero",
                "reg is 0: nothing bounds W, so on separable data there is no minimiser and never a certificate",
                mend="give a small positive reg, such as 1e-8; minibatch SGD (fit --solver sgd) takes reg 0",
            )
        out.append(number)
    if not out:
        raise InputError("reg-invalid", "the list of reg is empty", mend="give at least one value")
    return out


def row_weights(
    y: Tensor, n_classes: int, sample_weight: Any = None, class_weight: Any = None, names: Sequence[Any] = ()
) -> Tensor | None:
    """Return the weight of each row (N,) float64, or None when all are the same.

    Args:
        y: (N,) labels.
        n_classes: C.
        sample_weight: (N,) ≥ 0 with a positive sum, or None.
        class_weight: None, "balanced" (N/(C n_c)), or a mapping from class name to a weight ≥ 0.
        names: Class names, for the mapping.

    Raises:
        InputError: ``sample-weight-invalid`` with the first bad row, or ``class-weight-invalid``.
    """
    weights = None if sample_weight is None else _sample_weights(sample_weight, len(y))
    if class_weight is None:
        return weights
    factors = _class_factors(y, n_classes, class_weight, names)[y.cpu()]
    return factors if weights is None else weights * factors


def _sample_weights(sample_weight: Any, n: int) -> Tensor:
    try:
        weights = torch.as_tensor(np.asarray(sample_weight), dtype=torch.float64)
    except (TypeError, ValueError) as error:
        raise InputError("sample-weight-invalid", "sample weights are not numbers") from error
    if weights.ndim == 0:
        weights = weights.expand(n).clone()
    if weights.shape != (n,):
        raise InputError(
            "sample-weight-invalid",
            f"sample_weight.shape == {tuple(weights.shape)}, expected ({n},)!",
        )
    bad = (~(weights >= 0) | weights.isinf()).nonzero().flatten()
    if len(bad):
        row = int(bad[0])
        raise InputError(
            "sample-weight-invalid",
            f"sample weight {float(weights[row])} is not a number ≥ 0",
            f"row {row}",
            f"{len(bad)} of {n} weights are negative, NaN or infinite",
        )
    if float(weights.sum()) == 0:
        raise InputError(
            "sample-weight-invalid", "all sample weights are zero", mend="give at least one above 0"
        )
    return weights


def _class_factors(y: Tensor, n_classes: int, class_weight: Any, names: Sequence[Any]) -> Tensor:
    if isinstance(class_weight, str) and class_weight == "balanced":
        counts = torch.bincount(y.cpu(), minlength=n_classes).to(torch.float64)
        return len(y) / (n_classes * counts.clamp_min(1))
    if not isinstance(class_weight, Mapping):
        raise InputError(
            "class-weight-invalid", f"class_weight is {class_weight!r}", mend='None, "balanced" or a dict'
        )
    try:
        factors = torch.tensor([float(class_weight.get(name, 1.0)) for name in names], dtype=torch.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            "class-weight-invalid", f"class_weight is {class_weight!r}", mend="weights must be numbers ≥ 0"
        ) from error
    if not bool(((factors >= 0) & factors.isfinite()).all()):
        raise InputError(
            "class-weight-invalid", f"class_weight is {class_weight!r}", mend="weights must be ≥ 0"
        )
    return factors


def working_dtype(rows: Rows, tol: float, n_total: int | None = None) -> torch.dtype:
    """Return the float type of the products: float64 where it is cheap or needed, else float32.

    Args:
        rows: This rank's rows.
        tol: Relative gap asked for.
        n_total: Rows of all ranks; those of ``rows`` when None.
    """
    small = (n_total or rows.n_samples) * rows.n_features <= SMALL
    return torch.float64 if small or tol < FINE else torch.float32


def build_objective(
    rows: Rows,
    y: Tensor,
    n_classes: int,
    reg: Sequence[float],
    settings: FitSettings,
    *,
    affine: AffineMap | None = None,
    weights: Tensor | None = None,
    fold: Tensor | None = None,
    communicator: Communicator | None = None,
) -> Objective:
    """Return the objective of a fit, after the checks that need no pass over the data."""
    if rows.n_samples != len(y):
        raise InputError(
            "labels-length",
            f"X has {rows.n_samples} rows and y has {len(y)} labels: inconsistent numbers of samples",
            mend="give one label for each row",
        )
    objective = Objective(
        rows,
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
    objective.dtype = working_dtype(rows, settings.tol, objective.n_total)  # the same on every rank
    return objective


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
    """Choose the solver and minimise every configuration; see `solvers.base.minimize`.

    Args:
        objective: K configurations.
        settings: Gap, limits, solver.
        tol: (K,) a gap for each configuration; the one of the settings for all when None.
        W: See `solvers.base.minimize`; and the rest.
        callbacks: Called with each trace row.
        checkpoint: Called after each step.
        resume: A saved state.
    """
    settings = settings.checked()
    solver = choose_solver(settings.solver, objective, seed=settings.seed)
    limits = Limits(settings.tol if tol is None else tol, settings.max_passes, settings.max_seconds)
    return minimize(objective, solver, limits, W=W, callbacks=callbacks, checkpoint=checkpoint, resume=resume)


__all__ = [
    "FitSettings",
    "build_objective",
    "checked_reg",
    "row_weights",
    "solve",
    "working_dtype",
]
