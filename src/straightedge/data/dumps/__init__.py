"""Features as people dump them: arrays with names in one file, or a file an array, whatever program wrote them.

A further kind of dump is one module with a function ``read(path) -> dict[str, Any]`` of named arrays and lists, and
one line in `readers.READERS`.
"""

from __future__ import annotations

from straightedge.data.dumps.source import load

__all__ = ["load"]
