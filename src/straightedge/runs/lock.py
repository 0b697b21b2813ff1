"""One run per output folder: the second is refused, a dead owner's lock is taken over.

The lock is the system's own record lock on a small file, so it ends with the process that holds it, however
that process ends. The file says who holds it (pid, host, start), for the message and for file systems without
record locks.
"""

import errno
import json
import os
import socket
import threading
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from straightedge.atomic import disk_errors
from straightedge.errors import InputError

# a system without POSIX record locks has no such module: there the file's content decides
_fcntl: Any = import_module("fcntl") if os.name == "posix" else None

_held: set[str] = set()  # record locks are per process: a second run in this one is refused by this set
_guard = threading.Lock()


class FolderLock:
    """A lock for the folder that a run writes.

    Args:
        path: The lock file.
        folder: The folder it stands for, named in errors.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self._path, self._folder = path, folder
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            InputError: ``run-locked`` when another run that is alive has it.
            MachineError: ``read-only``, ``disk-full``.
        """
        with _guard:
            if str(self._path) in _held:
                raise self._refusal({"pid": os.getpid(), "host": socket.gethostname()})
            while self._descriptor is None:
                self._descriptor = self._try_once()
            _held.add(str(self._path))

    def release(self) -> None:
        """Give the lock back; harmless if it is not held."""
        with _guard:
            if self._descriptor is None:
                return
            with suppress(OSError):
                self._path.unlink()
            os.close(self._descriptor)
            self._descriptor = None
            _held.discard(str(self._path))

    def _try_once(self) -> int | None:
        """Return the locked file's descriptor, or None if its owner removed it in between."""
        with disk_errors(self._path):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            locked, owner = _lock(descriptor), _read_owner(descriptor)
            if locked is False or (locked is None and _lives(owner)):
                raise self._refusal(owner)
            if not _is_still(self._path, descriptor):
                os.close(descriptor)
                return None
            with disk_errors(self._path):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps(_this_process()).encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _refusal(self, owner: dict[str, Any]) -> InputError:
        who = f"process {owner.get('pid', '?')} on {owner.get('host', '?')}"
        since = f", started {owner['started']}" if "started" in owner else ""
        what = f"another run is writing this folder ({who}{since})"
        mend = "wait for it to end, or choose another output folder"
        return InputError("run-locked", what, where=str(self._folder), mend=mend)


def _lock(descriptor: int) -> bool | None:
    """Try the record lock: True, it is ours; False, another's; None, there are none here."""
    if _fcntl is None:
        return None
    try:
        _fcntl.lockf(descriptor, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL):
            return None
        raise
    return True


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _read_owner(descriptor: int) -> dict[str, Any]:
    try:
        owner = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:
        return {}
    return owner if isinstance(owner, dict) else {}


def _this_process() -> dict[str, Any]:
    started = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    birth = _birth(os.getpid())
    return {"pid": os.getpid(), "host": socket.gethostname(), "birth": birth, "started": started}


def _birth(pid: int) -> str | None:
    """Return when a process began, in the kernel's ticks: a pid that was given again has another birth."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def _lives(owner: dict[str, Any]) -> bool:
    """Whether the recorded owner is alive as far as this host can know; another host's counts as alive."""
    pid = owner.get("pid")
    if not isinstance(pid, int) or pid <= 0:
        return False
    if owner.get("host") != socket.gethostname():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return owner.get("birth") is None or owner["birth"] == _birth(pid)
