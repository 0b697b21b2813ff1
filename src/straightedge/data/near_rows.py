"""Rows that are nearly the same: several of one patient, of one object, of one film.

Where such rows are dealt out to training and held-out rows, held-out accuracy says how well a classifier remembers
and not how well it does on something new.
"""

import math
from typing import Any

import numpy as np

from straightedge.disk import row_reader

LOOKED_AT, AMONG = 300, 5000  # rows whose nearest row is looked for, and rows among which it is
TOGETHER = 50  # rows whose distances are in memory at a time
MOST_COLUMNS = 128  # columns that distances are measured in: 5,000 rows of them are 5 MB
RUN = 100  # rows read together from a file: each row by itself would draw its neighbours' pages into memory, too
RUN_OF_SOURCE = 500
"""Rows read together from a table on disk, which is unpacked from the begin of a group of rows each time."""
FEWEST_COLUMNS = 3
"""Continuous columns that a statement needs: with one or two, independent rows often lie close together."""
MOST_EQUAL = 5
"""Rows that share a value in a continuous column, on average and at most; pixels and measurements are below."""
CLOSE = 1 / 3
"""Share of the distance that independent rows would have: 1 of 100 Gaussian rows in 3 dimensions is closer."""
LEAST_SHARE = 0.1
"""Share of rows from which something is said: digits, wine and breast cancer have 0.00, five in one group 1.00."""


def near_share(X: Any) -> float:
    """Return the share of rows whose nearest other row is much nearer than that of independent rows would be.

    The distances to the nearest tenth and half of all rows tell the dimension d in which the rows lie. Of m rows
    within a distance r the nearest is expected at r · m^(−1/d).

    Args:
        X: (N, ...) rows; columns of few different values are left out.

    Returns:
        A share in [0, 1]; 0 where too few columns are continuous. Equal rows are told elsewhere and do not count.
    """
    if (not isinstance(X, np.ndarray) and not hasattr(X, "read")) or len(X.shape) < 2:
        return 0.0
    if X.shape[0] < 4 * MOST_EQUAL:
        return 0.0
    rows = _sample(X, np.random.default_rng(0))
    rows = rows[:, _continuous(rows[:LOOKED_AT])]
    if rows.shape[1] < FEWEST_COLUMNS:
        return 0.0
    rows -= rows.mean(axis=0)
    rows /= rows.std(axis=0)
    few, many = max(2, len(rows) // 10), max(4, len(rows) // 2)
    nearest, near, half = _distances(rows, [0, few - 1, many - 1]).T
    spread = np.median(half / near)
    if not np.isfinite(spread) or spread <= 1:
        return 0.0
    dimension = np.log(many / few) / np.log(spread)
    expected = near * few ** (-1 / dimension)
    return float(np.mean(nearest < CLOSE * expected))


def _sample(X: Any, random: np.random.Generator) -> np.ndarray:
    """Return some rows in some columns, in a random order, as float64."""
    n, width = int(X.shape[0]), math.prod(X.shape[1:])
    order = random.permutation(n)[:AMONG] if isinstance(X, np.ndarray) else np.arange(0)
    columns = np.sort(random.permutation(width)[:MOST_COLUMNS])
    if isinstance(X, np.ndarray) and (not isinstance(X, np.memmap) or n <= AMONG):
        rows: np.ndarray = X.reshape(n, -1)[np.ix_(order, columns)]
        return rows.astype(np.float64)
    is_source = hasattr(X, "read")
    read, run = (X.read, min(n, RUN_OF_SOURCE)) if is_source else (row_reader(X), RUN)
    starts = np.sort(random.choice(n // run, min(n // run, AMONG // run), replace=False)) * run
    runs = [read(start, start + run).reshape(run, -1)[:, columns] for start in starts.tolist()]
    return np.asarray(random.permutation(np.concatenate(runs)), dtype=np.float64)


def _continuous(rows: np.ndarray) -> np.ndarray:
    """Return which columns have many different values."""
    distinct = 1 + (np.diff(np.sort(rows, axis=0), axis=0) > 0).sum(axis=0)
    return np.asarray(distinct * MOST_EQUAL > len(rows))


def _distances(rows: np.ndarray, ranks: list[int]) -> np.ndarray:
    """Return the distances of the first rows to their nearest, by rank; equal rows are infinitely far."""
    norms = (rows**2).sum(axis=1)
    found = []
    for start in range(0, min(LOOKED_AT, len(rows)), TOGETHER):
        looked = rows[start : min(start + TOGETHER, LOOKED_AT)]
        squares = looked @ (-2 * rows.T) + norms
        squares += norms[start : start + len(looked), None]
        squares[np.arange(len(looked)), start + np.arange(len(looked))] = np.inf
        squares[squares < 1e-12 * np.median(squares)] = np.inf
        squares.partition(ranks, axis=1)
        found.append(squares[:, ranks])
    return np.asarray(np.sqrt(np.concatenate(found)))


def near_note(X: Any) -> str | None:
    """Return what a reader should know of rows that are nearly the same, or None."""
    share = near_share(X)
    if share < LEAST_SHARE:
        return None
    return (
        f"about {100 * share:.0f} % of the training rows are nearly the same as another one: if such rows belong "
        "together (one patient, one film), the numbers of held-out rows are too good; --groups COLUMN keeps them "
        "on one side"
    )
