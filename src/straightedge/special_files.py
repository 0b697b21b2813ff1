"""Files are regular files: a pipe, a socket or a device is refused before it is opened for reading.

Reading from a pipe waits for a writer that may never come, and a device has no end.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from straightedge.errors import InputError

KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def refuse_special(path: str | os.PathLike[str]) -> None:
    """Refuse what is neither a file nor a folder; what is not there is left to whoever opens it.

    Raises:
        InputError: ``file-special``; ``file-unreadable`` for a link that leads round in a circle or a path without
            permission.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    _refuse_mode(mode, path)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file for reading; what else has the name is refused by what was opened, not by its name.

    Raises:
        InputError: ``file-special``, ``file-unreadable``.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as error:
        refuse_special(path)  # a socket cannot be opened at all
        raise _unreadable(path, error) from None
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise InputError("file-special", "there is a folder where a file is meant", str(path))
        _refuse_mode(mode, path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _refuse_mode(mode: int, path: str | os.PathLike[str]) -> None:
    found = next((name for is_kind, name in KINDS if is_kind(mode)), None)
    if found is not None:
        mend = "write its content to a file first, and give that"
        raise InputError("file-special", f"this is {found}, no file", os.fspath(path), mend)


def _unreadable(path: str | os.PathLike[str], error: OSError | ValueError) -> InputError:
    reason = getattr(error, "strerror", None) or str(error)
    what = f"it cannot be read: {reason}"
    return InputError("file-unreadable", what, str(Path(path)), "check path and permissions")
