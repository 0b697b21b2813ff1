"""What a column of a table is good for: a number, a category, or nothing, and then why."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from straightedge.atomic import json_object
from straightedge.data.tables.facts import ColumnFacts
from straightedge.data.tables.files import arrow, names_in
from straightedge.data.tables.label_column import column_missing, is_plain_number, is_text
from straightedge.data.tables.text_columns import are_dates

IDENTIFIER_NAME = re.compile(r"(?i:id|index|idx|key|uuid|guid)|.*[a-z0-9]I[dD]|.*(?i:[_\- .]id)")
FEWEST_IDENTIFIERS = 20  # rows from which text that is all different is taken for identifiers
LONG_TEXT = 40  # mean characters from which text that hardly repeats is taken for free text
SEVERAL_WORDS = 6  # mean words of the first texts from which they are sentences; names of people have three or four
FREE_TEXT = "free text"  # why a column of sentences is no feature of a table
PANDAS_INDEX = re.compile(r"__index_level_\d+__|Unnamed: 0(\.\d+)?|")
WISHES = ("drop", "keep", "categories", "numeric", "dates")  # options that say what columns are
EVERY = "all"  # what stands for all columns of dates


@dataclass(frozen=True)
class Wishes:
    """What the user says of columns.

    Attributes:
        drop: Columns left out.
        keep: Columns used though they look like identifiers or constants.
        categories: Columns taken as categories though they are numbers.
        numeric: Columns taken as numbers; what is none in them is missing.
        dates: Columns of dates of which the parts are taken; `EVERY` alone is all of them.
    """

    drop: frozenset[str] = field(default_factory=frozenset)
    keep: frozenset[str] = field(default_factory=frozenset)
    categories: frozenset[str] = field(default_factory=frozenset)
    numeric: frozenset[str] = field(default_factory=frozenset)
    dates: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Wishes:
        """Return what options say, each a list of names or a text of them with commas."""
        return cls(*(frozenset(names_in(options.get(name))) for name in WISHES))

    def takes_parts(self, name: str, facts: ColumnFacts) -> bool:
        """Whether a column is a date whose parts are wanted."""
        return name in self.dates or (self.dates == {EVERY} and is_date(facts))

    def check(self, names: Collection[str], where: str) -> None:
        """Refuse a wish for a column that there is not.

        Raises:
            InputError: ``column-missing``.
        """
        for option in WISHES:
            for name in sorted(getattr(self, option) - ({EVERY} if option == "dates" else set())):
                if name not in names:
                    what = f"--{option} names a column {name!r} that there is not"
                    raise column_missing(what, list(names), where)


def left_out(name: str, facts: ColumnFacts, wishes: Wishes, index: Collection[str]) -> str | None:
    """Return why a column is no feature, or None where it is one."""
    if name in wishes.drop:
        return "dropped, as asked"
    if name in index or PANDAS_INDEX.fullmatch(name):
        return "an index, never a feature"
    if name in wishes.keep | wishes.categories | wishes.numeric or wishes.takes_parts(name, facts):
        return None
    return _by_type(facts) or _by_values(name, facts)


def _by_type(facts: ColumnFacts) -> str | None:
    if arrow("pyarrow.types").is_temporal(facts.type):
        return "a date"
    return None if is_text(facts.type) or is_plain_number(facts.type) else f"of type {facts.type}"


def is_date(facts: ColumnFacts) -> bool:
    """Whether a column holds dates, by its type or by the form of its first texts."""
    if is_text(facts.type):
        return are_dates(facts.first)
    types = arrow("pyarrow.types")
    return bool(types.is_date(facts.type) or types.is_timestamp(facts.type))


def _by_values(name: str, facts: ColumnFacts) -> str | None:
    if facts.there == 0:
        return "empty"
    if facts.is_constant:
        return "constant"
    return _text_left_out(facts) if is_text(facts.type) else _number_left_out(name, facts)


def _text_left_out(facts: ColumnFacts) -> str | None:
    if is_date(facts):
        return "a date"
    if is_free_text(facts):
        return FREE_TEXT
    if facts.all_different and facts.there >= FEWEST_IDENTIFIERS:
        return "an identifier: its values are all different"
    return None


def is_free_text(facts: ColumnFacts) -> bool:
    """Whether a column of texts holds sentences: they hardly repeat, and are long or of several words."""
    if facts.distinct <= facts.there / 2 or is_date(facts):
        return False
    words = sum(len(text.split()) for text in facts.first)
    many = facts.there >= FEWEST_IDENTIFIERS and words >= SEVERAL_WORDS * len(facts.first)
    return many or facts.characters >= LONG_TEXT * facts.there


def _number_left_out(name: str, facts: ColumnFacts) -> str | None:
    if not arrow("pyarrow.types").is_integer(facts.type) or facts.missing or facts.rows < 2:
        return None
    if IDENTIFIER_NAME.fullmatch(name):
        return "an identifier: its values are all different" if facts.all_numbers_differ() else None
    rising = facts.rows >= FEWEST_IDENTIFIERS and facts.rising
    return "an identifier: its values rise by one" if rising else None


def pandas_index(schemas: Sequence[Any]) -> set[str]:
    """Return the columns that pandas' metadata calls the index of a frame."""
    found: set[str] = set()
    for schema in schemas:
        columns = json_object((schema.metadata or {}).get(b"pandas", b"")).get("index_columns")
        found |= {column for column in columns if isinstance(column, str)} if isinstance(columns, list) else set()
    return found
