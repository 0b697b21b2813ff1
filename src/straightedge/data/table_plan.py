"""What the columns of a table mean: which make a row, which is the label, and how a batch becomes rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from straightedge.data.tables import Table, arrow
from straightedge.errors import InputError

ROW_COLUMNS = (
    "embedding",
    "embeddings",
    "features",
    "feature",
    "vector",
    "emb",
    "x",
    "image",
    "img",
    "pixels",
)
LABEL_COLUMNS = ("label", "labels", "y", "target", "class", "class_name", "category", "fine_label")


@dataclass(frozen=True)
class Plan:
    """What the columns of a table mean.

    Attributes:
        rows: Columns that make a row: one of lists or images, or several of numbers.
        label: Column of labels.
        kind: ``list``, ``numbers`` or ``image``.
        shape: Shape of one row (for images: unknown, empty).
        dtype: Type of the decoded entries.
        classes: Names from the schema's metadata, if it has them.
        features: Description of the extractor from the schema's metadata, if it has one.
    """

    rows: tuple[str, ...]
    label: str
    kind: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    classes: tuple[str, ...] | None = None
    features: dict[str, Any] | None = None


def make_plan(tables: Sequence[Table], column: str | None, label: str | None) -> Plan:
    """Choose the columns by name or by type, and check that all files have the same ones.

    Raises:
        InputError: ``table-empty``, ``column-missing``, ``column-kind``, ``columns-differ``.
    """
    schema, where = tables[0].schema, str(tables[0].path)
    if sum(table.n_rows for table in tables) == 0:
        raise InputError("table-empty", "the table has no rows", where)
    label = _label_column(schema, label, where)
    rows = _row_columns(schema, column, label, where)
    for table in tables:
        if any(
            name not in table.schema.names or table.schema.field(name).type != schema.field(name).type
            for name in (*rows, label)
        ):
            raise InputError("columns-differ", f"the columns differ from those of {where}", str(table.path))
    kind, shape, dtype = _row_kind(tables, rows, where)
    return Plan(
        rows, label, kind, shape, dtype, _class_names(schema, label), _own_metadata(schema).get("features")
    )


def _label_column(schema: Any, wanted: str | None, where: str) -> str:
    lower = {name.lower(): name for name in reversed(schema.names)}
    found = wanted if wanted in schema.names else next((lower[n] for n in LABEL_COLUMNS if n in lower), None)
    if found is None or (wanted is not None and found != wanted):
        raise InputError(
            "column-missing",
            f"there is no label column{f' {wanted!r}' if wanted else ''} among {schema.names}",
            where,
            "name it: --labels COLUMN",
        )
    return found


def _row_columns(schema: Any, wanted: str | None, label: str, where: str) -> tuple[str, ...]:
    if wanted is not None:
        if wanted not in schema.names:
            raise InputError("column-missing", f"there is no column {wanted!r} among {schema.names}", where)
        return (wanted,)
    others = [name for name in schema.names if name != label]
    vectors = [
        name for name in others if _is_vector(schema.field(name).type) or _is_image(schema.field(name).type)
    ]
    lower = {name.lower(): name for name in reversed(vectors)}
    named = next((lower[name] for name in ROW_COLUMNS if name in lower), None)
    if named is not None or len(vectors) == 1:
        return (named or vectors[0],)
    numbers = [name for name in others if is_number(schema.field(name).type)]
    if vectors or not numbers:
        raise InputError(
            "column-missing",
            f"no column of {schema.names} is clearly the features",
            where,
            "name it: --column NAME",
        )
    return tuple(numbers)


def is_number(kind: Any) -> bool:
    """Whether an Arrow type is a number or a boolean."""
    types = arrow("pyarrow.types")
    return bool(types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind))


def _is_vector(kind: Any) -> bool:
    types = arrow("pyarrow.types")
    if hasattr(kind, "storage_type"):
        return _is_vector(kind.storage_type)
    listed = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(listed) and is_number(kind.value_type)


def _is_image(kind: Any) -> bool:
    types = arrow("pyarrow.types")
    if types.is_struct(kind):
        return "bytes" in {kind.field(position).name for position in range(kind.num_fields)}
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _row_kind(
    tables: Sequence[Table], rows: Sequence[str], where: str
) -> tuple[str, tuple[int, ...], np.dtype[Any]]:
    kind = tables[0].schema.field(rows[0]).type
    if len(rows) > 1 or is_number(kind):
        return "numbers", (len(rows),), np.dtype(np.float64)
    if _is_image(kind):
        return "image", (), np.dtype(object)
    if not _is_vector(kind):
        raise InputError("column-kind", f"column {rows[0]!r} holds {kind}, neither vectors nor images", where)
    shape = tuple(getattr(kind, "shape", ()))  # Arrow's tensor type knows its shape
    storage = getattr(kind, "storage_type", kind)
    dtype = _entry_dtype(storage.value_type)
    return "list", shape or (_width(tables, rows[0], storage),), dtype


def _entry_dtype(kind: Any) -> np.dtype[Any]:
    if arrow("pyarrow.types").is_boolean(kind):
        return np.dtype(np.uint8)
    dtype: np.dtype[Any] = np.dtype(kind.to_pandas_dtype())
    return dtype


def _width(tables: Sequence[Table], column: str, kind: Any) -> int:
    if hasattr(kind, "list_size") and kind.list_size > 0:
        return int(kind.list_size)
    for table in tables:
        for piece, count in enumerate(table.counts):
            if count:
                first = next(iter(table.blocks(piece, [column], 1))).column(0)[0].as_py()
                return len(first) if first is not None else 0
    return 0


def _class_names(schema: Any, label: str) -> tuple[str, ...] | None:
    """Return class names that a Hugging Face data set, or this package, keeps in the schema's metadata."""
    own = _own_metadata(schema).get("classes")
    if own is not None:
        return tuple(own)
    try:
        info = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][label]
        names = info["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return tuple(names) if isinstance(names, list) else None


def _own_metadata(schema: Any) -> dict[str, Any]:
    try:
        found = json.loads((schema.metadata or {})[b"straightedge"])
    except (KeyError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def decode_rows(batch: Any, where: str, row: int, *, plan: Plan) -> np.ndarray:
    """Turn a record batch into rows."""
    if plan.kind == "numbers":
        for position, name in enumerate(plan.rows):
            _refuse_missing(batch.column(position), f"{where}, column {name}", row)
        columns = [
            batch.column(position).to_numpy(zero_copy_only=False) for position in range(len(plan.rows))
        ]
        return np.stack([column.astype(np.float64) for column in columns], axis=1)
    column = batch.column(0)
    column = getattr(column, "storage", column)
    _refuse_missing(column, f"{where}, column {plan.rows[0]}", row)
    width = int(np.prod(plan.shape))
    if not hasattr(column.type, "list_size"):
        lengths = np.diff(column.offsets.to_numpy())
        if (lengths != width).any():
            at = int(np.argmax(lengths != width))
            raise InputError(
                "rows-differ",
                f"a vector has {lengths[at]} entries, the first one {width}",
                f"{where}, row {row + at}",
            )
    values = column.flatten()
    if values.null_count:
        at = row + int(np.argmax(np.asarray(values.is_null()))) // max(1, width)
        raise InputError(
            "rows-missing", "a vector has a missing entry", f"{where}, row {at}", "fill or remove it"
        )
    entries: np.ndarray = values.to_numpy(zero_copy_only=False)
    return entries.astype(plan.dtype, copy=False).reshape(-1, *plan.shape)


def _refuse_missing(column: Any, where: str, row: int) -> None:
    if column.null_count:
        at = row + int(np.argmax(np.asarray(column.is_null())))
        raise InputError(
            "rows-missing", "a value is missing", f"{where}, row {at}", "fill or remove such rows"
        )
