"""Texts as rows: one block of UTF-8 bytes and where each text ends in it, in memory or mapped from a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from straightedge.data.assemble import Part
from straightedge.data.checks import counted, repeats
from straightedge.data.label_values import CodedLabels
from straightedge.errors import warn


class Documents:
    """N texts as a `RowSource` of strings.

    Args:
        data: (n_bytes,) uint8, all texts in UTF-8, one after the other.
        ends: (N,) int64, where each text ends in `data`.
    """

    def __init__(self, data: np.ndarray, ends: np.ndarray) -> None:
        self.data, self.ends = data, ends
        self.shape = (len(ends),)
        self.dtype = np.dtype(object)

    @classmethod
    def of(cls, texts: Iterable[str]) -> Documents:
        """Return texts as documents; a lone surrogate becomes a question mark."""
        blobs = [text.encode("utf-8", "replace") for text in texts]
        ends = np.cumsum([len(blob) for blob in blobs], dtype=np.int64)
        return cls(np.frombuffer(b"".join(blobs), dtype=np.uint8), ends)

    def __len__(self) -> int:
        return len(self.ends)

    def __iter__(self) -> Iterator[str]:
        start = 0
        for end in self.ends.tolist():
            yield bytes(self.data[start:end]).decode("utf-8")
            start = end

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return texts ``start:stop`` as an array of strings (n,)."""
        first = int(self.ends[start - 1]) if start else 0
        last = int(self.ends[stop - 1]) if stop else 0
        part = Documents(self.data[first:last], self.ends[start:stop] - first)
        return np.array(list(part), dtype=object).reshape(stop - start)


def is_texts(X: Any) -> bool:
    """Return whether rows are texts: documents, or an array or list of strings."""
    if isinstance(X, Documents):
        return True
    if isinstance(X, np.ndarray):
        return X.ndim == 1 and (X.dtype.kind == "U" or (X.dtype == object and _all_text(X)))
    return isinstance(X, list | tuple) and bool(X) and _all_text(X)


def _all_text(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def repeated_texts(parts: Mapping[str, Part]) -> list[str]:
    """Return remarks on the same text in train and another split, and on the same text under two labels."""
    places: dict[bytes, int] = {}  # a digest takes less memory than most texts
    ids = {
        split: np.array([places.setdefault(_digest(text), len(places)) for text in part.X], dtype=np.int64)
        for split, part in parts.items()
    }
    return repeats(ids, _coded_alike(parts), "text")


def _coded_alike(parts: Mapping[str, Part]) -> dict[str, np.ndarray]:
    """Return labels that are equal where they are written alike."""
    labels = [part.y.written() if isinstance(part.y, CodedLabels) else part.y for part in parts.values()]
    codes = np.unique(np.concatenate([own.astype(str) for own in labels]), return_inverse=True)[1]
    return dict(zip(parts, np.split(codes, np.cumsum([len(own) for own in labels])[:-1]), strict=True))


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8"), digest_size=16).digest()


def count_texts(parts: Mapping[str, Part], source: str) -> str:
    """Return how many texts each split has, in words, and warn of those without a character.

    These have no features, and get the class of the bias.
    """
    if n_empty := sum(int((np.diff(part.X.ends, prepend=0) == 0).sum()) for part in parts.values()):
        warn("texts-empty", f"{source}: {counted(n_empty, 'text')} without a character")
    return ", ".join(f"{counted(len(part.X), 'text')} of {split}" for split, part in parts.items())
