"""Wide records made of small ones: fields stand in records by what they are about, and have own names, too."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


def record_of(kinds: Mapping[str, type]) -> dict[str, str]:
    """Return the name of the record that has each field. No two records have a field of the same name."""
    return {field.name: name for name, kind in kinds.items() for field in fields(kind)}


def records_from(kinds: Mapping[str, type], given: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Return one record of each kind.

    Args:
        kinds: Dataclasses whose fields all have defaults, by the name under which the owner has them.
        given: Records by their names and fields by theirs; a field changes the record that has it.
        owner: Name of what is made of them, for the error.

    Raises:
        TypeError: For a name that is neither a record's nor a field's.
    """
    places = record_of(kinds)
    unknown = sorted(set(given) - set(kinds) - set(places))
    if unknown:
        raise TypeError(f"{owner} has no field {', '.join(unknown)}")
    made = {}
    for name, kind in kinds.items():
        own = {field: value for field, value in given.items() if places.get(field) == name}
        made[name] = replace(given.get(name, kind()), **own)
    return made


class Held(Generic[Value]):
    """An attribute of something that an object holds, such as a record of it: ``loss = Held[str]("proof")``."""

    def __init__(self, record: str) -> None:
        self.record, self.name = record, ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Value:
        if instance is None:
            raise AttributeError(self.name)
        found: Value = getattr(getattr(instance, self.record), self.name)
        return found
