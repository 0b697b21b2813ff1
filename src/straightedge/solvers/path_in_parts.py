"""A path in parts: few values of reg first, then those between them, from what the first lead to.

Along log reg the answers W of a smooth loss lie on a smooth curve, so that the cubic through four of them comes
near those between. What is found first costs all of its passes from W = 0, most of a path a fifth of these.
"""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

EVERY = 8, 4, 2, 1
"""Values of reg from one to the next when each part is known.

CIFAR-10 took 131 passes for 16 values, with (4, 2, 1) 141, with (3, 1) 161, and all at once 279.
"""
FEWEST = 6  # values of a fold
WIDEST = 3.0  # ratio of neighbours; those of the usual path differ by a factor of 2.2
NEAREST = 4  # answers of an interpolation; six lead no nearer


def parts_of(reg: Tensor, fold: Tensor) -> list[Tensor] | None:
    """Return the positions (K',) int64 of each part; None where a fold has few of them, or they are far apart."""
    part = torch.full((len(reg),), len(EVERY))
    for own in fold.unique().tolist():
        places = (fold == own).nonzero().flatten()
        order = places[reg[places].argsort(descending=True)]
        values = reg[order].tolist()
        if len(values) < FEWEST or any(not 0 < low < high <= WIDEST * low for high, low in pairwise(values)):
            return None
        for count, step in reversed(list(enumerate(EVERY))):
            part[order[::step]] = count
        part[order[-1]] = 0
    parts = [(part == count).nonzero().flatten() for count in range(len(EVERY))]
    return [one for one in parts if len(one)]


def between(reg: Tensor, fold: Tensor, wanted: Tensor, known: Tensor, W: Tensor) -> Tensor:
    """Return W (K', C, D + 1) at some configurations from that at others.

    Args:
        reg: (K,) strengths > 0.
        fold: (K,) int64.
        wanted: (K',) int64 positions.
        known: (Q,) int64 positions.
        W: (K, C, D + 1); those at ``known`` are read.
    """
    places = reg.log()
    out = W.new_empty(len(wanted), *W.shape[1:])
    for i, k in enumerate(wanted.tolist()):
        own = (fold[known] == fold[k]).nonzero().flatten()
        own = own[(places[known[own]] - places[k]).abs().argsort()[:NEAREST]]
        shares = _polynomial(places[known[own]].numpy(), float(places[k]))
        out[i] = torch.tensordot(torch.from_numpy(shares).to(W), W[known[own]], dims=1)
    return out


def _polynomial(places: np.ndarray, at: float) -> np.ndarray:
    """Return the shares (q,) of values at ``places`` (q,) in that of the polynomial through them at ``at``."""
    distances, rest = places[:, None] - places, np.tile(at - places, (len(places), 1))
    np.fill_diagonal(distances, 1.0)
    np.fill_diagonal(rest, 1.0)
    shares: np.ndarray = (rest / distances).prod(axis=1)
    return shares
