"""What `fit_layers` returns: a score for each layer, and what they say together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class LayerScore:
    """What one layer's probe reaches.

    Attributes:
        name: The layer.
        reg: The value chosen on validation rows, the best of a path.
        validation: Share of validation rows it has right.
        accuracy: Share of test rows it has right.
        interval: 95 % interval of `accuracy`.
        control: Share of random labels of test rows that a probe fitted to random labels has right.
        shuffled: Share of test rows that a probe on shuffled features has right.
        nearest_mean: Share of test rows whose nearest class mean is their own, columns scaled to unit spread.
        difference_of_means: The same with columns as they are; for two classes the direction is the difference of
            their means, cut halfway.
        certified: Values of the path whose optimum is proven.
        n_values: Values of the path that were fitted.
    """

    name: str
    reg: float
    validation: float
    accuracy: float
    interval: tuple[float, float]
    control: float
    shuffled: float
    nearest_mean: float
    difference_of_means: float
    certified: int
    n_values: int

    @property
    def selectivity(self) -> float:
        """How much more of the labels than of random ones the probe has right."""
        return self.accuracy - self.control


@dataclass(frozen=True)
class Layers:
    """The probes of all layers.

    Attributes:
        scores: One `LayerScore` a layer, in order.
        best: Position of the layer that is best on validation rows.
        classes: Class names.
        n_train: Training rows.
        n_validation: Validation rows.
        n_test: Test rows.
        coef: (C, D) weights of each layer's chosen probe, on its rows as they are.
        means: (C, D) class means of each layer's training rows; their differences are the directions of the
            difference of means.
        cosine: (L, L) cosines between the weights of layers, NaN between layers of other widths.
    """

    scores: list[LayerScore]
    best: int
    classes: tuple[str, ...]
    n_train: int
    n_validation: int
    n_test: int
    coef: list[np.ndarray] = field(repr=False)
    means: list[np.ndarray] = field(repr=False)
    cosine: np.ndarray = field(repr=False)

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a dictionary of plain values for each layer, as tables and files have it."""
        return [
            {
                "layer": one.name,
                "accuracy": one.accuracy,
                "low": one.interval[0],
                "high": one.interval[1],
                "validation": one.validation,
                "selectivity": one.selectivity,
                "control": one.control,
                "shuffled": one.shuffled,
                "nearest_mean": one.nearest_mean,
                "difference_of_means": one.difference_of_means,
                "reg": one.reg,
                "certified": one.certified,
                "n_values": one.n_values,
            }
            for one in self.scores
        ]

    def in_words(self) -> str:
        """Return the answer in one sentence."""
        best = self.scores[self.best]
        return (
            f"best of {len(self.scores)} layers on validation rows: {best.name}, test accuracy {best.accuracy:.4f} "
            f"[{best.interval[0]:.4f}, {best.interval[1]:.4f}], n = {self.n_test}; "
            f"{best.selectivity:+.4f} against random labels"
        )


def cosines(weights: Sequence[np.ndarray]) -> np.ndarray:
    """Return the (L, L) cosines between (C, D) weights, NaN between those of other shapes and of no length."""
    cosine = np.full((len(weights), len(weights)), np.nan)
    for i, one in enumerate(weights):
        for j, other in enumerate(weights):
            length = np.linalg.norm(one) * np.linalg.norm(other) if one.shape == other.shape else 0.0
            if length > 0:
                cosine[i, j] = float(np.vdot(one, other) / length)
    return cosine
