"""How things show themselves: a few lines, a small table in a notebook, a frame of pandas, a plot."""

from straightedge.views.coefficients import Coefficients
from straightedge.views.facts import Described, Facts, amount, frame, names, short
from straightedge.views.of_models import ModelViews

__all__ = ["Coefficients", "Described", "Facts", "ModelViews", "amount", "frame", "names", "short"]
