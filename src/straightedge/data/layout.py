"""Which files belong to which split and class: names alone, no file is opened."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from straightedge.data.checks import counted
from straightedge.data.label_values import listed
from straightedge.data.labels import classes_differ
from straightedge.data.listing import IMAGE_ENDINGS, Item, Listing, printable
from straightedge.data.split_names import WORDS, split_folders, split_of_word
from straightedge.errors import InputError


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


REMARKS = (".txt", ".md", ".rst", ".html", ".pdf", ".json", ".jsonl", ".csv", ".tsv", ".csv.gz")
"""Endings of files that come with a data set of images and are no samples."""
Prefixes = dict[str, tuple[str, ...]]  # split -> the folders that every class folder of it lies in


def arrange(listing: Listing, where: str) -> Layout:
    """Find splits and classes in the paths of a listing.

    A common folder above everything is stepped over. The first folder is the split where there are folders of
    splits (see `split_names`), else all is training data; the next folder is the class, and folders below it
    belong to it.

    Raises:
        InputError: ``no-class-folders``, ``class-level``, ``split-twice``, ``classes-differ``, ``no-images``,
            ``pickle-refused``.
    """
    _refuse_pickles(listing, where)
    above = _common_folders(listing)
    prefixes = _split_prefixes(listing, above, where)
    folders = {split: _inside(listing.folders, prefix) for split, prefix in prefixes.items()}
    for split in [split for split in folders if split != "train" and not folders[split]]:
        del folders[split], prefixes[split]
    _check_level(listing, prefixes["train"], folders["train"], where)
    _check_classes(folders, where)
    items = {split: _items_in(listing.items, prefix) for split, prefix in prefixes.items()}
    notes = [*_notes(listing), *_left_out(listing, items, prefixes), *_read_as(prefixes)]
    labels = {split: [item.path.parts[len(prefixes[split])] for item in items[split]] for split in items}
    return _labelled(folders["train"], items, labels, notes, where)


def _labelled(
    classes: Sequence[str],
    items: dict[str, list[Item]],
    labels: dict[str, list[str]],
    notes: Sequence[str],
    where: str,
) -> Layout:
    index = {name: position for position, name in enumerate(classes)}
    codes = {split: [index[name] for name in names] for split, names in labels.items()}
    used = {split: files for split, files in items.items() if files}
    if "train" not in used:
        raise InputError("no-images", "there is no file in any class folder", where, "put images in them")
    return Layout(tuple(printable(name) for name in classes), used, codes, tuple(notes))


def _refuse_pickles(listing: Listing, where: str) -> None:
    if any(item.path.name == "data_batch_1" for item in listing.items):
        what = "these are the pickled batches of CIFAR-10 among other files"
        mend = "name the folder that holds data_batch_1 itself, or cifar-10-python.tar.gz"
        raise InputError("pickle-refused", what, where, mend)


def _notes(listing: Listing) -> list[str]:
    notes = [f"{counted(listing.ignored, 'hidden or system file')} ignored"] if listing.ignored else []
    return notes + ([f"{counted(listing.loops, 'link')} back to a folder above ignored"] if listing.loops else [])


def _left_out(listing: Listing, items: dict[str, list[Item]], prefixes: Prefixes) -> list[str]:
    """Count the files that lie beside the folders of the splits, and those beside the folders of classes."""
    loose = sum(item.path.parts[:-1] in prefixes.values() for item in listing.items)
    outside = len(listing.items) - sum(len(files) for files in items.values()) - loose
    notes = [f"{counted(outside, 'file')} outside train, validation and test ignored"] if outside else []
    return notes + ([f"{counted(loose, 'file')} in no class folder ignored"] if loose else [])


def _read_as(prefixes: Prefixes) -> list[str]:
    """Say which folders were taken for splits, where their names have words of their own."""
    named = {split: "/".join(prefix[-1:]) for split, prefix in prefixes.items()}
    if len(prefixes) == 1 or all(name.lower() in WORDS for name in named.values()):
        return []
    return ["folders read as splits: " + ", ".join(f"{name} as {split}" for split, name in named.items())]


def _common_folders(listing: Listing) -> tuple[str, ...]:
    """Return the folders above everything, as long as a class folder remains below.

    A table or a text that lies beside the folders of images, such as a list of the files, is no sample.
    """
    has_images = any(item.path.suffix.lower() in IMAGE_ENDINGS for item in listing.items)
    remarks = REMARKS if has_images else ()
    paths = [item.path.parts for item in listing.items]
    depth = 0
    while inside := [parts for parts in paths if len(parts) > depth + 2 or not parts[-1].lower().endswith(remarks)]:
        if any(len(parts) <= depth + 2 or parts[depth] != inside[0][depth] for parts in inside):
            return inside[0][:depth]
        depth += 1
    return ()


def _split_prefixes(listing: Listing, above: tuple[str, ...], where: str) -> Prefixes:
    """Return the folder of each split, or the one folder of everything as that of ``train``."""
    names = _inside(listing.folders, above)
    found = split_folders(names, where)
    if not found:
        return {"train": above}
    if not _inside(listing.folders, (*above, found["train"])):
        if set(found.values()) == set(names):
            raise _no_classes(f"{where}/{found['train']}")
        return {"train": above}  # a class that is called train, among others
    return {split: _doubled(listing, (*above, name), split) for split, name in found.items()}


def _doubled(listing: Listing, prefix: tuple[str, ...], split: str) -> tuple[str, ...]:
    """Step into ``train/train``: a folder of a split whose only folder has the split's name again."""
    inside = _inside(listing.folders, prefix)
    again = len(inside) == 1 and (inside[0] == prefix[-1] or split_of_word(inside[0]) == split)
    return (*prefix, inside[0]) if again and _inside(listing.folders, (*prefix, inside[0])) else prefix


def _inside(folders: Iterable[PurePosixPath], prefix: tuple[str, ...]) -> list[str]:
    """Return the names of the folders that lie in one, sorted."""
    depth = len(prefix)
    return sorted({f.parts[depth] for f in folders if len(f.parts) > depth and f.parts[:depth] == prefix})


def _items_in(items: Iterable[Item], prefix: tuple[str, ...]) -> list[Item]:
    """Return the files in class folders below a prefix."""
    depth = len(prefix)
    return [item for item in items if len(item.path.parts) > depth + 1 and item.path.parts[:depth] == prefix]


def _no_classes(where: str) -> InputError:
    mend = "put the images of each class in a folder of its name, perhaps under train/ and test/"
    return InputError("no-class-folders", "there is no folder of a class", where, mend)


def _check_level(listing: Listing, prefix: tuple[str, ...], names: Sequence[str], where: str) -> None:
    """Refuse "classes" of which two hold folders of the same names: the classes are those folders.

    Raises:
        InputError: ``class-level``.
    """
    first: dict[str, str] = {}
    for name in names:
        inside = _inside(listing.folders, (*prefix, name))
        for other in {first[folder] for folder in inside if folder in first}:
            shared = [folder for folder in inside if first.get(folder) == other]
            if len(shared) > 1:
                raise _wrong_level(other, name, shared, "/".join([where, *prefix]))
        first |= {folder: name for folder in inside if folder not in first}


def _wrong_level(one: str, other: str, shared: Sequence[str], where: str) -> InputError:
    if all(split_of_word(folder) for folder in shared):
        mend = f"put the splits above the classes: {shared[0]}/{one}, {shared[0]}/{other}"
    else:
        mend = f"give the level that was meant, such as {where}/{one}; splits are folders train and test"
    what = f"the folders {one!r} and {other!r} would be classes, but both hold folders {listed(shared)}"
    return InputError("class-level", what, where, mend)


def _check_classes(folders: dict[str, list[str]], where: str) -> None:
    train = folders["train"]
    if not train:
        raise _no_classes(where)
    for split, names in folders.items():
        if set(names) != set(train):
            missing = sorted(set(train) - set(names))
            error = classes_differ(sorted(set(names) - set(train)), missing, f"{where}/{split}")
            if missing:
                mend = f"if {split} has no images of {missing[0]!r}, make an empty folder {split}/{missing[0]}"
                raise InputError(error.code, error.what, error.where, mend)
            raise error
