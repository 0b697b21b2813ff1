"""Labels as people write them, turned into class indices and class names.

Whole numbers keep their order, text is sorted; the name of a class is always text. Where classes are
declared, text labels are looked up in them and whole numbers are indices into them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from straightedge.errors import InputError, warn

MISSING_NAMED = 5
"""How many class names a message lists before it only counts."""


def encode_labels(
    y: Any, *, n: int | None = None, classes: Sequence[Any] | None = None, where: str = "y"
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Turn labels of any accepted kind into class indices.

    Args:
        y: (N,) integers, whole floats, booleans, text or bytes; NumPy, torch or a list.
        n: Number of samples the labels belong to, checked when given.
        classes: Declared class names, index = label; None finds them in y.
        where: What the labels are called in messages (a file, a column).

    Returns:
        y as (N,) int64 indices, and the class names, index = label.

    Raises:
        InputError: ``labels-shape``, ``labels-one-hot``, ``labels-length``, ``labels-empty``,
            ``labels-kind``, ``labels-not-integral``, ``labels-missing``, ``labels-out-of-range``,
            ``labels-unknown-class``, ``labels-single-class``, ``classes-repeated``.
    """
    values = _plain_values(_column(as_array(y), n, where), where)
    if classes is None:
        codes, names = _discover(values, where)
    else:
        codes, names = _look_up(values, declared_names(classes), where), declared_names(classes)
        _warn_without_samples(codes, names, where)
    if len(names) < 2:
        raise InputError(
            "labels-single-class",
            f"all {len(codes)} labels are of one class ({names[0]!r})",
            where,
            "a classifier needs samples of at least two classes",
        )
    return codes, names


def align(
    y: Any, classes: Sequence[str], *, n: int | None = None, where: str = "y", complete: bool = True
) -> np.ndarray:
    """Encode the labels of a further split by the class names of the training split.

    Args:
        y: As in `encode_labels`; whole numbers are read as names ("7" is the class 7).
        classes: Class names of the training split, index = label.
        n: Number of samples, checked when given.
        where: What the labels are called in messages.
        complete: Whether a class of the training split without samples here is an error too.

    Returns:
        y as (N,) int64 indices into `classes`.

    Raises:
        InputError: ``classes-differ``, listing the difference, and whatever `encode_labels` raises.
    """
    values = _plain_values(_column(as_array(y), n, where), where)
    codes, found = _discover(values, where)
    names = dict.fromkeys(found)  # a set that keeps its order
    index = {name: position for position, name in enumerate(classes)}
    unknown = [name for name in names if name not in index]
    missing = [name for name in classes if name not in names] if complete else []
    if unknown or missing:
        raise classes_differ(unknown, missing, where)
    order: np.ndarray = np.array([index[name] for name in names], dtype=np.int64)
    return np.take(order, codes)


def declared_names(classes: Sequence[Any]) -> tuple[str, ...]:
    """Return declared class names as text, refusing a name given twice."""
    names = tuple(label_text(name) for name in classes)
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise InputError(
            "classes-repeated", f"class names given twice: {listed(twice)}", mend="give each class one name"
        )
    return names


def label_text(label: Any) -> str:
    """Return the name of one class as text: bytes are UTF-8, whole floats lose their ``.0``."""
    if isinstance(label, bytes):
        return label.decode("utf-8", "surrogateescape")
    if isinstance(label, float | np.floating) and float(label).is_integer():
        return str(int(label))
    return str(label)


def as_array(y: Any) -> np.ndarray:
    """Return labels as an array: torch tensors, pandas and Arrow columns included."""
    if hasattr(y, "detach"):
        y = y.detach().cpu()
    if isinstance(y, list | tuple) and any(isinstance(v, str) for v in y):
        return np.array(y, dtype=object)  # np.array would turn [1, "a"] and [None, "a"] into text in silence
    array: np.ndarray = np.asarray(y)
    return array


def _column(y: np.ndarray, n: int | None, where: str) -> np.ndarray:
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 2 and _is_one_hot(y):
        raise InputError(
            "labels-one-hot",
            f"labels are one-hot rows of shape {y.shape}",
            where,
            "give class indices instead: y.argmax(axis=1)",
        )
    if y.ndim != 1:
        raise InputError("labels-shape", f"labels have shape {y.shape}", where, "one label a sample: (N,)")
    if n is not None and len(y) != n:
        raise InputError(
            "labels-length", f"{len(y)} labels for {n} samples", where, "give one label for each sample"
        )
    if len(y) == 0:
        raise InputError("labels-empty", "there are no samples", where, "give at least one sample a class")
    return y


def _is_one_hot(y: np.ndarray) -> bool:
    if y.shape[1] < 2 or y.dtype.kind not in "buif":
        return False
    return bool(((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all())


def _plain_values(y: np.ndarray, where: str) -> np.ndarray:
    """Return (N,) int64 or (N,) text; everything else is refused."""
    if y.dtype.kind == "O":
        y = _from_objects(y, where)
    if y.dtype.kind == "f":
        y = _whole_numbers(y, where)
    if y.dtype.kind == "b":
        return y.astype(str)
    if y.dtype.kind == "u" and y.dtype.itemsize == 8 and bool((y > np.iinfo(np.int64).max).any()):
        raise _at_row("labels-out-of-range", "is larger than 2⁶³ − 1", y > np.iinfo(np.int64).max, y, where)
    if y.dtype.kind in "iu":
        return y.astype(np.int64)
    if y.dtype.kind == "S":
        return np.array([label_text(bytes(value)) for value in y])
    if y.dtype.kind in "UT":
        return y.astype(str)
    raise InputError(
        "labels-kind", f"labels are of type {y.dtype}", where, "give whole numbers or text, one a sample"
    )


def _from_objects(y: np.ndarray, where: str) -> np.ndarray:
    missing = np.array([value is None or is_nan(value) for value in y], dtype=bool)
    if missing.any():
        raise _at_row("labels-missing", "is missing", missing, y, where)
    if all(isinstance(value, str | bytes) for value in y):
        return np.array([label_text(value) for value in y])
    if all(isinstance(value, bool | np.bool_) for value in y):
        return y.astype(bool)
    if all(isinstance(value, int | float | np.integer | np.floating) for value in y):
        return y.astype(np.float64) if any(isinstance(v, float | np.floating) for v in y) else _ints(y, where)
    raise InputError(
        "labels-kind",
        f"labels mix types: {listed(sorted({type(value).__name__ for value in y}))}",
        where,
        "give whole numbers or text, one a sample",
    )


def plain_labels(labels: Sequence[Any]) -> list[Any]:
    """Return labels as whole numbers if all of them are, else as text."""
    texts = [str(label) for label in labels]
    if all(text.removeprefix("-").isascii() and text.removeprefix("-").isdigit() for text in texts):
        return [int(text) for text in texts]
    return texts


def is_nan(value: Any) -> bool:
    """Whether a value is the float NaN, whatever its type."""
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _ints(y: np.ndarray, where: str) -> np.ndarray:
    large = np.array([abs(int(value)) >= 2**63 for value in y], dtype=bool)
    if large.any():
        raise _at_row("labels-out-of-range", "is beyond 2⁶³", large, y, where)
    return y.astype(np.int64)


def _whole_numbers(y: np.ndarray, where: str) -> np.ndarray:
    bad = ~np.isfinite(y)
    if bad.any():
        raise _at_row("labels-missing", "is not a number", bad, y, where)
    bad = (y != np.floor(y)) | (np.abs(y) >= 2.0**53)
    if bad.any():
        raise _at_row("labels-not-integral", "is not a whole number", bad, y, where)
    return y.astype(np.int64)


def _at_row(code: str, complaint: str, bad: np.ndarray, y: np.ndarray, where: str) -> InputError:
    row = int(np.argmax(bad))
    value = y[row].item() if isinstance(y[row], np.generic) else y[row]
    return InputError(
        code,
        f"label {value!r} {complaint} ({int(bad.sum())} such labels)",
        f"{where}, row {row}",
        "labels are whole numbers from 0, or text",
    )


def _discover(values: np.ndarray, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Find the classes in the labels: numbers in order, text sorted; −1 and +1 are a sign's two classes."""
    found, codes = np.unique(values, return_inverse=True)
    signs = found.dtype.kind == "i" and found.tolist() == [-1, 1]
    if found.dtype.kind == "i" and found[0] < 0 and not signs:
        raise _at_row("labels-out-of-range", "is negative", values < 0, values, where)
    return codes.astype(np.int64), tuple(str(label) for label in found)


def _look_up(values: np.ndarray, names: tuple[str, ...], where: str) -> np.ndarray:
    if values.dtype.kind == "i":
        bad = (values < 0) | (values >= len(names))
        if bad.any():
            raise _at_row(
                "labels-out-of-range",
                f"is outside the {len(names)} declared classes (0 to {len(names) - 1})",
                bad,
                values,
                where,
            )
        return values
    index = {name: position for position, name in enumerate(names)}
    codes = np.array([index.get(name, -1) for name in values], dtype=np.int64)
    if (codes < 0).any():
        raise _at_row("labels-unknown-class", "is not a declared class", codes < 0, values, where)
    return codes


def _warn_without_samples(codes: np.ndarray, names: tuple[str, ...], where: str) -> None:
    counts = np.bincount(codes, minlength=len(names))
    if (counts == 0).any():
        empty = [name for name, count in zip(names, counts, strict=True) if count == 0]
        warn("class-without-samples", f"{where}: declared classes without samples: {listed(empty)}")


def classes_differ(unknown: list[str], missing: list[str], where: str) -> InputError:
    """Return the error for a split whose classes are not those of the training split."""
    parts = [f"only here: {listed(unknown)}"] if unknown else []
    parts += [f"only in the training split: {listed(missing)}"] if missing else []
    return InputError(
        "classes-differ",
        f"the classes differ from those of the training split; {'; '.join(parts)}",
        where,
        "give each split the same classes, or declare the class names",
    )


def listed(names: Sequence[str]) -> str:
    """Return the first few names, quoted, and how many more there are."""
    shown = ", ".join(repr(name) for name in names[:MISSING_NAMED])
    more = len(names) - MISSING_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
