"""Readers, one module a format; each gives a `Dataset`."""

from __future__ import annotations

from straightedge.data.base import Dataset, RowSource, SealedSplit, Split
from straightedge.data.sources import load_dataset

__all__ = ["Dataset", "RowSource", "SealedSplit", "Split", "load_dataset"]
