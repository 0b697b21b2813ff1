"""What a solver is: it sees an objective, and proposes W and two bounds step by step."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from straightedge.objective import Objective
from straightedge.solvers.solution import Solution


@dataclass
class Progress:
    """What a solver knows after a step, for the K' configurations it still has.

    Attributes:
        W: (K', C, D + 1) the point whose objective is given.
        primal: (K',) float64, P(W).
        dual: (K',) float64, a lower bound on min P, not necessarily from the same point.
        n_passes: Passes over the rows this step took (a part of a pass counts as its part); (K',) where the
            solver works on one configuration at a time, 0 for those that wait.
        exhausted: (K',) bool, configurations that cannot improve any more in this float type.
        absolute_gap: (K',) float64, a certified P(W) − min P of this W where it is known more finely than by the
            difference primal − dual; or None.
        proven: Whether these are the answers, by a pass in float64; they replace what was known.
    """

    W: Tensor
    primal: Tensor
    dual: Tensor
    n_passes: float | Tensor
    exhausted: Tensor
    absolute_gap: Tensor | None = None
    proven: bool = False


class Solver(ABC):
    """The contract of a solver. It sees an `Objective` and nothing else.

    Attributes:
        name: The word for it in traces and on the command line.
        State: The dataclass that `state` returns and `restore` takes; see `solvers.state`.
        refines: Whether a configuration exhausted in float32 is worth going on with in float64.
        one_thread: Whether what it does between passes is better done by one thread; see `workers.torch_threads`.
        seeded: Whether it draws samples, and is made with a ``seed``.
        together: Whether all configurations are at work at once, each with its own vectors in memory.
        score_tables: How many (N, C) tables of float64 scores it holds at once; 0 for those that go by blocks.
        sparse: Whether it goes over sparse rows as they are.
        most_passes: Passes that a configuration may use; the loop sets it before the start. A solver whose step may
            take many passes ends its step there.
    """

    name: ClassVar[str]
    State: ClassVar[type]
    refines: ClassVar[bool] = True
    one_thread: ClassVar[bool] = False
    seeded: ClassVar[bool] = False
    together: ClassVar[bool] = False
    score_tables: ClassVar[int] = 0
    sparse: ClassVar[bool] = False
    most_passes: float = math.inf

    @classmethod
    @abstractmethod
    def supports(cls, objective: Objective) -> str | None:
        """Return why it cannot solve an objective, as words to follow its name ("needs …"), or None."""

    @classmethod
    @abstractmethod
    def cost(cls, objective: Objective) -> float:
        """Return the work of a usual fit of an objective that it supports, in operations; see `solvers.work`.

        It is counted, never measured: the same problem is given to the same solver. `auto` takes the least.
        """

    def at_once(self, objective: Objective, tol: Tensor) -> Solution | None:
        """Solve all configurations without the loop, where that is worth its while; None where it is not.

        Asked where nobody watches, nothing is kept on the way, and time has no limit.
        """
        return None

    def turns(self, objective: Objective) -> list[Tensor]:
        """Return which configurations go together, (K′,) int64 positions, in the order of their turns: all at once.

        Asked before the first start, and again before `restore`: what it makes for all configurations serves each
        turn. A later turn starts from what the answers of earlier ones lead to; see `path_in_parts`.
        """
        return [torch.arange(objective.n_configs)]

    @abstractmethod
    def start(self, objective: Objective, W: Tensor | None, tol: Tensor) -> Progress:
        """Begin at W (K, C, D + 1), or at a point of the solver's choice; tol (K,) are the gaps asked for."""

    @abstractmethod
    def step(self) -> Progress:
        """Go on; about one pass."""

    @abstractmethod
    def keep(self, positions: Tensor) -> None:
        """Go on with these of the present configurations alone ((K″,) int64 positions)."""

    def certify(self, positions: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
        """Return (W, objective, dual) of these configurations, with sums and products in float64.

        Asked before a configuration leaves. None where its bound rests on W alone, so that `Objective.evaluate`
        proves it.
        """
        return None

    @abstractmethod
    def state(self) -> Any:
        """Return the `State` that a later `restore` needs to go on from here to the same bits."""

    @abstractmethod
    def restore(self, objective: Objective, state: Any, tol: Tensor) -> Progress:
        """Go on from a `State`."""


def missing(*needs: tuple[bool, str]) -> str | None:
    """Return "needs …" with the first of the (is there, what it is) needs that is not there, None if all are."""
    return next((f"needs {what}" for there, what in needs if not there), None)


def nothing_known(W: Tensor) -> Progress:
    """Return the progress of a solver that has just been restored at W (K, C, D + 1), and knows no bounds there."""
    K = len(W)
    unknown = torch.full((K,), torch.inf, dtype=torch.float64)
    return Progress(W, unknown, -unknown, 0.0, torch.zeros(K, dtype=torch.bool))
