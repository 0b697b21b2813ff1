"""What all plots share: matplotlib when it is needed, axes to draw on, and the object that a plot returns."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Self

from straightedge.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, GREY = "#3f7de0", "#d9742b", "#808a99"


class Drawn:
    """A plot, in scikit-learn's manner: ``ax_`` and ``figure_`` are what it was drawn on.

    Attributes:
        ax_: The axes (an array of them where a plot has several), once it was drawn.
        figure_: Their figure.
    """

    ax_: Any
    figure_: Any


class Display(Drawn):
    """A plot on one pair of axes."""

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw on these axes, by default on a new figure's, and return self.

        Raises:
            InputError: ``matplotlib-missing``.
        """
        if ax is None:
            _, ax = pyplot().subplots(layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        self._draw(ax)
        return self

    @abstractmethod
    def _draw(self, ax: Axes) -> None:
        """Draw on these axes."""


def pyplot() -> Any:
    """Return ``matplotlib.pyplot``.

    Raises:
        InputError: ``matplotlib-missing``.
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        mend = "pip install matplotlib, or straightedge[plots]"
        raise InputError("matplotlib-missing", "plots need matplotlib", mend=mend) from error
    return pyplot
