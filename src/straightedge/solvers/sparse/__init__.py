"""Dual coordinate ascent over sparse rows. The numeric core sees NumPy arrays alone; `solver` is its adapter."""

from straightedge.solvers.sparse.solver import SparseDualAscent

__all__ = ["SparseDualAscent"]
