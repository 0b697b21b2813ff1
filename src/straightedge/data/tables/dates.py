"""Dates as numbers that a linear model can use: year, month, day, weekday, hour and minute, those that vary."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from straightedge.data.tables.facts import NumberFacts
from straightedge.data.tables.files import arrow
from straightedge.data.tables.label_column import is_text
from straightedge.errors import InputError

PARTS = ("year", "month", "day", "weekday", "hour", "minute")  # in this order; Monday is weekday 0
DAY = 86_400  # seconds
ORDERS = ("ymd", "dmy", "mdy")  # orders of year, month and day: 2024-05-01, 1.5.2024, 05/01/2024
_YEAR_FIRST = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ](.*))?")
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})[-/.](\d{2,4})(?:[T ](.*))?")
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?\s*([AaPp][Mm])?\s*(Z|UTC|[+-]\d{2}:?\d{2})?")
CENTURY = 69  # years of two digits from here on are of the last century, as in POSIX


@dataclass(frozen=True)
class Part:
    """A part of a date that is a feature.

    Attributes:
        name: One of `PARTS`.
        mean: Of the training rows: what a missing date has.
        low, high: Its range there.
    """

    name: str
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class DateFacts:
    """What the dates of training rows say.

    Attributes:
        parts: Those that vary.
        missing: Rows without a date.
        low, high: First and last of them, in seconds since 1970.
        order: One of `ORDERS`.
    """

    parts: tuple[Part, ...]
    missing: int
    low: float
    high: float
    order: str


def fit_dates(blocks: Iterable[Any], order: str, where: str) -> DateFacts:
    """Look at the dates of a column.

    Raises:
        InputError: ``value-kind`` for text that is no date.
    """
    whole, parts, row = NumberFacts(), [NumberFacts() for _ in PARTS], 0
    for block in blocks:
        seconds = seconds_of(block, order, where, row)
        whole.add(seconds)
        for facts, values in zip(parts, parts_of(seconds, PARTS).T, strict=True):
            facts.add(values)
        row += len(block)
    found = zip(PARTS, parts, strict=True)
    vary = tuple(Part(name, own.mean, own.low, own.high) for name, own in found if own.low < own.high)
    return DateFacts(vary, whole.missing, whole.low, whole.high, order)


def order_of(blocks: Iterable[Any]) -> str:
    """Return how dates are written: with dots the day is first, else the month unless some day is above 12."""
    order = "ymd"
    for block in blocks:
        if not is_text(block.type):
            return "ymd"
        for text in block.unique().drop_null().to_pylist():
            found = _YEAR_LAST.fullmatch(text.strip())
            if found is not None:
                if found[2] == "." or int(found[1]) > 12:
                    return "dmy"
                order = "mdy"
    return order


def seconds_of(column: Any, order: str, where: str, row: int = 0) -> np.ndarray:
    """Return dates as (N,) float64 seconds since 1970, as written; NaN where there is none.

    Raises:
        InputError: ``value-kind`` for what is no date.
    """
    pa = arrow()
    if pa.types.is_temporal(column.type) and not pa.types.is_duration(column.type):
        column = column.cast(pa.timestamp("ms"), safe=False)
        return np.asarray(column.cast(pa.int64()).to_numpy(zero_copy_only=False), np.float64) / 1e3
    if column.null_count == len(column):
        return np.full(len(column), np.nan)
    coded = (column if is_text(column.type) else column.cast(pa.string())).dictionary_encode()
    known = [_seconds(text, order) for text in coded.dictionary.to_pylist()]
    if None in known:
        bad = coded.dictionary[known.index(None)]
        at = arrow("pyarrow.compute").index(column.cast(pa.string()), bad).as_py()
        mend = "mend or remove it, or do not name the column with --dates"
        raise InputError("value-kind", f"{bad.as_py()!r} is no date", f"{where}, row {row + at}", mend)
    values: np.ndarray = np.array([*known, np.nan], np.float64)
    return np.asarray(values[coded.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)])


def _seconds(text: str, order: str) -> float | None:
    """Return a text as seconds since 1970, or None where it is no date."""
    text = text.strip()
    if (found := _YEAR_FIRST.fullmatch(text)) is not None:
        year, month, day, time = found.groups()
    elif (found := _YEAR_LAST.fullmatch(text)) is not None:
        day, _, month, year, time = found.groups()
        day, month = (month, day) if order == "mdy" else (day, month)
    else:
        return None
    whole = int(year) + ((1900 if int(year) >= CENTURY else 2000) if len(year) == 2 else 0)
    try:
        start = datetime(whole, int(month), int(day), tzinfo=UTC).timestamp()
    except ValueError:
        return None
    own = 0.0 if time is None else _seconds_in_day(time.strip())
    return None if own is None else start + own


def _seconds_in_day(text: str) -> float | None:
    found = _TIME.fullmatch(text)
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        return None
    hour = int(found[1])
    if found[4] is not None:
        hour = hour % 12 + 12 * (found[4].lower() == "pm")
    return hour * 3600.0 + int(found[2]) * 60 + int(found[3] or 0)


def parts_of(seconds: np.ndarray, names: Iterable[str]) -> np.ndarray:
    """Return parts (N, P) float64 of dates in seconds since 1970; NaN where there is none."""
    missing = np.isnan(seconds)
    whole = np.where(missing, 0, seconds)
    days = np.floor(whole / DAY).astype(np.int64)
    date = days.astype("datetime64[D]")
    month = date.astype("datetime64[M]")
    rest = whole - days * DAY
    found = {
        "year": month.astype("datetime64[Y]").astype(np.int64) + 1970,
        "month": month.astype(np.int64) % 12 + 1,
        "day": (date - month.astype("datetime64[D]")).astype(np.int64) + 1,
        "weekday": (days + 3) % 7,  # 1 January 1970 was a Thursday
        "hour": rest // 3600,
        "minute": rest % 3600 // 60,
    }
    parts = np.stack([found[name] for name in names], axis=1).astype(np.float64)
    parts[missing] = np.nan
    return parts
