"""Labels of any type as plain values: (N,) whole numbers or (N,) text, or the reason why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from straightedge.errors import InputError

MARK = "\ufeff"  # the byte-order mark that some programs put before a text: never a part of a label
MISSING_NAMED = 5  # how many class names a message lists before it only counts


@dataclass(frozen=True)
class CodedLabels:
    """Labels of few kinds, as which of them each row has: a million rows are a million whole numbers.

    Attributes:
        values: (K,) distinct labels as written, each of which some row has.
        codes: (N,) int places among them.
    """

    values: np.ndarray
    codes: np.ndarray

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: slice) -> CodedLabels:
        codes = self.codes[rows]
        if len(codes) == len(self.codes):
            return self
        there = np.flatnonzero(np.bincount(codes, minlength=len(self.values)))
        place = np.zeros(len(self.values), codes.dtype)
        place[there] = np.arange(len(there))
        return CodedLabels(self.values[there], place[codes])

    def written(self) -> np.ndarray:
        """Return (N,) the label of each row."""
        return np.asarray(self.values[self.codes])


def label_text(label: Any) -> str:
    """Return the name of one class as text: bytes are UTF-8, whole floats lose their ``.0``."""
    if isinstance(label, bytes):
        return label.decode("utf-8", "surrogateescape").removeprefix(MARK)
    if isinstance(label, float | np.floating) and float(label).is_integer():
        return str(int(label))
    return str(label).removeprefix(MARK)


def as_array(y: Any) -> np.ndarray:
    """Return labels as an array: torch tensors, pandas and Arrow columns included."""
    if hasattr(y, "detach"):
        y = y.detach().cpu()
    if isinstance(y, list | tuple) and any(isinstance(v, str) for v in y):
        return np.array(y, dtype=object)  # np.array would turn [1, "a"] and [None, "a"] into text in silence
    return np.asarray(y)


def one_column(y: np.ndarray, n: int | None, where: str) -> np.ndarray:
    """Return labels as (N,), refusing one-hot rows, a wrong length and none at all."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 2 and y.shape[1] >= 2 and y.dtype.kind in "buif" and ((y == 0) | (y == 1)).all():
        if (y.sum(axis=1) == 1).all():
            what = f"labels are one-hot rows of shape {y.shape}"
            raise InputError("labels-one-hot", what, where, "give class indices instead: y.argmax(axis=1)")
        what = f"labels are multi-label rows of shape {y.shape}: a sample may have several classes or none"
        mend = (
            "a classifier here gives one class; fit one a column: "
            "sklearn.multiclass.OneVsRestClassifier(SoftmaxClassifier()).fit(X, Y)"
        )
        raise InputError("labels-multi-label", what, where, mend)
    if y.ndim != 1:
        raise InputError("labels-shape", f"labels have shape {y.shape}", where, "one label a sample: (N,)")
    if n is not None and len(y) != n:
        what = f"{len(y)} labels for {n} samples"
        raise InputError("labels-length", what, where, "give one label for each sample")
    if len(y) == 0:
        raise InputError("labels-empty", "there are no samples", where, "give at least one sample a class")
    return y


def plain_values(y: np.ndarray, where: str) -> np.ndarray:
    """Return (N,) int64 or (N,) text; everything else is refused."""
    if y.dtype.kind == "O":
        y = _from_objects(y, where)
    if y.dtype.kind == "f":
        y = _whole_numbers(y, where)
    if y.dtype.kind == "b":
        return y.astype(str)
    if y.dtype.kind == "u" and y.dtype.itemsize == 8 and bool((y > np.iinfo(np.int64).max).any()):
        raise at_row("labels-out-of-range", "is larger than 2⁶³ − 1", y > np.iinfo(np.int64).max, y, where)
    if y.dtype.kind in "iu":
        return y.astype(np.int64)
    if y.dtype.kind == "S":
        return np.array([label_text(bytes(value)) for value in y])
    if y.dtype.kind in "UT":
        text = y.astype(str)
        marked = np.char.startswith(text, MARK)
        return np.array([label_text(value) for value in text]) if marked.any() else text
    what = f"labels are of type {y.dtype}"
    raise InputError("labels-kind", what, where, "give whole numbers or text, one a sample")


def _from_objects(y: np.ndarray, where: str) -> np.ndarray:
    if set(map(type, y)) == {str}:
        known = {value: label_text(value) for value in set(y)}  # a million labels are few words
        return np.array([known[value] for value in y])
    refuse_missing(y, where)
    if all(isinstance(value, str | bytes) for value in y):
        return np.array([label_text(value) for value in y])
    if all(isinstance(value, bool | np.bool_) for value in y):
        return y.astype(bool)
    if all(isinstance(value, int | float | np.integer | np.floating) for value in y):
        return y.astype(np.float64) if any(isinstance(v, float | np.floating) for v in y) else _ints(y, where)
    what = f"labels mix types: {listed(sorted({type(value).__name__ for value in y}))}"
    raise InputError("labels-kind", what, where, "give whole numbers or text, one a sample")


def refuse_missing(y: Any, where: str) -> None:
    """Refuse labels of objects with a missing one among them."""
    if getattr(y.dtype, "kind", "") != "O":
        return
    missing = np.array([is_missing(value) for value in y], dtype=bool)
    if missing.any():
        raise at_row("labels-missing", "is missing", missing, y, where)


def plain_labels(labels: Sequence[Any]) -> list[Any]:
    """Return labels as whole numbers if all of them are, else as text."""
    texts = [label_text(label) for label in labels]
    if all(text.removeprefix("-").isascii() and text.removeprefix("-").isdigit() for text in texts):
        return [int(text) for text in texts]
    return texts


def is_nan(value: Any) -> bool:
    """Whether a value is the float NaN, whatever its type."""
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def is_missing(value: Any) -> bool:
    """Whether a value is None, NaN, or pandas' NA or NaT, which are equal to nothing and no numbers."""
    return value is None or is_nan(value) or type(value).__name__ in {"NAType", "NaTType"}


def _ints(y: np.ndarray, where: str) -> np.ndarray:
    large = np.array([abs(int(value)) >= 2**63 for value in y], dtype=bool)
    if large.any():
        raise at_row("labels-out-of-range", "is beyond 2⁶³", large, y, where)
    return y.astype(np.int64)


def _whole_numbers(y: np.ndarray, where: str) -> np.ndarray:
    bad = ~np.isfinite(y)
    if bad.any():
        raise at_row("labels-missing", "is not a number", bad, y, where)
    bad = (y != np.floor(y)) | (np.abs(y) >= 2.0**53)
    if bad.any():
        raise at_row("labels-not-integral", "is not a whole number", bad, y, where)
    return y.astype(np.int64)


def at_row(code: str, complaint: str, bad: np.ndarray, y: np.ndarray, where: str) -> InputError:
    """Return the error for the first of the bad labels, with its row and their count."""
    row = int(np.argmax(bad))
    value = y[row].item() if isinstance(y[row], np.generic) else y[row]
    what = f"label {value!r} {complaint} ({int(bad.sum())} such labels)"
    return InputError(code, what, f"{where}, row {row}", "labels are whole numbers from 0, or text")


def listed(names: Sequence[str]) -> str:
    """Return the first few names, quoted, and how many more there are."""
    shown = ", ".join(repr(name) for name in names[:MISSING_NAMED])
    more = len(names) - MISSING_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
