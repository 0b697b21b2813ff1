"""A disk that fails at its k-th call, for the tests of what survives."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from straightedge import atomic


class FailingDisk(atomic.Disk):
    """Fails at the k-th call that changes the disk, and at every later one if it stays `broken`.

    Args:
        fails_at: The call that fails, counted from 1.
        number: The error number it fails with.
        short: Whether half of the bytes of a failing write reach the disk.
        broken: Whether later calls fail as well, as on a disk that stays full.
    """

    def __init__(
        self, fails_at: int, number: int = errno.ENOSPC, *, short: bool = False, broken: bool = False
    ) -> None:
        self.calls, self.fails_at, self.number = 0, fails_at, number
        self.short, self.broken = short, broken

    def _count(self) -> None:
        self.calls += 1
        if self.calls == self.fails_at or (self.broken and self.calls > self.fails_at):
            raise OSError(self.number, os.strerror(self.number))

    def create(self, path: Path) -> int:
        self._count()
        return super().create(path)

    def write(self, descriptor: int, data: memoryview) -> int:
        if self.short and self.calls + 1 == self.fails_at and len(data) > 1:
            super().write(descriptor, data[: len(data) // 2])
        self._count()
        return super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        self._count()
        super().sync(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        self._count()
        super().replace(source, target)

    def exchange(self, first: Path, second: Path) -> bool:
        self._count()
        return super().exchange(first, second)

    def make_folder(self, path: Path) -> None:
        self._count()
        super().make_folder(path)

    def sync_folder(self, path: Path) -> None:
        self._count()
        super().sync_folder(path)
