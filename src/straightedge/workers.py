"""Threads that share a pass, the wish to stop it, and what is done when memory runs out."""

import itertools
import os
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

import torch
from threadpoolctl import ThreadpoolController, threadpool_limits

from straightedge.errors import MachineError

Result = TypeVar("Result")
THREAD_NAMES = "straightedge"  # begin with it: work that a worker hands on is done by that worker itself
STOP_REQUESTED = threading.Event()
"""Set by the command's Ctrl-C handler: every pass ends after the block it is in, with KeyboardInterrupt."""
NOTHING_BEGUN = threading.Event()
"""Set while a source is read: Ctrl-C ends that at once, since there is no pass to end and nothing to save."""


_TEAMS = threading.RLock()
"""Held while the libraries are told how many threads to use, and while the process forks.

Each of these calls holds a lock of its library for a moment. A process that forks at that moment takes the lock
with it, and no thread is left in the child to open it: the child's first such call waits for ever.
"""


def _after_fork() -> None:
    """Give a forked process threads of its own.

    Threads of the parent are not in the child, and a pool or a team of OpenMP that counts on them waits for ever; a
    BLAS that starts its team anew takes a hundred times as long for small matrices. One thread for products is what
    PyTorch's own data loaders give their workers.
    """
    _TEAMS.release()
    torch.set_num_threads(1)
    threadpool_limits(1, "blas")
    _threads.cache_clear()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(before=_TEAMS.acquire, after_in_parent=_TEAMS.release, after_in_child=_after_fork)


@cache
def _threads(workers: int) -> ThreadPoolExecutor:
    """Return the threads of every pool of so many workers.

    What a thread has used is kept for it by the C library: new threads for each fit would each keep their own.
    """
    return ThreadPoolExecutor(workers, thread_name_prefix=THREAD_NAMES)


@contextmanager
def nothing_begun() -> Iterator[None]:
    """Let Ctrl-C end what is done here at once."""
    NOTHING_BEGUN.set()
    try:
        yield
    finally:
        NOTHING_BEGUN.clear()


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch use this many threads for a while.

    A team that has done its share waits for the next by spinning, some milliseconds long, and takes the core from
    the workers of a pass: what lies between passes is better done by one thread, unless it is long.
    """
    with _TEAMS:
        former = torch.get_num_threads()
        torch.set_num_threads(count)
    try:
        yield
    finally:
        with _TEAMS:
            torch.set_num_threads(former)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch and the BLAS of NumPy and SciPy use one thread for a while: small matrices gain little by more."""
    with torch_threads(1):
        with _TEAMS:
            limit = _libraries().limit(limits=1, user_api="blas")
        try:
            yield
        finally:
            with _TEAMS:
                limit.restore_original_limits()


@cache
def _libraries() -> ThreadpoolController:
    """Return what controls the libraries that are loaded: to look for them takes a millisecond."""
    return ThreadpoolController()


class BlockPool:
    """Worker threads that share the blocks of a pass, each running single-threaded matrix products.

    Worker t of T takes a contiguous share of the blocks, always the same one, and partial sums are added in
    the order of t: the result of a pass does not depend on timing. Shares begin at whole groups of blocks, those
    that are summed in float32, so that another T changes the order of float64 sums alone. A block's products are
    too small for a thread team of their own; separate workers keep both cores busy and each worker's block in its
    cache.

    Args:
        workers: T.
        patient: Finish the pass on Ctrl-C. Of several ranks none may leave a pass alone: they agree on it after
            the step.
    """

    def __init__(self, workers: int, *, patient: bool = False) -> None:
        self.workers = max(1, workers)
        self._patient = patient

    def run(
        self,
        spans: list[tuple[int, int]],
        work: Callable[[Iterator[tuple[int, int]]], Result],
        *,
        group: int = 1,
        shares: int | None = None,
    ) -> list[Result]:
        """Run ``work`` on shares of ``spans`` and return the results in order of share; see `results`."""
        return list(self.results(spans, work, group=group, shares=shares))

    def results(
        self,
        spans: list[tuple[int, int]],
        work: Callable[[Iterator[tuple[int, int]]], Result],
        *,
        group: int = 1,
        shares: int | None = None,
    ) -> Iterator[Result]:
        """Run ``work`` on shares of ``spans`` and yield the results in order of share.

        At most one share more than there are workers is begun before its result is asked for: results as large as
        a Gram matrix can be added up without all of them in memory.

        Args:
            spans: Blocks.
            work: Called with the spans of one share.
            group: Spans that stay together, whatever the number of workers: those of one float32 sum.
            shares: Number of shares; one a worker when None. A fixed number makes float32 sums over shares
                independent of the workers.
        """
        n_shares, n_groups = shares or self.workers, -(-len(spans) // group)
        edges = [n_groups * t // n_shares * group for t in range(n_shares + 1)]
        yield from self._run([spans[start:stop] for start, stop in itertools.pairwise(edges)], work)

    def _run(
        self, shares: list[list[tuple[int, int]]], work: Callable[[Iterator[tuple[int, int]]], Result]
    ) -> Iterator[Result]:
        stop = threading.Event()
        begun: deque[Future[Result]] = deque()
        try:
            with torch_threads(1):
                filled = [share for share in shares if share] or shares[:1]
                alone = self.workers == 1 or len(filled) == 1  # handing one share over costs more than it gains
                if alone or threading.current_thread().name.startswith(THREAD_NAMES):  # it would wait for itself
                    yield from (self._guarded(share, work, stop) for share in filled)
                else:
                    for share in filled:
                        begun.append(_threads(self.workers).submit(self._guarded, share, work, stop))
                        if len(begun) > self.workers:
                            yield begun.popleft().result()
                    while begun:
                        yield begun.popleft().result()
            if self._stopped():
                raise KeyboardInterrupt
        except BaseException:
            stop.set()  # the other workers leave after the block they are in
            wait(begun)  # they may write to buffers of the caller: nobody may still be at it afterwards
            raise

    def _guarded(
        self,
        share: list[tuple[int, int]],
        work: Callable[[Iterator[tuple[int, int]]], Result],
        stop: threading.Event,
    ) -> Result:
        if torch.get_num_threads() != 1:
            torch.set_num_threads(1)
        return work(span for span in share if not (stop.is_set() or self._stopped()))

    def _stopped(self) -> bool:
        return STOP_REQUESTED.is_set() and not self._patient


def block_spans(n_rows: int, block_rows: int, boundaries: list[int] | None = None) -> list[tuple[int, int]]:
    """Cut ``n_rows`` into spans of at most ``block_rows`` that do not cross a boundary."""
    edges = sorted({0, n_rows, *(boundaries or [])})
    return [
        (start, min(start + block_rows, stop))
        for left, stop in itertools.pairwise(edges)
        for start in range(left, stop, block_rows)
    ]


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an exception means that memory ran out (NumPy's, torch's on CPU or CUDA)."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    words = ("not enough memory", "can't allocate memory")  # torch's allocator on the CPU, by system
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def out_of_memory(error: BaseException, where: str | None = None) -> MachineError:
    """Return the error for memory that ran out, with the size that was asked for where the message tells it."""
    size = re.search(r"allocate (\d+) bytes|Unable to allocate ([\d.]+ \w+)|allocate ([\d.]+ \w+)", str(error))
    asked = next((part for part in size.groups() if part), None) if size else None
    if asked is not None and asked.isdecimal():
        asked = f"{int(asked) / 2**20:,.0f} MiB"
    what = f"memory ran out: {asked} more could not be had" if asked else "memory ran out"
    mend = "fit fewer values of reg at once (memory=, --memory), fewer values of reg, or fewer features"
    return MachineError("out-of-memory", what, where, mend)


def with_smaller_blocks(block_rows: int, work: Callable[[int], Result]) -> Result:
    """Run ``work(block_rows)``, halving the block each time memory runs out, six times at most.

    Raises:
        MachineError: ``out-of-memory`` when the last, smallest block did not fit either.
    """
    for _ in range(7):
        try:
            return work(block_rows)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            block_rows = max(1, block_rows // 2)
    mend = "use fewer values of reg at once, fewer features, or a machine with more memory"
    raise MachineError("out-of-memory", f"memory ran out, even with blocks of {block_rows} rows", mend=mend)
