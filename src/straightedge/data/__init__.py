"""Readers, one module a format; each gives a `Dataset`.

The names below are imported when they are first used: a wrong source is answered before NumPy is there.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from straightedge.data.base import Dataset, RowSource, SealedSplit, Split
    from straightedge.data.sources import load_dataset

__all__ = ["Dataset", "RowSource", "SealedSplit", "Split", "load_dataset"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "sources" if name == "load_dataset" else "base"
    return getattr(import_module(f"straightedge.data.{module}"), name)
