"""CIFAR-10 and CIFAR-100 in the form that Python's courses use: batches in pickles, read without unpickling.

A batch is a dictionary with ``data`` (n, 3072) uint8, red, green and blue planes row by row, and ``labels``
(CIFAR-10) or ``fine_labels`` and ``coarse_labels`` (CIFAR-100).

References:
    A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009; the sums are those that the
    data set's page and torchvision publish.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.data import fingerprint
from straightedge.data.assemble import Part, assemble
from straightedge.data.base import Dataset
from straightedge.data.cifar10 import batch_files, broken
from straightedge.data.pickles.machine import read_bytes
from straightedge.data.pickles.values import as_labels, described
from straightedge.memory import require_memory

SIDE = 32
LARGEST_BATCH = 2**28
"""Bytes of one batch file; the largest of the release, CIFAR-100's training file, has 155 million."""


@dataclass(frozen=True)
class Release:
    """One of the two data sets.

    Attributes:
        splits: File name -> split.
        about: File of the class names.
        labels: Keys that hold labels, the default one first.
        names: Key of the class names for each key of labels.
        sums: MD5 sum of each file as published.
    """

    splits: Mapping[str, str]
    about: str
    labels: tuple[str, ...]
    names: Mapping[str, str]
    sums: Mapping[str, str]


CIFAR10 = Release(
    {**{f"data_batch_{number}": "train" for number in range(1, 6)}, "test_batch": "test"},
    "batches.meta",
    ("labels",),
    {"labels": "label_names"},
    {
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    },
)
CIFAR100 = Release(
    {"train": "train", "test": "test"},
    "meta",
    ("fine_labels", "coarse_labels"),
    {"fine_labels": "fine_label_names", "coarse_labels": "coarse_label_names"},
    {"train": "16019d7e3df5f24257cddd939b257f8d", "test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
)


def load(source: str, **options: Any) -> Dataset:
    """Read ``cifar-10-batches-py``, ``cifar-100-python`` or one of their archives.

    Args:
        source: The folder, or ``cifar-10-python.tar.gz`` and its kin.
        **options: ``labels`` chooses ``coarse_labels`` of CIFAR-100; ``classes`` the names to align to.

    Raises:
        InputError: ``cifar-broken``, ``archive-broken``, ``pickle-refused``, ``pickle-broken``.
    """
    path = Path(source)
    wanted = sorted({*CIFAR10.splits, CIFAR10.about, *CIFAR100.splits, CIFAR100.about})
    if not (found := batch_files(path, wanted, LARGEST_BATCH)):
        raise broken("there is no batch of CIFAR in it", source)
    release = CIFAR10 if any(name in CIFAR10.sums for name in found) else CIFAR100
    key = _label_key(release, options.get("labels"))
    require_memory(2 * sum(map(len, found.values())), "to put the batches together", source, "give fewer batches")
    values = {name: read_bytes(data, f"{source}, {name}") for name, data in found.items()}
    parts = _parts(values, release, key, source)
    return assemble(
        source,
        parts,
        fingerprint=fingerprint.of_arrays(*(part.X for part in parts.values())),
        classes=_class_names(values.get(release.about), release.names[key]),
        declared=options.get("classes"),
        notes=_sum_notes(found, release),
    )


def _label_key(release: Release, asked: Any) -> str:
    if asked is None or asked in release.labels:
        return str(asked or release.labels[0])
    raise broken(f"there are no labels {asked!r}", ", ".join(release.labels))


def _parts(values: Mapping[str, Any], release: Release, key: str, source: str) -> dict[str, Part]:
    parts: dict[str, Part] = {}
    for split in ("train", "test"):
        files = [name for name, of in release.splits.items() if of == split and name in values]
        batches = [_batch(values[name], key, f"{source}, {name}") for name in files]
        if batches:
            X = np.concatenate([X for X, _ in batches])
            names = [f"cifar/{split}/{row}" for row in range(len(X))]
            parts[split] = Part(X, [label for _, y in batches for label in y], names)
    return parts


def _batch(value: Any, key: str, where: str) -> tuple[np.ndarray, list[Any]]:
    """Return the images (n, 3, 32, 32) uint8 and the labels of one batch."""
    X = value.get("data") if isinstance(value, dict) else None
    y = as_labels(value.get(key)) if isinstance(value, dict) else None
    if not isinstance(X, np.ndarray) or X.dtype != np.uint8 or X.shape[1:] != (3 * SIDE * SIDE,):
        raise broken(f"a batch holds {described(value)} and no data (n, 3072) uint8", where)
    if y is None or len(y) != len(X):
        raise broken(f"a batch holds {described(value)} and not one entry of {key!r} an image", where)
    return X.reshape(-1, 3, SIDE, SIDE), list(y)


def _class_names(about: Any, key: str) -> list[Any] | None:
    names = as_labels(about.get(key)) if isinstance(about, dict) else None
    return None if names is None else list(names)


def _sum_notes(found: Mapping[str, bytes], release: Release) -> list[str]:
    """Say which files are not byte for byte those of the release."""
    other = [
        name
        for name, data in found.items()
        if name in release.sums and hashlib.md5(data, usedforsecurity=False).hexdigest() != release.sums[name]
    ]
    return [f"not the published files by their sums: {', '.join(sorted(other))}"] if other else []
