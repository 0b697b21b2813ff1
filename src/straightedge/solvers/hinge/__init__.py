"""Hinges of moderate size, on plain arrays; `solver` is what the loop sees."""

from straightedge.solvers.hinge.solver import SemismoothNewton

__all__ = ["SemismoothNewton"]
