"""Where a loop is, and what a checkpoint keeps of it, beside the state of its solver."""

from dataclasses import dataclass

import torch
from torch import Tensor

from straightedge.solvers.best import Best


@dataclass
class LoopState:
    """The fields of a checkpoint.

    Attributes:
        best: The best so far.
        active: Configurations that the solver has.
        waiting: (K,) bool, those that have left it and are to be settled.
        status: (K,) int64, positions among the members of `Status`.
        iteration: Steps.
        seconds: Wall time, s.
        in_double: Whether products are float64's.
        turn: Of the configurations at work; −1 where all are.
        solver: (n,) uint8, the name of the solver that was at work; none before its first point.
    """

    best: Best
    active: Tensor
    waiting: Tensor
    status: Tensor
    iteration: int
    seconds: float
    in_double: bool
    turn: int
    solver: Tensor


@dataclass
class Turns:
    """Which configurations go together, and where the loop is.

    Attributes:
        all: (K',) int64 positions of each turn, in their order; see `Solver.turns`.
        now: Of the turn that has come.
        begun: Whether the solver is at work on what is active.
    """

    all: list[Tensor]
    now: int = 0
    begun: bool = False

    @property
    def ahead(self) -> Tensor:
        """(K',) int64 positions whose turn has not come."""
        return torch.cat([*self.all[self.now + 1 :], torch.empty(0, dtype=torch.int64)])


def as_bytes(name: str) -> Tensor:
    """Return a name as (n,) uint8, which is what a checkpoint can keep."""
    return torch.tensor(list(name.encode()), dtype=torch.uint8)
