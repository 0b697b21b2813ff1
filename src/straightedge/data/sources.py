"""`load_dataset`: the one door to every format; `finding` has the registry of readers behind it.

A new format is one module with a function ``load(source, **options) -> Dataset`` and one line there.
"""

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from straightedge.data.base import Dataset
from straightedge.data.beside import with_groups, with_weights
from straightedge.data.finding import module_of
from straightedge.data.image_size import parse_size
from straightedge.data.tables.frames import NAME as FRAME
from straightedge.data.tables.frames import frame_table
from straightedge.data.test_source import with_test_source
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
        load = reader_of(module_of(text))
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
    return with_test_source(found, os.fspath(test), load_dataset, {**options, **given, "labels": labels})


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
