"""Dual coordinate ascent with rows left out that stay at a bound: several epochs in one compiled call.

A row's part of P − D at its visit is known for nothing. Their sum over an epoch, and how it fell, tell when a look
at the bounds is worth it; rows that are left out count as 0 there. After a look all rows are visited again.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from straightedge.solvers.sparse.bounds import Ascent, BoundsState
from straightedge.solvers.sparse.two_classes import Epochs, TwoClassProblem

MOST_EPOCHS, FEWEST = 64, 8  # of one call; fewer where rows have many entries, so that Ctrl-C is heard
ENTRIES_A_CALL = 100_000_000  # about a second of visits
EARLY = 0.8  # times the gap asked for: where no more is left about, a look is worth it; 0.6 to 1 do as well
EARLIER = 0.7  # of what was expected and turned out to be too little
PLAIN_EPOCHS = 20  # before steps are relaxed
RELAX = 1.5  # times the exact step: 460 passes at reg 1e-6 on two groups of 20 newsgroups become 290
ANY_SEED = 88172645463325252  # Marsaglia's, for a generator whose state may not be 0


@dataclass
class ShrinkingState(BoundsState):
    """What a checkpoint keeps of a `ShrinkingAscent`; see there."""

    passes: float
    early: float
    shuffles: NDArray[np.int64]


class ShrinkingAscent(Ascent):
    """One configuration on its way; see the module. Its problem is a `TwoClassProblem`.

    Attributes:
        passes: Those that were used; an epoch is ended, though `most_passes` are.
        early: Times the gap asked for: where no more is left about, a look is worth it.
        shuffles: (1,) int64, the state of the generator of orders.
    """

    State = ShrinkingState

    def begin(self) -> None:
        """See `Ascent.begin`."""
        assert isinstance(self.problem, TwoClassProblem)
        self.column = self.problem
        self.passes, self.early = 0.0, EARLY
        self.shuffles = np.array([ANY_SEED ^ self.seed], dtype=np.int64)

    def advance(self) -> float:
        """See `Ascent.advance`; epochs until a look is worth it, and a look."""
        most = ENTRIES_A_CALL // max(1, self.problem.rows.n_stored)
        epochs = Epochs(
            relax=RELAX,
            plain=0 if self.passes > 0 else PLAIN_EPOCHS,
            from_zero=self.passes == 0 and not self.b.any(),
            early=self.early * self.tol,
            dual=self.dual,
            most=min(MOST_EPOCHS, max(FEWEST, most)),
            most_visits=(self.most_passes - self.passes) * len(self.b),
            stiffness=self.column.stiffness,
        )
        visits, expected = self.column.run_epochs(self.W, self.centre, self.b, self.shuffles, epochs)
        self.visits += visits
        self.dual = self._dual()
        cost = visits / len(self.b) + self.look()
        if self.present_gap > self.tol and expected <= self.early * self.tol * self.dual:
            self.early = EARLIER * expected / (self.tol * self.dual)
        self.passes += cost
        return cost
