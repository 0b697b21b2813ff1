"""Images decoded on every core, in order: one thread a worker process, a bounded number of blocks in flight.

Processes, not threads: on 12,000 images of 32 × 32, two processes took 2.1 s, two threads 3.9 s, one loop
5.4 s; for small images the interpreter's lock, not the decoder, is what takes the time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import IO, Any, TypeVar

import numpy as np

import straightedge
from straightedge.cores import available_cores
from straightedge.data.decode_worker import Finding, decode_block, receive, send
from straightedge.data.images import Decoding, size_of
from straightedge.errors import MachineError

BLOCK_COUNT, BLOCK_BYTES = 256, 2**24
SECONDS_AN_IMAGE, SECONDS_TO_START = 30.0, 120.0
"""How long a worker may take for one image, and to start: the largest images take some two seconds of a core."""
AT_ONCE = 2**24
"""Pixels of a block that is decoded in this process: a fraction of a second, less than a worker takes to start."""
Block = tuple[np.ndarray, list[Finding]]
Member = TypeVar("Member")


def grouped(members: Iterable[Member], size: Callable[[Member], int]) -> Iterator[list[Member]]:
    """Cut what is decoded into groups of `BLOCK_COUNT` members, or of about `BLOCK_BYTES` bytes."""
    group: list[Member] = []
    held = 0
    for member in members:
        group.append(member)
        held += size(member)
        if len(group) == BLOCK_COUNT or held >= BLOCK_BYTES:
            yield group
            group, held = [], 0
    if group:
        yield group


class Worker:
    """One decoding process; one that takes too long for an image is ended, and another one started."""

    def __init__(self) -> None:
        self._closed = False
        self._start()

    def _start(self) -> None:
        self._slow, self._n_done = False, -1  # the first byte says that it has started
        package_root = str(Path(straightedge.__file__).parents[1])
        path = os.pathsep.join([package_root, *filter(None, [os.environ.get("PYTHONPATH")])])
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "straightedge.data.decode_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            )
        except OSError as error:
            raise MachineError("decoder-died", f"no decoding process can be started: {error.strerror}") from None
        assert self._process.stdin is not None and self._process.stdout is not None
        self._to, self._back = self._process.stdin, self._process.stdout

    def decode(self, blobs: Sequence[bytes], how: Decoding, shape: tuple[int, int] | None) -> Block:
        """Do `decode_block` in the process; an image that takes too long is a finding ``too-slow``."""
        with self._watched():
            block = self._asked(blobs, how, shape)
        if not self._slow:
            if block is None:
                raise MachineError("decoder-died", "a decoding process ended", mend="is there enough memory?")
            return block
        place = max(0, self._n_done)
        self._end()
        if self._closed:
            raise MachineError("decoder-died", "a decoding process was ended")
        self._start()
        return block or self._without(place, blobs, how, shape)

    def _without(self, place: int, blobs: Sequence[bytes], how: Decoding, shape: tuple[int, int] | None) -> Block:
        """Decode a block again but for the image that took too long."""
        block, findings = self.decode([*blobs[:place], *blobs[place + 1 :]], how, shape)
        why: Finding = ("too-slow", f"it takes more than {SECONDS_AN_IMAGE:g} s to decode", ())
        return block, [*findings[:place], why, *findings[place:]]

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """End the process from a thread of this one if it takes too long inside the block."""
        done, self._since = threading.Event(), time.monotonic()

        def watch() -> None:
            while not done.wait(SECONDS_AN_IMAGE / 8):
                most = SECONDS_TO_START if self._n_done < 0 else SECONDS_AN_IMAGE
                if time.monotonic() - self._since > most:
                    self._slow = True
                    self._process.kill()
                    return

        thread = threading.Thread(target=watch, name="decode-watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _asked(self, blobs: Sequence[bytes], how: Decoding, shape: tuple[int, int] | None) -> Block | None:
        """Send a block and return what comes back; None where the process ends instead."""
        lengths = [len(blob) for blob in blobs]
        try:
            if self._n_done < 0 and not self._heard():
                return None
            send(self._to, {"how": how.to_dict(), "shape": shape, "lengths": lengths}, *blobs)
            self._n_done, self._since = 0, time.monotonic()
            while self._n_done < len(blobs) and self._heard():
                pass
            reply = receive(self._back)
        except OSError:
            return None
        return None if reply is None else self._block(reply)

    def _heard(self) -> bool:
        """Wait for the byte after an image; False where the process ended."""
        if not self._back.read(1):
            return False
        self._n_done, self._since = self._n_done + 1, time.monotonic()
        return True

    def _block(self, reply: dict[str, Any]) -> Block | None:
        block = np.empty(reply["shape"], np.uint8)
        if block.size and _read_into(self._back, block.data.cast("B")) < block.nbytes:
            return None
        return block, [(kind, reason, tuple(marks)) for kind, reason, marks in reply["findings"]]

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._closed = True
        self._end()

    def _end(self) -> None:
        self._process.kill()
        for stream in (self._to, self._back):
            with suppress(OSError):  # bytes that the dead process will not take
                stream.close()
        self._process.wait()


def _read_into(stream: IO[bytes], view: memoryview) -> int:
    """Fill a buffer from a stream; fewer bytes mean that the stream ended."""
    done = 0
    while done < len(view) and (data := stream.read(min(2**20, len(view) - done))):
        view[done : done + len(data)] = data
        done += len(data)
    return done


class DecodePool:
    """Worker processes, started at the second block: a small folder never pays for them."""

    def __init__(self, n_workers: int | None = None) -> None:
        self._n = n_workers or max(1, min(16, available_cores()))
        self._threads: ThreadPoolExecutor | None = None
        self._idle: SimpleQueue[Worker] = SimpleQueue()
        self._workers: list[Worker] = []

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.close()
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)

    def decode_first(self, blobs: Sequence[bytes], how: Decoding, shape: tuple[int, int] | None) -> Block:
        """Decode a block in this process where it is small, else on a worker, which may not take for ever."""
        sizes = filter(None, map(size_of, blobs))
        if sum(width * height for width, height in sizes) <= AT_ONCE:
            return decode_block(blobs, how, shape)
        return self._submit(blobs, how, shape).result()

    def decode_all(
        self, blocks: Iterable[Sequence[bytes]], how: Decoding, shape: tuple[int, int]
    ) -> Iterator[Block]:
        """Yield the decoded blocks in order, reading at most two blocks a worker ahead."""
        waiting: deque[Future[Block]] = deque()
        for blobs in blocks:
            waiting.append(self._submit(blobs, how, shape))
            if len(waiting) > 2 * self._n:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _submit(self, blobs: Sequence[bytes], how: Decoding, shape: tuple[int, int] | None) -> Future[Block]:
        if self._threads is None:
            self._start()
        assert self._threads is not None
        return self._threads.submit(self._on_idle_worker, blobs, how, shape)

    def _start(self) -> None:
        self._workers = [Worker() for _ in range(self._n)]
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(self._n, thread_name_prefix="decode")

    def _on_idle_worker(self, blobs: Sequence[bytes], how: Decoding, shape: tuple[int, int] | None) -> Block:
        worker = self._idle.get()
        try:
            return worker.decode(blobs, how, shape)
        finally:
            self._idle.put(worker)
