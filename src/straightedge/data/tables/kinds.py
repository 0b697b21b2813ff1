"""What a column of a table is good for: a number, a category, or nothing, and then why."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from straightedge.data.tables.files import arrow
from straightedge.data.tables.label_column import is_text
from straightedge.data.tables.text_columns import are_dates
from straightedge.errors import InputError

IDENTIFIER_NAME = re.compile(r"(?i:id|index|idx|key|uuid|guid)|.*[a-z0-9]I[dD]|.*(?i:[_\- .]id)")
FEWEST_IDENTIFIERS = 20
"""Rows from which text that is all different is taken for identifiers."""
LONG_TEXT = 40
"""Mean characters from which text that hardly repeats is taken for free text."""
PANDAS_INDEX = re.compile(r"__index_level_\d+__|Unnamed: 0(\.\d+)?|")
LOOKED_AT = 200
"""Values that are looked at to tell dates from other text."""


@dataclass(frozen=True)
class Wishes:
    """What the user says of columns.

    Attributes:
        drop: Columns left out.
        keep: Columns used though they look like identifiers or constants.
        categories: Columns taken as categories though they are numbers.
        numeric: Columns taken as numbers; what is none in them is missing.
    """

    drop: frozenset[str] = field(default_factory=frozenset)
    keep: frozenset[str] = field(default_factory=frozenset)
    categories: frozenset[str] = field(default_factory=frozenset)
    numeric: frozenset[str] = field(default_factory=frozenset)

    def check(self, names: Collection[str], where: str) -> None:
        """Refuse a wish for a column that there is not.

        Raises:
            InputError: ``column-missing``.
        """
        for option in ("drop", "keep", "categories", "numeric"):
            for name in sorted(getattr(self, option)):
                if name not in names:
                    what = f"--{option} names a column {name!r} that there is not"
                    raise InputError("column-missing", what, where, f"columns: {', '.join(list(names)[:40])}")


def left_out(name: str, column: Any, wishes: Wishes, index: Collection[str]) -> str | None:
    """Return why a column is no feature, or None where it is one.

    Args:
        name: Its name.
        column: Its training rows, an Arrow array without a dictionary.
        wishes: What the user says.
        index: Columns that pandas' metadata calls an index.
    """
    if name in wishes.drop:
        return "dropped, as asked"
    if name in index or PANDAS_INDEX.fullmatch(name):
        return "an index, never a feature"
    if name in wishes.keep | wishes.categories | wishes.numeric:
        return None
    return _by_type(column) or _by_values(name, column)


def _by_type(column: Any) -> str | None:
    if arrow("pyarrow.types").is_temporal(column.type):
        return "a date"
    return None if is_text(column.type) or is_plain_number(column.type) else f"of type {column.type}"


def _by_values(name: str, column: Any) -> str | None:
    if column.null_count == len(column):
        return "empty"
    distinct = arrow("pyarrow.compute").count_distinct(column).as_py()
    if distinct == 1 and column.null_count == 0:
        return "constant"
    if is_text(column.type):
        return _text_left_out(column, distinct)
    return _number_left_out(name, column, distinct)


def _text_left_out(column: Any, distinct: int) -> str | None:
    compute = arrow("pyarrow.compute")
    there = len(column) - column.null_count
    if are_dates(column.drop_null()[:LOOKED_AT].to_pylist()):
        return "a date"
    if distinct == there and there >= FEWEST_IDENTIFIERS:
        return "an identifier: its values are all different"
    length = compute.mean(compute.utf8_length(column)).as_py()
    if distinct > there / 2 and length >= LONG_TEXT:
        return "free text"
    return None


def _number_left_out(name: str, column: Any, distinct: int) -> str | None:
    types = arrow("pyarrow.types")
    if not types.is_integer(column.type) or column.null_count or distinct < len(column) or distinct < 2:
        return None
    if IDENTIFIER_NAME.fullmatch(name):
        return "an identifier: its values are all different"
    values = column.to_numpy()
    rising = len(values) >= FEWEST_IDENTIFIERS and bool((values[1:] == values[:-1] + 1).all())
    return "an identifier: its values rise by one" if rising else None


def is_plain_number(kind: Any) -> bool:
    """Whether an Arrow type is a number or a boolean."""
    types = arrow("pyarrow.types")
    plain = types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind)
    return bool(plain or types.is_decimal(kind) or types.is_null(kind))


def pandas_index(schemas: Sequence[Any]) -> set[str]:
    """Return the columns that pandas' metadata calls the index of a frame."""
    found: set[str] = set()
    for schema in schemas:
        try:
            columns = json.loads((schema.metadata or {})[b"pandas"])["index_columns"]
        except (KeyError, TypeError, ValueError):
            continue
        found |= (
            {column for column in columns if isinstance(column, str)} if isinstance(columns, list) else set()
        )
    return found
