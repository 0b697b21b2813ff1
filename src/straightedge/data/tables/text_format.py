"""How a text table is written: its delimiter, its header, its decimal mark; found from its first lines."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from straightedge.errors import InputError

DELIMITERS = (",", "\t", ";", "|", " ")
NAMES = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars", " ": "blanks"}
MISSING = ("", "?", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "-", "<NA>", "#N/A")
"""Texts that mean a missing value, after blanks around them are cut off."""
LOOKED_AT = 100  # lines that the format is found from
LOOKED_AT_BYTES = 2**20
LOOKED_AT_CHARACTERS = 50_000  # characters that are enough: fewer lines of a wide table
LONGEST_NAME = 1000  # characters of the longest name of a column: a longer one is a sign of a broken header
MOST_COLUMNS = 2**15
"""Columns of the widest text table; wider ones take minutes to parse and come as arrays or svmlight."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
DECIMAL_COMMA = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+),\d+")


@dataclass(frozen=True)
class TextFormat:
    """How a text table is written.

    Attributes:
        delimiter: One character; " " means runs of blanks.
        header: Whether the first row has the names of the columns.
        names: Names of the columns: positions from 1 where there is no header.
        decimal: "." or ",".
        missing: Texts that mean a missing value.
    """

    delimiter: str
    header: bool
    names: tuple[str, ...]
    decimal: str = "."
    missing: tuple[str, ...] = MISSING

    def described(self, encoding: str, n_rows: int | None) -> str:
        """Return the format in one line; a place ``{n_rows:,}`` where the number of rows is not known yet."""
        count = "{n_rows:,}" if n_rows is None else f"{n_rows:,}"
        parts = [
            f"{count} rows of {len(self.names)} columns between {NAMES.get(self.delimiter, self.delimiter)}",
            "names in the first row" if self.header else "no header: columns are called by their positions",
            *(["decimal commas"] if self.decimal == "," else []),
            encoding,
        ]
        return "read as text: " + ", ".join(parts)


def table_empty(what: str, where: object) -> InputError:
    """Return the error for a table without rows."""
    return InputError("table-empty", what, str(where), "give a table with a row a sample")


def find_format(data: bytes, where: str, **given: Any) -> TextFormat:
    """Find how a text table is written.

    Args:
        data: UTF-8 text, lines ending in newlines.
        where: The file, for messages.
        **given: ``delimiter``, ``header``, ``decimal`` and ``missing`` where they are known; None finds them.

    Raises:
        InputError: ``table-empty``, ``table-format``, ``columns-repeated``, ``column-name``, ``columns-many``.
    """
    text = data[:LOOKED_AT_BYTES].decode("utf-8", "ignore")
    lines = [line for line in text.split("\n")[:LOOKED_AT] if line.strip()]
    if not lines:
        raise table_empty("there is no line of a table", where)
    lines = lines[: max(3, LOOKED_AT_CHARACTERS // max(1, len(lines[0])))]
    if len(text) == LOOKED_AT_BYTES and len(lines) > 1:
        lines = lines[:-1]  # it may be cut off
    delimiter = given.get("delimiter") or _delimiter(lines, where)
    rows = fields(lines, delimiter)
    if len(rows[0]) > MOST_COLUMNS:
        what = f"the table has {len(rows[0])} columns, text is read up to {MOST_COLUMNS}"
        raise InputError("columns-many", what, where, "save it as .npz, svmlight or Parquet")
    said = given.get("header")
    header: bool = _has_header(rows) if said is None else bool(said)
    found = TextFormat(delimiter, header, _names(rows, header, where))
    if header and len(rows) > 1 and all(len(row) == len(rows[0]) + 1 for row in rows[1:]):
        found = replace(found, names=("", *found.names))
    missing = given.get("missing")
    return replace(
        found,
        decimal=given.get("decimal") or _decimal(rows[int(header) :], delimiter),
        missing=MISSING if missing is None else ("", *missing),
    )


def fields(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """Return the fields of lines, blanks around them cut off; quotes may hold delimiters and newlines."""
    if delimiter == " ":
        lines = [re.sub(r"[ \t]+", " ", line.strip()) for line in lines]
    csv.field_size_limit(LOOKED_AT_BYTES)
    try:
        rows = list(csv.reader([f"{line}\n" for line in lines], delimiter=delimiter, skipinitialspace=True))
    except csv.Error:  # such as a field that never ends: whoever reads the whole says where
        rows = [line.split(delimiter) for line in lines]
    return [[field.strip() for field in row] for row in rows if row]


def _delimiter(lines: Sequence[str], where: str) -> str:
    """Return the delimiter that gives most rows the same number of fields, two or more, without others in them."""
    best, found = (0.0, False, 0.0, 0), ""
    for delimiter in DELIMITERS:
        if delimiter == " " and found:  # blanks also stand between words
            break
        score = _agreement(fields(lines, delimiter), delimiter)
        if score > best:
            best, found = score, delimiter
    if not found:
        what = "no delimiter parts the lines into the same number of columns"
        mend = "a table needs two columns or more, between commas, tabs, semicolons, bars or blanks"
        raise InputError("table-format", what, where, mend)
    return found


def _agreement(rows: Sequence[Sequence[str]], delimiter: str) -> tuple[float, bool, float, int]:
    """Tell how well a delimiter parts the rows: of two of them, the larger answer is the better one.

    Returns:
        The share of rows of the usual width, whether the first row is parted too (every text may hold a semicolon,
        the names of columns seldom do), the share of fields without another delimiter, and the width.
    """
    width, votes = max(Counter(len(row) for row in rows).items(), key=lambda item: (item[1], item[0]))
    if width < 2 or votes < len(rows) / 2:
        return 0.0, False, 0.0, 0
    others = [other for other in "\t;|" if other != delimiter]
    every = [field for row in rows for field in row]
    clean = sum(not any(other in field for other in others) for field in every) / len(every)
    return round(votes / len(rows), 1), len(rows[0]) > 1, round(clean, 1), width


def is_number(field: str) -> bool:
    """Whether a field is a number with a decimal point or a decimal comma."""
    return bool(NUMBER.fullmatch(field) or DECIMAL_COMMA.fullmatch(field))


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Tell names from values: they are no numbers, stand above numbers, or are not found again below."""
    first, below = rows[0], rows[1:]
    numbered = [field for field in first if field.isdecimal()]
    if len(numbered) >= max(2, len(first) - 1) and numbered == [str(place) for place in range(len(numbered))]:
        return True  # as pandas names the columns of an array
    if any(is_number(field) for field in first):
        return False
    columns = [[row[place] for row in below if place < len(row)] for place in range(len(first))]
    if any(_above_numbers(name, column) for name, column in zip(first, columns, strict=True)):
        return True
    found_again = any(name in column for name, column in zip(first, columns, strict=True))
    return not found_again and len(set(first)) == len(first)


def _above_numbers(name: str, column: Sequence[str]) -> bool:
    there = [field for field in column if field not in MISSING]
    return name not in MISSING[1:] and sum(map(is_number, there)) > len(there) / 2


def _names(rows: Sequence[Sequence[str]], header: bool, where: str) -> tuple[str, ...]:
    if not header:
        width = max(Counter(len(row) for row in rows).items(), key=lambda item: item[1])[0]
        return tuple(str(position + 1) for position in range(width))
    names = tuple(rows[0])
    for position, name in enumerate(names):
        if len(name) > LONGEST_NAME:
            what = f"the name of column {position + 1} has {len(name)} characters: {name[:40]!r}…"
            mend = "is a quote open, or a delimiter another one? shorten the name"
            raise InputError("column-name", what, f"{where}, line 1", mend)
    refuse_repeated(names, where)
    return names


def refuse_repeated(names: Sequence[str], where: str) -> None:
    """Refuse a name that two columns have."""
    for name, count in Counter(names).items():
        if count > 1:
            places = [str(position + 1) for position, other in enumerate(names) if other == name]
            what = f"the name {name!r} is that of columns {', '.join(places)}"
            raise InputError("columns-repeated", what, where, "give each column a name of its own")


def _decimal(rows: Sequence[Sequence[str]], delimiter: str) -> str:
    """Return "," where numbers have decimal commas and none has a decimal point alone."""
    if delimiter == ",":
        commas_in = [field for row in rows for field in row if DECIMAL_COMMA.fullmatch(field)]
        pointed = any("." in field and NUMBER.fullmatch(field) for row in rows for field in row)
        thousands = commas_in and all(re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+", field) for field in commas_in)
        return "," if commas_in and not pointed and not thousands else "."
    commas = sum(bool(DECIMAL_COMMA.fullmatch(field)) for row in rows for field in row)
    points = sum("." in field and bool(NUMBER.fullmatch(field)) for row in rows for field in row)
    return "," if commas > points else "."
