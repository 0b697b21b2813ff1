"""Which column of a table is the label: named by the user, by its own name, or the only one that can be it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from straightedge.data.label_values import CodedLabels
from straightedge.data.tables.files import Table, arrow
from straightedge.errors import InputError

LABEL_COLUMNS = ("label", "labels", "target", "class", "y", "species", "category", "outcome")
"""Names of label columns, lower case, in the order in which they are looked for."""
OTHER_NAMES = ("class_name", "fine_label")
MOST_CLASSES, ROWS_A_CLASS = 100, 10
"""A column may be the label unasked if it has at most so many values, and at least so many rows for each."""
LISTED = 40  # columns that a message lists


@dataclass(frozen=True)
class LabelChoice:
    """A label column and why it is the one.

    Attributes:
        name: Its name.
        reason: For people.
    """

    name: str
    reason: str


def choose_label(tables: Sequence[Table], wanted: str | None, candidates: Sequence[str]) -> LabelChoice:
    """Choose the label column.

    Args:
        tables: Files with the same columns.
        wanted: Name, or position counted from 1 (−1 is the last), or None.
        candidates: Columns that may be the label. One with missing values has to be named.

    Raises:
        InputError: ``column-missing`` with the columns and their kinds.
    """
    names = tables[0].schema.names
    if wanted is not None:
        return LabelChoice(_named(tables[0], wanted), "as named")
    named = first_named(LABEL_COLUMNS + OTHER_NAMES, candidates)
    if named is not None:
        return LabelChoice(named, "by its name")
    texts = [name for name in candidates if is_text(tables[0].schema.field(name).type)]
    if len(texts) == 1 and len(candidates) > 1 and _is_of_classes(tables, texts[0]):
        return LabelChoice(texts[0], "the only column that is not numeric")
    ends = [name for name in dict.fromkeys((names[0], names[-1])) if name in candidates]
    few = [name for name in ends if _has_few_values(tables, name)]
    if len(few) == 2 and sum(name in texts for name in few) == 1:
        few = [name for name in few if name in texts]
    if len(few) == 2:
        few = [name for name in few if _counts_classes(tables, name)]
    if len(few) == 1 and len(candidates) > 1:
        place = "first" if few[0] == names[0] else "last"
        return LabelChoice(few[0], f"the {place} column, which has few distinct values")
    raise _unknown(tables[0], "which column is the label?")


def _named(table: Table, wanted: str) -> str:
    names: list[str] = table.schema.names
    if wanted in names:
        return wanted
    if re.fullmatch(r"-?\d+", wanted) and table.header:
        position = int(wanted)
        if 1 <= position <= len(names) or -len(names) <= position <= -1:
            return names[position - 1 if position > 0 else position]
    if re.fullmatch(r"-\d+", wanted) and -len(names) <= int(wanted):
        return names[int(wanted)]
    raise _unknown(table, f"there is no label column {wanted!r};")


def _unknown(table: Table, what: str) -> InputError:
    mend = "name it: --labels COLUMN, or its position: --labels -1 is the last"
    return InputError("column-missing", f"{what} {_columns_and_kinds(table)}", str(table.path), mend)


def _columns_and_kinds(table: Table) -> str:
    """Return a phrase that lists the columns of a table with their kinds."""
    listed = ", ".join(f"{name} ({table.schema.field(name).type})" for name in table.schema.names[:LISTED])
    more = len(table.schema.names) - LISTED
    return f"the columns are {listed}" + (f" and {more} more" if more > 0 else "")


def missing_rows(tables: Sequence[Table], name: str) -> tuple[int, int]:
    """Return how many rows have no value in a column, and the first of them (−1 where there is none)."""
    compute = arrow("pyarrow.compute")
    missing = compute.is_null(plain_column(tables, name), nan_is_null=True)
    return int(compute.sum(missing).as_py() or 0), int(compute.index(missing, True).as_py())


def refuse_missing_labels(tables: Sequence[Table], name: str) -> None:
    """Refuse a label column without a value in some row."""
    count, row = missing_rows(tables, name)
    if not count:
        return
    rows = "1 row has" if count == 1 else f"{count} rows have"
    what = f"{rows} no value in the label column {name!r}; {_columns_and_kinds(tables[0])}"
    mend = "fill or remove such rows, or name another column: --labels COLUMN"
    raise InputError("labels-missing", what, f"{tables[0].path}, row {row}", mend)


def without_dots(y: np.ndarray | CodedLabels, classes: Sequence[Any]) -> np.ndarray | CodedLabels:
    """Return labels without the dot that ends each of them, as in adult.test, where known classes are left."""
    if isinstance(y, CodedLabels):
        return CodedLabels(np.asarray(without_dots(y.values, classes)), y.codes)
    known, written = {str(name) for name in classes}, {str(label) for label in np.unique(y.astype(str))}
    if not all(label.endswith(".") and label not in known and label[:-1] in known for label in written):
        return y
    return np.array([str(label)[:-1] for label in y], dtype=object)


def _is_of_classes(tables: Sequence[Table], name: str) -> bool:
    """Whether a column of texts has a value in every row, and hardly as many values as rows, as sentences have."""
    if missing_rows(tables, name)[0]:
        return False
    values = plain_column(tables, name)
    return int(arrow("pyarrow.compute").count_distinct(values).as_py()) <= len(values) / 2


def _has_few_values(tables: Sequence[Table], name: str) -> bool:
    n = sum(table.n_rows for table in tables)
    pa, compute = arrow(), arrow("pyarrow.compute")
    kind = tables[0].schema.field(name).type
    if not (is_text(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        return False
    if missing_rows(tables, name)[0]:
        return False
    found = compute.count_distinct(plain_column(tables, name)).as_py()
    return bool(2 <= found <= min(MOST_CLASSES, max(2, n // ROWS_A_CLASS)))


def _counts_classes(tables: Sequence[Table], name: str) -> bool:
    """Whether the values of a column are 0 … K − 1 without a gap, as numbers of classes are."""
    if not arrow("pyarrow.types").is_integer(tables[0].schema.field(name).type):
        return False
    found = sorted(arrow("pyarrow.compute").unique(plain_column(tables, name)).to_pylist())
    return bool(found == list(range(len(found))))


def first_named(words: Iterable[str], names: Sequence[str]) -> str | None:
    """Return the name that is the first of some words, whatever its case; None where none is."""
    lower = {name.strip().lower(): name for name in reversed(names)}
    return next((lower[word] for word in words if word in lower), None)


def column_missing(what: str, names: Sequence[str], where: object) -> InputError:
    """Return the error for a column that there is not, which lists those that there are."""
    return InputError("column-missing", what, str(where), f"columns here: {', '.join(list(names)[:LISTED])}")


def is_text(kind: Any) -> bool:
    """Whether an Arrow type is text, or categories that are text."""
    types = arrow("pyarrow.types")
    if types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def is_plain_number(kind: Any) -> bool:
    """Whether an Arrow type is a number or a boolean."""
    types = arrow("pyarrow.types")
    plain = types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind)
    return bool(plain or types.is_decimal(kind) or types.is_null(kind))


def plain_column(tables: Sequence[Table], name: str) -> Any:
    """Return one column of all files as one Arrow array without a dictionary."""
    pa = arrow()
    columns = [table.column(name) for table in tables]
    columns = [plain_values(column) for column in columns]
    return pa.chunked_array([chunk for column in columns for chunk in column.chunks], columns[0].type)


def plain_values(values: Any) -> Any:
    """Return an Arrow array without a dictionary."""
    return values.cast(values.type.value_type) if arrow("pyarrow.types").is_dictionary(values.type) else values


def plain_type(table: Table, name: str) -> Any:
    """Return the Arrow type of a column, of categories that of their values."""
    kind = table.schema.field(name).type
    return kind.value_type if arrow("pyarrow.types").is_dictionary(kind) else kind
