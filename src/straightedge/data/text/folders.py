"""Folders, zip and tar files with a sub-folder of text files a class, with or without train/ and test/."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.data import fingerprint
from straightedge.data.assemble import SPLITS, Part, assemble
from straightedge.data.base import Dataset
from straightedge.data.cache import Entry, through_cache
from straightedge.data.container import Container
from straightedge.data.layout import Layout, arrange
from straightedge.data.listing import IMAGE_ENDINGS, Item, printable
from straightedge.data.text.documents import Documents, count_texts, repeated_texts
from straightedge.data.text.encodings import read_texts, why_no_text
from straightedge.errors import InputError
from straightedge.memory import require_memory

VERSION = 2  # raised when the same files give other texts, so that old entries of the cache are not read
SAMPLED = 7  # files that tell whether a folder holds texts, spread over it
OTHER_ENDINGS = {".csv", ".tsv", ".svg", ".npy", ".npz", ".parquet", ".arrow", ".pkl", ".pickle"}
"""Files whose content is text, or nearly, but that are read as something else."""


def holds_texts(container: Container) -> bool:
    """Return whether a folder or archive holds text files: no image by name, and texts wherever it is looked."""
    items = container.listing.items
    endings = {item.path.suffix.lower() for item in items}
    if not items or endings & (IMAGE_ENDINGS | OTHER_ENDINGS):
        return False
    inside = [item for item in items if len(item.path.parts) > 1 and item.size]
    places = np.linspace(0, len(inside) - 1, min(SAMPLED, len(inside))).astype(int)
    blobs = list(container.read([inside[place] for place in np.unique(places)]))
    return bool(blobs) and sum(why_no_text(data) is None for data in blobs) > len(blobs) / 2


def load_texts(source: str, container: Container, options: Mapping[str, Any]) -> Dataset:
    """Read the text files of class folders.

    Raises:
        InputError: ``text-binary`` with the file, ``text-encoding``; the codes of `Container` and `arrange`.
    """
    encoding, skip_bad = options.get("encoding"), bool(options.get("skip_bad"))
    key = fingerprint.of_values(
        content=container.fingerprint(), texts=VERSION, encoding=encoding, skip_bad=skip_bad
    )
    arrays, meta = through_cache(
        key, lambda _: _read(container, encoding, skip_bad), enabled=bool(options.get("cache", True))
    )
    parts = {
        split: Part(Documents(arrays[f"data_{split}"], arrays[f"ends_{split}"]), arrays[f"y_{split}"], names)
        for split, names in meta["names"].items()
    }
    return assemble(
        source,
        parts,
        fingerprint=meta["fingerprint"],
        classes=meta["classes"],
        declared=options.get("classes"),
        notes=[f"read as texts: {count_texts(parts, source)}", *meta["notes"]],
        repeats=meta["repeats"],
    )


def _read(container: Container, encoding: str | None, skip_bad: bool) -> Entry:
    layout = arrange(container.listing, str(container.path))
    tasks = [
        (split, item, label)
        for split in layout.items
        for item, label in zip(layout.items[split], layout.labels[split], strict=True)
    ]
    order = container.in_reading_order([item for _, item, _ in tasks])
    tasks = [tasks[place] for place in order]
    total = sum(item.size for _, item, _ in tasks)
    require_memory(total, "to read the texts", str(container.path), "give fewer of them")
    found = read_texts(list(container.read([item for _, item, _ in tasks])), encoding)
    left_out = [_refused(container.path, tasks[place][1], why, skip_bad) for place, why in found.bad]
    good = [(*task, text) for task, text in zip(tasks, found.texts, strict=True) if text is not None]
    notes = [*layout.notes, *found.notes(), *left_out]
    return _entry(layout, good, notes, str(container.path))


def _refused(source: Path, item: Item, why: str, skip_bad: bool) -> str:
    """Return the remark on a file that is no text, or refuse it."""
    name = printable(item.path)
    if not skip_bad:
        mend = "save it as plain text or remove it, or go on without such files: --skip-bad"
        raise InputError("text-binary", f"the file is no text: {why}", f"{source}, {name}", mend)
    return f"skipped: {name} ({why})"


def _entry(layout: Layout, rows: Sequence[tuple[str, Item, int, str]], notes: Sequence[str], where: str) -> Entry:
    """Return texts as arrays, with what is to be said of them."""
    arrays: dict[str, np.ndarray] = {}
    names: dict[str, list[str]] = {}
    parts: dict[str, Part] = {}
    for split in [split for split in SPLITS if any(row[0] == split for row in rows)]:
        own = [row for row in rows if row[0] == split]
        texts = Documents.of(text for *_, text in own)
        labels = np.array([label for _, _, label, _ in own], dtype=np.int64)
        arrays |= {f"data_{split}": texts.data, f"ends_{split}": texts.ends, f"y_{split}": labels}
        names[split] = [printable(item.path) for _, item, _, _ in own]
        parts[split] = Part(texts, labels)
    if "train" not in parts:
        raise InputError("texts-none", "there is no text in any class folder", where)
    meta = {
        "names": names,
        "classes": list(layout.classes),
        "fingerprint": fingerprint.of_arrays(*arrays.values(), np.array(layout.classes)),
        "notes": list(notes),
        "repeats": repeated_texts(parts),
    }
    return arrays, meta
