"""The coefficients of a classifier, with the names and the units of its features."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from straightedge.views.facts import Described, Facts, amount, frame, names


@dataclass(frozen=True, repr=False)
class Coefficients(Described):
    """What a feature adds to the score of each class.

    Attributes:
        per_unit: (D, C) change of the score for one unit of the feature as it comes.
        spread: (D,) standard deviation of each feature in the training rows, in its own unit; None where the fit
            did not standardise, so that it is not known.
        features: (D,) names.
        classes: (C,) names.
    """

    per_unit: np.ndarray
    spread: np.ndarray | None
    features: Sequence[str]
    classes: Sequence[str]

    @property
    def per_deviation(self) -> np.ndarray | None:
        """(D, C) change of the score for one standard deviation of the feature, or None."""
        return None if self.spread is None else self.per_unit * self.spread[:, None]

    @property
    def comparable(self) -> np.ndarray:
        """(D, C) the coefficients to compare features by: per standard deviation where that is known."""
        return self.per_unit if self.per_deviation is None else self.per_deviation

    @property
    def unit(self) -> str:
        """What `comparable` is per."""
        return "unit" if self.spread is None else "standard deviation"

    def largest(self, count: int) -> np.ndarray:
        """Return the positions of the features whose coefficients differ most between classes, largest first."""
        strength = np.ptp(self.comparable, axis=1)
        return np.argsort(-strength, kind="stable")[:count]

    def to_frame(self) -> Any:
        """Return a ``pandas.DataFrame``, a row for each feature and class."""
        n_features, n_classes = self.per_unit.shape
        columns: dict[str, Any] = {
            "feature": np.repeat(np.asarray(self.features, dtype=object), n_classes),
            "class": np.tile(np.asarray(self.classes, dtype=object), n_features),
            "per_unit": self.per_unit.ravel(),
        }
        if self.per_deviation is not None:
            columns["per_standard_deviation"] = self.per_deviation.ravel()
        return frame(columns)

    def _facts(self) -> Facts:
        n_features, n_classes = self.per_unit.shape
        strongest = [self.features[place] for place in self.largest(n_features)]
        return Facts(
            f"Coefficients of {amount(n_features, 'feature')} for {amount(n_classes, 'class')}",
            (
                ("units", f"per {self.unit}" + ("" if self.spread is None else " and per unit")),
                ("largest", names(strongest)),
                ("classes", names(self.classes)),
            ),
        )
