"""The average of the last epochs' points, at which P is lower than at the last of them.

At the kinks of a hinge P is too large by an amount in proportion to how far scores stray from them, epoch after
epoch to either side; D only by its square. Averages of the iterates are where bounds of stochastic (sub)gradient
methods hold; here, on 20 newsgroups at reg 1e-5, P − D is there a quarter smaller than at the last point.

Reference:
    Shamir and Zhang, "Stochastic Gradient Descent for Non-smooth Optimization: Convergence Results and Optimal
    Averaging Schemes", ICML 2013.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from straightedge.solvers.sparse.bounds import Array

STEEP = 0.5  # of the gap: where an epoch leaves less, points of before it are far off; 0.4 does as well


@dataclass
class Average:
    """Each point counts half as much as the next.

    Attributes:
        W: (D + 1, C) the average; None before the first point.
        count: Points in it.
    """

    W: Array | None = None
    count: int = 0

    def take(self, W: np.ndarray, left: float) -> None:
        """Take in the point of another epoch.

        Args:
            W: (D + 1, C), which is copied.
            left: Share of the gap that the epoch has left.
        """
        if self.W is None or left < STEEP or self.W.dtype != W.dtype:
            self.W, self.count = W.copy(), 1
            return
        self.W += W
        self.W *= 0.5
        self.count += 1
