"""What the rows themselves say of a W: its value and its bound, in float64."""

from __future__ import annotations

import numpy as np

from straightedge.newton.blocks import RowBlocks
from straightedge.newton.direct import Answer


def proven(rows: RowBlocks, W: np.ndarray, reg: float) -> Answer:
    """Return W (C, D + 1) with mean ℓ + reg ΣW² and the bound of its gradient, by products in float64."""
    loss, V = rows.sums(W, np.float64)
    gradient = V / len(rows.y) + 2 * reg * W
    value = loss / len(rows.y) + reg * float(np.vdot(W, W))
    gap = float(np.vdot(gradient, gradient)) / (4 * reg)
    return Answer(W, value, max(0.0, value - gap), min(gap / value, 1.0))  # 0 is a lower bound of every loss
