"""What stands beside each training row, in a column or in a file: the group that it belongs to, and its weight."""

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from straightedge.data.base import Dataset
from straightedge.errors import InputError
from straightedge.special_files import open_regular

BALANCED = "balanced"  # the class weights that give every class the same sum of weights


def with_groups(dataset: Dataset, groups: str) -> Dataset:
    """Return the data set with groups of its training rows, from a file where its reader found no such column.

    Raises:
        InputError: ``groups-missing`` where there is neither, ``groups-length``, the codes of `read_label_file`.
    """
    if dataset.train.groups is not None:
        return dataset
    found = values_of_file(groups, "groups", dataset.train.n, dataset.name)
    return replace(dataset, train=replace(dataset.train, groups=found))


def with_weights(dataset: Dataset, sample_weight: str) -> Dataset:
    """Return the data set with weights of its training rows, from a file where its reader found no such column.

    Raises:
        InputError: ``weights-missing`` where there is neither, ``weights-length``, ``sample-weight-invalid``.
    """
    from straightedge.row_weights import checked_sample_weight  # it imports torch

    if dataset.train.weights is not None:
        return dataset
    found = values_of_file(sample_weight, "weights", dataset.train.n, dataset.name)
    weights = checked_sample_weight(found, dataset.train.n).numpy()
    return replace(dataset, train=replace(dataset.train, weights=weights))


def values_of_file(file: str, what: str, n: int, source: str) -> np.ndarray:
    """Return one value for each of n training rows, from a file with one a line or an ``.npy``.

    Raises:
        InputError: ``groups-missing``, ``groups-length`` and those of weights; the codes of `read_label_file`.
    """
    if not os.path.exists(file):
        missing = f"there is no column and no file {file!r}"
        raise InputError(f"{what}-missing", missing, source, f"name a column of a table, or a file of {what}")
    from straightedge.data.arrays import read_label_file

    found = np.asarray(read_label_file(Path(file)))
    if found.shape != (n,):
        said = f"there are {len(found)} {what} for {n} training rows"
        raise InputError(f"{what}-length", said, file, f"give one of the {what} for each training row")
    return found


def read_class_weights(given: str) -> str | dict[str, float]:
    """Return class weights as `row_weights` takes them.

    Args:
        given: ``balanced``, or a file: JSON of class name -> weight, or lines ``class,weight``.

    Raises:
        InputError: ``class-weight-invalid`` where there is no such file, or no weights in it.
    """
    if given == BALANCED:
        return given
    path = Path(given)
    if not path.exists():
        what = f"class weights are {given!r}, which is no file"
        raise InputError("class-weight-invalid", what, mend="balanced, or a file with lines class,weight")
    with open_regular(path) as file:
        text = file.read().decode("utf-8-sig", "replace")
    try:
        pairs = json.loads(text).items() if text.lstrip().startswith("{") else _pairs(text)
        return {str(name): float(weight) for name, weight in pairs}
    except (ValueError, TypeError, AttributeError) as error:
        what = f"the class weights cannot be read: {str(error)[:80]}"
        mend = 'lines class,weight, or JSON such as {"yes": 5, "no": 1}'
        raise InputError("class-weight-invalid", what, given, mend) from None


def _pairs(text: str) -> list[list[str]]:
    """Return the two fields of each line; a first line whose second field is no number is a header."""
    rows = [[field.strip() for field in row] for row in csv.reader(text.splitlines()) if row]
    is_header = bool(rows) and len(rows[0]) == 2 and not any(mark.isdigit() for mark in rows[0][1])
    bad = next((row for row in rows if len(row) != 2), None)
    if bad is not None:
        raise ValueError(f"a line has {len(bad)} fields: {','.join(bad)[:40]!r}")
    return rows[1:] if is_header else rows
