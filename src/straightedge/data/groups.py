"""Groups of training rows from a file beside them, one for each row."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from straightedge.data.base import Dataset
from straightedge.errors import InputError


def with_groups(dataset: Dataset, groups: str) -> Dataset:
    """Return the data set with groups of its training rows, where its reader has not found them in a column.

    Args:
        dataset: As read.
        groups: The name of a column, or a file with one group a line, or an ``.npy``.

    Raises:
        InputError: ``groups-missing`` where there is neither, ``groups-length``, the codes of `read_label_file`.
    """
    if dataset.train.groups is not None:
        return dataset
    if not os.path.exists(groups):
        what = f"there is no column and no file {groups!r}"
        raise InputError(
            "groups-missing", what, dataset.name, "name a column of a table, or a file of groups"
        )
    from straightedge.data.arrays import read_label_file

    found = np.asarray(read_label_file(Path(groups)))
    if found.shape != (dataset.train.n,):
        what = f"there are {len(found)} groups for {dataset.train.n} training rows"
        raise InputError("groups-length", what, groups, "give one group for each training row")
    return replace(dataset, train=replace(dataset.train, groups=found))
