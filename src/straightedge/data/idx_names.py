"""Names of IDX files, as MNIST and its kin are published and copied: which are images, and of which split."""

import re
from collections.abc import Iterable
from pathlib import Path

from straightedge.data.split_names import WORDS
from straightedge.errors import InputError

IMAGES = re.compile(r"(?i)(?:.*[-_.])?images?[-_.]idx3[-_.]ubyte(\.gz)?")
"""``train-images-idx3-ubyte.gz``, ``t10k-images.idx3-ubyte``, ``emnist-letters-train-images-idx3-ubyte``."""
TEST_WORDS = {"t10k": "test"}  # how MNIST calls its test split


def is_idx_images(name: str) -> bool:
    """Whether a file's name is that of images in IDX form."""
    return IMAGES.fullmatch(Path(name).name) is not None


def labels_for(images: Path) -> Path | None:
    """Return the labels beside a file of images, packed or not; None where there are none."""
    plain = images.name.removesuffix(".gz")
    name = re.sub(r"(?i)idx3", "idx1", re.sub(r"(?i)images?(?=[-_.]idx3)", "labels", plain))
    return next((path for path in (images.with_name(name), images.with_name(name + ".gz")) if path.is_file()), None)


def pairs_in(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Return images and labels of each split in a folder.

    Raises:
        InputError: ``file-missing`` without training images or their labels; ``split-twice``.
    """
    pairs: dict[str, tuple[Path, Path]] = {}
    for images in unpacked_first(file for file in sorted(folder.iterdir()) if is_idx_images(file.name)):
        labels = labels_for(images)
        if labels is None:
            continue
        split = split_of_images(images.name)
        if split in pairs:
            what = f"{pairs[split][0].name} and {images.name} are both the {split} split"
            raise InputError("split-twice", what, str(folder), f"name one: straightedge fit {images}")
        pairs[split] = images, labels
    if "train" not in pairs:
        raise InputError("file-missing", "there is no train-images-idx3-ubyte with its labels", str(folder))
    return pairs


def unpacked_first(files: Iterable[Path]) -> list[Path]:
    """Return files, of one that is there both packed and unpacked the unpacked one alone."""
    found: dict[str, Path] = {}
    for file in files:
        plain = file.name.removesuffix(".gz")
        if plain not in found or file.name == plain:
            found[plain] = file
    return list(found.values())


def split_of_images(name: str) -> str:
    """Return the split of images by a word of their name, train where none says it."""
    words = re.split(r"[-_.]", name.lower())
    return next(((WORDS | TEST_WORDS)[word] for word in words if word in WORDS or word in TEST_WORDS), "train")
