"""Raw cells of a table that an artefact is checked on: real rows, or random ones of the kind that training had."""

from pathlib import Path
from typing import Any

import numpy as np

from straightedge.data.tables.dates import parts_of, seconds_of
from straightedge.data.tables.encoding import Column, TableEncoding
from straightedge.data.tables.files import arrow
from straightedge.data.tables.label_column import plain_column
from straightedge.data.tables.matching import match_columns, text_read_for
from straightedge.data.tables.opening import open_splits
from straightedge.model import LinearModel

LOST = 0.1
"""Share of the terms of a score, in units of the tolerance, that float32 may lose of it: 2,000 · w is not 2 · w."""
UNSEEN = "a value that training did not have"


def encoding_of(model: LinearModel) -> TableEncoding:
    """Return how the columns of an artefact become features: the parts of dates are columns of their own there."""
    return TableEncoding.from_dict(model.columns or {}).apart()


def is_cells(rows: Any) -> bool:
    """Whether rows are raw cells, and not features."""
    return isinstance(rows, arrow().Table)


def random_cells(model: LinearModel, n: int = 1000) -> Any:
    """Return an Arrow table of the columns that a model uses: missing and unseen values are among them."""
    pa, draw = arrow(), np.random.default_rng(0)
    return pa.table({column.name: _drawn(column, n, draw) for column in encoding_of(model).used})


def _drawn(column: Column, n: int, draw: np.random.Generator) -> Any:
    pa = arrow()
    if column.kind == "number":
        values = draw.uniform(column.low, column.high, n).astype(np.float32).astype(np.float64)
        return pa.array(values, mask=draw.random(n) < 0.1)
    known = [*column.categories, None, UNSEEN]
    return pa.array([known[place] for place in draw.integers(0, len(known), n)], pa.string())


def real_cells(model: LinearModel, source: str, options: dict[str, Any], n: int) -> Any:
    """Return the first rows of a file or folder as an Arrow table of the columns that a model uses.

    Raises:
        InputError: ``column-missing`` and the codes of the readers.
    """
    encoding = TableEncoding.from_dict(model.columns or {})
    splits, _ = open_splits(Path(source), text_read_for(encoding, options))
    tables = next(iter(splits.values()))
    match_columns(tables, encoding)
    columns: dict[str, Any] = {}
    for column in encoding.used:
        values = plain_column(tables, column.name)[:n]
        columns |= _parts(column, values) if column.kind == "date" else {column.name: values}
    return arrow().table(columns)


def _parts(column: Column, values: Any) -> dict[str, Any]:
    """Return the parts of dates as columns, missing ones null."""
    seconds = seconds_of(values.combine_chunks(), column.order, f"column {column.name!r}")
    parts = parts_of(seconds, [part.name for part in column.parts]).T
    names = [part.name for part in column.apart()]
    return {name: arrow().array(part, from_pandas=True) for name, part in zip(names, parts, strict=True)}


def scores_of_cells(model: LinearModel, cells: Any) -> np.ndarray:
    """Return the model's scores (N, C) of raw cells."""
    return model.scores(encoding_of(model).transform(cells, "cells", 0))


def terms_of_cells(model: LinearModel, cells: Any) -> float:
    """Return how large the terms are that scores of raw cells are sums of, times `LOST`: what rounding goes by."""
    X = np.abs(encoding_of(model).transform(cells, "cells", 0))
    sums = X @ np.abs(model.arrays.weight.astype(np.float64)) + np.abs(model.arrays.bias.astype(np.float64))
    return LOST * float(sums.max(initial=0.0))
