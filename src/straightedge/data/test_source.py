"""A second source as the sealed test split: train.csv beside test.csv, adult.data beside adult.test."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from straightedge.data import fingerprint
from straightedge.data.base import Dataset, RawTable, SealedSplit, Split
from straightedge.data.checks import repeat_warning, repeated_rows
from straightedge.errors import InputError


@dataclass(frozen=True)
class TwoTables:
    """The raw cells of a table and of another one whose rows are its test split."""

    train: RawTable
    test: RawTable

    def columns(self, index: np.ndarray) -> dict[str, Any]:
        """Return what the columns become by some of the training rows."""
        return self.train.columns(index)

    def rows(self, split: str, columns: Mapping[str, Any]) -> Any:
        """Return all rows of a split as features."""
        return self.test.rows("train", columns) if split == "test" else self.train.rows(split, columns)


def with_test_source(
    train: Dataset, source: str, read: Callable[..., Dataset], options: Mapping[str, Any]
) -> Dataset:
    """Return a data set with all rows of another source as its test split.

    Raises:
        InputError: ``test-twice``, ``test-unlabelled``, ``test-width`` and the codes of the readers.
    """
    if train.test is not None:
        what = f"{train.name} has a test split of its own"
        raise InputError("test-twice", what, "--test", "leave --test out, or give training rows alone")
    other = _read(train, source, read, options)
    split = other.train if other.test is None else other.test.open("the test split of another source")
    width, wanted = tuple(split.X.shape[1:]), tuple(train.train.X.shape[1:])
    if width != wanted:
        raise InputError("test-width", f"rows have shape {width}, those of training {wanted}", source)
    parts = None
    if train.parts is not None and other.parts is not None:
        parts = TwoTables(train.parts, other.parts)
    repeats = [note for note in repeated_rows({"train": train.train, "test": split}) if note not in train.notes]
    repeat_warning(repeats)
    return replace(
        train,
        test=SealedSplit(Split(split.X, split.y, split.names, weights=split.weights)),
        fingerprint=fingerprint.of_values(train=train.fingerprint, test=other.fingerprint),
        notes=[*train.notes, *(f"test: {note}" for note in other.notes), *repeats],
        parts=parts,
    )


def _read(train: Dataset, source: str, read: Callable[..., Dataset], options: Mapping[str, Any]) -> Dataset:
    """Read the test rows as the training rows were read: by the same columns, classes and size."""
    given = {key: value for key, value in options.items() if key not in ("labels", "size")}
    columns = train.columns or {}
    labels = columns.get("label", options.get("labels"))
    if labels is not None and not os.path.exists(labels):  # a column, and no file beside the training rows
        given["labels"] = labels
    size = None if train.image_shape is None else train.image_shape[1:]
    try:
        return read(
            source,
            classes=train.classes,
            columns=train.columns,
            n_features=next(iter(train.train.X.shape[1:]), None),
            size=size,
            **given,
        )
    except InputError as error:
        if error.code == "weights-missing":
            found = _read(train, source, read, {key: options[key] for key in options if key != "sample_weight"})
            found.notes.append("there is no column of weights: every row counts once")
            return found
        if error.code == "column-missing" and f"label column {labels!r}" in error.what:
            mend = f"rows without labels are predicted, not judged: straightedge predict RUN {source}"
            raise InputError("test-unlabelled", error.what, source, mend) from None
        raise
