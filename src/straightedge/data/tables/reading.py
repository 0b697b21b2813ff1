"""Tables as data sets: text, Parquet, Arrow and Feather files, and folders of the latter.

Rows are one column of vectors or images, or the columns of numbers and categories together. Splits come from folder
names, from file names (``train-00000-of-00004.parquet``), or from a column ``split`` whose equal values lie
together. Rows beyond `IN_MEMORY` bytes stay on disk and are read in order.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.data import fingerprint
from straightedge.data.assemble import Part, assemble
from straightedge.data.base import Dataset
from straightedge.data.checks import checked_rows
from straightedge.data.label_values import listed
from straightedge.data.manifests import source as manifests
from straightedge.data.split_names import split_of_word
from straightedge.data.tables import pixels, texts
from straightedge.data.tables.beside import columns_beside, divided, with_beside
from straightedge.data.tables.encoding import TableEncoding
from straightedge.data.tables.files import Table, TableRows, names_in
from straightedge.data.tables.fitting import fit_encoding
from straightedge.data.tables.kinds import Wishes, pandas_index
from straightedge.data.tables.label_column import choose_label, is_plain_number, refuse_missing_labels, without_dots
from straightedge.data.tables.labels import coded_labels, read_labels, refuse_regression
from straightedge.data.tables.matching import encoded_rows, match_columns, text_read_for, unlike_training
from straightedge.data.tables.opening import open_splits, text_read
from straightedge.data.tables.parts import SplitRows, TableParts
from straightedge.data.tables.pixels import PixelForm
from straightedge.data.tables.plan import Plan, decode_rows, is_rows, make_plan, row_column
from straightedge.errors import InputError
from straightedge.memory import require_memory

IN_MEMORY = 2**28  # decoded bytes of a split up to which it is read whole


def load(source: str, **options: Any) -> Dataset:
    """Read a table or a folder of tables.

    Args:
        source: File or folder.
        **options: ``labels`` names the label column, ``column`` the embedding or image column, ``text`` the
            column of texts; ``drop``, ``keep``, ``categories``, ``numeric`` and ``dates`` say what columns are;
            ``encoding``, ``delimiter``, ``header``, ``decimal`` and ``missing`` say how text is written; ``frame``
            is a table in memory; ``columns`` is the encoding of a trained model.

    Raises:
        InputError: ``table-broken``, ``table-empty``, ``column-missing``, ``column-kind``, ``columns-differ``,
            ``columns-repeated``, ``rows-missing``, ``rows-differ``, ``split-scattered``, ``labels-regression``
            and the codes of text tables, `fit_encoding` and `assemble`.
    """
    trained = options.get("columns") or {}
    if trained.get("kind") == "table":
        return _load_for_model(source, TableEncoding.from_dict(trained), options)
    found = open_source(source, text_read(options, names_in(options.get("categories"))), options.get("frame"))
    if list(found.tables) == ["train"]:
        found.tables["train"], found.divided_by = divided(found.tables["train"], options)
        found.notes += [f"rows divided by column {name!r}, which is no feature" for name in found.divided_by]
    if trained.get("kind") is None and (images := manifests.load_table(source, found.tables, options)):
        return images
    label = _label(
        found, options.get("labels"), trained.get("label") if trained.get("kind") == texts.TEXTS else None
    )
    if (text := texts.wanted_text(found, options)) is not None:
        return _load_texts(source, found, (text, label), options)
    form = pixels.pixel_form(found.tables, label, trained, options.get("image_shape"))
    if form is not None:
        return _load_pixels(source, found, form, options)
    wanted = options.get("column") or trained.get("column")
    column = row_column(found.schema, wanted, label, found.where)
    if column is not None:
        rows = _load_vectors(source, found, column, label, options)
        return with_beside(rows, split_rows(found, label), options)
    return _load_columns(source, found, label, wanted, options)


def anew(source: str, encoding: TableEncoding, tables: Sequence[Table], n: int, first: int, split: str) -> Any:
    """Return rows of a split by another encoding."""
    return in_memory(encoded_rows(encoding, tables, n, first), f"{source} ({split})")


@dataclass
class Found:
    """Opened tables: those of each split, remarks, the column that divides the rows, and a frame's index."""

    tables: dict[str, list[Table]]
    notes: list[str] = field(default_factory=list)
    divided_by: list[str] = field(default_factory=list)

    @property
    def every(self) -> list[Table]:
        """The tables of all splits, those of training first."""
        return [table for group in self.tables.values() for table in group]

    @property
    def schema(self) -> Any:
        """The columns of the first table."""
        return self.every[0].schema

    @property
    def where(self) -> str:
        """The first file."""
        return str(self.every[0].path)

    @property
    def index(self) -> set[str]:
        """Columns that are the index of a frame."""
        return pandas_index([table.schema for table in self.every])

    def fingerprint(self, columns: Sequence[str]) -> str:
        """Hash the files and the columns that are read."""
        return fingerprint.of_values(
            content=self.every[0].digest or fingerprint.of_files([table.path for table in self.every]),
            columns=[*columns, *self.divided_by],
        )


def open_source(source: str, how: Any, frame: Table | None = None) -> Found:
    """Open the tables of a source, or a frame in its place."""
    found = Found({"train": [frame]}) if frame is not None else Found(*open_splits(Path(source), how))
    if sum(table.n_rows for table in found.every) == 0:
        raise InputError("table-empty", "the table has no rows", found.where)
    return found


def _label(
    found: Found, wanted: str | None, trained: str | None = None, features: Collection[str] = frozenset()
) -> str:
    """Choose the label column, and say which one it is, first of all.

    That of a trained model is taken where it is there; what the model takes for a feature is no label.
    """
    apart = {*found.index, "split", *features}
    candidates = [
        name for name in found.schema.names if name not in apart and not is_rows(found.schema.field(name).type)
    ]
    if wanted is None and (trained in found.schema.names or not candidates):
        wanted = trained
    choice = choose_label(found.tables["train"], wanted, candidates)
    found.notes.insert(0, f"label: column {choice.name!r}, {choice.reason}")
    for group in found.tables.values():
        refuse_missing_labels(group, choice.name)
    return choice.name


def _load_columns(source: str, found: Found, label: str, wanted: str | None, options: Mapping[str, Any]) -> Dataset:
    """Read rows of numbers and categories; where nothing but one column of text is left, its texts."""
    wishes = Wishes.of(options)
    if wanted is not None:
        others = [name for name in found.schema.names if name not in (wanted, label)]
        wishes = replace(wishes, drop=wishes.drop | set(others), keep=wishes.keep | {wanted})
    splits = split_rows(found, label)
    tables, first, n = splits.get("train", (found.tables["train"], 0, 0))
    ignored = columns_beside(options, found.schema.names) + (["split"] if _ranges(found, label) else [])
    fit = partial(fit_encoding, tables, label, wishes, found.index, ignored=ignored)
    rows = slice(first, first + n)
    try:
        encoding, notes = fit(rows=rows)
    except InputError as error:
        apart = {*ignored, *found.index, *wishes.drop, label}
        if error.code != "columns-none" or (text := texts.only_text(tables, apart, rows)) is None:
            raise
        return _load_texts(source, found, (text, label), options)
    found.notes += notes
    dataset = _encoded(source, found, encoding, label, options)
    dataset = replace(dataset, parts=TableParts(splits, lambda rows: fit(rows=rows)[0], partial(anew, source)))
    return with_beside(dataset, splits, options)


def _load_vectors(source: str, found: Found, column: str, label: str, options: Mapping[str, Any]) -> Dataset:
    """Read rows that are one column of vectors or images; other columns are no part of them."""
    plan = make_plan(found.every, column, label)
    apart = (column, label, "split", *columns_beside(options, found.schema.names))
    others = [name for name in found.schema.names if name not in apart]
    notes = found.notes[1:]  # the label of a table of vectors has no rival
    notes += [f"left out: {listed(others)} (the rows are column {column!r})"] if others else []
    key = found.fingerprint([column, label])
    if plan.kind == "image":
        from straightedge.data.tables import images

        return images.load(source, found.tables, plan, key, notes, options)
    decode = partial(decode_rows, plan=plan)

    def rows(tables: Sequence[Table], n: int, first: int) -> TableRows:
        return TableRows(tables, [plan.column], decode, (n, *plan.shape), plan.dtype, first)

    return assemble(
        source,
        _parts(source, found, rows, label),
        fingerprint=key,
        classes=plan.classes,
        declared=options.get("classes"),
        notes=notes,
        features=plan.features,
        columns={"kind": "vector", "column": column} if plan.features is None else None,
    )


def _load_texts(source: str, found: Found, names: tuple[str, str], options: Mapping[str, Any]) -> Dataset:
    """Read rows that are the texts of one column."""
    splits = split_rows(found, names[1])
    apart = columns_beside(options, found.schema.names)
    return with_beside(texts.load_texts(source, found, splits, names, apart, options), splits, options)


def _load_pixels(source: str, found: Found, form: PixelForm, options: Mapping[str, Any]) -> Dataset:
    """Read a table of pixels as images."""
    return assemble(
        source,
        _parts(source, found, form.rows, form.label),
        fingerprint=found.fingerprint([*form.names, form.label]),
        declared=options.get("classes"),
        notes=[*found.notes, form.described()],
        columns=form.to_dict(),
    )


def _load_for_model(source: str, encoding: TableEncoding, options: Mapping[str, Any]) -> Dataset:
    """Read a table for a trained model: by its columns, whatever their order here."""
    found = open_source(source, text_read_for(encoding, options), options.get("frame"))
    label = _label(found, options.get("labels"), encoding.label, {column.name for column in encoding.used})
    found.notes += match_columns(found.every, encoding) + unlike_training(found.every, encoding)
    dataset = _encoded(source, found, encoding, label, options)
    splits = split_rows(found, label)
    dataset = replace(dataset, parts=TableParts(splits, lambda _: encoding, partial(anew, source)))
    return with_beside(dataset, splits, {"sample_weight": options.get("sample_weight")})


def _encoded(source: str, found: Found, encoding: TableEncoding, label: str, options: Mapping[str, Any]) -> Dataset:
    _refuse_other_columns(found.every, [column.name for column in encoding.used], label)
    return assemble(
        source,
        _parts(source, found, partial(encoded_rows, encoding), label, options.get("classes")),
        fingerprint=found.fingerprint([column.name for column in encoding.used] + [label]),
        classes=None,
        declared=options.get("classes"),
        notes=found.notes,
        columns=encoding.to_dict(),
    )


def _parts(source: str, found: Found, rows: Any, label: str, known: Sequence[Any] | None = None) -> dict[str, Part]:
    """Return rows and labels of each split, small ones in memory."""
    parts = {}
    for split, (group, first, n) in split_rows(found, label).items():
        y = coded_labels(group, label)[first : first + n]
        refuse_regression(y, group[0], label)
        y = y if known is None else without_dots(y, known)
        parts[split] = Part(in_memory(rows(group, n, first), f"{source} ({split})"), y)
    return parts


def in_memory(rows: TableRows, where: str) -> Any:
    """Read a small split whole; a large one stays on disk."""
    if rows.dtype.itemsize * int(np.prod(rows.shape)) > IN_MEMORY:
        return rows
    require_memory(
        rows.dtype.itemsize * math.prod(rows.shape), "to read the rows", where, "give fewer columns: --drop"
    )
    return checked_rows(rows.read(0, rows.shape[0]), where)


def _refuse_other_columns(tables: Sequence[Table], names: Sequence[str], label: str) -> None:
    """Refuse files of which one lacks a column of the first, or has text where that has numbers."""
    first = tables[0]
    for table in tables[1:]:
        for name in (*names, label):
            there = name in table.schema.names
            if not there or _is_text(table, name) != _is_text(first, name):
                what = f"column {name!r} differs from that of {first.path}"
                raise InputError("columns-differ", what, str(table.path))


def _is_text(table: Table, name: str) -> bool:
    return not is_plain_number(table.schema.field(name).type)


def split_rows(found: Found, label: str) -> dict[str, SplitRows]:
    """Return where the rows of each split are: in files of its own, or in a stretch of all files."""
    if ranges := _ranges(found, label):
        return ranges
    return {split: (group, 0, sum(t.n_rows for t in group)) for split, group in found.tables.items()}


def _ranges(found: Found, label: str) -> dict[str, SplitRows]:
    """Cut one table into splits by a column ``split`` whose equal values lie together; {} where it has none."""
    tables = found.tables["train"]
    if list(found.tables) != ["train"] or "split" not in tables[0].schema.names or label == "split":
        return {}
    words = read_labels(tables, "split")
    starts = [0, *(np.flatnonzero(words[1:] != words[:-1]) + 1).tolist(), len(words)]
    ranges: dict[str, SplitRows] = {}
    for start, stop in pairwise(starts):
        split = split_of_word(str(words[start]))
        if split is None or split in ranges:
            what = f"the split {words[start]!r} begins again" if split else f"{words[start]!r} is no split"
            mend = "sort the rows by split; splits are called train, validation and test"
            raise InputError("split-scattered", what, f"{tables[0].path}, row {start}", mend)
        ranges[split] = (tables, start, stop - start)
    return ranges


__all__ = ["Found", "Plan", "anew", "in_memory", "load", "open_source", "read_labels", "split_rows"]
