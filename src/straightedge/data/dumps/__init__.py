"""Features as people dump them: arrays with names in one file, or a file an array, whatever program wrote them.

A further kind of dump is one module with a function ``read(path) -> dict[str, Any]`` of named arrays and lists, and
one line in `readers.READERS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from straightedge.data.base import Dataset

__all__ = ["load"]


def load(source: str, **options: Any) -> Dataset:
    """Read a dump of features: see `straightedge.data.dumps.source.load`."""
    from straightedge.data.dumps.source import load as load_dump  # which imports NumPy; the registry does not

    return load_dump(source, **options)
