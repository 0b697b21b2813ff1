"""Plots of an evaluation: confusions, reliability, ROC curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from straightedge.errors import visible
from straightedge.views.facts import short
from straightedge.views.plots import BLUE, GREY, ORANGE, Display

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABEL_WIDTH = 20
"""Characters of a class's name beside an axis."""
WRITTEN_UP_TO = 20
"""Classes up to which a confusion matrix has its counts and names written."""
LINES_UP_TO = 10
"""Classes up to which each has a ROC curve of its own in the legend."""


@dataclass
class ConfusionDisplay(Display):
    """Counts of samples by label and prediction, shaded by the share of the label.

    Attributes:
        counts: (C, C), row = label.
        classes: (C,) names.
    """

    counts: np.ndarray
    classes: Sequence[str]

    def _draw(self, ax: Axes) -> None:
        totals = self.counts.sum(axis=1, keepdims=True)
        shares = np.divide(self.counts, totals, out=np.zeros(self.counts.shape), where=totals > 0)
        ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        ax.set(xlabel="predicted class", ylabel="label", title="samples by label and prediction")
        if len(self.classes) <= WRITTEN_UP_TO:
            self._write(ax, shares)

    def _write(self, ax: Axes, shares: np.ndarray) -> None:
        labels = [short(visible(name), LABEL_WIDTH) for name in self.classes]
        turned = 90 if max(map(len, labels)) > 3 else 0
        ax.set_xticks(range(len(labels)), labels, rotation=turned)
        ax.set_yticks(range(len(labels)), labels)
        for row, column in np.argwhere(self.counts):
            color = "white" if shares[row, column] > 0.5 else "black"
            ax.text(column, row, f"{self.counts[row, column]:g}", ha="center", va="center", color=color)


@dataclass
class ReliabilityDisplay(Display):
    """What was said beside what was right, in bins of confidence, with 95 % intervals.

    Attributes:
        said: (B,) mean probability of the predictions in each bin that has samples.
        right: (B,) share of them that is right.
        interval: (2, B) ends of its 95 % intervals.
    """

    said: np.ndarray
    right: np.ndarray
    interval: np.ndarray

    def _draw(self, ax: Axes) -> None:
        ax.plot([0, 1], [0, 1], "--", color=GREY, label="as often right as said")
        reach = np.abs(self.interval - self.right)
        ax.errorbar(self.said, self.right, reach, fmt="o", color=BLUE, capsize=3, label="samples, 95 % interval")
        ax.set(xlabel="probability of the prediction", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
        ax.legend()


@dataclass
class RocDisplay(Display):
    """Each class against all others: the share of its samples found beside the share of others taken for it.

    Attributes:
        curves: For each class (false positive rate, true positive rate) and the area under it; None where the
            class or its opposite does not occur.
        classes: (C,) names.
    """

    curves: Sequence[tuple[np.ndarray, np.ndarray, float] | None]
    classes: Sequence[str]

    def _draw(self, ax: Axes) -> None:
        named = len(self.classes) <= LINES_UP_TO
        for name, curve in zip(self.classes, self.curves, strict=True):
            if curve is None:
                continue
            label = f"{short(visible(name), LABEL_WIDTH)}, area {curve[2]:.3f}"
            if named:
                ax.plot(curve[0], curve[1], label=label)
            else:
                ax.plot(curve[0], curve[1], lw=0.6, alpha=0.5, color=ORANGE)
        ax.plot([0, 1], [0, 1], "--", color=GREY, label="chance")
        ax.set(xlabel="share of other samples taken for the class", ylabel="share of the class that is found")
        ax.legend()
