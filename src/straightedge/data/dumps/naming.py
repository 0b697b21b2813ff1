"""Which of several named arrays are rows, which are labels, and of which split: by name, else by shape."""

import math
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from straightedge.atomic import json_object
from straightedge.data.assemble import SPLITS, Part
from straightedge.data.checks import checked_rows
from straightedge.data.sparse_members import sparse_or_table
from straightedge.data.split_names import WORDS
from straightedge.errors import InputError
from straightedge.kinds import is_sparse

ROWS = (
    *("x", "features", "data", "images", "embeddings", "feature", "feats", "feat", "fea", "image", "embedding"),
    *("vectors", "activations", "representations", "samples", "inputs"),
)
LABELS = ("y", "labels", "target", "targets", "label", "gnd", "fine_labels", "ground_truth")
SPLIT_OF = WORDS | {"tr": "train", "te": "test"}
CLASS_KEYS = ("classes", "class_names", "target_names", "label_names", "list_classes")
MOST_NAMED = 12  # arrays that a message lists before it only counts
_WORDS = "|".join(sorted(SPLIT_OF, key=len, reverse=True))
_GLUED = re.compile(rf"^(?:([xy])({_WORDS})|({_WORDS})([xy]))$")


def role(name: str) -> tuple[str, str, int] | None:
    """Return (split, "rows" or "labels", rank of the name) of an array, or None for a name that says neither.

    ``X``, ``X_train``, ``train_images``, ``trainX``, ``ytr``, ``train_set_x``, ``test/labels`` and their kin are
    known; the rank is 0 for the first choice among several names.
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    words = [word for word in re.split(r"[^a-z0-9]+", spaced) if word and word != "set"]
    glued = _GLUED.match(words[0]) if len(words) == 1 else None
    if glued:
        words = [word for word in glued.groups() if word]
    splits = [SPLIT_OF[word] for word in words if word in SPLIT_OF]
    rest = "_".join(word for word in words if word not in SPLIT_OF)
    if len(splits) > 1 or (rest not in ROWS and rest not in LABELS):
        return None
    kind, names = ("rows", ROWS) if rest in ROWS else ("labels", LABELS)
    return (splits[0] if splits else "train"), kind, names.index(rest) + (0 if splits else len(names))


def named(names: Iterable[str], kind: str) -> list[str]:
    """Return those of some names that say that they are "rows", or "labels"."""
    return [name for name in names if (role(name) or ("", ""))[1] == kind]


def find_parts(members: Mapping[str, Any], where: str, code: str = "npz-keys") -> dict[str, Part]:
    """Pair rows with labels, by their names, else by their shapes where only one pairing is possible.

    Raises:
        InputError: ``code``, with the names and shapes of what was found.
    """
    best: dict[tuple[str, str], tuple[int, str]] = {}
    for name in members:
        found = role(name)
        if found is not None:
            split, kind, rank = found
            best[split, kind] = min(best.get((split, kind), (rank, name)), (rank, name))
    parts = {
        split: Part(members[best[split, "rows"][1]], members[best[split, "labels"][1]])
        for split in SPLITS
        if (split, "rows") in best and (split, "labels") in best
    }
    if not parts:
        parts = by_shape(members)
    if "train" not in parts:
        mend = f"say which: {suggested(members, where)}; or name them X and y, or X_train, y_train and so on"
        raise InputError(code, f"no rows with labels among the arrays {listing(members)}", where, mend)
    return parts


def by_shape(members: Mapping[str, Any]) -> dict[str, Part]:
    """Return rows and labels where one array alone is a table and one alone has an entry for each of its rows."""
    tables = [value for value in members.values() if is_table(value)]
    if len(tables) != 1:
        return {}
    columns = [value for value in members.values() if is_classes(value, tables[0].shape[0])]
    return {"train": Part(tables[0], column(columns[0]))} if len(columns) == 1 else {}


def is_table(value: Any) -> bool:
    """Whether a value is rows of several numbers."""
    dense = isinstance(value, np.ndarray) and value.ndim >= 2 and value.dtype.kind in "biuf"
    return is_sparse(value) or (dense and min(value.shape) > 1)


def is_classes(value: Any, length: int) -> bool:
    """Whether a value may be the labels of so many rows: (N,), (N, 1) or (1, N) without fractions, or a list."""
    if isinstance(value, list):
        return len(value) == length
    if not isinstance(value, np.ndarray) or not value.size == length == max(value.shape, default=0):
        return False
    return value.dtype.kind != "f" or not bool((value % 1 != 0).any())


def suggested(members: Mapping[str, Any], where: str) -> str:
    """Return the command that most likely reads a dump: its largest table, with labels of as many rows."""
    tables = [
        (value.shape[0] * math.prod(value.shape[1:]), name) for name, value in members.items() if is_table(value)
    ]
    rows = max(tables)[1] if tables else "ROWS"
    length = members[rows].shape[0] if tables else -1
    labels = [name for name, value in members.items() if name != rows and is_classes(value, length)]
    distinct = {name: len(np.unique(np.asarray(members[name]).astype(str))) for name in labels}
    chosen = min(labels, key=lambda name: (distinct[name], name), default="y.npy")
    if rows == "ROWS":
        return "--column ROWS --labels LABELS"
    return f"straightedge fit {shlex.quote(where)} --column {shlex.quote(rows)} --labels {shlex.quote(chosen)}"


def column(value: Any) -> Any:
    """Return labels as (N,), also where they are a row (1, N) as programs that count by columns write them."""
    row = isinstance(value, np.ndarray) and value.ndim == 2 and value.shape[0] == 1
    return value.reshape(-1) if row else value


def only_rows(members: Mapping[str, Any], where: str, asked: str | None = None) -> Any:
    """Return the rows asked for by name, those that bear the name of rows, or the only table there is."""
    tables = {name: value for name, value in members.items() if is_table(value) or name == asked}
    rows = named(tables, "rows")
    chosen = asked if asked in tables else next(iter(rows if len(rows) == 1 else tables), None)
    if chosen is None or (asked is None and len(rows) != 1 and len(tables) != 1):
        what = f"which of the arrays {listing(members)} holds the rows?"
        raise InputError("dump-contents", what, where, "name it: --column NAME")
    found: Any = tables[chosen]
    # a map stays one
    return found if is_sparse(found) or isinstance(found, np.ndarray) else np.asarray(found)


def rows_in(X: Any, where: str) -> Any:
    """Return rows, checked: those in compressed form stay so where a table of them would be large.

    Raises:
        InputError: The codes of `checked_rows` and `sparse_or_table`.
    """
    return sparse_or_table(X, where) if is_sparse(X) else checked_rows(X, where)


def extractor_in(members: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the description of the extractor that `write_features` keeps beside the arrays."""
    found = json_object(str(members.get("straightedge", ""))).get("features")
    return found if isinstance(found, dict) else None


def class_names(members: Mapping[str, Any]) -> list[Any] | None:
    """Return the class names that a dump brings along, or None."""
    found = next((members[key] for key in CLASS_KEYS if key in members), None)
    return None if found is None else list(np.asarray(found).reshape(-1).tolist())


def listing(members: Mapping[str, Any]) -> str:
    """Return the names and shapes of arrays, the first ones and a count; of one without a name its shape alone."""
    if list(members) == [""]:
        return described(members[""])
    shown = [f"{name!r}: {described(value)}" for name, value in sorted(members.items())[:MOST_NAMED]]
    more = len(members) - MOST_NAMED
    return "{" + ", ".join(shown) + (f", and {more} more" if more > 0 else "") + "}"


def described(value: Any) -> str:
    """Return the shape and type of an array, the length of a list."""
    if isinstance(value, np.ndarray) or is_sparse(value):
        return f"{'sparse ' if is_sparse(value) else ''}{value.shape} {value.dtype}"
    return f"list of {len(value)}" if isinstance(value, list | tuple) else type(value).__name__
