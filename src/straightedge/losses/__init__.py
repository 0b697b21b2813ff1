"""The losses, by name. A new loss is a file here and a line in `LOSSES`."""

from __future__ import annotations

from straightedge.errors import InputError
from straightedge.losses.base import DualReference, Loss
from straightedge.losses.hinge import (
    CrammerSingerLoss,
    HingeLoss,
    OneVsRestHingeLoss,
    SquaredHingeLoss,
)
from straightedge.losses.softmax import SoftmaxLoss

__all__ = [
    "LOSSES",
    "CrammerSingerLoss",
    "DualReference",
    "HingeLoss",
    "Loss",
    "OneVsRestHingeLoss",
    "SoftmaxLoss",
    "SquaredHingeLoss",
    "get_loss",
]

LOSSES: dict[str, Loss] = {
    loss.name: loss
    for loss in (SoftmaxLoss(), HingeLoss(), CrammerSingerLoss(), OneVsRestHingeLoss(), SquaredHingeLoss())
}


def get_loss(name: str) -> Loss:
    """Return the loss called ``name``.

    Raises:
        InputError: ``loss-unknown``, naming those there are.
    """
    if name not in LOSSES:
        raise InputError(
            "loss-unknown", f"there is no loss called {name!r}", mend=f"one of: {', '.join(LOSSES)}"
        )
    return LOSSES[name]
