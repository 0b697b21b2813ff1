"""The function under test behind one door: float64 copies in, a float and a float64 array out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from straightedge.errors import InputError
from straightedge.gradcheck.reference import Floats, Labels

LossFunction = Callable[..., Any]
"""``loss(W, X, y, reg) -> (loss, dW)``, of torch tensors or of NumPy arrays."""


class LossUnderTest:
    """Calls ``loss(W, X, y, reg)`` as its author expects it, torch or NumPy, and watches what it does.

    Every call gets fresh copies, so that a function that writes into its arguments cannot spoil the check.

    Args:
        function: ``loss(W, X, y, reg) -> (loss, dW)``.
        X: (N, D) samples, torch or NumPy; the function gets the same kind, on the same device.
        y: (N,) labels.

    Attributes:
        X: (N, D) float64.
        y: (N,) int64.
        changes_arguments: Whether a call so far has written into W, X or y.
        single_precision: Whether a call so far has answered float64 arguments with a lower precision.
    """

    def __init__(self, function: LossFunction, X: Any, y: Any) -> None:
        self._function = function
        self._device = X.device if isinstance(X, torch.Tensor) else None
        self.X: Floats = to_array(X).astype(np.float64)
        self.y: Labels = to_array(y).astype(np.int64)
        self.changes_arguments = False
        self.single_precision = False

    def __call__(self, W: Floats, reg: float) -> tuple[float, Floats]:
        """Return loss and gradient at W (D, C); numbers that are not finite pass through."""
        arguments = [self._hand_over(array) for array in (W, self.X, self.y)]
        with np.errstate(all="ignore"):
            answer = self._function(*arguments, reg)
        if not isinstance(answer, tuple) or len(answer) != 2:
            what = f"the loss returned {type(answer).__name__}"
            raise InputError("gradcheck-answer", what, "loss", "expected the pair (loss, dW)")
        self._watch(arguments, (W, self.X, self.y), answer)
        return float(to_array(answer[0])), to_array(answer[1]).astype(np.float64)

    def value(self, W: Floats, reg: float) -> float:
        """Return the loss alone."""
        return self(W, reg)[0]

    def _hand_over(self, array: np.ndarray) -> Any:
        copy = array.copy()
        return copy if self._device is None else torch.from_numpy(copy).to(self._device)

    def _watch(
        self, arguments: list[Any], originals: tuple[np.ndarray, ...], answer: tuple[Any, Any]
    ) -> None:
        pairs = zip(arguments, originals, strict=True)
        self.changes_arguments |= any(not np.array_equal(to_array(one), two) for one, two in pairs)
        types = [to_array(item).dtype for item in answer]
        self.single_precision |= any(kind.itemsize < 8 for kind in types)


def to_array(values: Any) -> np.ndarray:
    """Return a tensor, array or number as a NumPy array."""
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
