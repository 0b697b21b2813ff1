"""Pickles of plain values, read without unpickling: nothing that a file names is ever imported or called."""

from straightedge.data.pickles.machine import read_plain

__all__ = ["read_plain"]
