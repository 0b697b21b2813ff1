"""Solvers of the hinges.

`gathered` has all rows of a problem at hand; `blocks` goes over blocks of rows; `dual_ascent` goes from row to row;
`path` takes each value of reg by the fastest of three.
"""

from straightedge.solvers.hinge.blocks.solver import HingeALM
from straightedge.solvers.hinge.dual_ascent import DualAscent
from straightedge.solvers.hinge.gathered.solver import SemismoothNewton
from straightedge.solvers.hinge.path import HingePath

__all__ = ["DualAscent", "HingeALM", "HingePath", "SemismoothNewton"]
