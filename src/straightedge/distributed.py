"""Ranks own rows; sums are all-reduced. The only module that calls torch.distributed.

A `Communicator` is all the rest of the package knows of other machines: how many there are, which one this
is, and how to add a tensor up over all of them.
"""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor


class Communicator(Protocol):
    """Sums over ranks.

    Attributes:
        rank: Index of this process, 0 writes the outputs.
        size: Number of processes.
    """

    rank: int
    size: int

    def all_reduce(self, value: Tensor) -> Tensor:
        """Return the sum of ``value`` over ranks, the same bits on each."""
        ...

    def all_reduce_max(self, value: Tensor) -> Tensor:
        """Return the element-wise maximum of ``value`` over ranks."""
        ...

    def broadcast_object(self, value: Any) -> Any:
        """Return rank 0's ``value`` (JSON-like) on every rank."""
        ...

    def barrier(self) -> None:
        """Wait until every rank is here."""
        ...


class LocalCommunicator:
    """One process: every sum is already whole."""

    rank = 0
    size = 1

    def all_reduce(self, value: Tensor) -> Tensor:
        """Return ``value``."""
        return value

    def all_reduce_max(self, value: Tensor) -> Tensor:
        """Return ``value``."""
        return value

    def broadcast_object(self, value: Any) -> Any:
        """Return ``value``."""
        return value

    def barrier(self) -> None:
        """Return at once."""


def row_range(n_rows: int, rank: int, size: int) -> tuple[int, int]:
    """Return the rows ``[start, stop)`` that a rank owns: contiguous, sizes differing by one at most."""
    return n_rows * rank // size, n_rows * (rank + 1) // size


def local() -> LocalCommunicator:
    """Return the communicator of a single process."""
    return LocalCommunicator()


__all__ = ["Communicator", "LocalCommunicator", "local", "row_range"]
