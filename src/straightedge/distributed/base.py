"""The contract of a communicator, and the one of a single process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass
class Traffic:
    """What went between the ranks, as this one saw it.

    Attributes:
        calls: Number of collective operations.
        n_bytes: Bytes of the tensors handed to them.
        seconds: Wall time in them, waiting for slower ranks included, s.
    """

    calls: int = 0
    n_bytes: int = 0
    seconds: float = 0.0

    def since(self, before: Traffic) -> Traffic:
        """Return what was added after ``before``."""
        return Traffic(self.calls - before.calls, self.n_bytes - before.n_bytes, self.seconds - before.seconds)


class Communicator:
    """Sums over ranks, here of one process alone. Every rank calls the same methods in the same order.

    Attributes:
        rank: Index of this process, 0 writes the outputs.
        size: Number of processes.
        local_rank: Index of this process on its host.
        traffic: What has gone between the ranks so far.
        launch: Name of this start of all ranks, kept when torchrun restarts them; "" where there is none.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    launch: str = ""

    def __init__(self) -> None:
        self.traffic = Traffic()

    def all_reduce(self, value: Tensor) -> Tensor:
        """Return the sum of ``value`` over ranks, the same bits on each."""
        return value

    def all_reduce_max(self, value: Tensor) -> Tensor:
        """Return the element-wise maximum of ``value`` over ranks."""
        return value

    def gather_rows(self, value: Tensor) -> Tensor:
        """Return the ``value`` (n_r, ...) of every rank, one below the other in the order of ranks.

        The n_r may differ between ranks; the other sizes and the dtype may not.
        """
        return value

    def broadcast_object(self, value: Any, source: int = 0) -> Any:
        """Return the JSON value of one rank on every rank (tuples become lists)."""
        return value

    def broadcast_tensors(self, value: dict[str, Tensor] | None) -> dict[str, Tensor]:
        """Return the named tensors of rank 0 on every rank, on the CPU; the others may give None."""
        return value or {}

    def barrier(self) -> None:
        """Wait until every rank is here."""

    def fail(self, error: BaseException) -> None:
        """Tell the other ranks that this one ends, and let go of them; they end with the same error."""


def row_range(n_rows: int, rank: int, size: int) -> tuple[int, int]:
    """Return the rows ``[start, stop)`` that a rank owns: contiguous, sizes differing by one at most."""
    return n_rows * rank // size, n_rows * (rank + 1) // size


def local() -> Communicator:
    """Return the communicator of a single process."""
    return Communicator()
