"""Arrays and frames of Python objects as numbers, or the row and the column of the first value that is none."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from straightedge.data.label_values import is_missing
from straightedge.errors import InputError, InputTypeError


def as_table(X: Any) -> Any:
    """Return anything that NumPy can read as an array; objects of a table become float64.

    Args:
        X: A list, a frame of pandas, polars or pyarrow, or whatever else `numpy.asarray` takes.

    Raises:
        InputError: ``x-missing``; ``x-dtype`` with the row and, where columns have names, the column.
    """
    array = np.asarray(X)
    if array.dtype.kind != "O" or array.ndim != 2:
        return array
    # pyarrow's, or those of pandas and polars
    names = getattr(X, "column_names", getattr(X, "columns", None))
    return as_numbers(array, None if names is None else [str(name) for name in names])


def as_numbers(array: np.ndarray, names: Sequence[str] | None = None) -> np.ndarray:
    """Return an array of objects as float64.

    Args:
        array: (N, …) of any type.
        names: Names of the columns, for messages.

    Raises:
        InputError: ``x-missing`` for a value that is missing, with its row and column.
        InputTypeError: ``x-dtype`` for a value that is no number, with its row and column.
    """
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise _first_bad(array, names, error) from error


def _first_bad(array: np.ndarray, names: Sequence[str] | None, error: Exception) -> InputError:
    for place, value in np.ndenumerate(array):
        try:
            float(value)
        except (TypeError, ValueError) as reason:
            where = _place(place, names)
            if is_missing(value):
                mend = "fill it, or remove such rows; scikit-learn's SimpleImputer does it"
                return InputError("x-missing", "a value is missing", where, mend)
            what = f"X has dtype {array.dtype} and cannot be read as numbers: {reason}"
            return InputTypeError("x-dtype", what, where, "encode text as numbers, or leave such columns out")
    return InputTypeError("x-dtype", f"X has dtype {array.dtype} and cannot be read as numbers: {error}")


def _place(place: tuple[int, ...], names: Sequence[str] | None) -> str:
    if len(place) < 2:
        return f"row {place[0]}" if place else "X"
    return f"row {place[0]}, column {repr(names[place[1]]) if names is not None else place[1]}"
