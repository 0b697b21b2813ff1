"""Labels in a CSV with a header, which may name other columns as well."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from straightedge.data.label_values import plain_labels
from straightedge.data.tables.label_column import LABEL_COLUMNS, OTHER_NAMES, choose_label
from straightedge.data.tables.text_file import TextRead, read_text_table

ENDINGS = (".csv", ".tsv")
"""Endings of text files whose first line may be a header."""


def labels_of_lines(path: Path, lines: Sequence[str]) -> Any:
    """Return one label a line, or the label column below a header that names one.

    Raises:
        InputError: The codes of `read_text_table` and `choose_label`.
    """
    names = [name.strip(' "').lower() for name in re.split(r"[,;\t]", lines[0])]
    has_header = path.suffix.lower() in ENDINGS and not {*LABEL_COLUMNS, *OTHER_NAMES}.isdisjoint(names)
    if not has_header or (len(names) == 1 and lines[0] in lines[1:]):
        return plain_labels(list(lines))
    if len(names) == 1:
        return plain_labels(list(lines[1:]))
    from straightedge.data.tables.labels import read_labels

    table = read_text_table(path, TextRead(header=True, cache=False))
    return read_labels([table], choose_label([table], None, table.schema.names).name)
