"""What a file is, told by the ending of its name, or by its first bytes where formats share endings."""

import json
import re
from pathlib import Path

from straightedge.data.tables.text_bytes import first_bytes, only_member
from straightedge.special_files import open_regular

ARFF = ".arff"
SHEETS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")  # workbooks
LINES_OF_JSON = (".jsonl", ".ndjson")
JSON_LINES = tuple(ending + packed for packed in ("", ".gz", ".bz2", ".xz") for ending in LINES_OF_JSON)
TARS = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
TEXT_TABLES = (".csv", ".tsv", ".tab", ".data", ".test", ".txt")
"""Text tables; each may be followed by one of `PACKED`."""
PACKED = (".gz", ".bz2", ".xz", ".zip")
LONGEST_LINE = 2**16  # bytes of a first line that is looked at to tell JSON lines
SVMLIGHT = re.compile(rb"[+-]?[0-9.eE,]+([ \t]+qid:\d+)?([ \t]+\d+:[^ \t]+)+[ \t]*(#.*)?\r?")
"""A line with features: label index:value …"""


def is_text_table(name: str) -> bool:
    """Whether a file's name is that of a text table, perhaps packed."""
    name = name.lower()
    for ending in PACKED:
        name = name.removesuffix(ending)
    return name.endswith(TEXT_TABLES)


def is_json_lines(path: Path) -> bool:
    """Whether a file has a JSON object a line, by its name or by its first line; packed or not."""
    if path.name.lower().endswith(JSON_LINES):
        return True
    first = first_bytes(path, LONGEST_LINE).lstrip()
    line, end, _ = first.partition(b"\n")
    if not line.startswith(b"{") or (not end and len(first) >= LONGEST_LINE):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def is_zip_of_table(path: Path) -> bool:
    """Whether a file is a zip of one text table."""
    name = only_member(path)
    return name is not None and is_text_table(name)


def looks_like_svmlight(path: Path) -> bool:
    """Whether the first line that is no comment is one of an svmlight file."""
    with open_regular(path) as file:
        head = file.read(2**16)
    lines = [line for line in head.split(b"\n") if line.strip() and not line.startswith(b"#")]
    return bool(lines) and SVMLIGHT.fullmatch(lines[0]) is not None
