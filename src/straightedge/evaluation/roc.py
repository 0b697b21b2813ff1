"""ROC curves: each class against all others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from straightedge.calibration import log_softmax

Curve = tuple[np.ndarray, np.ndarray, float]
"""False positive rates, true positive rates, the area under the curve."""


@dataclass(frozen=True)
class Judged:
    """What a curve is made of, kept by reference.

    Attributes:
        scores: (N, C).
        y: (N,) labels.
        weights: (N,) or None.
        probabilistic: Whether a class is ranked by its probability; else by its score.
    """

    scores: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None
    probabilistic: bool

    def curves(self) -> list[Curve | None]:
        """Return a curve for each class, None where all samples are of it, or none."""
        ranked = log_softmax(self.scores) if self.probabilistic else self.scores
        return [self._curve(ranked[:, k], self.y == k) for k in range(ranked.shape[1])]

    def _curve(self, ranked: np.ndarray, is_class: np.ndarray) -> Curve | None:
        from sklearn.metrics import auc, roc_curve

        if is_class.all() or not is_class.any():
            return None
        false, true, _ = roc_curve(is_class, ranked, sample_weight=self.weights)
        return false, true, float(auc(false, true))
