"""The solvers, by name. A new solver is a file here and a line in `SOLVERS`."""

from __future__ import annotations

from typing import Any

from straightedge.errors import InputError
from straightedge.objective import Objective
from straightedge.solvers.dual_ascent import DualAscent
from straightedge.solvers.hinge import SemismoothNewton
from straightedge.solvers.hinge_alm import HingeALM
from straightedge.solvers.hinge_path import HingePath
from straightedge.solvers.interior_point import InteriorPoint
from straightedge.solvers.lbfgs import WhitenedLBFGS
from straightedge.solvers.newton import Newton
from straightedge.solvers.protocol import Solver
from straightedge.solvers.sgd import MinibatchSGD
from straightedge.solvers.sparse import SparseDualAscent

SOLVERS: dict[str, Any] = {
    "newton": Newton,
    "lbfgs": WhitenedLBFGS,
    "hinge_alm": HingeALM,
    "dual_ascent": DualAscent,
    "hinge_path": HingePath,
    "interior_point": InteriorPoint,
    "semismooth_newton": SemismoothNewton,
    "sgd": MinibatchSGD,
    "sparse_dual_ascent": SparseDualAscent,
}
AUTO = ("newton", "lbfgs", "semismooth_newton", "interior_point", "dual_ascent", "hinge_path", "hinge_alm")
"""Solvers that auto takes, the first that fits and is worthwhile; those after it are for larger problems."""

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
    obstacle = "needs dense rows" if _is_too_dense(kind, objective) else kind.supports(objective)
    if obstacle:
        mend = "give dense rows, X.toarray()" if objective.design.sparse else "use solver='auto'"
        raise InputError("solver-does-not-fit", f"{name} {obstacle}", mend=mend)
    solver: Solver = kind(seed=seed) if kind.seeded else kind()
    return solver


def _is_too_dense(kind: Any, objective: Objective) -> bool:
    """Return whether a solver would make sparse rows dense."""
    return objective.design.sparse and not getattr(kind, "sparse", False)


def _fastest(objective: Objective) -> str:
    """Return the first solver of `AUTO` that fits an objective and is worth it there; the last if none fits."""
    if objective.design.sparse:
        return "sparse_dual_ascent"
    fitting = (name for name in AUTO if SOLVERS[name].supports(objective) is None)
    last = "lbfgs" if objective.loss.smooth else "hinge_alm"
    return next((name for name in fitting if SOLVERS[name].worthwhile(objective)), last)
