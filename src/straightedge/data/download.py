"""Files from their owners' sites: pinned by size and SHA-256, resumed where they broke off, set aside if wrong.

A file that arrives under ``NAME.part`` gets its name only after its hash was right, so a name always stands for
the right file. What turns out to be something else (an HTML page, a damaged copy) is kept as ``NAME.rejected``.
"""

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from straightedge import __version__
from straightedge.atomic import disk, disk_errors
from straightedge.data.bar import bar
from straightedge.data.cache import cache_folder
from straightedge.errors import InputError, MachineError

ATTEMPTS = 5
TIMEOUT = 30.0  # seconds without a byte after which a connection counts as broken off
CHUNK = 2**18
BROKEN_OFF = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


@dataclass(frozen=True)
class Remote:
    """A file on its owner's site.

    Attributes:
        url: Where it is.
        sha256: Hex digest of the right content.
        size: Bytes of the right content.
        name: Its file name on disk.
    """

    url: str
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.url.rsplit("/", 1)[1]


def fetch(remote: Remote, folder: Path, *, progress: bool = True) -> Path:
    """Return the path of a file, downloaded first if it is not in the folder.

    Raises:
        InputError: ``download-hash``: what is there, or what arrived, is not the right file.
        MachineError: ``download-failed`` after `ATTEMPTS` attempts; ``disk-full``, ``read-only``.
    """
    target = folder / remote.name
    if target.exists() and cache_folder() in target.parents and not matches(remote, target):
        os.replace(target, target.with_name(f"{remote.name}.rejected"))  # ours, and damaged since
    if target.exists():
        return verified(remote, target)
    with disk_errors(folder):
        disk.make_folder(folder)
    part = target.with_name(f"{target.name}.part")
    with bar(f"downloading {remote.name}", remote.size, enabled=progress, unit="bytes") as advance:
        _receive_all(remote, part, advance)
    if not matches(remote, part):
        raise _set_aside(remote, part)
    with disk_errors(target):
        disk.replace(part, target)
        disk.sync_folder(folder)
    return target


def verified(remote: Remote, path: Path) -> Path:
    """Return the path if the file is the right one; it is never changed, for it may be the user's own copy."""
    if not matches(remote, path):
        what = f"the file is not {remote.name} of {remote.size} bytes with SHA-256 {remote.sha256[:16]}…"
        raise InputError("download-hash", what, str(path), "remove it, and it is downloaded again")
    return path


def matches(remote: Remote, path: Path) -> bool:
    """Whether a file has the pinned size and hash."""
    if path.stat().st_size != remote.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == remote.sha256


def _receive_all(remote: Remote, part: Path, advance: Callable[[int], None]) -> None:
    """Receive until the size is reached, taking up a broken connection where it ended."""
    advance(part.stat().st_size if part.exists() else 0)
    problem: Exception | None = None
    for attempt in range(ATTEMPTS):
        if part.exists() and part.stat().st_size >= remote.size:
            return
        try:
            whole = _receive(remote, part, advance)
        except BROKEN_OFF as error:
            problem = error
            if isinstance(error, urllib.error.HTTPError):
                error.close()
                if error.code == 416:  # the part is no part of it
                    part.unlink(missing_ok=True)
                elif error.code < 500:  # it will say the same again
                    break
            time.sleep(0.2 * 2**attempt)
            continue
        if whole:
            return
    what = f"the download did not arrive: {problem or 'the connection ended early'}"
    mend = f"try again (it goes on where it stopped), or put {remote.name} into a folder and give --root FOLDER"
    raise MachineError("download-failed", what, remote.url, mend)


def _receive(remote: Remote, part: Path, advance: Callable[[int], None]) -> bool:
    """Receive from the end of the part on; return whether the server had said that this was all."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": f"straightedge/{__version__}"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(remote.url, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response, disk_errors(part):
        resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if not resumed:
            advance(-have)
        announced = response.headers.get("Content-Length")
        end = (have if resumed else 0) + int(announced) if announced else None
        with part.open("ab" if resumed else "wb") as file:
            return _copy(response, file.write, remote.size, file.tell(), end, advance)


def _copy(
    response: http.client.HTTPResponse,
    write: Callable[[bytes], int],
    size: int,
    have: int,
    end: int | None,
    advance: Callable[[int], None],
) -> bool:
    while have <= size:  # one chunk beyond the size is enough to know that it is not the file
        chunk = response.read1(CHUNK)
        if not chunk:
            break
        write(chunk)
        have += len(chunk)
        advance(len(chunk))
    return have >= size or have == end


def _set_aside(remote: Remote, part: Path) -> InputError:
    """Keep the wrong file under another name, and say what it looks like."""
    with part.open("rb") as file:
        head = file.read(512).lstrip().lower()
    kind = "an HTML page" if head.startswith((b"<!doctype html", b"<html")) else "other content"
    size = part.stat().st_size
    aside = part.with_name(f"{remote.name}.rejected")
    os.replace(part, aside)
    what = f"{kind} of {size} bytes arrived in place of {remote.name} ({remote.size} bytes)"
    mend = f"what arrived is kept as {aside}; try another network, or give --root with the right file"
    return InputError("download-hash", what, remote.url, mend)
