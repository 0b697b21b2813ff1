"""Files written whole or not at all.

Bytes go to a temporary file in the same folder, are pushed to the disk (fsync), and the file takes its name
in one step (rename), which is pushed to the disk too (fsync of the folder). Whatever happens in between, a
full disk, a kill, a power cut, the name stands for the former file or for the new one, never for half a file.

Everything goes through `disk`, a thin layer over the system calls, so that tests can put a failing one in its
place.
"""

import ctypes
import errno
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from straightedge.errors import InputError, MachineError, StraightedgeError
from straightedge.leftovers import SUFFIX, Renames, journal_name, lock, settle, sweep, temporary_name

_BUFFER_BYTES = 1 << 20
_STEERING = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What `errors.visible` escapes and JSON does not by itself."""


class Disk:
    """The system calls that change a folder, one method each."""

    def create(self, path: Path) -> int:
        """Make a new empty file and return its descriptor."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)

    def write(self, descriptor: int, data: memoryview) -> int:
        """Write some of the bytes and return how many."""
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        """Push the file's bytes to the disk."""
        os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        """Close the file."""
        os.close(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        """Give `source` the name `target` in one step."""
        os.replace(source, target)

    def exchange(self, first: Path, second: Path) -> bool:
        """Let two folders swap names in one step; False where the system cannot."""
        function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
        if function is None:
            return False
        if function(-100, os.fsencode(first), -100, os.fsencode(second), 2) == 0:  # AT_FDCWD, RENAME_EXCHANGE
            return True
        number = ctypes.get_errno()
        if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):  # this file system has no such step
            return False
        raise OSError(number, os.strerror(number))

    def make_folder(self, path: Path) -> None:
        """Make a folder and its parents."""
        path.mkdir(parents=True, exist_ok=True)

    def sync_folder(self, path: Path) -> None:
        """Push the folder's list of names to the disk, where the system can."""
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError:  # a system whose folders cannot be opened keeps its own order of renames
            return
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
                raise
        finally:
            os.close(descriptor)


disk = Disk()
_WAITING: ContextVar[dict[Path, Renames] | None] = ContextVar("waiting", default=None)
"""Inside `together`: temporary names and the names they will take, by folder."""


class Writer:
    """What `writing` gives: a place to put bytes or text, buffered, where short writes are carried on."""

    def __init__(self, descriptor: int, target: Path) -> None:
        self._descriptor = descriptor
        self._target = target
        self._buffer = bytearray()

    def write(self, data: bytes | bytearray | memoryview | str) -> int:
        """Take bytes, or text as UTF-8 (names that are not UTF-8 are kept by escapes); return the length of it."""
        self._buffer += data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
        if len(self._buffer) >= _BUFFER_BYTES:
            self.flush()
        return len(data)

    def flush(self) -> None:
        """Hand everything taken so far to the system."""
        pending, self._buffer = self._buffer, bytearray()
        view = memoryview(pending)
        while view:
            with disk_errors(self._target):
                written = disk.write(self._descriptor, view)
                if written <= 0:  # a disk that takes nothing and reports nothing is full
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            view = view[written:]


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[Writer]:
    """Write a file whole or not at all.

    Args:
        path: Where the file will stand once the block has ended without an error.

    Yields:
        A `Writer`; its bytes are in a temporary file beside `path` until the end.

    Raises:
        MachineError: ``disk-full``, ``read-only``, ``write-failed``.
        InputError: ``output-path`` when the folder does not exist or the name cannot be one.
    """
    target = Path(path)
    settle(target.parent)
    sweep(target)
    temporary = target.with_name(temporary_name(target.name))
    with disk_errors(target):
        descriptor = disk.create(temporary)
    try:
        lock(descriptor)
        try:
            writer = Writer(descriptor, target)
            yield writer
            writer.flush()
            with disk_errors(target):
                disk.sync(descriptor)
        finally:
            with disk_errors(target):
                disk.close(descriptor)
        if (waiting := _WAITING.get()) is not None:
            waiting.setdefault(target.parent, {})[temporary.name] = target.name
            return
        with disk_errors(target):
            disk.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    with disk_errors(target):
        disk.sync_folder(target.parent)


@contextmanager
def together() -> Iterator[None]:
    """Let the files that are written inside the block take their names at its end, all or none.

    They are whole by then, and a journal in each folder says which of them gets which name. A process killed
    between two names leaves the journal, and whoever writes there next goes on with it (`leftovers.settle`).

    Raises:
        MachineError: As `writing`.
    """
    waiting: dict[Path, Renames] = {}
    journals: dict[Path, Path] = {}
    token = _WAITING.set(waiting)
    try:
        try:
            yield
        finally:
            _WAITING.reset(token)
        for folder, renames in waiting.items():
            journals[folder] = folder / journal_name()
            write_json(journals[folder], renames)
    except BaseException:
        _forget([*journals.values(), *(folder / name for folder, names in waiting.items() for name in names)])
        raise
    for folder, renames in waiting.items():
        _take_names(folder, renames)
    _forget(journals.values())


def _take_names(folder: Path, renames: Renames) -> None:
    with disk_errors(folder):
        for temporary, name in renames.items():
            if (folder / temporary).exists():  # else another process has found the journal and was faster
                disk.replace(folder / temporary, folder / name)
        disk.sync_folder(folder)


def _forget(paths: Iterable[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink()


def write_bytes(path: str | os.PathLike[str], data: bytes | bytearray | memoryview) -> None:
    """Write `data` as the file `path`, whole or not at all (errors as `writing`)."""
    with writing(path) as writer:
        writer.write(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` in UTF-8 as the file `path`, whole or not at all (errors as `writing`)."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as strict JSON: NaN and infinities, which JSON has no word for, become null."""
    write_text(path, to_json(value, indent=1) + "\n")


def json_object(text: str | bytes) -> dict[str, Any]:
    """Return the object that some JSON is; {} for anything else."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def to_json(value: Any, indent: int | None = None) -> str:
    """Return `value` as strict JSON text, NumPy and torch numbers and arrays as plain ones.

    Characters that would steer a terminal are escaped, as JSON may escape any character of a text.
    """
    text = json.dumps(_plain(value), indent=indent, ensure_ascii=False, allow_nan=False)
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _plain(value: Any) -> Any:
    """Turn a value into what JSON has: None, bool, int, float, str, list, dict."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if abs(value) <= 1.7976931348623157e308 else None  # NaN compares false as well
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy and torch
        return _plain(value.tolist())
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{type(value).__name__} has no place in a JSON file")


def sweep_temporaries(folder: Path) -> None:
    """Remove temporary files that a killed process left in `folder`."""
    for leftover in folder.glob(f".*{SUFFIX}"):
        with suppress(OSError):
            leftover.unlink()


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the system's refusals inside the block into errors of the family, naming `path`."""
    try:
        yield
    except StraightedgeError:
        raise
    except OSError as error:
        raise _named(error, path) from error


FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
NO_NAME = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EEXIST)


def _named(error: OSError, path: Path) -> StraightedgeError:
    """Return the error of the family for one of the system's."""
    where = str(path)
    if error.errno in FULL:
        what = "the disk is full; what stood there before is unchanged"
        return MachineError("disk-full", what, where, "free some space or choose another output folder")
    if error.errno in READ_ONLY:
        what = f"this place cannot be written to ({error.strerror})"
        return MachineError("read-only", what, where, "choose an output folder that you may write to")
    if error.errno in NO_NAME:
        what = f"no file can be written under this name ({error.strerror})"
        mend = "its folder must exist, and the name must be free and shorter than 255 bytes"
        return InputError("output-path", what, where, mend)
    return MachineError("write-failed", f"writing failed: {error.strerror or error}", where)
