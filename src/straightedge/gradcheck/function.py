"""The function under test behind one door: float64 copies in, a float and a float64 array out."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from straightedge.gradcheck.answers import FormError, raised, read_answer, to_array
from straightedge.gradcheck.mistakes import mistake
from straightedge.gradcheck.reference import Floats, Labels
from straightedge.losses import Loss

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
        gradient_epsilon: Rounding of the type that dW has had so far, 2.2e-16 for float64.
    """

    def __init__(self, function: LossFunction, X: Any, y: Any) -> None:
        self._function = function
        self._device = X.device if isinstance(X, torch.Tensor) else None
        self.X: Floats = to_array(X).astype(np.float64)
        self.y: Labels = to_array(y).astype(np.int64)
        self.gradient_epsilon = float(np.finfo(np.float64).eps)

    def __call__(self, W: Floats, reg: float, X: Floats | None = None) -> tuple[float, Floats]:
        """Return loss and gradient at W (D, C), on other samples X if given.

        Raises:
            FormError: The function raised, changed an argument, or returned something else than a number and
                a matrix like W. Numbers that are not finite pass through.
        """
        originals = (W, self.X if X is None else X, self.y)
        arguments = [self._hand_over(array) for array in originals]
        answer = self._answer(arguments, reg)
        changed = [
            name
            for name, one, two in zip("WXy", arguments, originals, strict=True)
            if not np.array_equal(to_array(one), two)
        ]
        if changed:
            raise FormError(mistake("argument-changed", names=" and ".join(changed)))
        value, gradient, kind = read_answer(answer, W.shape)
        if kind.kind == "f":
            self.gradient_epsilon = max(self.gradient_epsilon, float(np.finfo(kind).eps))
        return value, gradient

    def value(self, W: Floats, reg: float) -> float:
        """Return the loss alone."""
        return self(W, reg)[0]

    def attempt(self, W: Floats, X: Floats | None = None) -> tuple[float, Floats]:
        """Return loss and gradient at reg = 0, NaN where the function raises: math.exp of 1e4 does."""
        try:
            return self(W, 0.0, X)
        except FormError as found:
            if found.diagnosis.code != "raises":
                raise
            return math.nan, np.full(W.shape, math.nan)

    def _answer(self, arguments: list[Any], reg: float) -> Any:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # overflow and old classes are the report's business
            try:
                return self._function(*arguments, reg)
            except (Exception, SystemExit) as error:
                raise FormError(raised(error, self._function)) from error

    def _hand_over(self, array: np.ndarray) -> Any:
        copy = array.copy()
        return copy if self._device is None else torch.from_numpy(copy).to(self._device)


def with_rows(loss: Loss) -> LossFunction:
    """Compose a loss of scores with X and the regulariser of the notes, so that `check_gradient` takes it.

    Args:
        loss: A loss of the registry `straightedge.losses.LOSSES`.

    Returns:
        ``(W, X, y, reg) -> (loss, dW)``: P(W) = mean loss + reg · ΣW² and Xᵀ A / N + 2 reg W.
    """

    def objective(W: Tensor, X: Tensor, y: Tensor, reg: float) -> tuple[Tensor, Tensor]:
        S = torch.mm(X, W).unsqueeze(1)  # (N, 1, C): one configuration
        values = loss.value_and_gradient(S, y)  # S holds A from here on
        gradient = torch.mm(X.T, S.squeeze(1)) / X.shape[0] + 2 * reg * W
        return values.mean() + reg * torch.sum(W * W), gradient

    return objective
