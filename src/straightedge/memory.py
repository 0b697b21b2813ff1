"""How much memory this process can still have, and what needs more refused before anything is allocated."""

import math
from pathlib import Path
from typing import Any

from straightedge.errors import MachineError

try:
    import resource
except ImportError:  # not on Windows
    resource: Any = None  # type: ignore[no-redef]

SURELY_FREE = 2**26
"""Bytes for which nothing is asked: to ask takes a tenth of a millisecond, and no machine has fewer."""
LARGEST_RATIO, RATIO_FROM = 250, 2**28
"""What unfolds beyond `RATIO_FROM` bytes to more than this times what is packed is a bomb; tables grow 50 times."""
GROUPS = Path("/sys/fs/cgroup")  # where Linux says what a control group may have


def free_memory() -> float:
    """Return the bytes that this process can still have, of its machine, groups and limit; inf if unknown."""
    bounds = [_machines_free(), *map(_groups_free, _groups())]
    if resource is not None:
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        held = _numbers_in(Path("/proc/self/statm"))
        if limit != resource.RLIM_INFINITY and held:
            bounds.append(limit - held[0] * resource.getpagesize())
    return max(0.0, min(bounds))


def require_memory(needed: float, what: str, where: str | None = None, mend: str | None = None) -> None:
    """Refuse what would take more memory than there is.

    Args:
        needed: Bytes.
        what: What takes them, the subject of the message.
        where: File, row or argument.
        mend: How to do with less.
    """
    if needed > SURELY_FREE and needed > (free := free_memory()):
        figures = f"about {needed / 2**20:,.0f} MiB, and {free / 2**20:,.0f} MiB are free"
        raise MachineError("out-of-memory", f"{what} needs {figures}", where, mend)


def _machines_free() -> float:
    found = [line.split() for line in _text(Path("/proc/meminfo")).splitlines()]
    return next((1024.0 * int(line[1]) for line in found if line[0] == "MemAvailable:"), math.inf)


def _groups() -> list[Path]:
    """Return the folders of the control groups that this process is in, the outermost first."""
    lines = [line.partition("::")[2] for line in _text(Path("/proc/self/cgroup")).splitlines()]
    inner = next((line.strip("/") for line in lines if line), "")
    folders = [GROUPS]
    for part in inner.split("/") if inner else ():
        folders.append(folders[-1] / part)
    return folders


def _groups_free(folder: Path) -> float:
    """Return what a group may still have; pages of files that lie about in memory are given back when asked."""
    most, held = _numbers_in(folder / "memory.max"), _numbers_in(folder / "memory.current")
    if not most or not held:
        return math.inf
    stat = dict(line.split() for line in _text(folder / "memory.stat").splitlines() if line.count(" ") == 1)
    return float(most[0] - held[0] + int(stat.get("inactive_file", 0)))


def _numbers_in(path: Path) -> list[int]:
    return [int(word) for word in _text(path).split() if word.isdecimal()]


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, ValueError):
        return ""
