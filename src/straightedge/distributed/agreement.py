"""What happens to one rank happens to all: errors, Ctrl-C, and whether they work on the same problem at all."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from straightedge.distributed.base import Communicator
from straightedge.distributed.failures import SHARED, described, is_shared, rebuilt
from straightedge.errors import InputError, MachineError

__all__ = ["first_on_host", "guarded_sum", "is_shared", "same_everywhere", "together"]

Result = TypeVar("Result")
GONE = {"rank-lost", "ranks-timeout", "rank-failed"}  # after these there is nobody to agree with
WITNESS_BITS = 20  # its square times 2²⁰ ranks is still exact in float64's 53 bits


def together(communicator: Communicator, work: Callable[[], Result]) -> Result:
    """Return ``work()``; if it fails on any rank, every rank raises that rank's error.

    Where several fail, it is the error of the lowest rank. Ctrl-C on one rank is Ctrl-C on all.
    """
    if communicator.size == 1:
        return work()
    result, failure = _outcome(work)
    _raise_together(communicator, failure)
    assert not isinstance(result, _Nothing)
    return result


def first_on_host(communicator: Communicator, work: Callable[[], Result]) -> Result:
    """As `together`, with one rank of each host going first: what it leaves in a cache, the others find."""
    if communicator.size == 1:
        return work()
    mine = communicator.local_rank == 0
    early = together(communicator, lambda: work() if mine else None)
    late = together(communicator, lambda: None if mine else work())
    result = early if mine else late
    assert result is not None
    return result


def guarded_sum(
    communicator: Communicator, work: Callable[[], Tensor], like: Tensor, witness: Tensor | None = None
) -> Tensor:
    """Return the sum over ranks of ``work()``, agreeing on failures in the same message.

    Args:
        communicator: Sums over ranks.
        work: Gives this rank's share, shaped as ``like``.
        like: (n,) float64; only its size, type and device are looked at.
        witness: What must be the same bits on every rank, such as W; None checks nothing.

    Raises:
        KeyboardInterrupt: On every rank, if any rank was interrupted.
        StraightedgeError: On every rank, if ``work`` failed on any.
        MachineError: ``ranks-diverged`` if the witness differs.
    """
    if communicator.size == 1:
        return work()
    share, failure = _outcome(work)
    interrupted = isinstance(failure, KeyboardInterrupt)
    mark = like.new_zeros(()) if witness is None else _mark(witness).to(like)
    flags = [float(interrupted), float(failure is not None and not interrupted), mark, mark.square()]
    tail = torch.stack([torch.as_tensor(flag, dtype=like.dtype, device=like.device) for flag in flags])
    own = torch.zeros_like(like) if isinstance(share, _Nothing) else share
    total = communicator.all_reduce(torch.cat([own, tail]))
    n_interrupted, n_failed, marks, squares = total[-4:].tolist()
    if n_interrupted or n_failed:
        _raise_together(communicator, failure)
    if communicator.size * int(squares) != int(marks) ** 2:  # Cauchy–Schwarz: equal if all marks are
        raise _diverged()
    return total[:-4]


class _Nothing:
    """What a failed piece of work returned."""


def _outcome(work: Callable[[], Result]) -> tuple[Result | _Nothing, BaseException | None]:
    try:
        return work(), None
    except (Exception, KeyboardInterrupt) as error:
        if getattr(error, "code", None) in GONE:
            raise
        return _Nothing(), error


def _raise_together(communicator: Communicator, failure: BaseException | None) -> None:
    """Return if no rank has a failure; else raise the same on each."""
    interrupted = isinstance(failure, KeyboardInterrupt)
    failed = failure is not None and not interrupted
    own = torch.tensor([float(interrupted), float(communicator.size - communicator.rank) * failed])
    stop, first = communicator.all_reduce_max(own.to(torch.float64)).tolist()
    if first:
        source = communicator.size - int(first)
        mine = described(failure, source) if failure is not None and communicator.rank == source else None
        raise rebuilt(communicator.broadcast_object(mine, source)) from failure
    if stop:
        raise KeyboardInterrupt


def _mark(witness: Tensor) -> Tensor:
    """Return a number below 2²⁰ that changes with the witness's bits."""
    plain = witness.detach().contiguous()
    bits = plain.view(torch.int64 if plain.element_size() == 8 else torch.int32)
    whole = bits.sum(dtype=torch.int64)
    mark: Tensor = (whole ^ (whole >> 21) ^ (whole >> 42)) % 2**WITNESS_BITS
    return mark


def _diverged() -> MachineError:
    error = MachineError(
        "ranks-diverged",
        "the ranks no longer hold the same W: their processors round differently",
        mend="use hosts of one kind, or set MKL_CBWR=COMPATIBLE and ATEN_CPU_CAPABILITY=default on all",
    )
    error.add_note(SHARED)
    return error


def same_everywhere(communicator: Communicator, facts: dict[str, Any]) -> None:
    """Check that every rank works on the same problem.

    Args:
        communicator: All ranks.
        facts: JSON values by name: fingerprint of the data, classes, settings, versions.

    Raises:
        InputError: ``ranks-differ``, on every rank, with what differs on the first rank that does.
    """
    if communicator.size == 1:
        return
    own = json.loads(json.dumps(facts, sort_keys=True))
    first = communicator.broadcast_object(own)
    together(communicator, lambda: _compare(first, own))


def _compare(first: dict[str, Any], own: dict[str, Any]) -> None:
    names = [name for name in sorted(set(first) | set(own)) if first.get(name) != own.get(name)]
    if names:
        lines = [f"{name} is {_short(own.get(name))}, on rank 0 {_short(first.get(name))}" for name in names]
        what = "the ranks were not given the same problem: " + "; ".join(lines[:5])
        mend = "start every rank with the same command, on the same data and release"
        raise InputError("ranks-differ", what, mend=mend)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"
