"""The state that a solver declares: what the loop carries, saves, shares out and takes up without knowing it.

A state is a dataclass. Its fields are tensors, NumPy arrays, numbers, states, lists and tuples of these, or None.
`pack` makes named tensors of it, and `unpack` makes it again, by the types that its fields declare. A field whose
first axis has an entry for each row is marked: ``b: Tensor = field(metadata=OF_ROWS)``. Each rank has a part of it.
"""

import dataclasses
import types
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor

ROWS = "rows."  # prefix of the names of what has an entry for each row
OF_ROWS = {"of_rows": True}  # metadata of a field whose first axis has an entry for each row of this rank
State = TypeVar("State")


def taken_from(kind: type[State], source: Any) -> State:
    """Return the state whose fields are the attributes of an object that have their names."""
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    return kind(**{field.name: getattr(source, field.name) for field in fields})


def given_to(target: Any, state: Any) -> None:
    """Set the attributes of an object that have the names of a state's fields."""
    for field in dataclasses.fields(state):
        setattr(target, field.name, getattr(state, field.name))


def pack(state: Any, name: str, *, copy: bool = True) -> dict[str, Tensor]:
    """Return a state as named tensors; names of what has an entry for each row begin with `ROWS`.

    Args:
        state: A dataclass of the kinds of fields that the module names.
        name: What all names begin with, and a dot.
        copy: Whether the tensors are copies, which stay as they are while the solver goes on.
    """
    packed = {(ROWS if rows else "") + place: _tensor(value) for place, value, rows in _leaves(state, name)}
    return {place: value.clone() for place, value in packed.items()} if copy else packed


def _leaves(value: Any, place: str, rows: bool = False) -> Iterator[tuple[str, Any, bool]]:
    """Yield the name, the value and whether it has an entry for each row, of all that a state is made of."""
    if value is None:
        return
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            own = rows or "of_rows" in field.metadata
            yield from _leaves(getattr(value, field.name), f"{place}.{field.name}", own)
    elif isinstance(value, (list, tuple)):
        for i, part in enumerate(value):
            yield from _leaves(part, f"{place}.{i}", rows)
    else:
        yield place, value, rows


def _tensor(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(value).reshape(value.shape))
    return torch.tensor(value, dtype=torch.float64 if isinstance(value, float) else None)


def unpack(kind: type[State], packed: Mapping[str, Tensor], name: str) -> State:
    """Return the state of this kind that `pack` made named tensors of; its tensors are copies."""
    plain = {place.removeprefix(ROWS): value for place, value in packed.items()}
    state: State = _of_dataclass(kind, _under(plain, name))
    return state


def _under(packed: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return what lies under a name, by the rest of its own name; what has the name itself, by no name."""
    inside = {place[len(name) + 1 :]: value for place, value in packed.items() if place.startswith(f"{name}.")}
    return inside | ({"": packed[name]} if name in packed else {})


def _of_dataclass(kind: Any, packed: Mapping[str, Tensor]) -> Any:
    hints = get_type_hints(kind)
    fields = dataclasses.fields(kind)
    return kind(**{field.name: _value(hints[field.name], _under(packed, field.name)) for field in fields})


def _value(hint: Any, packed: dict[str, Tensor]) -> Any:
    """Return what a field of a declared type was."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _of_union(get_args(hint), packed)
    if origin is list:
        count = len({place.split(".")[0] for place in packed})
        return [_value(get_args(hint)[0], _under(packed, str(i))) for i in range(count)]
    if origin is tuple:
        return tuple(_value(one, _under(packed, str(i))) for i, one in enumerate(get_args(hint)))
    if dataclasses.is_dataclass(hint):
        return _of_dataclass(hint, packed)
    if hint is Tensor:
        return packed[""].clone()
    return hint(packed[""].item()) if hint in (int, float, bool) else packed[""].numpy().copy()


def _of_union(kinds: tuple[Any, ...], packed: dict[str, Tensor]) -> Any:
    """Return None where nothing was packed; else what the first kind with all these names makes of it."""
    if not packed:
        return None
    names = {place.split(".")[0] for place in packed}
    return _value(next(kind for kind in kinds if _has_names(kind, names)), packed)


def _has_names(kind: Any, names: set[str]) -> bool:
    if kind is type(None):
        return False
    return not dataclasses.is_dataclass(kind) or names <= {field.name for field in dataclasses.fields(kind)}
