"""Ranks own rows; sums are all-reduced. The only room that calls torch.distributed.

A `Communicator` is all the rest of the package knows of other machines: how many there are, which one this is, and
how to add a tensor up over all of them. Every decision a solver takes rests on such sums, so ranks go the same way
without asking; what a single rank meets (an error, Ctrl-C, a time limit) is agreed upon before anyone acts on it.
"""

from straightedge.distributed.agreement import first_on_host, guarded_sum, is_shared, same_everywhere, together
from straightedge.distributed.base import Communicator, Traffic, local, row_range
from straightedge.distributed.ranks import TorchCommunicator
from straightedge.distributed.sharding import RowSlice, own_rows, slice_of
from straightedge.distributed.starting import current, own_device, restarts

__all__ = [
    "Communicator",
    "RowSlice",
    "TorchCommunicator",
    "Traffic",
    "current",
    "first_on_host",
    "guarded_sum",
    "is_shared",
    "local",
    "own_device",
    "own_rows",
    "restarts",
    "row_range",
    "same_everywhere",
    "slice_of",
    "together",
]
