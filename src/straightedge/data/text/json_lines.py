"""JSON lines with a text and a label a line: a file, packed or not, or a folder of train and test files."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.data import fingerprint
from straightedge.data.assemble import SPLITS, Part, assemble, files_by_split, to_train_on
from straightedge.data.base import Dataset
from straightedge.data.endings import JSON_LINES
from straightedge.data.label_values import listed
from straightedge.data.split_names import split_of_word
from straightedge.data.tables.kinds import LONG_TEXT
from straightedge.data.tables.label_column import LABEL_COLUMNS, OTHER_NAMES, first_named
from straightedge.data.tables.text_bytes import read_text_bytes
from straightedge.data.text.documents import Documents, count_texts, repeated_texts
from straightedge.errors import InputError

TEXT_FIELDS = ("text", "content", "body", "message", "document", "sentence", "review", "comment", "title")
"""Names of fields of texts, lower case, in the order in which they are looked for."""
LOOKED_AT = 100  # records that tell a table from texts
Record = dict[str, Any]


@dataclass(frozen=True)
class Fields:
    """Which fields of a record are its text, its label and its split."""

    text: str
    label: str
    split: str | None = None


def load(source: str, **options: Any) -> Dataset:
    """Read JSON lines.

    Args:
        source: A file, or a folder of files.
        **options: ``column`` names the field of the text, ``labels`` that of the label; ``encoding``, ``classes``.

    Raises:
        InputError: ``json-broken`` with the line, ``column-missing``, ``text-missing``, ``labels-missing``, and the
            codes of `read_text_bytes` and `assemble`.
    """
    files, notes = _files(Path(source))
    encoding = options.get("encoding")
    records = {
        split: [pair for path in paths for pair in read_records(path, encoding)] for split, paths in files.items()
    }
    fields = _fields(records["train"], options.get("text") or options.get("column"), options.get("labels"), source)
    parts = {split: _part(own, fields) for split, own in _by_split(records, fields).items()}
    counts = count_texts(parts, source)
    return assemble(
        source,
        parts,
        fingerprint=fingerprint.of_files([path for paths in files.values() for path in paths]),
        declared=options.get("classes"),
        notes=[f"read as texts: {counts}; text {fields.text!r}, label {fields.label!r}", *notes],
        repeats=repeated_texts(parts),
    )


def is_table(path: Path) -> bool:
    """Whether records are rows of a table: numbers beside the label, and no field of texts by name or length."""
    found: list[Record] = []
    try:
        found = [record for _, record in itertools.islice(read_records(path), LOOKED_AT)]
    except InputError:
        return False
    names = {name.lower() for record in found for name in record}
    if not names.isdisjoint(TEXT_FIELDS):
        return False
    numbers, lengths = set(), Counter[str]()
    for record in found:
        for name, value in record.items():
            if isinstance(value, int | float) and name.lower() not in LABEL_COLUMNS + OTHER_NAMES:
                numbers.add(name)
            lengths[name] += len(value) if isinstance(value, str) else 0
    return bool(numbers) and max(lengths.values(), default=0) < LONG_TEXT * len(found)


def is_folder_of_json(path: Path) -> bool:
    """Whether a folder has JSON lines at its first level or one below."""
    return any(any(path.glob(f"{depth}*{ending}")) for ending in JSON_LINES for depth in ("", "*/"))


def _files(path: Path) -> tuple[dict[str, list[Path]], list[str]]:
    if path.is_file():
        return {"train": [path]}, []
    named = sorted(p for p in path.rglob("*") if p.name.lower().endswith(JSON_LINES))
    return to_train_on(files_by_split(named, path), path)


def read_records(path: Path, encoding: str | None = None) -> Iterator[tuple[str, Record]]:
    """Yield (place, record) of every line of a file that is not empty."""
    for number, line in enumerate(read_text_bytes(path, encoding).data.split(b"\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError("json-broken", f"the line is no JSON: {error}", where, "an object a line") from None
        if not isinstance(record, dict):
            what = f"the line is a {type(record).__name__}, no object"
            raise InputError("json-broken", what, where, 'lines are {"text": "…", "label": "…"}')
        yield where, record


def _fields(records: Sequence[tuple[str, Record]], text: Any, label: Any, where: str) -> Fields:
    """Find the fields of text, label and split by what the user says, by their names, or by what they hold."""
    if not records:
        raise InputError("table-empty", "there is no line", where)
    names = list(dict.fromkeys(name for _, record in records for name in record))
    text = _named(text, names, where) or text_field(records, names, where)
    rest = [name for name in names if name != text]
    label = _named(label, names, where) or first_named(LABEL_COLUMNS + OTHER_NAMES, rest)
    others = [name for name in names if name not in (text, "split")]
    label = label or (others[0] if len(others) == 1 else None)
    if label is None:
        what = f"which field is the label? the fields are {listed(names)}"
        raise InputError("column-missing", what, where, "name it: --labels FIELD")
    return Fields(str(text), str(label), "split" if "split" in names and label != "split" else None)


def _named(name: Any, names: Sequence[str], where: str) -> str | None:
    if name is None or name in names:
        return None if name is None else str(name)
    what = f"there is no field {name!r}; the fields are {listed(names)}"
    raise InputError("column-missing", what, where, "--column names the text, --labels the label")


def text_field(records: Sequence[tuple[str, Record]], names: Sequence[str], where: str) -> str:
    """Return the field of the text: by its name, else the one with the longest strings.

    Raises:
        InputError: ``column-missing`` where no field holds text.
    """
    if (named := first_named(TEXT_FIELDS, names)) is not None:
        return named
    lengths: Counter[str] = Counter()
    for _, record in records:
        for name, value in record.items():
            lengths[name] += len(value) if isinstance(value, str) else 0
    if not lengths or max(lengths.values()) == 0:
        what = f"no field holds text; the fields are {listed(names)}"
        raise InputError("column-missing", what, where, "name it: --column FIELD")
    return lengths.most_common(1)[0][0]


def _by_split(
    records: Mapping[str, Sequence[tuple[str, Record]]], fields: Fields
) -> dict[str, Sequence[tuple[str, Record]]]:
    """Return the records of each split: of its files, or by a field of one file."""
    if fields.split is None or len(records) > 1:
        return dict(records)
    found: dict[str, list[tuple[str, Record]]] = {}
    for where, record in records["train"]:
        split = split_of_word(str(record.get(fields.split)))
        if split is None:
            what = f"the split is {record.get(fields.split)!r}"
            raise InputError("split-unknown", what, where, "train, validation or test")
        found.setdefault(split, []).append((where, record))
    return {split: found[split] for split in SPLITS if split in found}


def _part(records: Sequence[tuple[str, Record]], fields: Fields) -> Part:
    texts = Documents.of(text_of(record, fields.text, where) for where, record in records)
    labels = [_label_of(record, fields.label, where) for where, record in records]
    return Part(texts, np.array(labels), [Path(where).name for where, _ in records])


def text_of(record: Record, field: str, where: str) -> str:
    """Return the text of a record."""
    value = record.get(field)
    if not isinstance(value, str):
        what = (
            f"the field {field!r} holds {value!r}, no text" if field in record else f"there is no field {field!r}"
        )
        raise InputError("text-missing", what, where, "give every line a text, or remove it")
    return value


def _label_of(record: Record, field: str, where: str) -> Any:
    value = record.get(field)
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        what = f"the label {field!r} is {value!r}" if field in record else f"there is no label {field!r}"
        raise InputError("labels-missing", what, where, "give every line one label, or remove it")
    return value
