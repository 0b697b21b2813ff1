"""The run folder: written whole or not at all, locked, resumable."""

from straightedge.runs.checkpoint import fingerprint
from straightedge.runs.folder import RunFolder
from straightedge.runs.lock import FolderLock

__all__ = ["FolderLock", "RunFolder", "fingerprint"]
