"""NumPy beside torch: what comes in as arrays goes out as arrays, and both share the memory where they can."""

import functools
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from straightedge.rows import tensor_over

Kind = TypeVar("Kind", Tensor, np.ndarray)  # torch or NumPy: the same one in and out


class LossFunction(Protocol):
    """``loss(W, X, y, reg) -> (loss, dW)``, of the kind of W."""

    __name__: str

    def __call__(self, W: Kind, X: Kind, y: Kind, reg: float) -> tuple[Kind, Kind]:
        """Return the loss and its gradient."""
        ...


def is_numpy(value: Any) -> bool:
    """Whether a value is NumPy's (or a plain list), rather than torch's."""
    return not isinstance(value, Tensor)


def as_tensor(value: Any) -> Tensor:
    """Return a tensor of an array's memory; a copy only where torch cannot read it."""
    if isinstance(value, Tensor):
        return value
    return tensor_over(np.asarray(value))


def as_array(value: Tensor) -> Any:
    """Return a tensor's memory as an array; one without dimensions as a NumPy number."""
    return value.detach().numpy()[()]


def same_kind(loss: Callable[[Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor]]) -> LossFunction:
    """Let a loss on tensors take and give arrays of NumPy, too.

    Types are those of the arguments; arrays of two types are brought to the larger one, as NumPy does it.
    """

    @functools.wraps(loss)
    def either(W: Any, X: Any, y: Any, reg: float) -> tuple[Any, Any]:
        if not is_numpy(W):
            return loss(W, as_tensor(X), as_tensor(y), reg)
        value, dW = loss(*_promoted(as_tensor(W), as_tensor(X)), as_tensor(y), reg)
        return as_array(value), as_array(dW)

    return either


def _promoted(W: Tensor, X: Tensor) -> tuple[Tensor, Tensor]:
    common = torch.promote_types(W.dtype, X.dtype)
    if not common.is_floating_point:
        common = torch.float64
    return W.to(common), X.to(common)


def rows_at(value: Kind, index: Tensor) -> Kind:
    """Return some rows, copied, of either kind."""
    if isinstance(value, Tensor):
        return value[index.to(value.device)]
    rows: np.ndarray = np.asarray(value)[index.numpy()]
    return rows
