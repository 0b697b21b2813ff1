"""What a solver is: it sees an objective, and proposes W and two bounds step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from straightedge.objective import Objective


@dataclass
class Progress:
    """What a solver knows after a step, for the K' configurations it still has.

    Attributes:
        W: (K', C, D + 1) the point whose objective is given.
        objective: (K',) float64, P(W).
        dual: (K',) float64, a lower bound on min P, not necessarily from the same point.
        n_passes: Passes over the rows this step took (a part of a pass counts as its part); (K',) where the
            solver works on one configuration at a time, 0 for those that wait.
        exhausted: (K',) bool, configurations that cannot improve any more in this float type.
        gap: (K',) float64, a certified P(W) − min P of this W where it is known more finely than by the
            difference objective − dual; or None.
    """

    W: Tensor
    objective: Tensor
    dual: Tensor
    n_passes: float | Tensor
    exhausted: Tensor
    gap: Tensor | None = None


class Solver(Protocol):
    """The contract of a solver. It sees an `Objective` and nothing else.

    Attributes:
        name: The word for it in traces and on the command line.
        own_certificate: True if the lower bound rests on state of the solver (dual variables), which
            `certify` must use before the configuration leaves; False if `Objective.evaluate(W)` proves it.
        refines: Whether a configuration exhausted in float32 is worth going on with in float64.
        one_thread: Whether what it does between passes is better done by one thread; see `rows.torch_threads`.
        seeded: Whether it draws samples, and is made with a ``seed``.
    """

    name: str
    own_certificate: bool
    refines: bool
    one_thread: bool
    seeded: bool

    @classmethod
    def supports(cls, objective: Objective) -> str | None:
        """Return why it cannot solve an objective, as words to follow its name ("needs …"), or None."""
        ...

    @classmethod
    def worthwhile(cls, objective: Objective) -> bool:
        """Return whether auto takes it for an objective that it fits, by counted work and never by the clock."""
        ...

    def start(self, objective: Objective, W: Tensor | None, tol: Tensor) -> Progress:
        """Begin at W (K, C, D + 1), or at a point of the solver's choice; tol (K,) are the gaps asked for."""
        ...

    def step(self) -> Progress:
        """Go on; about one pass."""
        ...

    def keep(self, positions: Tensor) -> None:
        """Go on with these of the present configurations alone ((K″,) int64 positions)."""
        ...

    def certify(self, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (W, objective, dual) of these configurations, with sums and products in float64."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return what a later `restore` needs to go on from here to the same bits."""
        ...

    def restore(self, objective: Objective, state: dict[str, Tensor], tol: Tensor) -> Progress:
        """Go on from a `state`."""
        ...


@runtime_checkable
class TakesManyPasses(Protocol):
    """A solver whose step may take many passes, and which ends it where a configuration has used up its own.

    Attributes:
        most_passes: Passes of one configuration; the loop sets it before the start.
    """

    most_passes: float


def missing(*needs: tuple[bool, str]) -> str | None:
    """Return "needs …" with the first of the (is there, what it is) needs that is not there, None if all are."""
    return next((f"needs {what}" for there, what in needs if not there), None)


def state_under(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the part of a state whose names begin with a prefix, by the rest of the name."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
