"""Encoded images that come with their labels (table columns, tar shards), decoded as image folders are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

from straightedge.data.base import Dataset
from straightedge.data.container import ByteSource
from straightedge.data.folders import decoded, decoding
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

    def layout() -> tuple[ByteSource, Layout]:
        found = samples()
        return SampleContainer(Path(source), found), _layout(source, found, classes, notes)

    how = decoding(options.get("size"), options.get("background", "white"))
    return decoded(source, key, how, layout, options)


def _layout(
    source: str, samples: Mapping[str, Samples], classes: Sequence[str] | None, notes: Sequence[str]
) -> Layout:
    """Encode the labels, so that a wrong one is told before any image is decoded."""
    labels: dict[str, list[int]] = {}
    train = samples["train"]
    y, names = encode_labels(train.labels, n=len(train.names), classes=classes, where=f"{source} (train)")
    for split, part in samples.items():
        where = f"{source} ({split})"
        if split == "train":
            codes = y
        elif classes is not None:
            codes = encode_labels(part.labels, classes=classes, where=where)[0]
        else:
            codes = align(part.labels, names, where=where)
        labels[split] = codes.tolist()
    items = {
        split: [
            Item(PurePosixPath(name), size, (split, position))
            for position, (name, size) in enumerate(zip(part.names, part.sizes, strict=True))
        ]
        for split, part in samples.items()
    }
    return Layout(tuple(names), items, labels, tuple(notes))
