"""From plain values to rows and labels: what a dictionary, a tuple or a list of a pickle holds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.data.pickles.names import refused
from straightedge.errors import InputError
from straightedge.memory import require_memory

MOST_NAMED = 10  # entries that a message lists before it only counts
BUDGET = 16
"""Bytes of all arrays made from lists, as a multiple of the file's: a small number takes 2 there and 8 here."""
DEEPEST = 3  # dictionaries within dictionaries that are looked into: splits, then rows and labels


class Budget:
    """Bytes that all lists of a file may become together, so that none is named again and again."""

    def __init__(self, n_bytes: int) -> None:
        self._left = n_bytes

    def take(self, n_bytes: int) -> None:
        """Count an array or a list that is made.

        Raises:
            InputError: ``pickle-refused`` where there would be more.
            MachineError: ``out-of-memory``.
        """
        require_memory(n_bytes, "to make an array of the lists")
        self._left -= n_bytes
        if self._left < 0:
            raise refused("a list that unfolds to far more than the file")


def as_rows(value: Any, budget: Budget) -> np.ndarray | None:
    """Return rows as an array, or None where the value is no table of numbers.

    Args:
        value: An array, or a list of rows that are arrays or lists of numbers.
        budget: What a list may become.
    """
    if isinstance(value, np.ndarray):
        return value if value.ndim >= 2 else None
    if not isinstance(value, list | tuple) or not value or not isinstance(value[0], list | tuple | np.ndarray):
        return None
    width = len(value[0]) if isinstance(value[0], list | tuple) or value[0].ndim else 0
    if not all(isinstance(row, list | tuple | np.ndarray) and np.shape(row[:0]) == (0,) for row in value):
        return None
    if any(len(row) != width for row in value):
        return None
    budget.take(8 * width * len(value))
    return _stacked(value)


def _stacked(rows: Any) -> np.ndarray | None:
    plain = all(isinstance(row, np.ndarray) or all(type(x) in (int, float, bool) for x in row) for row in rows)
    if not plain:
        return None
    stacked: np.ndarray = np.array([np.asarray(row) for row in rows])
    return stacked if stacked.dtype.kind in "biuf" else None


def as_labels(value: Any, budget: Budget | None = None) -> Any:
    """Return labels: an array of one dimension, or a list of numbers or of text; None for anything else."""
    if isinstance(value, np.ndarray):
        return value if value.ndim == 1 or value.shape[1:] == (1,) else None
    if not isinstance(value, list | tuple) or not value:
        return None
    if budget is not None:
        budget.take(8 * len(value))
    kinds = set(map(type, value))
    if kinds & {bytes, memoryview}:
        value = [bytes(v).decode("utf-8", "replace") if isinstance(v, bytes | memoryview) else v for v in value]
    plain = all(issubclass(kind, str | int | float | np.generic | bytes | memoryview) for kind in kinds)
    return list(value) if plain else None


def members(value: Any, budget: Budget) -> dict[str, Any]:
    """Return the rows and labels of a value by name, as the arrays of an ``.npz`` have names.

    A dictionary of splits (``{"train": {"X": …, "y": …}}``) gives names such as ``X_train``; a pair (X, y) is
    named so.
    """
    if isinstance(value, tuple | list) and len(value) == 2 and as_rows(value[0], budget) is not None:
        value = {"X": value[0], "y": value[1]}
    if not isinstance(value, Mapping):
        rows, labels = as_rows(value, budget), as_labels(value, budget)
        named = {"X": rows, "y": labels if rows is None else None}
        return {name: item for name, item in named.items() if item is not None}
    found: dict[str, Any] = {}
    for key, item in value.items():
        found |= _member(str(key), item, budget)
    return found


def members_of(value: Any, path: Path, mend: str) -> dict[str, Any]:
    """Return what `members` finds in the value that a file holds.

    Raises:
        InputError: ``dump-contents`` where there is no table of numbers; ``pickle-refused``.
    """
    found = members(value, Budget(BUDGET * path.stat().st_size + 2**20))
    if not found:
        what = f"the file holds {described(value)}: there are no rows in it"
        raise InputError("dump-contents", what, str(path), mend)
    return found


def _member(key: str, item: Any, budget: Budget) -> dict[str, Any]:
    if isinstance(item, Mapping):
        return {f"{name}_{key}": inner for name, inner in _flat(item, budget).items()}
    one = _one(item, budget)
    return {} if one is None else {key: one}


def _flat(value: Mapping[Any, Any], budget: Budget) -> dict[str, Any]:
    ones = {str(key): _one(item, budget) for key, item in value.items()}
    return {key: one for key, one in ones.items() if one is not None}


def _one(item: Any, budget: Budget) -> Any:
    rows = as_rows(item, budget)
    return as_labels(item, budget) if rows is None else rows


def described(value: Any, depth: int = 0) -> str:
    """Return what a value is, in words: kinds, sizes and names, some levels deep."""
    if isinstance(value, np.ndarray):
        return f"array {value.shape} {value.dtype}"
    if isinstance(value, Mapping):
        if depth >= DEEPEST:
            return f"dictionary of {len(value)}"
        shown = [f"{key!s:.60}: {described(value[key], depth + 1)}" for key in list(value)[:MOST_NAMED]]
        more = len(value) - MOST_NAMED
        return "{" + ", ".join(shown) + (f", and {more} more" if more > 0 else "") + "}"
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        inside = f" of {described(value[0], depth + 1)}" if value and depth < DEEPEST else ""
        return f"{kind} of {len(value)}{inside and ',' + inside.replace(' of', ' first', 1)}"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    return {"str": "text", "int": "a number", "float": "a number"}.get(type(value).__name__, type(value).__name__)
