"""Which files belong to which split and class: names alone, no file is opened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from straightedge.data.checks import counted
from straightedge.data.labels import classes_differ
from straightedge.data.listing import Item, Listing, printable
from straightedge.errors import InputError

ALIASES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""Folder names, lower case -> split."""


@dataclass(frozen=True)
class Layout:
    """Files of each split with their labels.

    Attributes:
        classes: Class names, index = label: the folders of the training split, sorted.
        items: Split name -> files.
        labels: Split name -> class index of each file.
        notes: What was left out, with counts.
    """

    classes: tuple[str, ...]
    items: dict[str, list[Item]]
    labels: dict[str, list[int]]
    notes: tuple[str, ...]


def arrange(listing: Listing, where: str) -> Layout:
    """Find splits and classes in the paths of a listing.

    A common folder above everything is stepped over. The first folder is the split if one is called train,
    else all is training data; the next folder is the class, and folders below it belong to it.

    Raises:
        InputError: ``no-class-folders``, ``split-twice``, ``classes-differ``, ``no-images``,
            ``pickle-refused``.
    """
    _refuse_pickles(listing, where)
    depth = _common_depth(listing)
    splits, other = _split_folders(listing, depth, where)
    notes = _notes(listing)
    if splits:
        depth += 1
        notes += [f"{counted(other, 'file')} outside train, validation and test ignored"] if other else []
    names = splits or {"train": None}
    folders = {split: _class_folders(listing.folders, depth, folder) for split, folder in names.items()}
    empty = [split for split in folders if split != "train" and not folders[split]]
    for split in empty:
        del folders[split], names[split]
    _check_classes(folders, where)
    items = {split: _under(listing.items, depth, folder) for split, folder in names.items()}
    loose = sum(len(item.path.parts) == depth + 1 for item in listing.items)
    notes += [f"{counted(loose, 'file')} in no class folder ignored"] if loose else []
    return _labelled(folders["train"], items, depth, notes, where)


def _labelled(
    classes: Sequence[str], items: dict[str, list[Item]], depth: int, notes: list[str], where: str
) -> Layout:
    index = {name: position for position, name in enumerate(classes)}
    labels = {split: [index[item.path.parts[depth]] for item in files] for split, files in items.items()}
    used = {split: files for split, files in items.items() if files}
    if "train" not in used:
        raise InputError("no-images", "there is no file in any class folder", where, "put images in them")
    return Layout(tuple(printable(name) for name in classes), used, labels, tuple(notes))


def _refuse_pickles(listing: Listing, where: str) -> None:
    if any(item.path.name == "data_batch_1" for item in listing.items):
        raise InputError(
            "pickle-refused",
            "these are the pickled batches of CIFAR-10 among other files",
            where,
            "name the folder that holds data_batch_1 itself, or cifar-10-python.tar.gz",
        )


def _notes(listing: Listing) -> list[str]:
    notes = [f"{counted(listing.ignored, 'hidden or system file')} ignored"] if listing.ignored else []
    return notes + (
        [f"{counted(listing.loops, 'link')} back to a folder above ignored"] if listing.loops else []
    )


def _common_depth(listing: Listing) -> int:
    """Count the folders above everything, as long as a class folder remains below."""
    paths = [item.path.parts for item in listing.items]
    depth = 0
    while paths and all(len(parts) > depth + 2 and parts[depth] == paths[0][depth] for parts in paths):
        depth += 1
    return depth


def _split_folders(listing: Listing, depth: int, where: str) -> tuple[dict[str, str | None], int]:
    """Return split -> folder name when one is called train, and the number of files in other folders."""
    found: dict[str, str | None] = {}
    for name in sorted({folder.parts[depth] for folder in listing.folders if len(folder.parts) > depth}):
        split = ALIASES.get(name.lower())
        if split in found:
            raise InputError(
                "split-twice", f"the folders {found[split]!r} and {name!r} are both the {split} split", where
            )
        if split is not None:
            found[split] = name
    if "train" not in found:
        return {}, 0
    if not _is_split(listing.folders, depth, found["train"]):
        if all(
            folder.parts[depth].lower() in ALIASES for folder in listing.folders if len(folder.parts) > depth
        ):
            raise _no_classes(f"{where}/{found['train']}")
        return {}, 0  # a class that is called train, among others
    return found, sum(item.path.parts[depth] not in found.values() for item in listing.items)


def _is_split(folders: Iterable[PurePosixPath], depth: int, name: str | None) -> bool:
    return any(len(folder.parts) > depth + 1 and folder.parts[depth] == name for folder in folders)


def _class_folders(folders: Iterable[PurePosixPath], depth: int, split: str | None) -> list[str]:
    inside = [
        f.parts for f in folders if len(f.parts) > depth and (split is None or f.parts[depth - 1] == split)
    ]
    return sorted({parts[depth] for parts in inside})


def _under(items: Iterable[Item], depth: int, split: str | None) -> list[Item]:
    deep = [item for item in items if len(item.path.parts) > depth + 1]
    return [item for item in deep if split is None or item.path.parts[depth - 1] == split]


def _no_classes(where: str) -> InputError:
    return InputError(
        "no-class-folders",
        "there is no folder of a class",
        where,
        "put the images of each class in a folder of its name, perhaps under train/ and test/",
    )


def _check_classes(folders: dict[str, list[str]], where: str) -> None:
    train = folders["train"]
    if not train:
        raise _no_classes(where)
    for split, names in folders.items():
        if set(names) != set(train):
            raise classes_differ(
                sorted(set(names) - set(train)), sorted(set(train) - set(names)), f"{where}/{split}"
            )
