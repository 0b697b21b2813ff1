"""Labels as people write them, turned into class indices and class names.

Numbers keep their order, text that is all numbers too, other text is sorted; the name of a class is always text.
Where classes are declared, text labels are looked up in them and whole numbers are indices into them.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from straightedge.data.label_values import (
    CodedLabels,
    as_array,
    at_row,
    label_text,
    listed,
    one_column,
    plain_values,
)
from straightedge.errors import InputError, warn

TRAINING = "the training split"  # whose classes those of other splits must be


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
    if isinstance(y, CodedLabels) and len(y) == (len(y) if n is None else n):
        return _by_kinds(y, lambda of: encode_labels(of, classes=classes, where=where))
    values = plain_values(one_column(as_array(y), n, where), where)
    if classes is None:
        codes, names = _discover(values, where)
    else:
        codes, names = _look_up(values, declared_names(classes), where), declared_names(classes)
        _warn_without_samples(codes, names, where)
    if len(names) < 2:
        what = f"all {len(codes)} labels are of one class ({names[0]!r})"
        raise InputError("labels-single-class", what, where, "a classifier needs samples of at least two classes")
    return codes, names


def align(
    y: Any,
    classes: Sequence[str],
    *,
    n: int | None = None,
    where: str = "y",
    complete: bool = True,
    of: str = TRAINING,
) -> np.ndarray:
    """Encode the labels of a further split by the class names of the training split.

    Args:
        y: As in `encode_labels`; whole numbers are read as names ("7" is the class 7).
        classes: Class names of the training split, index = label.
        n: Number of samples, checked when given.
        where: What the labels are called in messages.
        complete: Whether a class of the training split without samples here is an error too.
        of: Whose the class names are, in messages.

    Returns:
        y as (N,) int64 indices into `classes`.

    Raises:
        InputError: ``classes-differ``, listing the difference, and whatever `encode_labels` raises.
    """
    if isinstance(y, CodedLabels) and len(y) == (len(y) if n is None else n):
        return _by_kinds(y, lambda own: (align(own, classes, where=where, complete=complete, of=of), None))[0]
    values = plain_values(one_column(as_array(y), n, where), where)
    codes, found = _discover(values, where)
    names = dict.fromkeys(found)  # a set that keeps its order
    index = {name: position for position, name in enumerate(classes)}
    unknown = [name for name in names if name not in index]
    missing = [name for name in classes if name not in names] if complete else []
    if unknown or missing:
        raise classes_differ(unknown, missing, where, of)
    order: np.ndarray = np.array([index[name] for name in names], dtype=np.int64)
    return np.take(order, codes)


Encoded = TypeVar("Encoded")


def _by_kinds(
    y: CodedLabels, encode: Callable[[np.ndarray], tuple[np.ndarray, Encoded]]
) -> tuple[np.ndarray, Encoded]:
    """Encode each kind of label once; what is wrong with one is found again with its row."""
    try:
        codes, found = encode(y.values)
    except InputError:
        codes, found = encode(y.written())
        return codes, found
    return codes[y.codes], found


def declared_names(classes: Sequence[Any]) -> tuple[str, ...]:
    """Return declared class names as text, refusing a name given twice."""
    names = tuple(label_text(name) for name in classes)
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        what = f"class names given twice: {listed(twice)}"
        raise InputError("classes-repeated", what, mend="give each class one name")
    return names


def _discover(values: np.ndarray, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Find the classes in the labels: numbers in order, text sorted; −1, 0 and +1 are signs."""
    found, codes = np.unique(values, return_inverse=True)
    order = _as_numbers(found) if found.dtype.kind == "U" else None
    if order is not None:
        found, codes = found[order], np.argsort(order)[codes]
    signs = found.dtype.kind == "i" and found.tolist() in ([-1, 1], [-1, 0, 1])
    if found.dtype.kind == "i" and found[0] < 0 and not signs:
        raise at_row(
            "labels-out-of-range",
            "is negative: -1 often marks a row without a label, which is no class",
            values < 0,
            values,
            where,
        )
    return codes.astype(np.int64), tuple(str(label) for label in found)


def _as_numbers(names: np.ndarray) -> np.ndarray | None:
    """Return the order of names that are all numbers, by what they are worth; None where one is no number."""
    try:
        worth = names.astype(np.float64)
    except ValueError:
        return None
    return np.argsort(worth, kind="stable") if bool(np.isfinite(worth).all()) else None


def _look_up(values: np.ndarray, names: tuple[str, ...], where: str) -> np.ndarray:
    if values.dtype.kind == "i":
        bad = (values < 0) | (values >= len(names))
        if bad.any():
            raise at_row(
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
        raise at_row("labels-unknown-class", "is not a declared class", codes < 0, values, where)
    return codes


def _warn_without_samples(codes: np.ndarray, names: tuple[str, ...], where: str) -> None:
    counts = np.bincount(codes, minlength=len(names))
    if (counts == 0).any():
        empty = [name for name, count in zip(names, counts, strict=True) if count == 0]
        warn("class-without-samples", f"{where}: declared classes without samples: {listed(empty)}")


def classes_differ(unknown: list[str], missing: list[str], where: str, of: str = TRAINING) -> InputError:
    """Return the error for labels whose classes are not those of the training split, or of whose they must be."""
    parts = [f"only here: {listed(unknown)}"] if unknown else []
    parts += [f"only in {of}: {listed(missing)}"] if missing else []
    what = f"the classes differ from those of {of}; {'; '.join(parts)}"
    same = "give each split the same classes, or declare the class names"
    return InputError(
        "classes-differ", what, where, same if of == TRAINING else "mend the labels, or name another label column"
    )
