"""The solvers, by name. A new solver is a file here and a line in `SOLVERS`."""

from __future__ import annotations

from collections.abc import Callable

from straightedge.errors import InputError
from straightedge.objective import Objective
from straightedge.solvers.base import Solver
from straightedge.solvers.dual_ascent import DualAscent, disturbance, suits_dual_ascent
from straightedge.solvers.hinge_alm import HingeALM
from straightedge.solvers.interior_point import InteriorPoint, suits_interior_point
from straightedge.solvers.lbfgs import WhitenedLBFGS

SOLVERS: dict[str, Callable[..., Solver]] = {
    "lbfgs": WhitenedLBFGS,
    "hinge_alm": HingeALM,
    "dual_ascent": DualAscent,
    "interior_point": InteriorPoint,
}
LEAST_ENTRIES = 10_000_000  # of X: below, loading the compiled loop takes longer than the fit
LARGEST_DISTURBANCE = 0.6  # ρ times the cores, up to which dual ascent, which uses two, is the faster one

__all__ = ["SOLVERS", "choose_solver"]


def choose_solver(name: str, objective: Objective, *, seed: int = 0) -> Solver:
    """Return a fresh solver for an objective.

    Args:
        name: "auto" (L-BFGS for smooth losses; for the hinges the interior point where the problem is small, dual
            ascent where ρ is, else the augmented Lagrangian) or a name.
        objective: What it will solve.
        seed: For solvers that draw samples.

    Raises:
        InputError: ``solver-unknown``, or ``solver-does-not-fit`` naming what is missing.
    """
    if name == "auto":
        name = _fastest(objective)
    if name not in SOLVERS:
        raise InputError(
            "solver-unknown",
            f"there is no solver called {name!r}",
            mend=f"one of: auto, {', '.join(SOLVERS)}",
        )
    obstacle = _obstacle(name, objective)
    if obstacle:
        raise InputError("solver-does-not-fit", obstacle, mend="use solver='auto'")
    return DualAscent(seed) if name == "dual_ascent" else SOLVERS[name]()


def _fastest(objective: Objective) -> str:
    """Return the solver for an objective; dual ascent pays where rows are many and hardly disturb one another."""
    if objective.loss.smooth:
        return "lbfgs"
    if suits_interior_point(objective):
        return "interior_point"
    entries = objective.rows.n_samples * objective.rows.n_features
    single = objective.n_configs == 1 and entries >= LEAST_ENTRIES
    if not single or not suits_dual_ascent(objective):
        return "hinge_alm"
    mild = disturbance(objective) * max(2, objective.pool.workers) <= LARGEST_DISTURBANCE
    return "dual_ascent" if mild else "hinge_alm"


def _obstacle(name: str, objective: Objective) -> str:
    """Return why a solver cannot solve an objective, or nothing."""
    loss = objective.loss.name
    if name == "lbfgs" and not objective.loss.smooth:
        return f"lbfgs needs a smooth loss, and {loss} has kinks"
    if name == "hinge_alm" and objective.loss.smooth:
        return f"hinge_alm is for losses with kinks, and {loss} is smooth"
    if name == "dual_ascent" and not suits_dual_ascent(objective):
        return (
            "dual_ascent is for svm, a penalised bias, reg > 0 and rows in the CPU's memory, in one process"
        )
    if name == "interior_point" and not suits_interior_point(objective):
        return f"interior_point is for small problems with kinks (loss {loss}), in one process"
    return ""
