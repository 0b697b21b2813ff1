"""Endings of files that several modules know a format by."""

from __future__ import annotations

ARFF = ".arff"
SHEETS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
"""Workbooks."""
JSON_LINES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz", ".jsonl.bz2", ".jsonl.xz")
TEXT_TABLES = (".csv", ".tsv", ".tab", ".data", ".test", ".txt")
"""Text tables; each may be followed by one of `PACKED`."""
PACKED = (".gz", ".bz2", ".xz", ".zip")


def is_text_table(name: str) -> bool:
    """Whether a file's name is that of a text table, perhaps packed."""
    name = name.lower()
    for ending in PACKED:
        name = name.removesuffix(ending)
    return name.endswith(TEXT_TABLES)
