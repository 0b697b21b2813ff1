"""Row weights: how often a row counts. A row of weight w is w copies of it, and a row of weight 0 is no row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from straightedge.errors import InputError
from straightedge.later import later

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = later("torch")


def row_weights(
    y: Tensor, n_classes: int, sample_weight: Any = None, class_weight: Any = None, names: Sequence[Any] = ()
) -> Tensor | None:
    """Return the weight of each row (N,) float64, or None when all are the same.

    Args:
        y: (N,) labels.
        n_classes: C.
        sample_weight: (N,) ≥ 0 with a positive sum, or None.
        class_weight: None, "balanced" (the same weight for every class: Σw/(C Σ_c w), which is N/(C n_c) without
            sample weights), or a mapping from class name to a weight ≥ 0; a class it leaves out has 1.
        names: Class names, for the mapping.

    Raises:
        InputError: ``sample-weight-invalid`` with the first bad row, or ``class-weight-invalid``.
    """
    weights = None if sample_weight is None else checked_sample_weight(sample_weight, len(y))
    if class_weight is None:
        return weights
    factors = _class_factors(y, n_classes, class_weight, names, weights)[y.cpu()]
    return factors if weights is None else weights * factors


def checked_sample_weight(sample_weight: Any, n: int) -> Tensor:
    """Return the weights of n samples, numbers ≥ 0 or one for all, as (N,) float64."""
    try:
        weights = torch.as_tensor(sample_weight).cpu().to(torch.float64)
    except (TypeError, ValueError, RuntimeError):
        weights = _from_anything(sample_weight)
    if weights.ndim == 0:
        weights = weights.expand(n).clone()
    if weights.shape != (n,):
        what = f"sample_weight.shape == {tuple(weights.shape)}, expected ({n},)!"
        raise InputError("sample-weight-invalid", what)
    _refuse_bad_weights(weights)
    return weights


def _from_anything(sample_weight: Any) -> Tensor:
    try:
        return torch.as_tensor(np.asarray(sample_weight, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise InputError("sample-weight-invalid", "sample weights are not numbers") from error


def _refuse_bad_weights(weights: Tensor) -> None:
    bad = (~(weights >= 0) | weights.isinf()).nonzero().flatten()
    if len(bad):
        row = int(bad[0])
        what = f"sample weight {float(weights[row])} is not a number ≥ 0"
        mend = f"{len(bad)} of {len(weights)} weights are negative, NaN or infinite"
        raise InputError("sample-weight-invalid", what, f"row {row}", mend)
    if float(weights.sum()) == 0:
        raise InputError("sample-weight-invalid", "all sample weights are zero", mend="give at least one above 0")


def _class_factors(
    y: Tensor, n_classes: int, class_weight: Any, names: Sequence[Any], weights: Tensor | None
) -> Tensor:
    """Return the factor of each class (C,) float64."""
    if isinstance(class_weight, str) and class_weight == "balanced":
        totals = torch.bincount(y.cpu(), weights, minlength=n_classes).to(torch.float64)
        return totals.sum() / (n_classes * torch.where(totals > 0, totals, 1.0))
    if not isinstance(class_weight, Mapping):
        what = f"class_weight is {class_weight!r}"
        raise InputError("class-weight-invalid", what, mend='None, "balanced" or a dict')
    _refuse_unknown_classes(class_weight, names)
    try:
        factors = torch.tensor([float(class_weight.get(name, 1.0)) for name in names], dtype=torch.float64)
    except (TypeError, ValueError) as error:
        what = f"class_weight is {class_weight!r}"
        raise InputError("class-weight-invalid", what, mend="weights must be numbers ≥ 0") from error
    if not bool(((factors >= 0) & factors.isfinite()).all()):
        raise InputError("class-weight-invalid", f"class_weight is {class_weight!r}", mend="weights must be ≥ 0")
    return factors


def _refuse_unknown_classes(class_weight: Mapping[Any, Any], names: Sequence[Any]) -> None:
    known = set(names)
    unknown = [key for key in class_weight if key not in known]
    if not unknown:
        return
    alike = {str(name): name for name in names}
    first = unknown[0]
    hint = f"; {alike[str(first)]!r} is, of another type" if str(first) in alike else ""
    what = f"class_weight names {first!r}, which is no class of y ({len(unknown)} such names){hint}"
    mend = f"name classes of y: {', '.join(map(repr, list(names)[:5]))}{', …' if len(names) > 5 else ''}"
    raise InputError("class-weight-invalid", what, mend=mend)


def is_whole(weights: np.ndarray) -> bool:
    """Whether weights (N,) are whole numbers: numbers of copies."""
    return bool((weights == np.floor(weights)).all())


def sample_size(weights: np.ndarray) -> float:
    """Return how many samples weights (N,) amount to: Σw where they are whole, else (Σw)²/Σw².

    References:
        Kish, "Survey Sampling", 1965, for the effective sample size.
    """
    total = float(weights.sum())
    return total if is_whole(weights) else total**2 / float(np.square(weights).sum())
