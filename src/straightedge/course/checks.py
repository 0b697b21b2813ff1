"""What every loss of the course asks of its arguments, so that a slip never becomes a wrong number."""

import math

import torch
from torch import Tensor

from straightedge.errors import InputError

_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def check_arguments(W: Tensor, X: Tensor, y: Tensor, reg: float) -> None:
    """Refuse shapes, labels and reg that ``loss(W, X, y, reg)`` cannot mean.

    Args:
        W: (D, C) weights.
        X: (N, D) samples, N > 0.
        y: (N,) labels, integers 0 to C − 1.
        reg: Finite, 0 or more.

    Raises:
        InputError: ``course-shapes``, ``labels-type``, ``labels-range`` or ``reg-invalid``.
    """
    if W.dim() != 2 or X.dim() != 2 or X.shape[1] != W.shape[0] or X.shape[0] == 0:
        found = f"W has shape {tuple(W.shape)} and X has shape {tuple(X.shape)}"
        raise InputError("course-shapes", found, "W, X", "expected (D, C) and (N, D) with the same D, N > 0")
    check_labels(y, X.shape[0], W.shape[1])
    if not (math.isfinite(reg) and reg >= 0):
        raise InputError("reg-invalid", f"reg is {reg}", "reg", "expected a finite number, 0 or more")


def check_labels(y: Tensor, n_samples: int, n_classes: int | None = None) -> None:
    """Refuse labels that are not (n_samples,) integers 0 to n_classes − 1.

    A label of −1 would index the last class, and on CUDA a label too large ends the process.
    """
    if y.dtype not in _INTEGERS:
        raise InputError("labels-type", f"y holds {y.dtype}", "y", "expected integers, y.to(torch.int64)")
    if y.shape != (n_samples,):
        found = f"y has shape {tuple(y.shape)} for {n_samples} samples"
        raise InputError("course-shapes", found, "y", "expected one label a row of X")
    wrong = (y < 0) if n_classes is None else (y < 0) | (y >= n_classes)
    if bool(wrong.any()):
        first = int(wrong.nonzero()[0])
        found = f"{int(wrong.sum())} labels lie outside the classes, the first is {int(y[first])}"
        last = "C − 1" if n_classes is None else str(n_classes - 1)
        raise InputError("labels-range", found, f"y[{first}]", f"expected 0 to {last}")
