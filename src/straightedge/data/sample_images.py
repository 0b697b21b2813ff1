"""Encoded images that come with their labels (table columns, tar shards), decoded as image folders are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

from straightedge.data import fingerprint
from straightedge.data.base import Dataset
from straightedge.data.cache import Entry, through_cache
from straightedge.data.decode_run import decode_layout
from straightedge.data.folders import dataset_of, decoding
from straightedge.data.labels import align, encode_labels
from straightedge.data.layout import Layout
from straightedge.data.listing import Item


@dataclass(frozen=True)
class Samples:
    """Images of one split: names, sizes and labels as written.

    Attributes:
        names: What each sample is called.
        sizes: Bytes of each encoded image, or a guess.
        labels: One label a sample.
        read: Yields the bytes of samples given by position, in the order given.
    """

    names: Sequence[str]
    sizes: Sequence[int]
    labels: Any
    read: Callable[[Sequence[int]], Iterator[bytes]]


class SampleContainer:
    """What a decoding run reads from: samples of all splits by position."""

    only_images = True

    def __init__(self, path: Path, samples: Mapping[str, Samples]) -> None:
        self.path = path
        self._samples = samples

    def in_reading_order(self, items: Sequence[Item]) -> list[int]:
        """Return positions as they are: samples are listed in the order of their files."""
        return list(range(len(items)))

    def read(self, items: Sequence[Item]) -> Iterator[bytes]:
        """Yield the bytes of each item; items of one split come together."""
        for split, group in groupby(items, key=lambda item: str(item.handle[0])):
            yield from self._samples[split].read([item.handle[1] for item in group])


def load_samples(
    source: str,
    samples: Callable[[], Mapping[str, Samples]],
    classes: Sequence[str] | None,
    key: str,
    notes: Sequence[str],
    options: Mapping[str, Any],
) -> Dataset:
    """Decode samples, through the cache, into a `Dataset`.

    Args:
        source: What the user called it.
        samples: Lists the samples of each split; only asked when they are not in the cache.
        classes: Names the source declares, index = label.
        key: Fingerprint of the content.
        notes: Remarks so far.
        options: Those of `load_dataset`.
    """
    how = decoding(options.get("size"), options.get("background", "white"))
    skip_bad = bool(options.get("skip_bad"))
    whole = fingerprint.of_values(content=key, how=how.to_dict(), skip_bad=skip_bad)

    def make(folder: Path | None) -> Entry:
        found = samples()
        layout = _layout(source, found, classes, notes)
        return decode_layout(SampleContainer(Path(source), found), layout, how, folder, options)

    arrays, meta = through_cache(whole, make, enabled=bool(options.get("cache", True)))
    return dataset_of(source, arrays, meta, options)


def _layout(
    source: str, samples: Mapping[str, Samples], classes: Sequence[str] | None, notes: Sequence[str]
) -> Layout:
    """Encode the labels, so that a wrong one is told before any image is decoded."""
    labels: dict[str, list[int]] = {}
    y, names = encode_labels(
        samples["train"].labels, n=len(samples["train"].names), classes=classes, where=f"{source} (train)"
    )
    for split, part in samples.items():
        if split == "train":
            labels[split] = y.tolist()
        elif classes is not None:
            codes, _ = encode_labels(part.labels, classes=classes, where=f"{source} ({split})")
            labels[split] = codes.tolist()
        else:
            labels[split] = align(part.labels, names, where=f"{source} ({split})").tolist()
    items = {
        split: [
            Item(PurePosixPath(name), size, (split, position))
            for position, (name, size) in enumerate(zip(part.names, part.sizes, strict=True))
        ]
        for split, part in samples.items()
    }
    return Layout(tuple(names), items, labels, tuple(notes))
