"""The losses, by name. A new loss is a file here and a line in `LOSSES`."""

from typing import cast

from straightedge.errors import InputError
from straightedge.losses.base import DualReference, Loss
from straightedge.losses.hinge import CrammerSingerLoss, HingeLoss, OneVsRestHingeLoss, SquaredHingeLoss
from straightedge.losses.one_vs_rest import OneVsRestLogisticLoss, OneVsRestSquaredHingeLoss
from straightedge.losses.piecewise import PiecewiseLinearLoss, ProjectionJacobian
from straightedge.losses.softmax import SoftmaxLoss

__all__ = [
    "LOSSES",
    "CrammerSingerLoss",
    "DualReference",
    "HingeLoss",
    "Loss",
    "OneVsRestHingeLoss",
    "OneVsRestLogisticLoss",
    "OneVsRestSquaredHingeLoss",
    "PiecewiseLinearLoss",
    "ProjectionJacobian",
    "SoftmaxLoss",
    "SquaredHingeLoss",
    "get_loss",
    "is_probabilistic",
    "piecewise",
]

LOSSES: dict[str, Loss] = {
    loss.name: loss
    for loss in (
        SoftmaxLoss(),
        HingeLoss(),
        CrammerSingerLoss(),
        OneVsRestHingeLoss(),
        SquaredHingeLoss(),
        OneVsRestLogisticLoss(),
        OneVsRestSquaredHingeLoss(),
    )
}


def get_loss(name: str) -> Loss:
    """Return the loss called ``name``.

    Raises:
        InputError: ``loss-unknown``, naming those there are.
    """
    if name not in LOSSES:
        raise InputError("loss-unknown", f"there is no loss called {name!r}", mend=f"one of: {', '.join(LOSSES)}")
    return LOSSES[name]


def is_probabilistic(name: str) -> bool:
    """Return whether softmax(scores) of a model with this loss are probabilities; False for an unknown name."""
    return name in LOSSES and LOSSES[name].probabilistic


def piecewise(loss: Loss) -> PiecewiseLinearLoss:
    """Return the loss as one with kinks; for code that has asked it whether it is."""
    assert loss.piecewise_linear, f"{loss.name} is not piecewise linear"
    return cast("PiecewiseLinearLoss", loss)
