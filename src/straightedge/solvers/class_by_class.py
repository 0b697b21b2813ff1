"""One-against-rest losses, one class after another: each is a problem of two classes of its own.

With u = w₁ − w₀ the two-class form of a hinge is the hinge of one class against the rest, and
reg ‖u‖² = 2 reg (‖w₀‖² + ‖w₁‖²) at w₁ = −w₀ = u/2, where the optimum lies. P is the sum of the classes' values, its
bound that of their bounds, and it has the relative gap asked for where each class has. Two classes are what every
solver is fastest at: they are one column, and the rows that a class rests on are few.

References:
    Rifkin and Klautau, "In Defense of One-Vs-All Classification", JMLR 2004.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from straightedge.losses import get_loss
from straightedge.objective import Objective
from straightedge.penalties import Ridge, WeightedRidge
from straightedge.solvers.protocol import Progress, Solver, missing
from straightedge.solvers.state import given_to, taken_from
from straightedge.solvers.work import LOADING
from straightedge.status import Status

OF_TWO = {"one_vs_rest": "svm"}
"""`Loss.geometry` -> name of the loss of two classes that each class is a problem of. Squared hinges are as fast
together."""


SHARE = 0.4  # of a usual fit of two classes, that one against the rest takes: 0.05 on isolet, 0.4 on digits


@dataclass
class ClassByClassState:
    """What a checkpoint keeps of `ClassByClass`: all is between two classes.

    Attributes:
        W: (K', C, D + 1), 0 for classes that wait.
        primal: (K', C) float64, each class's value.
        dual: (K', C) float64, each class's bound.
        done: (K', C) bool.
    """

    W: Tensor
    primal: Tensor
    dual: Tensor
    done: Tensor


class ClassByClass(Solver):
    """Each class against the rest by the solver that is fastest for its two classes; dense rows, one process.

    Configurations are taken from the largest reg to the smallest, each class from its W of the one before.
    """

    name = "class_by_class"
    State = ClassByClassState
    seeded = True

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    @classmethod
    def supports(cls, objective: Objective) -> str | None:
        """See `Solver.supports`."""
        alone = objective.loss.geometry in OF_TWO and objective.n_classes > 2
        return missing(
            (not objective.design.sparse, "dense rows"),
            (alone, f"classes that are problems of their own, unlike those of {objective.loss.name}"),
            (isinstance(objective.penalty.penalty, Ridge | WeightedRidge), "a ridge"),
            (objective.labels is None, "the same labels for all configurations"),
            (objective.communicator.size == 1, "one process"),
        )

    @classmethod
    def cost(cls, objective: Objective) -> float:
        """See `Solver.cost`: that of a class, for each of them; compiled loops are loaded once."""
        from straightedge.solvers import least_cost

        one = least_cost(_against_rest(objective, 0))
        loading = LOADING if one > LOADING else 0.0
        return loading + SHARE * objective.n_classes * (one - loading)

    def start(self, objective: Objective, W: Tensor | None, tol: Tensor) -> Progress:
        """See `Solver.start`: at W = 0, whatever is given; its value is known without a pass."""
        self.objective, self.tols = objective, tol
        self.W = torch.zeros(objective.shape, dtype=torch.float64)
        at_zero = _against_rest(objective, 0).value_at_zero()
        self.primal = at_zero[:, None].expand(objective.shape[:2]).clone()
        self.dual = torch.zeros_like(self.primal)
        self.done = torch.zeros(objective.shape[:2], dtype=torch.bool)
        return self._progress(torch.zeros(objective.n_configs, dtype=torch.float64))

    def step(self) -> Progress:
        """See `Solver.step`: a class, to its gap."""
        from straightedge.solvers import choose_solver
        from straightedge.solvers.loop import Limits, minimize

        waiting = (~self.done).any(dim=1).nonzero().flatten()
        k = int(waiting[self.objective.reg[waiting].argmax()])
        j = int((~self.done[k]).nonzero()[0])
        part = _against_rest(self.objective.select(torch.tensor([k])), j)
        tol = float(self.tols[k])
        solver = choose_solver("auto", part, seed=self.seed)
        found = minimize(part, solver, Limits(tol, self.most_passes), W=self._first(k, j))
        if found.status[0] is Status.INTERRUPTED:
            raise KeyboardInterrupt
        self.W[k, j] = found.W[0, 1] - found.W[0, 0]
        self.primal[k, j], self.dual[k, j] = found.objective[0], found.dual[0].clamp_min(0.0)
        self.done[k, j] = True
        passes = torch.zeros(len(self.W), dtype=torch.float64)
        passes[k] = float(found.n_passes[0]) / self.objective.n_classes
        return self._progress(passes)

    def _first(self, k: int, j: int) -> Tensor | None:
        """Return where a class begins: at its answer for the nearest larger reg, if it has one."""
        reg = self.objective.reg
        larger = (self.done[:, j] & (reg >= reg[k])).nonzero().flatten()
        if not len(larger):
            return None
        half = self.W[int(larger[reg[larger].argmin()]), j] / 2
        return torch.stack([-half, half])[None]

    def _progress(self, passes: Tensor) -> Progress:
        return Progress(self.W, self.primal.sum(dim=1), self.dual.sum(dim=1), passes, self.done.all(dim=1))

    def keep(self, positions: Tensor) -> None:
        """See `Solver.keep`."""
        self.objective, self.tols = self.objective.select(positions), self.tols[positions]
        given_to(
            self, ClassByClassState(*(part[positions] for part in (self.W, self.primal, self.dual, self.done)))
        )

    def certify(self, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `Solver.certify`: the classes are proven one by one."""
        return self.W[positions], self.primal[positions].sum(dim=1), self.dual[positions].sum(dim=1)

    def state(self) -> ClassByClassState:
        """See `Solver.state`."""
        return taken_from(ClassByClassState, self)

    def restore(self, objective: Objective, state: ClassByClassState, tol: Tensor) -> Progress:
        """See `Solver.restore`."""
        self.objective, self.tols = objective, tol
        given_to(self, state)
        return self._progress(torch.zeros(objective.n_configs, dtype=torch.float64))


def _against_rest(objective: Objective, j: int) -> Objective:
    """Return the problem of two classes that class j against the rest is."""
    part = objective.for_labels((objective.y == j).long())
    part.n_classes, part.loss = 2, get_loss(OF_TWO[objective.loss.geometry or ""])
    part.penalty = objective.penalty.times(2.0)
    return part
