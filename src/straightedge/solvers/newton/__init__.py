"""Newton's method for smooth losses: exact where unknowns are few, by conjugate gradients where they are not."""

from straightedge.solvers.newton.solver import Newton

__all__ = ["Newton"]
