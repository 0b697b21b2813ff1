"""What one configuration of the augmented Lagrangian is made of, and what a checkpoint keeps of it."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from straightedge.solvers.hinge.blocks.dual_bundle import BundleState
from straightedge.solvers.hinge.sequential import BestPoint
from straightedge.solvers.state import OF_ROWS

FORCING_COLD, FORCING_WARM, FORCING_FINE = (0.3, 0.4, 0.01)  # relative residuals at which CG stops in the primal


@dataclass
class Change:
    """A step of W and what it does to the margins.

    Attributes:
        step: (C, D + 1).
        margins: (N, 1, C).
    """

    step: Tensor
    margins: Tensor = field(metadata=OF_ROWS)


@dataclass
class DualVariables:
    """b and the sum that goes with it.

    Attributes:
        V: (C, D + 1) float64 Σ w x̂ (Jᵀb)ᵀ.
        updates: Incremental updates of V since it was last summed over all rows.
        b: (N, 1, C).
    """

    V: Tensor = field(default_factory=lambda: torch.empty(0))
    updates: int = 0
    b: Tensor = field(default_factory=lambda: torch.empty(0), metadata=OF_ROWS)


@dataclass
class Control:
    """What steers the steps.

    Attributes:
        mu: μ.
        damping: See `Hessian.at`.
        forcing: Of ∇f that a Newton step may leave: more where the start is near, and steps soon change b.
        outer_exact: Whether the centre moves only once the smoothed problem is solved: it once ran ahead of W.
        stalled: Steps without a better gap.
        pending: Passes that the start took, to be told with the first step.
    """

    mu: float
    damping: float = 0.0
    forcing: float = FORCING_COLD
    outer_exact: bool = False
    stalled: int = 0
    pending: float = 0.0


@dataclass
class BlockSubproblemState:
    """What a checkpoint keeps of a `BlockSubproblem`; see there."""

    W: Tensor
    gradient: Tensor
    smoothing: float
    best: BestPoint
    control: Control
    dual: DualVariables
    changes: list[Change]
    bundle: BundleState
    z: Tensor = field(metadata=OF_ROWS)
    centre: Tensor = field(metadata=OF_ROWS)
