"""Excel and OpenDocument sheets: the first one that holds rows, read as the text table that people see."""

import zipfile
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from straightedge.data.tables.files import MemoryTable
from straightedge.data.tables.text_bytes import LARGEST_TEXT, text_of_cells
from straightedge.data.tables.text_file import TextRead, table_of_text
from straightedge.errors import InputError, import_extra
from straightedge.memory import require_memory
from straightedge.special_files import open_regular

LARGEST_FILE = 2**30
"""Bytes of a workbook's file, which is packed: a full sheet of a million rows has a tenth of them."""


def read_excel(path: Path, how: TextRead) -> MemoryTable:
    """Read the first sheet of a workbook that is not empty; others are named.

    Raises:
        MissingExtraError: python-calamine is not installed.
        InputError: ``table-broken``, ``table-bomb``, ``table-empty``, the codes of text tables.
    """
    calamine = import_extra("python_calamine", "python-calamine", "formats", "reading Excel")
    _refuse_large(path)
    try:
        with open_regular(path) as file:  # by content: many a workbook is named .xls and is a .xlsx
            book = calamine.CalamineWorkbook.from_filelike(file)
        names = list(book.sheet_names)
        sheets = ((name, book.get_sheet_by_name(name).to_python()) for name in names)
        name, rows = next(((name, rows) for name, rows in sheets if rows), ("", []))
    except (calamine.CalamineError, OSError, ValueError) as error:
        what = f"the workbook cannot be read: {str(error)[:200]}"
        raise InputError("table-broken", what, str(path), "save it again, or as CSV") from None
    if not rows:
        raise InputError("table-empty", "no sheet has a row", str(path), "give a table with a row a sample")
    others = [other for other in names if other != name]
    how = replace(how, delimiter=",", decimal=".")
    table = table_of_text(text_of_cells(map(_cell, row) for row in rows), "a workbook", path, how)
    beside = f"; other sheets are not read: {', '.join(others[:5])}" if others else ""
    table.about = f"sheet {name!r}: {table.n_rows:,} rows of {len(table.schema.names)} columns{beside}"
    return table


def _refuse_large(path: Path) -> None:
    """Refuse a file that is larger, or a zip that unpacks to more, than is read of any table."""
    mend = "save it as Parquet, which is read in parts"
    if (size := path.stat().st_size) > LARGEST_FILE:
        raise InputError("table-bomb", f"the workbook has {size:,} bytes", str(path), mend)
    require_memory(size, "to read the workbook", str(path), mend)
    with open_regular(path) as file:
        if file.read(4) != b"PK\x03\x04":
            return
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(info.file_size for info in archive.infolist())
    except zipfile.BadZipFile:
        return  # whoever reads it says so
    if total > LARGEST_TEXT:
        what = f"the workbook unpacks to {total:,} bytes"
        raise InputError("table-bomb", what, str(path), mend)
    require_memory(total, "to unpack the workbook", str(path), mend)


def _cell(value: Any) -> str:
    """Return a cell as it is written: whole numbers without a point, dates as 2024-05-01."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == datetime.min.time() else value.isoformat(" ")
    return value.isoformat() if isinstance(value, date) else str(value)
