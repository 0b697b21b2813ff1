"""How a run takes its name: a folder beside it becomes the folder in one step, and every kill is recoverable.

For a run named NAME the neighbours are ``.NAME.partial`` (being written), ``.NAME.former`` (only where folders
cannot swap names) and ``.NAME.lock``. A whole run has a marker with its id and the id of the run it replaces;
by these, whoever comes next knows whether a neighbour is a run waiting for its name or one that lost it.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from straightedge import atomic

MARKER_FILE = ".straightedge-run"


def neighbour(target: Path, kind: str) -> Path:
    """Return the hidden neighbour of a run folder: partial, former or lock."""
    return target.with_name(f".{target.name}.{kind}")


def read_marker(folder: Path) -> dict[str, Any] | None:
    """Return the marker of a whole run, or None."""
    try:
        marker = json.loads((folder / MARKER_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return marker if isinstance(marker, dict) else None


def publish(target: Path, run_id: str, files: list[str]) -> None:
    """Mark the partial folder as whole and give it the run's name, in one step where the system can.

    Raises:
        MachineError: the disk's refusals; the former run then still has its name.
    """
    partial = neighbour(target, "partial")
    former = read_marker(target) or {}
    marker = {"version": 1, "id": run_id, "replaces": former.get("id"), "files": sorted(files)}
    atomic.write_json(partial / MARKER_FILE, marker)
    with atomic.disk_errors(target):
        _take_name(target)
        atomic.disk.sync_folder(target.parent)
    for leftover in ("partial", "former"):
        shutil.rmtree(neighbour(target, leftover), ignore_errors=True)


def _take_name(target: Path) -> None:
    partial, former = neighbour(target, "partial"), neighbour(target, "former")
    if not target.exists():
        atomic.disk.replace(partial, target)
    elif not atomic.disk.exchange(partial, target):
        atomic.disk.replace(target, former)
        atomic.disk.replace(partial, target)


def settle(target: Path) -> None:
    """Finish what a killed process left half done; call it with the lock held.

    A whole run that waits for its name gets it; a run that lost its name is removed; a former run whose
    successor never came gets its name back. A partial run that is not whole stays, to be resumed.
    """
    partial, former = neighbour(target, "partial"), neighbour(target, "former")
    waiting, present = read_marker(partial), read_marker(target)
    if waiting is not None and (present or {}).get("replaces") == waiting.get("id") is not None:
        shutil.rmtree(partial, ignore_errors=True)
    elif waiting is not None and _may_take(target, waiting, present):
        with atomic.disk_errors(target):
            _take_name(target)
        shutil.rmtree(partial, ignore_errors=True)
    if former.exists() and not target.exists():
        with atomic.disk_errors(target):
            atomic.disk.replace(former, target)
    shutil.rmtree(former, ignore_errors=True)


def _may_take(target: Path, waiting: dict[str, Any], present: dict[str, Any] | None) -> bool:
    """Whether what stands at the name is nothing, or the very run that the waiting one was to replace."""
    if present is not None:
        return present.get("id") == waiting.get("replaces")
    return not target.exists() or not any(target.iterdir())
