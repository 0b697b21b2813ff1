"""The solvers, by name. A new solver is a file here and a line in `SOLVERS`."""

import math
from typing import Any

from straightedge.errors import InputError
from straightedge.objective import Objective
from straightedge.solvers.class_by_class import ClassByClass
from straightedge.solvers.hinge import SemismoothNewton
from straightedge.solvers.hinge.blocks.solver import HingeALM
from straightedge.solvers.hinge.dual_ascent import DualAscent
from straightedge.solvers.hinge.path import HingePath
from straightedge.solvers.lbfgs import WhitenedLBFGS
from straightedge.solvers.newton import Newton
from straightedge.solvers.protocol import Solver
from straightedge.solvers.sgd import MinibatchSGD
from straightedge.solvers.sparse import SparseDualAscent

SOLVERS: dict[str, type[Any]] = {
    "newton": Newton,
    "lbfgs": WhitenedLBFGS,
    "hinge_path": HingePath,  # before what it is made of: of equal costs the first counts
    "hinge_alm": HingeALM,
    "dual_ascent": DualAscent,
    "semismooth_newton": SemismoothNewton,
    "class_by_class": ClassByClass,
    "sgd": MinibatchSGD,
    "sparse_dual_ascent": SparseDualAscent,
}
__all__ = ["SOLVERS", "choose_solver"]


def choose_solver(name: str, objective: Objective, *, seed: int = 0) -> Solver:
    """Return a fresh solver for an objective.

    Args:
        name: "auto", which is the solver of least `Solver.cost` among those that support the objective (for smooth
            losses Newton where a step takes little work, else L-BFGS; for the hinges the semismooth Newton method
            where the rows can be gathered and few directions are free, dual ascent where ρ is small, else the
            augmented Lagrangian on blocks of rows; `hinge_path` goes from one to the other); or a name.
        objective: What it will solve.
        seed: For solvers that draw samples.

    Raises:
        InputError: ``solver-unknown``, or ``solver-does-not-fit`` naming what is missing.
    """
    if name == "auto":
        name = _fastest(objective)
    if name not in SOLVERS:
        what = f"there is no solver called {name!r}"
        raise InputError("solver-unknown", what, mend=f"one of: auto, {', '.join(SOLVERS)}")
    kind = SOLVERS[name]
    obstacle = _obstacle(kind, objective)
    if obstacle:
        mend = "give dense rows, X.toarray()" if objective.design.sparse else "use solver='auto'"
        raise InputError("solver-does-not-fit", f"{name} {obstacle}", mend=mend)
    solver: Solver = kind(seed=seed) if kind.seeded else kind()
    return solver


def _obstacle(kind: type[Solver], objective: Objective) -> str | None:
    """Return why a solver cannot solve an objective, or None; none that is not for them makes sparse rows dense."""
    if objective.design.sparse and not kind.sparse:
        return "needs dense rows"
    return kind.supports(objective)


def least_cost(objective: Objective) -> float:
    """Return the least `Solver.cost` among the solvers that fit."""
    return min(_costs(objective).values(), default=math.inf)


def _costs(objective: Objective) -> dict[str, float]:
    """Return the counted work of each solver that fits."""
    fitting = {name: kind for name, kind in SOLVERS.items() if _obstacle(kind, objective) is None}
    return {name: float(kind.cost(objective)) for name, kind in fitting.items()}


def _fastest(objective: Objective) -> str:
    """Return the solver of least cost among those that fit; where none does, one of few needs, which says why."""
    costs = _costs(objective)
    if costs and min(costs.values()) < math.inf:
        return min(costs, key=costs.__getitem__)
    if objective.design.sparse:
        return "sparse_dual_ascent"
    return "lbfgs" if objective.loss.smooth else "hinge_alm"
