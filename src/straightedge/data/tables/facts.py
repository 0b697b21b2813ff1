"""What the training rows say of one column, gathered a block at a time: memory does not grow with the rows.

Counts, ranges and means are exact for any number of rows. Of text with more than `MOST_DISTINCT` different values
the rare ones are forgotten, which moves no frequent category, and the first such values tell whether all differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from straightedge.data.tables.files import Table, arrow
from straightedge.data.tables.label_column import is_plain_number, is_text, plain_values
from straightedge.data.tables.text_columns import numbers_in

BLOCK_ROWS = 2**17
"""Rows of a column looked at together: 1 MB of numbers; a hundred blocks of them cost as much as one."""
MOST_DISTINCT = 2**18  # different texts whose counts are kept: some 20 MB of them
FIRST = 200  # values kept as they are, to tell dates from other text

Blocks = Callable[[], Iterator[Any]]
"""Gives the blocks of a column, Arrow arrays without a dictionary, as often as it is called."""


@dataclass
class ColumnFacts:
    """What a column holds.

    Attributes:
        type: Arrow's type, without a dictionary.
        rows: Number of values, missing ones counted.
        missing: Number of missing ones.
        low, high: Smallest and largest value of a column that is no text, or None.
        rising: Whether whole numbers rise by one from row to row.
        characters: Of all texts.
        n_numbers: Texts that are numbers.
        first_text: Row and text of the first that is none; row −1 where there is none.
        first: The first texts that are there.
        distinct: Number of different texts, those that were forgotten among them.
        all_different: Whether no text came twice, as far as it is known.
        blocks: The values themselves.
    """

    type: Any
    blocks: Blocks
    rows: int = 0
    missing: int = 0
    low: Any = None
    high: Any = None
    rising: bool = True
    characters: int = 0
    n_numbers: int = 0
    first_text: tuple[int, str] = (-1, "")
    first: list[Any] = field(default_factory=list)
    distinct: int = 0
    all_different: bool = True

    @property
    def there(self) -> int:
        """Number of values that are there."""
        return self.rows - self.missing

    @property
    def is_constant(self) -> bool:
        """Whether all values are there and the same."""
        if is_text(self.type):
            return self.distinct == 1 and self.missing == 0
        return self.missing == 0 and self.low is not None and bool(self.low == self.high)

    def all_numbers_differ(self) -> bool:
        """Whether no whole number comes twice."""
        if self.rising or self.missing:
            return self.missing == 0
        first = next(self.blocks()).to_numpy()
        if len(np.unique(first)) < len(first):
            return False
        values = np.concatenate([block.to_numpy() for block in self.blocks()])
        values.sort()
        return not bool((values[1:] == values[:-1]).any())


def column_blocks(tables: Sequence[Table], name: str, rows: slice | np.ndarray = slice(None)) -> Blocks:
    """Return what gives a column a block at a time.

    Args:
        tables: Files, their rows one after the other.
        name: The column.
        rows: The rows that are wanted: a slice without a step, or (n,) int64 positions, rising.
    """

    def blocks() -> Iterator[Any]:
        start = 0
        for table in tables:
            for piece, count in enumerate(table.counts):
                for batch in table.blocks(piece, [name], BLOCK_ROWS) if count else ():
                    part = _of_rows(plain_values(batch.column(0)), start, rows)
                    start += batch.num_rows
                    if len(part):
                        yield part

    return blocks


def _of_rows(values: Any, start: int, rows: slice | np.ndarray) -> Any:
    """Return the values of a block, whose first row is `start`, that are in some rows."""
    if isinstance(rows, slice):
        first = max(0, (rows.start or 0) - start)
        last = len(values) if rows.stop is None else max(first, rows.stop - start)
        return values[first:last]
    first, last = np.searchsorted(rows, (start, start + len(values)))
    return values.take(arrow().array(rows[first:last] - start))


def column_facts(blocks: Blocks, kind: Any) -> ColumnFacts:
    """Go over a column once."""
    facts, counts = ColumnFacts(kind, blocks), Counts()
    last = None
    for block in blocks():
        if is_text(kind):
            _add_text(facts, block, counts)
        else:
            last = _add_numbers(facts, block, last)
        facts.rows += len(block)
        facts.missing += block.null_count
    facts.distinct, facts.all_different = counts.distinct, counts.all_different
    return facts


def _add_text(facts: ColumnFacts, block: Any, counts: Counts) -> None:
    compute = arrow("pyarrow.compute")
    if len(facts.first) < FIRST:
        facts.first += block.drop_null()[: FIRST - len(facts.first)].to_pylist()
    facts.characters += compute.sum(compute.utf8_length(block)).as_py() or 0
    count, row, text = numbers_in(block)
    facts.n_numbers += count
    if facts.first_text[0] < 0 <= row:
        facts.first_text = (facts.rows + row, text)
    counts.add(block.drop_null())


def _add_numbers(facts: ColumnFacts, block: Any, last: Any) -> Any:
    """Add a block of anything but text; return its last value."""
    pa, compute = arrow(), arrow("pyarrow.compute")
    if pa.types.is_integer(block.type):
        values = block.fill_null(0).to_numpy(zero_copy_only=False)
        steps = values[1:] == values[:-1] + 1
        joined = last is None or int(values[0]) == last + 1
        facts.rising = facts.rising and joined and not block.null_count and bool(steps.all())
        last = int(values[-1])
    if is_plain_number(block.type) and not pa.types.is_null(block.type):
        ends = compute.min_max(block).as_py()
        if ends["min"] is not None and ends["min"] == ends["min"]:
            facts.low = ends["min"] if facts.low is None else min(facts.low, ends["min"])
            facts.high = ends["max"] if facts.high is None else max(facts.high, ends["max"])
    return last


class Counts:
    """How often each value comes, the frequent ones exactly; `distinct` counts those that were forgotten, too."""

    def __init__(self) -> None:
        self._table: Any = None
        self._forgotten = 0
        self.all_different = True

    @property
    def distinct(self) -> int:
        """Number of different values."""
        return self._forgotten + (0 if self._table is None else self._table.num_rows)

    def add(self, block: Any) -> None:
        """Count the values of a block."""
        pa = arrow()
        if self._forgotten and self.all_different:
            self._forgotten += len(block)  # the first values told enough of such a column
            return
        counted = arrow("pyarrow.compute").value_counts(block)
        new = pa.table({"value": counted.field("values"), "count": counted.field("counts")})
        if self._table is not None:
            both = pa.concat_tables([self._table, new.cast(self._table.schema)]).group_by("value")
            new = both.aggregate([("count", "sum")]).rename_columns({"count_sum": "count"})
        self._table = new
        largest = arrow("pyarrow.compute").max(new["count"]).as_py() or 0
        self.all_different = self.all_different and largest <= 1
        if new.num_rows > MOST_DISTINCT:
            kept = new.sort_by([("count", "descending")]).slice(0, MOST_DISTINCT // 2)
            self._forgotten += new.num_rows - kept.num_rows
            self._table = kept.combine_chunks()

    def pairs(self, least: int) -> list[tuple[Any, int]]:
        """Return the values that come at least so often, each with its count."""
        if self._table is None:
            return []
        found = self._table.filter(arrow("pyarrow.compute").field("count") >= least).to_pydict()
        return list(zip(found["value"], found["count"], strict=True))


def value_counts(blocks: Iterator[Any]) -> Counts:
    """Count the values of all blocks, missing ones as None."""
    counts = Counts()
    for block in blocks:
        counts.add(block)
    return counts


@dataclass
class NumberFacts:
    """Mean and range of a column of numbers, missing values left out."""

    missing: int = 0
    there: int = 0
    mean: float = 0.0
    low: float = 0.0
    high: float = 0.0

    def add(self, values: np.ndarray) -> None:
        """Add (n,) values, missing ones NaN."""
        there = values[~np.isnan(values)]
        self.missing += len(values) - len(there)
        if not len(there):
            return
        low, high, before = float(there.min()), float(there.max()), self.there
        self.low, self.high = (min(self.low, low), max(self.high, high)) if before else (low, high)
        self.there += len(there)
        self.mean += (float(there.mean()) - self.mean) * (len(there) / self.there)


def coded_text(blocks: Iterator[Any]) -> tuple[np.ndarray, list[str | None]]:
    """Return a column of text as (N,) places of few bytes among its different values, and these values."""
    places: dict[str | None, int] = {}
    codes = []
    for block in blocks:
        coded = block.dictionary_encode(null_encoding="encode")
        own = np.array([places.setdefault(word, len(places)) for word in coded.dictionary.to_pylist()], np.int32)
        own = own.astype(np.min_scalar_type(len(places)))
        codes.append(own[coded.indices.to_numpy(zero_copy_only=False)])
    return (np.concatenate(codes) if codes else np.zeros(0, np.uint8)), list(places)
