"""ARFF: a header that declares attributes, then rows between commas; read as the text table that it is.

References:
    The format as Weka has it: https://waikato.github.io/weka-wiki/formats_and_processing/arff_stable/
"""

import re
from dataclasses import replace
from pathlib import Path

from straightedge.data.endings import ARFF
from straightedge.data.tables.files import MemoryTable
from straightedge.data.tables.text_bytes import first_bytes, read_text_bytes, text_of_cells
from straightedge.data.tables.text_file import TextRead, table_of_text
from straightedge.errors import InputError

ATTRIBUTE = re.compile(r"""@attribute\s+('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\S+)\s+(.+)""", re.IGNORECASE)
DATA = re.compile(rb"^[ \t]*@data[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
RELATION = re.compile(rb"\A(?:[ \t]*(?:%[^\n]*)?\r?\n)*[ \t]*@relation\b", re.IGNORECASE)
NUMBERS = ("numeric", "real", "integer")
IN_SINGLE_QUOTES = re.compile(rb"(?m)(^|,)[ \t]*'((?:[^'\\\n]|\\.)*)'[ \t]*(?=,|\r?$)")


def is_arff(path: Path) -> bool:
    """Whether a file is ARFF by its name, or by its first line that is no remark; packed or not."""
    if ARFF in [suffix.lower() for suffix in path.suffixes[-2:]]:
        return True
    return RELATION.match(first_bytes(path)) is not None


def read_arff(path: Path, how: TextRead) -> MemoryTable:
    """Read an ARFF file: nominal and text attributes stay text, ``?`` is missing.

    Raises:
        InputError: ``table-arff`` for a header that declares no attributes, or rows in Weka's sparse form;
            the codes of text tables.
    """
    text = read_text_bytes(path, how.encoding)
    found = DATA.search(text.data)
    header = text.data[: found.start()] if found else b""
    attributes = [ATTRIBUTE.match(line.strip()) for line in header.decode("utf-8", "replace").split("\n")]
    declared = [(_plain(match[1]), match[2].strip().lower()) for match in attributes if match]
    if found is None or not declared:
        what = "there are no lines @attribute NAME KIND before a line @data"
        raise InputError("table-arff", what, str(path), "write it again, or save the table as CSV")
    rows = re.sub(rb"(?m)^[ \t]*%.*\n?", b"", text.data[found.end() :]).lstrip(b"\r\n")
    if rows.lstrip().startswith(b"{"):
        what, mend = "its rows are in sparse form, {place value, …}", "save it as svmlight or as dense ARFF"
        raise InputError("table-arff", what, str(path), mend)
    names = [name for name, _ in declared]
    words = [name for name, kind in declared if not kind.startswith(NUMBERS)]
    how = replace(how, delimiter=",", header=True, decimal=".", missing=how.missing or ("?",))
    how = replace(how, as_text={*how.as_text, *words})
    table = table_of_text(text_of_cells([names]) + _double_quoted(rows), "ARFF", path, how)
    table.about = f"read as ARFF: {table.n_rows:,} rows of {len(names)} attributes"
    return table


def _plain(name: str) -> str:
    quoted = len(name) > 1 and name[0] in "'\"" and name[-1] == name[0]
    return re.sub(r"\\(.)", r"\1", name[1:-1]) if quoted else name


def _double_quoted(rows: bytes) -> bytes:
    """Return rows with fields in single quotes put into double ones, as CSV has them."""

    def quoted(field: re.Match[bytes]) -> bytes:
        inner = re.sub(rb"\\(.)", rb"\1", field[2]).replace(b'"', b'""')
        return field[1] + b'"' + inner + b'"'

    return IN_SINGLE_QUOTES.sub(quoted, rows) if b"'" in rows else rows
