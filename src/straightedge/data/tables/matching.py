"""New tables for a trained model: columns matched by name, and everything said that differs from training."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.data.checks import counted
from straightedge.data.label_values import listed
from straightedge.data.tables.dates import seconds_of
from straightedge.data.tables.encoding import Column, TableEncoding, as_floats
from straightedge.data.tables.facts import column_blocks
from straightedge.data.tables.files import Table, TableRows
from straightedge.data.tables.label_column import column_missing, plain_column
from straightedge.data.tables.opening import open_all, text_read
from straightedge.data.tables.pixels import PixelForm, form_for
from straightedge.data.tables.plan import decode_rows, make_plan, row_column
from straightedge.errors import InputError


def text_read_for(encoding: TableEncoding, options: Mapping[str, Any]) -> Any:
    """Return how the text of new tables is read: categories stay text, names are as they were in training."""
    texts = [column.name for column in encoding.used if column.kind != "number"]
    how = text_read(options, texts)
    if how.header is None:
        how = replace(how, header=encoding.header)
    return replace(how, names=None if encoding.header else tuple(n for n in encoding.names if n != encoding.label))


def match_columns(tables: Sequence[Table], encoding: TableEncoding) -> list[str]:
    """Return remarks on columns of new tables that training had not, or in another order.

    Raises:
        InputError: ``column-missing`` with the names of all that are missing.
    """
    notes: list[str] = []
    for table in tables:
        names = table.schema.names
        missing = [column.name for column in encoding.used if column.name not in names]
        if missing:
            what = f"there is no column {listed(missing)}, which the model was trained on"
            raise column_missing(what, names, table.path)
        notes += _differences(names, encoding)
    return list(dict.fromkeys(notes))


def _differences(names: Sequence[str], encoding: TableEncoding) -> list[str]:
    new = [name for name in names if name not in encoding.names]
    notes = [f"columns that the model does not know are ignored: {listed(new)}"] if new else []
    wanted = [column.name for column in encoding.used]
    here = [name for name in names if name in wanted]
    return notes + (["columns are in another order than in training: matched by name"] if here != wanted else [])


def encoded_rows(encoding: TableEncoding, tables: Sequence[Table], n: int, first: int = 0) -> TableRows:
    """Return rows of tables as features, read when they are needed."""
    names = [column.name for column in encoding.used]
    return TableRows(tables, names, encoding.transform, (n, encoding.width), np.dtype(np.float64), first)


def new_rows(path: Path, description: Mapping[str, Any], options: Mapping[str, Any]) -> tuple[TableRows, list[str]]:
    """Read new rows for a trained model; a label column need not be there.

    Raises:
        InputError: ``column-missing``, ``table-empty`` and the codes of the readers.
    """
    if description.get("kind") == "pixels":
        return _pixels(path, PixelForm.from_dict(description), options)
    encoding, tables, notes = _opened(path, description, options)
    n = sum(table.n_rows for table in tables)
    if n == 0:
        raise InputError("table-empty", "the table has no rows", str(path))
    if encoding is None:
        return _vectors(tables, description.get("column"), n), notes
    notes += match_columns(tables, encoding)
    return encoded_rows(encoding, tables, n), notes + unlike_training(tables, encoding)


def _opened(
    path: Path, description: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[TableEncoding | None, list[Table], list[str]]:
    """Return the encoding of a model of columns, the tables read as it asks, and remarks."""
    encoding = TableEncoding.from_dict(description) if description.get("kind") == "table" else None
    return encoding, *open_all(path, text_read_for(encoding, options) if encoding else text_read(options))


def _pixels(path: Path, form: PixelForm, options: Mapping[str, Any]) -> tuple[TableRows, list[str]]:
    """Return rows that are the pixels of images."""
    tables, notes = open_all(path, text_read({"header": form.header, **options}))
    found = form_for(form, tables[0].schema.names, form.label)
    return found.rows(tables, sum(table.n_rows for table in tables), 0), notes


def _vectors(tables: Sequence[Table], wanted: str | None, n: int) -> TableRows:
    """Return rows that are one column of vectors."""
    where = str(tables[0].path)
    column = row_column(tables[0].schema, wanted, None, where)
    plan = make_plan(tables, column, None) if column is not None else None
    if plan is None or plan.kind != "list":
        what = "the model was not fitted on the columns of a table, and here is no column of vectors"
        raise InputError("column-missing", what, where, "give rows in the form the model was fitted on")
    return TableRows(tables, [plan.column], partial(decode_rows, plan=plan), (n, *plan.shape), plan.dtype)


def unlike_training(tables: Sequence[Table], encoding: TableEncoding) -> list[str]:
    """Count values of new tables that training had not: categories, missing values, numbers beyond its range."""
    notes = []
    for column in encoding.used:
        where = f"{tables[0].path}, column {column.name!r}"
        new = _new_categories if column.kind == "category" else _new_numbers
        notes += new(column, encoding, column_blocks(tables, column.name)(), where)
    return notes


def _new_categories(column: Column, encoding: TableEncoding, blocks: Iterable[Any], where: str) -> list[str]:
    count = sum(int((encoding.codes(column, values, unknown=-2) == -2).sum()) for values in blocks)
    # which values are among the others is not known any more
    alone = " that training did not have, none of its features is set"
    why = ", rare in training or not in it, taken as other" if column.other else alone
    return [f"column {column.name!r}: {counted(count, 'value')}{why}"] if count else []


def _new_numbers(column: Column, encoding: TableEncoding, blocks: Iterable[Any], where: str) -> list[str]:
    beyond = missing = row = 0
    for values in blocks:
        if column.kind == "date":
            numbers = seconds_of(values, column.order, where, row)
        else:
            numbers = as_floats(values, where, row=row, loose=column.name in encoding.loose)
        beyond += int(((numbers < column.low) | (numbers > column.high)).sum())
        missing += int(np.isnan(numbers).sum())
        row += len(numbers)
    notes = [f"column {column.name!r}: {counted(beyond, 'value')} beyond those of training"] if beyond else []
    if missing and not column.indicator:
        notes.append(
            f"column {column.name!r}: {counted(missing, 'missing value')}, which training did not have: the mean"
        )
    return notes


ALL = "all"  # what stands for every column


def written_cells(
    path: Path, description: Mapping[str, Any], options: Mapping[str, Any], wanted: Sequence[str]
) -> dict[str, list[str]]:
    """Return columns of a table, ``all`` or some, as text to be written beside answers; a missing cell is empty.

    Raises:
        InputError: ``column-missing``.
    """
    _, tables, _ = _opened(path, description, options)
    names = tables[0].schema.names
    for name in wanted:
        if name not in names and tuple(wanted) != (ALL,):
            raise column_missing(f"there is no column {name!r}", names, path)
    kept = names if tuple(wanted) == (ALL,) else wanted
    return {
        name: ["" if value is None else str(value) for value in plain_column(tables, name).to_pylist()]
        for name in kept
    }
