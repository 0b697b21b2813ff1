"""Plots of what was fitted: a path, templates, coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from straightedge.errors import InputError, visible
from straightedge.views.coefficients import Coefficients
from straightedge.views.facts import short
from straightedge.views.plots import BLUE, ORANGE, Display, Drawn, pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES_UP_TO = 12
"""Lines that a legend names."""
LABEL_WIDTH = 30
"""Characters of a name beside an axis."""


@dataclass
class PathDisplay(Display):
    """Accuracy, or the norm of each class's coefficients, against reg.

    Attributes:
        reg: (K,) values.
        accuracy: (K,) share of the rows given that is right, or None where no rows were given.
        interval: (2, K) ends of its 95 % intervals.
        norms: (K, C) norm of each class's coefficients.
        classes: (C,) names.
    """

    reg: np.ndarray
    accuracy: np.ndarray | None
    interval: np.ndarray | None
    norms: np.ndarray
    classes: Sequence[Any]

    def _draw(self, ax: Axes) -> None:
        ax.set_xscale("log")
        ax.set_xlabel("reg, the weight of ΣW²")
        if self.accuracy is not None and self.interval is not None:
            ax.fill_between(self.reg, *self.interval, color=BLUE, alpha=0.2, label="95 % interval")
            ax.plot(self.reg, self.accuracy, "o-", color=BLUE, label="share that is right")
            ax.set_ylabel("accuracy")
            ax.legend()
            return
        ax.plot(self.reg, self.norms, label=[short(visible(name), LABEL_WIDTH) for name in self.classes])
        ax.set_ylabel("norm of a class's coefficients, per unit of the features")
        if len(self.classes) <= LINES_UP_TO:
            ax.legend()


@dataclass
class TemplatesDisplay(Drawn):
    """The coefficients of each class as an image; each has its own scale, 0 in its middle.

    Attributes:
        weight: (C, channels, height, width).
        classes: (C,) names.
    """

    weight: np.ndarray
    classes: Sequence[str]

    def plot(self, ax: Any = None) -> Self:
        """Draw one image a class on this array of axes, by default on a new figure's; return self.

        Raises:
            InputError: ``matplotlib-missing``; ``axes-number`` for fewer axes than classes.
        """
        axes = self._axes() if ax is None else np.ravel(ax)
        if len(axes) < len(self.classes):
            what = f"{len(axes)} axes were given for {len(self.classes)} classes"
            raise InputError("axes-number", what, "ax", "give one for each class, or none")
        self.ax_, self.figure_ = axes, axes[0].figure
        for one in axes:
            one.axis("off")
        for one, weight, name in zip(axes, self.weight, self.classes, strict=False):
            self._draw_one(one, weight, name)
        return self

    def _axes(self) -> np.ndarray:
        columns = min(5, len(self.classes))
        rows = -(-len(self.classes) // columns)
        size = (1.6 * columns, 1.8 * rows)
        figure, axes = pyplot().subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
        del figure
        return np.ravel(axes)

    def _draw_one(self, ax: Axes, weight: np.ndarray, name: str) -> None:
        reach = max(float(np.abs(weight).max()), np.finfo(np.float64).tiny)
        ax.set_title(short(visible(name), LABEL_WIDTH), fontsize="small")
        if len(weight) == 3:
            ax.imshow(0.5 + 0.5 * np.moveaxis(weight, 0, -1) / reach)
        else:
            ax.imshow(weight[0], cmap="RdBu", vmin=-reach, vmax=reach)


@dataclass
class CoefficientsDisplay(Display):
    """The features whose coefficients differ most between classes, a bar for each class.

    Attributes:
        coefficients: All of them.
        count: How many features are shown.
    """

    coefficients: Coefficients
    count: int = 15

    def _draw(self, ax: Axes) -> None:
        found = self.coefficients
        shown = found.largest(self.count)[::-1]
        if len(found.classes) == 2:  # the scores of two classes mean something by their difference alone
            difference = found.comparable[shown, 1] - found.comparable[shown, 0]
            ax.barh(range(len(shown)), difference, color=np.where(difference < 0, ORANGE, BLUE))
            what = f"score of {short(visible(found.classes[1]), LABEL_WIDTH)} over the other"
        else:
            image = found.comparable[shown]
            reach = max(float(np.abs(image).max()), np.finfo(np.float64).tiny)
            drawn = ax.imshow(image, cmap="RdBu", vmin=-reach, vmax=reach, aspect="auto")
            labels = [short(visible(name), LABEL_WIDTH) for name in found.classes]
            ax.set_xticks(range(len(labels)), labels, rotation=90 if max(map(len, labels)) > 3 else 0)
            ax.figure.colorbar(drawn, ax=ax, label=f"change of the score per {found.unit}")
            what = "class"
        ax.set_yticks(range(len(shown)), [short(visible(found.features[k]), LABEL_WIDTH) for k in shown])
        ax.set_xlabel(f"{what}, per {found.unit}" if len(found.classes) == 2 else what)
