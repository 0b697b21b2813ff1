"""The solvers, by name. A new solver is a file here and a line in `SOLVERS`."""

from __future__ import annotations

from typing import Any

from straightedge.errors import InputError
from straightedge.objective import Objective
from straightedge.solvers.base import Solver
from straightedge.solvers.dual_ascent import DualAscent, is_mild
from straightedge.solvers.hinge import SemismoothNewton
from straightedge.solvers.hinge_alm import HingeALM
from straightedge.solvers.hinge_path import HingePath
from straightedge.solvers.interior_point import InteriorPoint
from straightedge.solvers.lbfgs import WhitenedLBFGS
from straightedge.solvers.newton import Newton, suits_newton

SOLVERS: dict[str, Any] = {
    "newton": Newton,
    "lbfgs": WhitenedLBFGS,
    "hinge_alm": HingeALM,
    "dual_ascent": DualAscent,
    "hinge_path": HingePath,
    "interior_point": InteriorPoint,
    "semismooth_newton": SemismoothNewton,
}
LEAST_ENTRIES = 10_000_000  # of X: below, loading the compiled loop takes longer than the fit

__all__ = ["SOLVERS", "choose_solver"]


def choose_solver(name: str, objective: Objective, *, seed: int = 0) -> Solver:
    """Return a fresh solver for an objective.

    Args:
        name: "auto" (for smooth losses Newton where a step takes little work, else L-BFGS; for the hinges the
            semismooth Newton method where the rows can be gathered, else the interior point where a weighted
            penalty's problem is small, dual ascent where ρ is small, else the augmented Lagrangian on blocks of
            rows; both along a path that needs both) or a name.
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
    kind = SOLVERS[name]
    obstacle = kind.supports(objective)
    if obstacle:
        raise InputError("solver-does-not-fit", f"{name} {obstacle}", mend="use solver='auto'")
    solver: Solver = kind(seed=seed) if kind.seeded else kind()
    return solver


def _fastest(objective: Objective) -> str:
    """Return the solver for an objective; dual ascent pays where rows are many and hardly disturb one another."""
    if objective.loss.smooth:
        return "newton" if suits_newton(objective) else "lbfgs"
    if SemismoothNewton.supports(objective) is None:
        return "semismooth_newton"
    if InteriorPoint.supports(objective) is None:
        return "interior_point"
    entries = objective.design.n_entries
    if entries < LEAST_ENTRIES:
        return "hinge_alm"
    mildest = objective.select(objective.penalty.curvature.argmax()[None])
    if not is_mild(mildest):
        return "hinge_alm"
    return "dual_ascent" if is_mild(objective) else "hinge_path"
