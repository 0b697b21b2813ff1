"""All files of a folder or archive decoded in order, with what is worth telling about them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.data import fingerprint
from straightedge.data.bar import bar
from straightedge.data.base import Split
from straightedge.data.cache import Entry
from straightedge.data.checks import counted, repeated_rows
from straightedge.data.container import ByteSource
from straightedge.data.decode_pool import BLOCK_COUNT, DecodePool, grouped
from straightedge.data.decode_worker import Finding
from straightedge.data.images import CODES, Decoding, size_of
from straightedge.data.layout import Layout
from straightedge.data.listing import IMAGE_ENDINGS, Item, printable
from straightedge.data.npy import MemoryRows, NpyRows, RowSink
from straightedge.errors import InputError
from straightedge.memory import require_memory


def decode_layout(
    container: ByteSource, layout: Layout, how: Decoding, folder: Path | None, options: Mapping[str, Any]
) -> Entry:
    """Decode all files of a layout, into `.npy` files of a folder or into memory."""
    run = DecodeRun(container, layout, bool(options.get("skip_bad")), bool(options.get("progress", True)))
    try:
        found = run.decode(how, folder)
    except ColourFound:  # the first images were all grey, a later one is not: once more, in colour
        found = run.decode(how, folder, grey=False)
    return found.arrays, found.describe(layout)


class ColourFound(Exception):  # noqa: N818 (a signal to start again, no error)
    """A colour image among images that were taken to be all grey."""


@dataclass(frozen=True)
class Task:
    """One file with where it belongs."""

    split: str
    label: int
    item: Item


@dataclass
class Found:
    """What decoding gave, and what is worth telling."""

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    labels: dict[str, list[int]] = field(default_factory=dict)
    marks: Counter[str] = field(default_factory=Counter)
    skipped: list[str] = field(default_factory=list)
    not_images: int = 0
    channels: int = 3

    def describe(self, layout: Layout) -> dict[str, Any]:
        """Return the description that is kept beside the arrays."""
        splits = {name: Split(self.arrays[f"X_{name}"], self.arrays[f"y_{name}"]) for name in self.names}
        return {
            "names": self.names,
            "classes": list(layout.classes),
            "fingerprint": fingerprint.of_arrays(*self.arrays.values(), np.array(layout.classes)),
            "notes": [*layout.notes, *self._notes()],
            "repeats": repeated_rows(splits),
            "warnings": self._warnings(),
        }

    def _notes(self) -> list[str]:
        notes = [f"{counted(self.not_images, 'file')} without an image ignored"] if self.not_images else []
        told = [(mark, n) for mark, n in sorted(self.marks.items()) if mark != "grey" or self.channels == 3]
        notes += [f"{counted(n, 'image')} {SAID.get(mark, 'converted from ' + mark)}" for mark, n in told]
        return notes + [f"skipped: {name}" for name in self.skipped]

    def _warnings(self) -> list[tuple[str, str]]:
        if not (several := self.marks["first frame"]):
            return []
        return [("several-frames", f"images with several frames: {several}; the first frame is used")]


SAID = {
    "grey": "without colour converted to colour",
    "alpha": "laid over the background",
    "rotated": "turned as the camera says",
    "first frame": "with several frames: the first is used",
    "16-bit": "scaled from 16 bits",
}
"""How a mark is told where ``converted from …`` does not do."""


class DecodeRun:
    """One decoding of all files of a layout."""

    def __init__(self, container: ByteSource, layout: Layout, skip_bad: bool, progress: bool) -> None:
        self._container = container
        self._skip_bad = skip_bad
        self._progress = progress
        tasks = [
            Task(split, label, item)
            for split, items in layout.items.items()
            for label, item in zip(layout.labels[split], items, strict=True)
        ]
        self._splits = list(layout.items)
        order = container.in_reading_order([task.item for task in tasks])
        self._tasks = [tasks[position] for position in order]

    def decode(self, how: Decoding, folder: Path | None, grey: bool = True) -> Found:
        """Decode all files into `.npy` files of a folder, or into memory; `grey` keeps one channel of grey images.

        Raises:
            ColourFound: `grey` was wrong.
            InputError: the first file that cannot be used.
        """
        found = Found()
        sinks = {split: _sink(folder, split) for split in self._splits}
        found.names, found.labels = {split: [] for split in sinks}, {split: [] for split in sinks}
        groups = list(grouped(self._tasks, lambda task: task.item.size))
        with bar("decoding", len(self._tasks), enabled=self._progress) as advance:
            for tasks, (block, findings) in zip(
                groups, self._blocks(groups, how, grey, found, folder), strict=True
            ):
                self._take(tasks, block, findings, found, sinks)
                advance(len(tasks))
        self._finish(found, sinks, folder)
        return found

    def _blocks(
        self, groups: list[list[Task]], how: Decoding, grey: bool, found: Found, folder: Path | None
    ) -> Iterator[tuple[np.ndarray, list[Finding]]]:
        """Decode the first group here, which settles channels and size, and the others in the pool."""
        blobs = (list(self._container.read([task.item for task in group])) for group in groups)
        with DecodePool() as pool, closing(blobs):
            shape: tuple[int, int] | None = how.size
            for first in blobs:
                self._require_memory(first, how, folder)
                block, findings = pool.decode_first(first, how, shape)
                if grey and len(block) and all("grey" in marks for kind, _, marks in findings if kind == "ok"):
                    found.channels = 1
                    how = Decoding(1, how.size, how.background)
                    block, findings = pool.decode_first(first, how, shape)
                yield block, findings
                if len(block):
                    shape = (block.shape[2], block.shape[3])
                    break
            if shape is not None:
                yield from pool.decode_all(blobs, how, shape)

    def _require_memory(self, blobs: Sequence[bytes], how: Decoding, folder: Path | None) -> None:
        """Refuse images that memory cannot hold: a block of them where they go to a file, else all.

        Raises:
            MachineError: ``out-of-memory``.
        """
        sizes = (size_of(blob) for blob in blobs)
        width, height = how.size or next(filter(None, sizes), (0, 0))
        count = min(len(self._tasks), BLOCK_COUNT) if folder else 2 * len(self._tasks)
        what = f"to decode {counted(count if folder else len(self._tasks), 'image')} of {width} × {height}"
        require_memory(
            3 * count * width * height, what, str(self._container.path), "give a smaller size: --size 64"
        )

    def _take(
        self,
        tasks: Sequence[Task],
        block: np.ndarray,
        findings: Sequence[Finding],
        found: Found,
        sinks: Mapping[str, RowSink],
    ) -> None:
        good: list[Task] = []
        for task, (kind, reason, marks) in zip(tasks, findings, strict=True):
            if kind == "ok":
                good.append(task)
                found.marks.update(marks)
                if found.channels == 1 and "grey" not in marks:
                    raise ColourFound
            else:
                self._refuse(task, kind, reason, block.shape, found)
        splits = np.array([task.split for task in good])
        for split in dict.fromkeys(task.split for task in good):
            sinks[split].append(block[splits == split])
        for task in good:
            found.names[task.split].append(printable(task.item.path))
            found.labels[task.split].append(task.label)

    def _refuse(self, task: Task, kind: str, reason: str, shape: tuple[int, ...], found: Found) -> None:
        """Count a file that is no image, list a bad one if that is allowed, or end with an error."""
        name = printable(task.item.path)
        may_be_other = not self._container.only_images
        if may_be_other and kind == "not-image" and task.item.path.suffix.lower() not in IMAGE_ENDINGS:
            found.not_images += 1
        elif kind == "size":
            what = f"the image has {reason} pixels, the ones before it {shape[3]} × {shape[2]}"
            mend = "give one size for all: --size 64"
            raise InputError("mixed-sizes", what, f"{self._container.path}, {name}", mend)
        elif self._skip_bad:
            found.skipped.append(f"{name} ({reason})")
        else:
            code = CODES.get(kind, "image-broken")
            mend = "mend or remove it, or go on without such images: --skip-bad"
            raise InputError(code, f"the image cannot be used: {reason}", f"{self._container.path}, {name}", mend)

    def _finish(self, found: Found, sinks: Mapping[str, RowSink], folder: Path | None) -> None:
        if not found.names.get("train"):
            raise InputError("no-images", "there is no image in any class folder", str(self._container.path))
        for split, sink in sinks.items():
            if not found.names[split]:
                del found.names[split]
                continue
            found.arrays[f"X_{split}"] = sink.finish()
            found.arrays[f"y_{split}"] = np.array(found.labels[split], dtype=np.int64)


def _sink(folder: Path | None, split: str) -> RowSink:
    if folder is None:
        return MemoryRows()
    path = folder / f"X_{split}.npy"
    path.unlink(missing_ok=True)  # left by a run that took colour images for grey ones
    return NpyRows(path)
