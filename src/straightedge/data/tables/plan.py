"""Tables whose rows are one column: vectors or images."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from straightedge.atomic import json_object
from straightedge.data.tables.files import Table, arrow
from straightedge.data.tables.label_column import first_named, is_plain_number, is_text
from straightedge.errors import InputError

ROW_COLUMNS = (
    *("embedding", "embeddings", "features", "feature", "vector", "emb", "x"),
    *("image", "img", "pixels"),
)
"""Names of columns of vectors or images, lower case, in the order in which they are taken."""


@dataclass(frozen=True)
class Plan:
    """Rows that are one column of a table.

    Attributes:
        column: The column that makes a row: vectors or images.
        label: Column of labels.
        kind: ``list`` or ``image``.
        shape: Shape of one row (for images: unknown, empty).
        dtype: Type of the decoded entries.
        classes: Names from the schema's metadata, if it has them.
        features: Description of the extractor from the schema's metadata, if it has one.
        lists: Lengths of a row's lists, the outer one first: one for a vector, several for lists of lists.
    """

    column: str
    label: str
    kind: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    classes: tuple[str, ...] | None = None
    features: dict[str, Any] | None = None
    lists: tuple[int, ...] = ()


def row_column(schema: Any, wanted: str | None, label: str | None, where: str) -> str | None:
    """Return the one column of vectors or images that makes the rows, or None where columns of values do.

    Raises:
        InputError: ``column-missing``; ``column-kind`` for a column of something else.
    """
    if wanted is not None:
        if wanted not in schema.names:
            raise InputError("column-missing", f"there is no column {wanted!r} among {schema.names}", where)
        kind = schema.field(wanted).type
        if is_rows(kind):
            return wanted
        if not (is_text(kind) or is_plain_number(kind)):
            what = f"column {wanted!r} holds {kind}, neither vectors nor images"
            raise InputError("column-kind", what, where)
        return None
    found = [name for name in schema.names if name != label and is_rows(schema.field(name).type)]
    flat = [name for name in found if not is_nested(schema.field(name).type)]
    named = first_named(ROW_COLUMNS, found)
    found = flat or found
    if named is None and len(found) > 1:
        what = f"no column of {schema.names} is clearly the features"
        raise InputError("column-missing", what, where, "name it: --column NAME")
    return named or (found[0] if found else None)


def is_rows(kind: Any) -> bool:
    """Whether each value of an Arrow type is a row: a vector or an image."""
    return _is_vector(kind) or _is_image(kind)


def make_plan(tables: Sequence[Table], column: str, label: str | None) -> Plan:
    """Describe rows that are one column of vectors or images, and check that all files have the same.

    Raises:
        InputError: ``columns-differ``, ``rows-differ`` for vectors without entries.
    """
    schema, where = tables[0].schema, str(tables[0].path)
    for table in tables:
        if any(
            name not in table.schema.names or table.schema.field(name).type != schema.field(name).type
            for name in (column, label)
            if name is not None
        ):
            raise InputError("columns-differ", f"the columns differ from those of {where}", str(table.path))
    kind, shape, dtype, lists = _row_kind(tables, column)
    if 0 in shape:
        raise InputError("rows-differ", f"the vectors of column {column!r} have no entries", where)
    classes = class_names(schema, label) if label is not None else None
    return Plan(column, label or "", kind, shape, dtype, classes, own_metadata(schema).get("features"), lists)


def is_nested(kind: Any) -> bool:
    """Whether each value of an Arrow type is a list of lists, as an array of several axes is kept."""
    kind = getattr(kind, "storage_type", kind)
    return _is_list(kind) and _is_list(kind.value_type)


def _is_vector(kind: Any) -> bool:
    kind = getattr(kind, "storage_type", kind)
    return _is_list(kind) and is_plain_number(_entry_kind(kind))


def _is_list(kind: Any) -> bool:
    types = arrow("pyarrow.types")
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _entry_kind(kind: Any) -> Any:
    """Return the type of what lies inside all lists."""
    while _is_list(kind):
        kind = kind.value_type
    return kind


def _is_image(kind: Any) -> bool:
    types = arrow("pyarrow.types")
    if types.is_struct(kind):
        return "bytes" in {kind.field(position).name for position in range(kind.num_fields)}
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _row_kind(tables: Sequence[Table], column: str) -> tuple[str, tuple[int, ...], np.dtype[Any], tuple[int, ...]]:
    kind = tables[0].schema.field(column).type
    if _is_image(kind):
        return "image", (), np.dtype(object), ()
    shape = tuple(getattr(kind, "shape", ()))  # Arrow's tensor type knows its shape
    storage = getattr(kind, "storage_type", kind)
    lists = _lengths(tables, column, storage)
    if len(shape) != 3 or len(lists) > 1:  # features, unless it is a tensor of channels, height and width
        shape = (int(np.prod(lists)),)
    return "list", shape, _entry_dtype(_entry_kind(storage)), lists


def _entry_dtype(kind: Any) -> np.dtype[Any]:
    """Return NumPy's type for entries of an Arrow type; Arrow's own answer would ask for pandas."""
    if arrow("pyarrow.types").is_boolean(kind):
        return np.dtype(np.uint8)
    return np.dtype({"halffloat": "float16", "float": "float32", "double": "float64"}.get(str(kind), str(kind)))


def _lengths(tables: Sequence[Table], column: str, kind: Any) -> tuple[int, ...]:
    """Return the lengths of the first row's lists, the outer one first."""
    if hasattr(kind, "list_size") and not _is_list(kind.value_type):
        return (int(kind.list_size),)
    firsts = (
        next(iter(table.blocks(piece, [column], 1))).column(0)[0].as_py()
        for table in tables
        for piece, count in enumerate(table.counts)
        if count
    )
    value, found = next(firsts, None), []
    while _is_list(kind):
        found.append(int(getattr(kind, "list_size", len(value or ()))))
        value, kind = value[0] if value else None, kind.value_type
    return tuple(found)


def class_names(schema: Any, label: str) -> tuple[str, ...] | None:
    """Return class names that a Hugging Face data set, or this package, keeps in the schema's metadata."""
    own = own_metadata(schema).get("classes")
    if own is not None:
        return tuple(own)
    try:
        info = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][label]
        names = info["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return tuple(names) if isinstance(names, list) else None


def own_metadata(schema: Any) -> dict[str, Any]:
    """Return what this package keeps in a schema's metadata."""
    return json_object((schema.metadata or {}).get(b"straightedge", b""))


def decode_rows(batch: Any, where: str, row: int, *, plan: Plan) -> np.ndarray:
    """Turn a record batch of one column of vectors into rows."""
    column = batch.column(0)
    column = getattr(column, "storage", column)
    where = f"{where}, column {plan.column}"
    _refuse_missing(column, where, row)
    values, inside = column, 1
    for length in plan.lists:
        _refuse_lengths(values, length, inside, where, row)
        values, inside = values.flatten(), inside * max(1, length)
        if values.null_count:
            at = row + int(np.argmax(np.asarray(values.is_null()))) // inside
            what = "a vector has a missing entry"
            raise InputError("rows-missing", what, f"{where}, row {at}", "fill or remove it")
    entries: np.ndarray = values.to_numpy(zero_copy_only=False)
    return entries.astype(plan.dtype, copy=False).reshape(-1, *plan.shape)


def _refuse_lengths(lists: Any, length: int, inside: int, where: str, row: int) -> None:
    """Refuse lists that are not as long as those of the first row; `inside` of them are in each row."""
    if hasattr(lists.type, "list_size"):
        return
    lengths = np.diff(lists.offsets.to_numpy())
    if (lengths != length).any():
        at = int(np.argmax(lengths != length))
        what = "a vector has" if inside == 1 else "a list inside has"
        what = f"{what} {lengths[at]} entries, the first one {length}"
        mend = "give all rows one shape, or name another column: --column NAME"
        raise InputError("rows-differ", what, f"{where}, row {row + at // inside}", mend)


def _refuse_missing(column: Any, where: str, row: int) -> None:
    if column.null_count:
        at = row + int(np.argmax(np.asarray(column.is_null())))
        raise InputError("rows-missing", "a value is missing", f"{where}, row {at}", "fill or remove such rows")
