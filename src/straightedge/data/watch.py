"""Whether a source's files are still those that were read: by size and time of change, no content is read.

Rows may come straight from a mapped file for as long as a fit lasts. If someone writes to it meanwhile, the
answer belongs to no data set there ever was, and its fingerprint to one that is gone.
"""

import os
import stat
from pathlib import Path
from typing import Any

from straightedge.data.listing import scan_folder
from straightedge.data.write import sidecar
from straightedge.errors import InputError, MachineError

Stamps = dict[str, tuple[int, int]]  # path -> (size, time of change in ns) of every file of a source


def stamps(source: str, labels: str | None = None) -> Stamps:
    """Return size and time of every file of a source; none for a source that only has a name."""
    if os.path.exists(source):
        named = [source, f"{source}.t", f"{source}.val", *_beside(Path(source))]
    else:
        named = [part.strip() for part in source.split(",", 1)] if "," in source else []
    found: Stamps = {}
    for name in [*named, labels]:
        if name:
            found |= _stamps_at(name)
    return found


def refuse_changed(before: Stamps, source: str, labels: str | None = None) -> None:
    """Compare a source's files with what `stamps` found before."""
    now = stamps(source, labels) if before else {}
    changed = sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))
    if changed:
        what = f"the data were changed while the fit was running ({len(changed)} of {len(before)} files)"
        mend = "run it again once nobody writes to them; nothing was written"
        raise InputError("data-changed", what, changed[0], mend)


def _beside(path: Path) -> list[str]:
    """Return what belongs to features written as `.npy`: their description and the files it names."""
    if path.suffix.lower() != ".npy" or not sidecar(path).is_file():
        return []
    from straightedge.data.arrays import read_description

    files: dict[str, Any] = read_description(sidecar(path))["files"]
    names = [str(split[key]) for split in files.values() for key in ("X", "y")]
    return [str(sidecar(path)), *(str(path.with_name(name)) for name in names)]


def _stamps_at(path: str) -> Stamps:
    try:
        found = os.stat(path)
        if not stat.S_ISDIR(found.st_mode):
            return {path: (found.st_size, found.st_mtime_ns)}
        return {place: (size, time) for _, size, time, place in scan_folder(Path(path)).files}
    except (OSError, ValueError, MachineError):  # not there, or closed: whoever reads it says so
        return {}
