"""Tar shards as WebDataset has them: the members of a sample share their name up to the first dot.

``000123.jpg`` goes with ``000123.cls`` (a number or a name), ``000123.txt`` (a name) or ``000123.json`` (with a
key such as ``label``). Labels are read while the shards are listed, images when they are decoded.
"""

import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from straightedge.data import fingerprint
from straightedge.data.assemble import files_by_split, to_train_on
from straightedge.data.base import Dataset
from straightedge.data.container import broken_archive
from straightedge.data.endings import TARS
from straightedge.data.label_values import plain_labels
from straightedge.data.listing import IMAGE_ENDINGS, Item, is_ignored, list_tar, printable
from straightedge.data.sample_images import Samples, load_samples
from straightedge.data.tables.label_column import LABEL_COLUMNS, OTHER_NAMES
from straightedge.data.tars import BROKEN, member_bytes, open_tar
from straightedge.errors import InputError

LABEL_ENDINGS = ("cls", "cls.txt", "label", "txt", "json")
LARGEST_LABEL = 2**20  # bytes of the largest label file read
PEEKED = 12  # members looked at to tell shards from an archive of class folders


@dataclass
class Shard:
    """The samples of one tar: image member and label, in the order of the file."""

    path: Path
    images: list[Item] = field(default_factory=list)
    labels: list[Any] = field(default_factory=list)


def load(source: str, **options: Any) -> Dataset:
    """Read one shard or a folder of shards.

    Args:
        source: File or folder; ``labels`` names the key of the label in ``.json`` members.
        **options: Those of `load_dataset`.

    Raises:
        InputError: ``shard-label``, ``shard-empty``, ``train-missing``, the codes of `Container` on archives, of
            images and of labels.
    """
    files = shard_files(Path(source))
    key = fingerprint.of_values(
        kind="shards", content=fingerprint.of_files([path for group in files.values() for path in group])
    )
    wanted = options.get("labels")

    def samples() -> dict[str, Samples]:
        return {split: _samples(Path(source), group, wanted) for split, group in files.items()}

    key = fingerprint.of_values(content=key, label=wanted)
    return load_samples(source, samples, None, key, (), options)


def looks_like_shard(path: Path) -> bool:
    """Whether the first members of a tar are samples with label files, and no class folders."""
    try:
        with open_tar(path) as archive:
            names = [member.name for member, _ in zip(archive, range(PEEKED), strict=False) if member.isreg()]
    except (OSError, *BROKEN):
        return False
    return any(sample_key(name)[1] in LABEL_ENDINGS for name in names) and any(is_image(name) for name in names)


def sample_key(name: str) -> tuple[str, str]:
    """Split a member's name into the key of its sample and its ending: at the first dot of the last part."""
    folder, slash, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    return folder + slash + stem, ending.lower()


def is_image(name: str) -> bool:
    """Whether a member is an image by its ending."""
    return "." + name.rpartition(".")[2].lower() in IMAGE_ENDINGS


def parse_label(ending: str, content: bytes, wanted: str | None, where: str) -> Any:
    """Read a label file: a number, a name, or a JSON object with the label under a known key.

    Args:
        ending: Ending of the member.
        content: Its bytes.
        wanted: Key of the label in JSON objects, None for the usual names.
        where: Shard and member for messages.
    """
    try:
        text = content.decode("utf-8-sig").strip()
        if ending != "json":
            return text
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError("shard-label", f"the label cannot be read: {error}", where) from None
    keys = [wanted] if wanted else LABEL_COLUMNS + OTHER_NAMES
    found = next((value[k] for k in keys if k in value), None) if isinstance(value, dict) else value
    if isinstance(found, int | str) and not isinstance(found, bool):
        return found
    raise InputError("shard-label", f"there is no label under {keys[0]!r}", where, "name its key: --labels KEY")


def shard_files(path: Path) -> dict[str, list[Path]]:
    """Return the shards of each split, told by folder or file names."""
    if path.is_file():
        return {"train": [path]}
    named = (file for file in path.rglob("*") if file.name.lower().endswith(TARS) and file.is_file())
    return to_train_on(files_by_split(sorted(named), path), path)[0]


def _samples(source: Path, paths: Sequence[Path], wanted: str | None) -> Samples:
    shards = [read_shard(path, wanted) for path in paths]
    root = source if source.is_dir() else source.parent
    names = [
        f"{shard.path.relative_to(root)}/{printable(image.path)}" for shard in shards for image in shard.images
    ]
    places = [(shard, image) for shard in shards for image in shard.images]
    labels = plain_labels([label for shard in shards for label in shard.labels])
    return Samples(names, [image.size for _, image in places], labels, partial(_read, places))


def read_shard(path: Path, wanted: str | None) -> Shard:
    """List one shard, reading its labels.

    Raises:
        InputError: ``shard-label`` for an image without a label, ``shard-empty``, and the codes of archives.
    """
    try:
        with open_tar(path) as archive:
            listing = list_tar(path, archive)
            labels = _labels(archive, listing.items, wanted, path)
    except (OSError, *BROKEN) as error:
        raise broken_archive(path, error) from None
    shard = Shard(path)
    for item in listing.items:
        if is_image(item.path.name) and not is_ignored(item.path):
            key = sample_key(str(item.path))[0]
            if key not in labels:
                what = "the image has no label beside it"
                raise InputError("shard-label", what, f"{path}, {printable(item.path)}")
            shard.images.append(item)
            shard.labels.append(labels[key])
    if not shard.images:
        raise InputError("shard-empty", "there is no image with a label", str(path))
    return shard


def _labels(archive: tarfile.TarFile, items: Sequence[Item], wanted: str | None, path: Path) -> dict[str, Any]:
    """Read the label of each key; of several files the first kind of `LABEL_ENDINGS` counts."""
    found: dict[str, tuple[int, Any]] = {}
    for item in items:
        key, ending = sample_key(str(item.path))
        if ending not in LABEL_ENDINGS or item.size > LARGEST_LABEL:
            continue
        rank = LABEL_ENDINGS.index(ending)
        if key in found and found[key][0] <= rank:
            continue
        content = member_bytes(archive, item.handle)
        found[key] = rank, parse_label(ending, content, wanted, f"{path}, {printable(item.path)}")
    return {key: label for key, (_, label) in found.items()}


def _read(places: Sequence[tuple[Shard, Item]], positions: Sequence[int]) -> Iterator[bytes]:
    """Yield the bytes of samples, opening each shard once for a stretch of them."""
    wanted = (places[position] for position in positions)
    for path, group in groupby(wanted, key=lambda place: place[0].path):
        with open_tar(path) as archive:
            for _, item in group:
                try:
                    yield member_bytes(archive, item.handle)
                except (OSError, *BROKEN) as error:
                    raise broken_archive(path, error, item) from None
