"""Columns of text as what they hold: whole numbers, numbers, or text; missing values are nulls."""

import re
from collections.abc import Sequence
from typing import Any

from straightedge.data.tables.files import arrow
from straightedge.data.tables.text_format import TextFormat
from straightedge.errors import InputError

THOUSANDS = r"^[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?$"  # numbers such as 1,234,567.8
LOOKED_AT = 20  # texts that tell whether a column may hold numbers
WITH_COMMA = r"^[+-]?([0-9]{1,3}(\.[0-9]{3})+|[0-9]+)(,[0-9]+([eE][+-]?[0-9]+)?)?$"
"""Numbers such as 1.234.567,8 or 3,14, where a comma is the decimal mark."""


def plain_numbers(column: Any, where: str) -> Any | None:
    """Return a column whose every text is a plain number, or None: the short way for tables of numbers."""
    if any(text != text.strip() or not text for text in column[:LOOKED_AT].to_pylist()):
        return None
    numbers = _as_numbers(column)
    return None if numbers is None else finite(numbers, where, column)


def typed_column(column: Any, form: TextFormat, where: str) -> Any:
    """Return a column of text as int64, float64 or text, whichever is the first that holds all its values.

    Args:
        column: Arrow array of text, blanks cut off, missing values null.
        form: How the table is written.
        where: File and column, for messages.

    Raises:
        InputError: ``value-infinite`` for a number beyond float64, with its row.
    """
    if _as_numbers(_with_points(column[:LOOKED_AT], form.decimal)) is None:
        return column
    numbers = _as_numbers(_with_points(column, form.decimal))
    return column if numbers is None else finite(numbers, where, column)


def _as_numbers(column: Any) -> Any | None:
    """Return a column of text as int64 or float64, or None where a text is neither.

    The first texts are asked before all others: Arrow takes long to find that a whole column is no number.
    """
    pa = arrow()
    for kind in (pa.int64(), pa.float64()):
        try:
            column[:LOOKED_AT].cast(kind)
            return column.cast(kind)
        except pa.ArrowInvalid:
            continue
    return None


def trimmed(column: Any, missing: Sequence[str]) -> Any:
    """Cut off blanks around texts and turn those that mean a missing value into nulls."""
    pa, compute = arrow(), arrow("pyarrow.compute")
    text = compute.utf8_trim_whitespace(column)
    null = compute.is_in(text, value_set=pa.array(list(missing), text.type))
    return compute.if_else(null, pa.scalar(None, text.type), text)


def _with_points(column: Any, decimal: str) -> Any:
    """Return numbers with decimal points and nothing between their thousands."""
    compute = arrow("pyarrow.compute")
    between, pattern = (",", THOUSANDS) if decimal == "." else (".", WITH_COMMA)
    grouped = compute.match_substring_regex(column, pattern=pattern)
    plain = compute.replace_substring(column, pattern=between, replacement="")
    if decimal == ",":
        plain = compute.replace_substring(plain, pattern=",", replacement=".")
    return compute.if_else(grouped, plain, column)


def finite(numbers: Any, where: str, written: Any = None) -> Any:
    """Return numbers as they are; refuse one beyond float64, with its row (`written`: the texts that they were)."""
    pa, compute = arrow(), arrow("pyarrow.compute")
    if numbers.type != pa.float64():
        return numbers
    row = compute.index(compute.fill_null(compute.is_inf(numbers), False), True).as_py()
    if row >= 0:
        what = f"the value {(numbers if written is None else written)[row].as_py()!r} is beyond the range of floats"
        raise InputError("value-infinite", what, f"{where}, row {row}", "mend or remove it, or scale the column")
    return numbers


def numbers_in(column: Any) -> tuple[int, int, str]:
    """Return how many texts of a column are numbers, and the row and text of the first that is none (−1: none)."""
    compute = arrow("pyarrow.compute")
    pattern = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
    matched = compute.fill_null(compute.match_substring_regex(column, pattern=pattern), True)
    count = int(compute.sum(matched).as_py() or 0) - column.null_count
    row = compute.index(matched, False).as_py()
    return count, row, column[row].as_py() if row >= 0 else ""


DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ]\d{1,2}:\d{2}.*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}( \d{1,2}:\d{2}.*)?"
)
"""Dates, perhaps with a time: 2024-05-01, 1.5.2024, 05/01/24 12:30."""


def are_dates(values: Sequence[str]) -> bool:
    """Whether all texts are dates by their form."""
    return bool(values) and all(DATE.fullmatch(value) for value in values)
