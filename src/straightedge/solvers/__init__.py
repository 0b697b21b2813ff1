"""The solvers, by name. A new solver is a file here and a line in `SOLVERS`."""

from __future__ import annotations

from collections.abc import Callable

from straightedge.errors import InputError
from straightedge.objective import Objective
from straightedge.solvers.base import Solver
from straightedge.solvers.hinge_alm import HingeALM
from straightedge.solvers.lbfgs import WhitenedLBFGS

SOLVERS: dict[str, Callable[..., Solver]] = {
    "lbfgs": WhitenedLBFGS,
    "hinge_alm": HingeALM,
}

__all__ = ["SOLVERS", "choose_solver"]


def choose_solver(name: str, objective: Objective, *, seed: int = 0) -> Solver:
    """Return a fresh solver for an objective.

    Args:
        name: "auto" (L-BFGS for smooth losses, for the hinges what `auto_hinge` finds fastest) or a name.
        objective: What it will solve.
        seed: For solvers that draw samples.

    Raises:
        InputError: ``solver-unknown``, or ``solver-does-not-fit`` naming what is missing.
    """
    if name == "auto":
        return WhitenedLBFGS() if objective.loss.smooth else HingeALM()
    if name not in SOLVERS:
        raise InputError(
            "solver-unknown",
            f"there is no solver called {name!r}",
            mend=f"one of: auto, {', '.join(SOLVERS)}",
        )
    if name == "lbfgs" and not objective.loss.smooth:
        raise InputError(
            "solver-does-not-fit",
            f"lbfgs needs a smooth loss, and {objective.loss.name} has kinks",
            mend="use solver='auto'",
        )
    if name == "hinge_alm" and objective.loss.smooth:
        raise InputError(
            "solver-does-not-fit",
            f"hinge_alm is for losses with kinks, and {objective.loss.name} is smooth",
            mend="use solver='auto'",
        )
    return SOLVERS[name]()
