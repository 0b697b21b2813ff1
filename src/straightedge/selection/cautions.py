"""What a user should know of a choice of reg: it is at the edge, or below chance."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from straightedge.selection.choice import CandidateScore, SelectionSettings


def cautions(
    scored: Sequence[CandidateScore],
    index: int,
    labels: np.ndarray,
    settings: SelectionSettings,
    weights: Tensor | None = None,
) -> dict[str, str]:
    """Return what a user should know of the choice of `index`, a sentence for each code: see `warn`.

    Labels (n,) and weights are those of the samples that values were judged on.
    """
    counts = np.bincount(labels, None if weights is None else weights.numpy())
    found = {
        "choice-at-the-edge": _at_the_end(scored, index),
        "choice-below-chance": _below_chance(scored[index], counts, settings),
    }
    return {code: sentence for code, sentence in found.items() if sentence}


def _at_the_end(scored: Sequence[CandidateScore], index: int) -> str | None:
    order = sorted(range(len(scored)), key=lambda k: scored[k].reg)
    place = order.index(index)
    if len(order) < 2 or 0 < place < len(order) - 1:
        return None
    neighbour = scored[order[1 if place == 0 else -2]]
    if scored[index].value <= neighbour.value:
        return None  # the scores have stopped rising
    wanted = "smaller" if place == 0 else "larger"
    return (
        f"the chosen reg {scored[index].reg:.3g} is at the edge of the values tried, and scores still rise "
        f"there: try {wanted} values"
    )


def _below_chance(chosen: CandidateScore, counts: np.ndarray, settings: SelectionSettings) -> str | None:
    """Return what is wrong where a constant answer does better; counts (C,) are of each class's samples."""
    if settings.metric == "balanced_accuracy":
        name, reached, constant = "balanced accuracy", chosen.value, 1 / int((counts > 0).sum())
    else:
        name, reached, constant = "accuracy", chosen.metrics["accuracy"], float(counts.max() / counts.sum())
    if reached >= constant:
        return None
    return (
        f"the validation {name} of the chosen reg, {reached:.4f}, is below {constant:.4f}, which always naming "
        "the largest class gives"
    )
