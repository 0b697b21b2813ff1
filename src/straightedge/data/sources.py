"""`load_dataset`: the one door to every format; `finding` has the registry of readers behind it.

A new format is one module with a function ``load(source, **options) -> Dataset`` and one line there.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np

from straightedge.data import fingerprint
from straightedge.data.base import Dataset, RawTable, SealedSplit, Split
from straightedge.data.beside import with_groups, with_weights
from straightedge.data.checks import repeat_warning, repeated_rows
from straightedge.data.finding import module_of, refuse_unused
from straightedge.data.image_size import parse_size
from straightedge.data.tables.frames import NAME as FRAME
from straightedge.data.tables.frames import frame_table
from straightedge.errors import InputError
from straightedge.kinds import is_frame


def load_dataset(
    source: str | os.PathLike[str] | Any,
    *,
    size: int | str | tuple[int, int] | None = None,
    root: str | os.PathLike[str] | None = None,
    skip_bad: bool = False,
    background: str = "white",
    progress: bool = True,
    cache: bool = True,
    labels: str | os.PathLike[str] | None = None,
    classes: Sequence[Any] | None = None,
    test: str | os.PathLike[str] | None = None,
    groups: str | os.PathLike[str] | None = None,
    sample_weight: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Dataset:
    """Read a data set by name or path.

    Args:
        source: ``digits``, ``cifar10``, ``mnist``, ``fashion-mnist``; a folder, ``.zip`` or ``.tar[.gz]``
            of class folders of images or texts with or without ``train/ val/ test/``; JSON lines; ``.npz``;
            ``X.npy,y.npy``; Parquet, Arrow or Feather files or a folder of them; tar shards; svmlight; pickles of
            plain arrays and CIFAR's ``python`` batches (read without unpickling); CSV, ARFF, workbooks; or a
            frame of pandas, polars or pyarrow.
        size: Pixels that every image is resized to: one number, a pair, or text such as ``32`` or ``24x32``.
        root: Folder that holds, or receives, the files of a named source.
        skip_bad: Go on without images that cannot be decoded, and list them in the notes.
        background: Colour under transparent pixels, a CSS name or ``#rrggbb``.
        progress: Show bars on a terminal.
        cache: Keep decoded images in the cache folder (see `straightedge.data.cache`).
        labels: File of labels for an ``.npy`` of features, or the name of the label column of a table.
        classes: Class names to align to by name, those of a trained model; None takes them from the source.
        test: A second source, whose rows are the sealed test split.
        groups: What training rows belong together: a column of a table, or a file with one group for each row.
        sample_weight: How often training rows count: a column of a table, or a file with one weight for each row. A
            column gives the weights of validation and test rows, too.
        **options: Settings of one format, such as ``column`` (the embedding column of a table).

    Returns:
        The data set; its test split, if it has one, is sealed.

    Raises:
        InputError: ``source-missing``, ``source-kind``, ``pickle-refused``, and the codes of the reader.
    """
    if is_frame(source):
        options["frame"], text, load = frame_table(source), FRAME, reader_of("tables.reading")
    else:
        text = os.fspath(source)
        module = module_of(text)
        refuse_unused(module, text, {"labels": labels, **options})
        load = reader_of(module)
    weights = None if sample_weight is None else os.fspath(sample_weight)
    given: dict[str, Any] = {"root": root, "skip_bad": skip_bad, "background": background}
    given |= {"progress": progress, "cache": cache}
    beside = {"groups": None if groups is None else os.fspath(groups), "sample_weight": weights}
    found = load(text, size=size, labels=labels, classes=classes, **given, **beside, **options)
    _check_size(found, size)
    found = found if groups is None else with_groups(found, os.fspath(groups))
    found = found if weights is None or not found.train.n else with_weights(found, weights)
    if test is None:
        return found
    if weights is not None and not os.path.exists(weights):  # a column, which test rows may have as well
        given["sample_weight"] = weights
    return _with_test_source(found, os.fspath(test), load_dataset, {**options, **given, "labels": labels})


def _check_size(found: Dataset, size: Any) -> None:
    """Refuse a size that a source could not follow: it holds pixels or features as they are."""
    wanted = parse_size(size)
    if wanted is not None and (found.image_shape is None or found.image_shape[1:] != wanted):
        shape = found.image_shape
        held = "features" if shape is None else f"images of {shape[1]} × {shape[2]} pixels"
        what = f"this source holds {held} as they are and cannot be resized"
        raise InputError("size", what, found.name, "leave --size out")


def reader_of(module: str) -> Callable[..., Dataset]:
    """Return the function that reads sources of a module below `straightedge.data`."""
    load: Callable[..., Dataset] = import_module(f"straightedge.data.{module}").load
    return load


@dataclass(frozen=True)
class _TwoTables:
    """The raw cells of a table and of another one whose rows are its test split."""

    train: RawTable
    test: RawTable

    def columns(self, index: np.ndarray) -> dict[str, Any]:
        """Return what the columns become by some of the training rows."""
        return self.train.columns(index)

    def rows(self, split: str, columns: Mapping[str, Any]) -> Any:
        """Return all rows of a split as features."""
        return self.test.rows("train", columns) if split == "test" else self.train.rows(split, columns)


def _with_test_source(
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
        parts = _TwoTables(train.parts, other.parts)
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
