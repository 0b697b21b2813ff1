"""Columns of a table as features, and back from plain data: what a model file keeps of a table.

Semantics are those of scikit-learn: numbers as SimpleImputer(strategy="mean", add_indicator=True) gives them,
categories as OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=…, max_categories=…) does, with a
missing value for a category of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from straightedge.data.tables.dates import Part, parts_of, seconds_of
from straightedge.data.tables.files import arrow
from straightedge.data.tables.label_column import is_text
from straightedge.errors import InputError

MISSING_NAME = "missing"


@dataclass(frozen=True)
class Column:
    """One column of a table and what became of it.

    Attributes:
        name: Its name.
        kind: "number", "category", "date" or "left out".
        why: Why it was left out.
        missing: Number of training rows without a value.
        mean: Of the values that are there: what a missing one becomes.
        low, high: Smallest and largest value of the training rows.
        indicator: Whether a feature says that the value was missing.
        categories: Values with a feature of their own; None stands for a missing value.
        other: Number of rarer values, which share a feature if there are any.
        parts: Of a date: what of it is a feature.
        order: Of a date: how it is written, one of `dates.ORDERS`; `low` and `high` are seconds since 1970.
    """

    name: str
    kind: str
    why: str = ""
    missing: int = 0
    mean: float = 0.0
    low: float = 0.0
    high: float = 0.0
    indicator: bool = False
    categories: tuple[str | None, ...] = ()
    other: int = 0
    parts: tuple[Part, ...] = ()
    order: str = ""

    @property
    def width(self) -> int:
        """Number of features."""
        if self.kind == "number":
            return 1 + self.indicator
        if self.kind == "date":
            return len(self.parts) + self.indicator
        return len(self.categories) + (self.other > 0) if self.kind == "category" else 0

    def feature_names(self) -> list[str]:
        """Return what the features are called."""
        if self.kind == "number":
            return [self.name, *self._mark()]
        if self.kind == "date":
            return [*(f"{self.name} {part.name}" for part in self.parts), *self._mark()]
        named = [f"{self.name}={MISSING_NAME if value is None else value}" for value in self.categories]
        return named + ([f"{self.name}=other"] if self.other else []) if self.kind == "category" else []

    def _mark(self) -> list[str]:
        return [f"{self.name} {MISSING_NAME}"] if self.indicator else []

    def apart(self) -> list[Column]:
        """Return the parts of a date as columns of numbers, whose features are those of the date; else itself."""
        if self.kind != "date":
            return [self]
        last = len(self.parts) - 1
        return [
            Column(
                f"{self.name} {part.name}",
                "number",
                missing=self.missing,
                mean=part.mean,
                low=part.low,
                high=part.high,
                indicator=self.indicator and place == last,
            )
            for place, part in enumerate(self.parts)
        ]

    def became(self) -> str:
        """Return what became of the column, for people."""
        if self.kind == "left out":
            return self.why
        if self.kind == "number":
            return "number, missing values marked" if self.indicator else "number"
        if self.kind == "date":
            marked = ", missing values marked" if self.indicator else ""
            return f"{', '.join(part.name for part in self.parts)}{marked}"
        rare = f", {self.other} rare ones as other" if self.other else ""
        return f"{len(self.categories)} categories{rare}"


def as_floats(column: Any, where: str, *, row: int = 0, loose: bool = False) -> np.ndarray:
    """Return a column as float64, missing values as NaN; `loose` takes text that is no number for missing.

    Raises:
        InputError: ``value-kind`` for text that is no number, ``value-infinite``; both with the row.
    """
    pa = arrow()
    if is_text(column.type):
        column = _parsed(column, where, row, loose)
    numbers = column.cast(pa.uint8()) if pa.types.is_boolean(column.type) else column
    values: np.ndarray = np.asarray(
        numbers.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64
    )
    infinite = np.isinf(values)
    if infinite.any():
        at = int(np.argmax(infinite))
        where = f"{where}, row {row + at}"
        raise InputError("value-infinite", f"the value is {values[at]}", where, "mend or remove it")
    return values


def _parsed(column: Any, where: str, row: int, loose: bool) -> Any:
    pa, compute = arrow(), arrow("pyarrow.compute")
    pattern = r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$"
    good = compute.fill_null(compute.match_substring_regex(column, pattern=pattern), True)
    at = compute.index(good, False).as_py()
    if at >= 0 and not loose:
        what, where = f"{column[at].as_py()!r} is no number", f"{where}, row {row + at}"
        raise InputError("value-kind", what, where, "the model takes numbers in this column")
    text = compute.if_else(good, column, pa.scalar(None, column.type))
    return compute.utf8_trim_whitespace(text).cast(pa.float64())


def as_text(column: Any) -> Any:
    """Return a column as text, whole floats without their point, missing values as nulls."""
    pa, compute = arrow(), arrow("pyarrow.compute")
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not pa.types.is_floating(column.type):
        return column.cast(pa.string())
    column = compute.if_else(compute.is_nan(column), pa.scalar(None, column.type), column)
    whole = compute.and_(compute.equal(compute.floor(column), column), compute.less(compute.abs(column), 2.0**53))
    numbers = compute.if_else(whole, column, pa.scalar(0, column.type)).cast(pa.int64())
    return compute.if_else(whole, numbers.cast(pa.string()), column.cast(pa.string()))


@dataclass(frozen=True)
class TableEncoding:
    """How the columns of a table become features.

    Attributes:
        columns: Columns of the training table in its order, the label left out.
        label: Name of the label column.
        names: Names of all columns of the training table in its order.
        header: Whether the columns had names of their own.
        loose: Columns of numbers in which other text is missing.
    """

    columns: tuple[Column, ...]
    label: str
    names: tuple[str, ...]
    header: bool = True
    loose: tuple[str, ...] = ()

    @property
    def used(self) -> list[Column]:
        """Columns that give features."""
        return [column for column in self.columns if column.width]

    @property
    def width(self) -> int:
        """Number of features."""
        return sum(column.width for column in self.columns)

    @property
    def feature_names(self) -> list[str]:
        """What the features are called."""
        return [name for column in self.columns for name in column.feature_names()]

    @cached_property
    def places(self) -> dict[str, dict[str | None, int]]:
        """For each column of categories: value -> place among its features."""
        return {c.name: {v: p for p, v in enumerate(c.categories)} for c in self.used if c.kind == "category"}

    @cached_property
    def laid_out(self) -> list[tuple[Column, int, int]]:
        """Columns that give features, each with its first feature and one past its last."""
        ends = np.cumsum([column.width for column in self.used]).tolist()
        return [(column, end - column.width, end) for column, end in zip(self.used, ends, strict=True)]

    def transform(self, batch: Any, where: str, row: int) -> np.ndarray:
        """Turn a record batch with the columns of `used` into features (n, width) float64.

        Raises:
            InputError: ``value-kind``, ``value-infinite``.
        """
        # columns in one piece are filled and looked at in a fifth of the time
        X = np.zeros((self.width, batch.num_rows))
        there = dict(zip(batch.schema.names, batch.columns, strict=True))
        filled = [_filled(X[first], column, there[column.name]) for column, first, _ in self.laid_out]
        finite = bool(np.isfinite(X).all())
        for (column, first, last), is_filled in zip(self.laid_out, filled, strict=True):
            if not (is_filled and (finite or np.isfinite(X[first]).all())):
                place = f"{where}, column {column.name!r}"
                self._fill(X[first:last].T, column, there[column.name], place, row)
        return np.ascontiguousarray(X.T)

    def _fill(self, part: np.ndarray, column: Column, values: Any, where: str, row: int) -> None:
        if column.kind == "number":
            numbers = as_floats(_flat(values), where, row=row, loose=column.name in self.loose)
            missing = np.isnan(numbers)
            part[:, 0] = np.where(missing, column.mean, numbers)
            if column.indicator:
                part[:, 1] = missing
            return
        if column.kind == "date":
            part[:] = date_features(column, values, where, row)
            return
        codes = self.codes(column, values)
        known = codes >= 0
        part[np.flatnonzero(known), codes[known]] = 1

    def codes(self, column: Column, values: Any, unknown: int | None = None) -> np.ndarray:
        """Return the feature of each value of a column of categories.

        What has no feature of its own is `unknown`, by default "other" where there is such a feature, else −1.
        """
        text = _flat(as_text(_flat(values))).dictionary_encode(null_encoding="encode")
        other = (len(column.categories) if column.other else -1) if unknown is None else unknown
        places = self.places[column.name]
        found = np.array([places.get(value, other) for value in text.dictionary.to_pylist()], dtype=np.int64)
        return found[text.indices.to_numpy(zero_copy_only=False)] if len(found) else np.zeros(0, np.int64)

    def apart(self) -> TableEncoding:
        """Return the encoding of a table that has the parts of its dates as columns."""
        columns = tuple(part for column in self.columns for part in column.apart())
        names = [
            part.name
            for name in self.names
            for part in next((c.apart() for c in self.columns if c.name == name), [Column(name, "left out")])
        ]
        return TableEncoding(columns, self.label, tuple(names), self.header, self.loose)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: what a model file keeps."""
        return {"kind": "table", **asdict(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TableEncoding:
        """Rebuild an encoding from plain data.

        Raises:
            InputError: ``model-columns`` where something is missing or of another kind.
        """
        try:
            columns = tuple(_column(entry) for entry in data["columns"])
            names, loose = (tuple(str(name) for name in data[key]) for key in ("names", "loose"))
            return cls(columns, str(data["label"]), names, bool(data["header"]), loose)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"the model's description of columns is broken ({type(error).__name__}: {str(error)[:80]})"
            raise InputError("model-columns", what, mend="restore the file from a copy") from error


def date_features(column: Column, values: Any, where: str, row: int = 0) -> np.ndarray:
    """Return the features (n, width) of dates, as `TableEncoding.transform` does."""
    seconds = seconds_of(_flat(values), column.order, where, row)
    parts = parts_of(seconds, [part.name for part in column.parts])
    missing = np.isnan(seconds)
    parts[missing] = [part.mean for part in column.parts]
    return np.column_stack([parts, missing]) if column.indicator else parts


def column_rows(description: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return what became of each column of a table: name, kind, missing values and what it became."""
    if not description or description.get("kind") != "table":
        return []
    columns = TableEncoding.from_dict(description).columns
    return [{"name": c.name, "kind": c.kind, "missing": c.missing, "became": c.became()} for c in columns]


_FIELDS: dict[str, Callable[[Any], Any]] = {
    "name": str,
    "kind": str,
    "why": str,
    "missing": int,
    "mean": float,
    "low": float,
    "high": float,
    "indicator": bool,
    "other": int,
}
_LATER: dict[str, Callable[[Any], Any]] = {
    "order": str,
    "parts": lambda entries: tuple(
        Part(str(part["name"]), *(float(part[key]) for key in ("mean", "low", "high"))) for part in entries
    ),
}
"""Fields that models written before 0.4 do not have."""


def _column(entry: Mapping[str, Any]) -> Column:
    plain = {name: kind(entry[name]) for name, kind in _FIELDS.items()}
    values: Sequence[Any] = entry["categories"]
    plain |= {name: kind(entry[name]) for name, kind in _LATER.items() if name in entry}
    if plain["kind"] not in ("number", "category", "date", "left out"):
        raise ValueError(f"a column of kind {plain['kind']!r}")
    return Column(**plain, categories=tuple(None if value is None else str(value) for value in values))


def _filled(out: np.ndarray, column: Column, values: Any) -> bool:
    """Write a column of plain numbers into ``out`` (n,), missing ones as NaN; False for other columns."""
    types = arrow().types
    if column.kind != "number" or not (types.is_floating(values.type) or types.is_integer(values.type)):
        return False
    out[:] = values.to_numpy() if hasattr(values, "chunks") else values.to_numpy(zero_copy_only=False)
    return True


def _flat(values: Any) -> Any:
    """Return an Arrow array in one piece."""
    return values.combine_chunks() if hasattr(values, "combine_chunks") else values
