"""Texts without labels, to be classified: files, folders, archives, JSON lines, standard input."""

import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from straightedge.data.container import Container
from straightedge.data.endings import JSON_LINES
from straightedge.data.listing import printable, read_limited
from straightedge.data.tables.texts import new_texts
from straightedge.data.tars import is_tar
from straightedge.data.text.encodings import read_texts
from straightedge.data.text.json_lines import read_records, text_field, text_of
from straightedge.errors import InputError
from straightedge.memory import require_memory

STANDARD_INPUT = "-"


@dataclass
class TextFiles:
    """Texts with where they come from, and what is to be said of them."""

    names: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def texts_at(
    paths: Iterable[str | Path],
    *,
    skip_bad: bool = False,
    columns: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> TextFiles:
    """Read every text that the paths hold.

    Args:
        paths: Text files, folders, zip and tar files of them, JSON lines; ``-`` is standard input, one text. Tables
            where the model was fitted on a column of one.
        skip_bad: Go on without files that are no text.
        columns: What the model keeps of its table's columns, if it was fitted on one.
        options: How the text of tables is read.

    Raises:
        InputError: ``path-missing``, ``text-binary`` with the file, the codes of archives and of `read_records`.
    """
    from straightedge.data.row_files import reader_of_rows

    found = TextFiles()
    for path in paths:
        where = Path(path)
        if str(path) != STANDARD_INPUT and not where.exists():
            raise InputError("path-missing", "there is no such file or folder", str(path))
        if str(path) == STANDARD_INPUT:
            _add(["standard input"], [sys.stdin.buffer.read()], found, skip_bad)
        elif columns is not None and reader_of_rows(where) == "tables.reading":
            documents, notes = new_texts(where, columns, options or {})
            found.texts += documents
            found.names += [f"{path}[{row}]" for row in range(len(documents))]
            found.notes += notes
        elif where.name.lower().endswith(JSON_LINES) and where.is_file():
            _add_records(where, found)
        elif where.is_dir() or zipfile.is_zipfile(where) or is_tar(where):
            _add_container(where, found, skip_bad)
        else:
            _add([printable(str(path))], [read_limited(where)], found, skip_bad)
    return found


def _add_container(path: Path, found: TextFiles, skip_bad: bool) -> None:
    with Container(path) as container:
        items = container.listing.items
        items = [items[place] for place in container.in_reading_order(items)]
        names = [printable(str(path / item.path)) for item in items]
        require_memory(sum(item.size for item in items), "to read the texts", str(path), "give fewer at a time")
        _add(names, list(container.read(items)), found, skip_bad)


def _add_records(path: Path, found: TextFiles) -> None:
    records = list(read_records(path))
    names = list(dict.fromkeys(name for _, record in records for name in record))
    if records:
        own = text_field(records, names, str(path))
        found.texts += [text_of(record, own, where) for where, record in records]
        found.names += [f"{path}[{row}]" for row in range(len(records))]


def _add(names: Sequence[str], blobs: Sequence[bytes], found: TextFiles, skip_bad: bool) -> None:
    read = read_texts(blobs)
    for place, why in read.bad:
        if not skip_bad:
            mend = "give plain texts, or go on without such files: --skip-bad"
            raise InputError("text-binary", f"the file is no text: {why}", names[place], mend)
        found.skipped.append(f"{names[place]} ({why})")
    for name, text in zip(names, read.texts, strict=True):
        if text is not None:
            found.names.append(name)
            found.texts.append(text)
    found.notes += read.notes()
