"""The names that a pickle may mention, and what the reader makes of each: a closed table, never an import.

A pickle builds what is not plain by naming a function and its arguments. Here a name is a key of `BUILDERS`,
whose functions belong to this module and make arrays, bytes and dictionaries from checked arguments. A name that
is not in the table ends the reading with an error that says what the name is.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from straightedge.errors import InputError

NUMERIC = "biufc"
"""Kinds of NumPy types whose values are plain bytes; text ("U", "S") and objects ("O") are handled apart."""
MOST_DIMENSIONS = 32
ORDERS: dict[str, Literal["<", ">", "="]] = {"<": "<", ">": ">", "=": "=", "|": "="}
"""Byte orders as pickles write them; "|" says that the type has none."""
FRAMES = ("pandas", "polars", "pyarrow")


@dataclass(frozen=True)
class Name:
    """A function or class that the file mentions; it stands for an entry of `BUILDERS`."""

    module: str
    attribute: str

    def __str__(self) -> str:
        return f"{self.module}.{self.attribute}"


@dataclass
class TypeDraft:
    """A NumPy type that the file describes: its code first, its byte order with the state that follows."""

    dtype: np.dtype[Any]

    def set_state(self, state: Any) -> None:
        """Take the byte order of a simple type; refuse records, sub-arrays and times."""
        if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
            raise refused("a NumPy type with fields or a shape of its own")
        order = text(state[1])
        if order not in ORDERS:
            raise refused(f"a NumPy type of byte order {order!r}")
        self.dtype = self.dtype.newbyteorder(ORDERS[order])


@dataclass
class ArrayDraft:
    """An array that the file describes: empty first, filled by the state that follows."""

    array: np.ndarray | list[Any] | None = None

    def set_state(self, state: Any) -> None:
        """Take (version, shape, type, column order, bytes or list of objects), as `numpy.ndarray` writes it."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise refused("an array without shape, type and data")
        _, shape, draft, by_columns, data = state
        if not isinstance(draft, TypeDraft):
            raise refused("an array without a type")
        self.array = array_of(data, draft.dtype, shape, "F" if by_columns else "C")


def refused(what: str, mend: str = "save the arrays with numpy.savez, or give the images themselves") -> InputError:
    """Return the error for a pickle that holds more than plain values."""
    what = f"the pickle holds {what}; only arrays, numbers, text, lists and dictionaries are read, nothing is run"
    return InputError("pickle-refused", what, mend=mend)


def text(value: Any) -> str:
    """Return text or the bytes of Python 2's text as text."""
    if isinstance(value, bytes | memoryview):
        return bytes(value[:64]).decode("latin1")
    return value if isinstance(value, str) else ""


def array_of(data: Any, dtype: np.dtype[Any], shape: Any, order: str) -> np.ndarray | list[Any]:
    """Return the array of some bytes, without a copy; one of objects as the list of them.

    Args:
        data: Bytes of the values, or the list of them for a type of objects.
        dtype: Type of the values.
        shape: Length along each dimension.
        order: "C" by rows or "F" by columns.
    """
    sides = _sides(shape)
    count = math.prod(sides)
    if dtype.kind == "O":
        if not isinstance(data, list) or len(data) != count or len(sides) > 1:
            raise refused("an array of objects that is no plain list")
        return data
    if not isinstance(data, bytes | bytearray | memoryview) or len(data) != count * dtype.itemsize:
        raise broken(f"an array of shape {sides} and type {dtype} has data of another length")
    flat = np.frombuffer(data, dtype=dtype) if count else np.empty(0, dtype)
    return flat.reshape(sides, order="F" if order == "F" else "C")


def _sides(shape: Any) -> tuple[int, ...]:
    sides = (shape,) if type(shape) is int else shape
    if not isinstance(sides, tuple) or len(sides) > MOST_DIMENSIONS:
        raise broken("an array has no shape")
    if any(type(side) is not int or side < 0 for side in sides):
        raise broken("an array's shape is no row of whole numbers")
    return sides


def broken(what: str, where: str | None = None) -> InputError:
    """Return the error for a pickle that is damaged."""
    return InputError("pickle-broken", what, where, "save or download it again")


def make_type(*arguments: Any) -> TypeDraft:
    """Return the NumPy type of a code such as ``u1`` or ``f8``."""
    code = text(arguments[0]) if arguments else ""
    plain = code[:1] in (*NUMERIC, "U", "S", "O") and (code[1:].isdigit() or not code[1:])
    if not plain or len(code) > 10:
        raise refused(f"the NumPy type {code!r}")
    try:
        return TypeDraft(np.dtype(code))
    except (TypeError, ValueError):
        raise refused(f"the NumPy type {code!r}") from None


def make_array(*arguments: Any) -> ArrayDraft:
    """Return an array still without its data: they come with the state."""
    if not arguments or arguments[0] != Name("numpy", "ndarray"):
        raise refused("an array of a class of its own")
    return ArrayDraft()


def make_buffer_array(*arguments: Any) -> np.ndarray | list[Any]:
    """Return the array that protocol 5 writes as (bytes, type, shape, order)."""
    if len(arguments) != 4 or not isinstance(arguments[1], TypeDraft):
        raise broken("an array is not described by bytes, type, shape and order")
    data, draft, shape, order = arguments
    return array_of(data, draft.dtype, shape, text(order))


def make_scalar(*arguments: Any) -> Any:
    """Return one NumPy number."""
    if len(arguments) != 2 or not isinstance(arguments[0], TypeDraft):
        raise broken("a number is not described by type and bytes")
    made = array_of(encoded_bytes(arguments[1]), arguments[0].dtype, (1,), "C")
    return made[0]


def make_encoded(*arguments: Any) -> bytes:
    """Return bytes that Python 3 wrote, for Python 2, as text of the Latin alphabet."""
    if len(arguments) != 2 or not isinstance(arguments[0], str) or text(arguments[1]) not in _LATIN:
        raise refused("text in an encoding of its own")
    return bytes(encoded_bytes(arguments[0]))


_LATIN = ("latin1", "latin-1", "iso-8859-1")


def encoded_bytes(value: Any) -> Any:
    """Return bytes as they are and text as the bytes it stands for."""
    if not isinstance(value, str):
        return value
    try:
        return value.encode("latin1")
    except UnicodeEncodeError:
        raise broken("bytes are written with letters beyond the Latin alphabet") from None


def make_bytes(*arguments: Any) -> bytes | memoryview:
    """Return bytes given as bytes, as text, or as a list of numbers."""
    value = encoded_bytes(arguments[0]) if arguments else b""
    if isinstance(value, bytes | memoryview):
        return value
    if isinstance(value, list) and all(type(item) is int and 0 <= item < 256 for item in value):
        return bytes(value)
    raise refused("bytes made from something else than bytes")


def make_dictionary(*arguments: Any) -> dict[Any, Any]:
    """Return an empty dictionary; its items follow."""
    if arguments and arguments != ([],):
        raise refused("an ordered dictionary made from something else than its items")
    return {}


_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
BUILDERS: dict[Name, Callable[..., Any] | None] = {
    Name("numpy", "ndarray"): None,  # an argument of _reconstruct alone
    Name("numpy", "dtype"): make_type,
    **{Name(module, "_reconstruct"): make_array for module in _ARRAY_MODULES},
    **{Name(module, "scalar"): make_scalar for module in _ARRAY_MODULES},
    Name("numpy.core.numeric", "_frombuffer"): make_buffer_array,
    Name("numpy._core.numeric", "_frombuffer"): make_buffer_array,
    Name("_codecs", "encode"): make_encoded,
    Name("__builtin__", "bytes"): make_bytes,
    Name("builtins", "bytes"): make_bytes,
    Name("__builtin__", "bytearray"): make_bytes,
    Name("builtins", "bytearray"): make_bytes,
    Name("collections", "OrderedDict"): make_dictionary,
}
"""Every name that may stand in a pickle: what makes its value, or None where it is only an argument."""


def known(name: Name) -> Name:
    """Return the name if it is in the table; refuse it by name otherwise, with what would help."""
    if name in BUILDERS:
        return name
    package = name.module.split(".")[0]
    if package in FRAMES:
        raise refused(f"a table of {package} ({name})", mend='convert it: frame.to_parquet("features.parquet")')
    if package == "torch":
        raise refused(
            f"a tensor of torch ({name})", mend='convert it: numpy.save("features.npy", tensor.cpu().numpy())'
        )
    if package == "scipy":
        raise refused(
            f"a matrix of scipy ({name})", mend='convert it: scipy.sparse.save_npz("features.npz", matrix)'
        )
    raise refused(f"the name {str(name)[:200]!r}")


def build(name: Any, arguments: Any) -> Any:
    """Return what a name of the table makes of its arguments."""
    if not isinstance(name, Name) or not isinstance(arguments, tuple):
        raise refused("a call of something that is no name")
    maker = BUILDERS.get(name)
    if maker is None:
        raise refused(f"a call of {name}")
    return maker(*arguments)
