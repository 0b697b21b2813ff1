"""Arrays in the files of NumPy, mapped where they are stored as they are."""

from pathlib import Path
from typing import Any

from straightedge.data.npz import read_npy, read_npz


def read(path: Path) -> dict[str, Any]:
    """Return the arrays of an ``.npz`` by name, or the one of an ``.npy``."""
    return dict(read_npz(path)) if path.suffix.lower() == ".npz" else {"": read_npy(path)}
