"""Which names mean a split: ``train``, ``Testing``, ``training_set``, ``seg_train``, ``trainImages``, ``val2017``.

A plain name is a split by itself. A name with words of its own (``seg_train``) is one only where another name has
the same words and another split (``seg_test``): a class may well be called ``bullet_train``.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from straightedge.errors import InputError

WORDS = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "tst": "test",
}
"""Words, lower case -> split."""
FILLERS = {"", "set", "data", "dataset", "split", "folder", "images", "image", "imgs", "img", "samples", "pictures"}
"""Words that say nothing about which split or class a folder is."""


def split_of_word(name: str) -> str | None:
    """Return the split that a name means by itself: one word of `WORDS`, perhaps with `FILLERS`."""
    found = _parsed(name)
    return found[0] if found is not None and not found[1] else None


def split_of(path: Path) -> str | None:
    """Return the split that a relative path belongs to, by its folders, else by the first word of its name."""
    for part in path.parts[:-1]:
        if split := split_of_word(part):
            return split
    return split_of_word(re.split(r"[-_.]", path.name, maxsplit=1)[0])


def split_folders(names: Iterable[str], where: str) -> dict[str, str]:
    """Return split -> name, among names that lie beside each other.

    Returns:
        The splits, with ``train`` among them, or {} where no names are splits.
    """
    groups: dict[str, dict[str, str]] = {}
    for name in sorted(names):
        split, rest = _parsed(name) or (None, "")
        if split is None:
            continue
        group = groups.setdefault(rest, {})
        if split in group:
            what = f"the folders {group[split]!r} and {name!r} are both the {split} split"
            raise InputError("split-twice", what, where)
        group[split] = name
    usable = [g for rest, g in groups.items() if "train" in g and (not rest or len(g) > 1)]
    return max(usable, key=len, default={})


def _parsed(name: str) -> tuple[str, str] | None:
    """Return the split and the words of its own that a name has, or None where it names no split or two."""
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^\W\d_]+", name)]
    splits = [WORDS.get(word.removesuffix("set") or word) for word in words]  # trainset is train
    if sum(split is not None for split in splits) != 1:
        return None
    position = next(place for place, split in enumerate(splits) if split is not None)
    own = [word for word in words[:position] + words[position + 1 :] if word not in FILLERS]
    return str(splits[position]), " ".join(own)
