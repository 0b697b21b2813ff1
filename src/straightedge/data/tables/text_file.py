"""Text tables (CSV and its kin) as tables in memory: parsed as text by Arrow, then each column by what it holds."""

import io
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from straightedge.data.tables.files import MemoryTable, arrow
from straightedge.data.tables.text_bytes import read_text_bytes
from straightedge.data.tables.text_columns import plain_numbers, trimmed, typed_column
from straightedge.data.tables.text_format import MISSING, TextFormat, find_format, table_empty
from straightedge.errors import InputError

BLOCK_BYTES = 2**24


@dataclass(frozen=True)
class TextRead:
    """How text tables are read.

    Attributes:
        encoding, delimiter, header, decimal, missing: What the user says of the format; None finds it.
        as_text: Columns that stay text though all their values are numbers.
        names: Names of the columns of a table without a header, where they are known.
        cache: Whether the cells of a large table may be kept parsed in the cache.
    """

    encoding: str | None = None
    delimiter: str | None = None
    header: bool | None = None
    decimal: str | None = None
    missing: tuple[str, ...] | None = None
    as_text: Collection[str] = ()
    names: tuple[str, ...] | None = None
    cache: bool = True


def read_text_table(path: Path, how: TextRead, content: bytes | None = None) -> MemoryTable:
    """Read a text table.

    Raises:
        InputError: The codes of `read_text_bytes` and `find_format`; ``table-ragged``, ``table-quote``,
            ``value-infinite``; ``table-empty`` for a header alone.
    """
    text = read_text_bytes(path, how.encoding, content)
    return table_of_text(_without_remark(text.data.lstrip(b"\n\r")), text.encoding, path, how)


def table_of_text(data: bytes, encoding: str, path: Path, how: TextRead) -> MemoryTable:
    """Return UTF-8 text, whose lines end in newlines, as a table (errors as `read_text_table`)."""
    form = format_of(data, path, how)
    _refuse_open_quote(data, form.delimiter, path)
    columns = _parsed(_spaced(data, form.delimiter), form, path)
    if columns.num_rows == 0:
        raise table_empty("the table has a header and no rows", path)
    found = [
        typed(columns.column(place), name, form, how, f"{path}, column {name!r}")
        for place, name in enumerate(form.names)
    ]
    table = arrow().Table.from_arrays(found, names=list(form.names))
    return MemoryTable(path, table, form.described(encoding, columns.num_rows), form.header)


def format_of(data: bytes, path: Path, how: TextRead) -> TextFormat:
    """Return how a text table is written, where `how` does not say it (errors as `find_format`)."""
    given = {"delimiter": how.delimiter, "header": how.header, "decimal": how.decimal, "missing": how.missing}
    form = find_format(data, str(path), **given)
    known = how.names or ()
    return replace(form, names=known) if len(known) == len(form.names) and not form.header else form


def csv_options(
    form: TextFormat, block_size: int, quotes: bool, bad: list[Any], types: Sequence[Any], **convert: Any
) -> dict[str, Any]:
    """Return the options of Arrow's readers of CSV, which call the columns by their positions, of these types.

    The first row of another length joins `bad` and ends the reading; with `quotes`, cells may hold line ends.
    """

    def refuse(row: Any) -> str:
        bad.append(row)
        return "error"

    reader, positions = arrow("pyarrow.csv"), [str(place) for place in range(len(form.names))]
    skipped = int(form.header)
    return {
        "read_options": reader.ReadOptions(
            use_threads=False, block_size=block_size, column_names=positions, skip_rows=skipped
        ),
        "parse_options": reader.ParseOptions(
            delimiter=form.delimiter, newlines_in_values=quotes, invalid_row_handler=refuse
        ),
        "convert_options": reader.ConvertOptions(
            column_types=dict(zip(positions, types, strict=True)), strings_can_be_null=False, **convert
        ),
    }


def unparsed(error: Exception, path: Path) -> InputError:
    """Return the error of a text that Arrow cannot parse."""
    what = f"the text cannot be parsed: {str(error)[:200]}"
    return InputError("table-broken", what, str(path), "mend the quotes and delimiters")


def _without_remark(data: bytes) -> bytes:
    """Return the text without a first line such as ``|1x3 Cross validator``, which adult.test begins with."""
    first, _, rest = data.partition(b"\n")
    second = rest.partition(b"\n")[0]
    return rest if first.startswith(b"|") and second and b"|" not in first[1:] + second else data


def typed(column: Any, name: str, form: TextFormat, how: TextRead, where: str, *, as_text: bool = False) -> Any:
    """Return a column of text by what it holds, missing values as nulls (errors as `typed_column`)."""
    as_text = as_text or name in how.as_text
    if not as_text and form.missing == MISSING:
        plain = plain_numbers(column, where)
        if plain is not None:
            return plain
    text = trimmed(column, form.missing)
    return text if as_text else typed_column(text, form, where)


def _spaced(data: bytes, delimiter: str) -> bytes:
    """Cut off what a parser does not skip: runs of blanks, and blanks between a delimiter and a quote."""
    if delimiter == " ":
        data = re.sub(rb"(?m)^[ \t]+|[ \t]+(?=\r?$)", b"", data)
        return re.sub(rb"[ \t]+", b" ", data)
    mark = re.escape(delimiter.encode())
    return re.sub(mark + rb' +"', delimiter.encode() + b'"', data) if re.search(mark + rb' +"', data) else data


def _parsed(data: bytes, form: TextFormat, path: Path) -> Any:
    """Parse text into columns of text.

    Raises:
        InputError: ``table-ragged`` with the line and both counts.
    """
    pa = arrow()
    bad: list[Any] = []
    try:
        texts = [pa.string()] * len(form.names)
        options = csv_options(form, BLOCK_BYTES, b'"' in data, bad, texts)
        return arrow("pyarrow.csv").read_csv(io.BytesIO(data), **options)
    except pa.ArrowInvalid as error:
        if bad:
            raise ragged(bad[0], path) from None
        if "Empty CSV" in str(error):
            return pa.table({str(place): pa.array([], pa.string()) for place in range(len(form.names))})
        raise unparsed(error, path) from None


def ragged(row: Any, path: Path) -> InputError:
    """Return the error of a row with another number of fields."""
    line = f", line {row.number}" if row.number else ""
    what = f"a row has {row.actual_columns} fields, {row.expected_columns} are expected: {row.text[:80]!r}"
    mend = "give every row the same number of fields; put text with delimiters into quotes"
    return InputError("table-ragged", what, f"{path}{line}", mend)


def _refuse_open_quote(data: bytes, delimiter: str, path: Path) -> None:
    """Refuse a field whose quote never ends: it would swallow all rows after it."""
    if data.count(b'"') % 2 == 0:
        return
    mark = re.escape(delimiter.encode())
    for field in re.finditer(rb"(?:^|\n|" + mark + rb') *("(?:[^"]|"")*+("|\Z))', data):
        if not field[2]:
            line = data[: field.start(1)].count(b"\n") + 1
            mend = "close it, or double a quote that is part of the text"
            raise InputError("table-quote", "a quote begins here and never ends", f"{path}, line {line}", mend)
