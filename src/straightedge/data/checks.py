"""What can be wrong between rows and splits though each row alone is fine: repeated rows, other ranges."""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from straightedge.data.base import Split
from straightedge.disk import row_reader
from straightedge.errors import InputError, warn

RANGE_ROWS = 2000  # rows of a split whose largest value is compared with that of the others
LARGEST_HASHED = 2**29
"""Bytes of rows beyond which repeated rows are not looked for: the search would read the data once more."""


def repeated_rows(splits: Mapping[str, Split]) -> list[str]:
    """Return remarks on rows that are in train and test, and on rows under two labels, one a finding."""
    if not all(_can_hash(split.X) for split in splits.values()):
        return []
    if len({hasattr(split.X, "indptr") for split in splits.values()}) > 1:
        return []  # the rows of one split are a table, those of another are sparse
    ids = row_identities({name: split.X for name, split in splits.items()})
    noun = "image" if splits["train"].X.ndim == 4 else "row"
    return repeats(ids, {name: split.y for name, split in splits.items()}, noun)


def repeats(ids: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray], noun: str) -> list[str]:
    """Return remarks on rows of train that are in another split, and on rows of several labels.

    Args:
        ids: Split -> (N,) whole numbers that are equal where rows are.
        labels: Split -> (N,) whole numbers.
        noun: What a row is.
    """
    return [*_between_splits(ids, noun), *_between_classes(ids, labels, noun)]


def repeat_warning(remarks: Sequence[str]) -> None:
    """Warn for each remark that is about rows of train found again in a split that judges it."""
    for remark in remarks:
        if " also in train" in remark:
            warn("rows-in-train-and-test", remark)


def row_hashes(X: np.ndarray, block: int = 4096) -> np.ndarray:
    """Return one 16-byte BLAKE2b digest a row, as (N, 2) uint64."""
    if hasattr(X, "indptr"):
        return _sparse_hashes(X)
    digests, read = bytearray(), row_reader(X)
    for start in range(0, X.shape[0], block):
        part = read(start, min(start + block, X.shape[0]))
        rows = np.ascontiguousarray(part).reshape(len(part), -1)
        for row in rows.view(np.uint8).reshape(len(rows), -1):
            digests += hashlib.blake2b(row.data, digest_size=16).digest()
    return np.frombuffer(bytes(digests), dtype=np.uint64).reshape(-1, 2)


def _sparse_hashes(X: Any) -> np.ndarray:
    """Return the digests of sparse rows in canonical form: of their columns and entries."""
    digests = bytearray()
    for start, end in itertools.pairwise(X.indptr.tolist()):
        digest = hashlib.blake2b(np.ascontiguousarray(X.indices[start:end]).data, digest_size=16)
        digest.update(np.ascontiguousarray(X.data[start:end]).data)
        digests += digest.digest()
    return np.frombuffer(bytes(digests), dtype=np.uint64).reshape(-1, 2)


def _can_hash(X: Any) -> bool:
    if hasattr(X, "indptr"):
        return bool(X.shape[0] and X.data.nbytes <= LARGEST_HASHED)
    return isinstance(X, np.ndarray) and X.dtype.kind in "biuf" and 0 < X.nbytes <= LARGEST_HASHED


def row_identities(parts: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return whole numbers, (N,) for each part, that are equal where rows are equal."""
    keys = np.concatenate([row_hashes(X) for X in parts.values()])
    order = np.argsort(keys[:, 0], kind="stable")  # equal rows come together by the first 64 bits alone
    begins = np.ones(len(keys), dtype=np.int64)
    begins[1:] = (keys[order[1:]] != keys[order[:-1]]).any(axis=1)
    ids = np.empty(len(keys), dtype=np.int64)
    ids[order] = np.cumsum(begins) - 1
    ends = np.cumsum([X.shape[0] for X in parts.values()])[:-1]
    return dict(zip(parts, np.split(ids, ends), strict=True))


def _between_splits(ids: Mapping[str, np.ndarray], noun: str) -> list[str]:
    remarks = []
    for name in [name for name in ids if name != "train"]:
        count = int(np.isin(ids[name], ids["train"]).sum())
        if count:
            verb = "is" if count == 1 else "are"
            remarks.append(f"{counted(count, noun)} of {name}, out of {len(ids[name])}, {verb} also in train")
    return remarks


def _between_classes(ids: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray], noun: str) -> list[str]:
    """Count distinct rows that carry more than one label, over all splits."""
    y = np.concatenate([labels[name] for name in ids])
    n_classes = int(y.max()) + 1 if len(y) else 1
    pairs = np.unique(np.concatenate(list(ids.values())) * n_classes + y)
    count = int((np.bincount(pairs // n_classes) > 1).sum())
    verb = "appears" if count == 1 else "appear"
    return [f"{counted(count, noun)} {verb} under more than one class"] if count else []


def counted(n: int, noun: str) -> str:
    """Return a count with its noun, such as ``1 image`` or ``3 images``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def warn_on_ranges(splits: Mapping[str, Split]) -> None:
    """Warn when train looks like 0–255 and another split like 0–1, or the other way round."""
    tops = {name: _top(split.X) for name, split in splits.items()}
    train = tops.get("train")
    for name, top in tops.items():
        if name == "train" or top is None or train is None:
            continue
        low, high = sorted((top, train))
        if 0 < low <= 1 and high > 1 and 64 <= high <= 255 and low * 32 < high:
            warn(
                "ranges-differ",
                f"values of train reach {train:g} but those of {name} reach {top:g}: is one of them scaled by 255?",
            )


def _top(X: Any) -> float | None:
    """Return the largest value of `RANGE_ROWS` rows, spread over all, if none is negative, else None."""
    if not isinstance(X, np.ndarray) or X.dtype.kind not in "uif" or X.size == 0:
        return None
    read, step = row_reader(X), max(1, len(X) // RANGE_ROWS)
    rows = np.concatenate([read(row, row + 1) for row in range(0, len(X), step)])
    top, bottom = float(np.max(rows)), float(np.min(rows))
    return top if bottom >= 0 and np.isfinite(top) else None


def checked_rows(X: Any, where: str) -> Any:
    """Return rows as (N, D) features or (N, C, H, W) images, or say why they are neither.

    Grey uint8 images (N, H, W) get their channel; (N, H, W, 1 or 3) becomes (N, 1 or 3, H, W).

    Raises:
        InputError: ``rows-kind``, ``rows-shape``, ``rows-not-finite`` with row and column.
    """
    if X.dtype.kind not in "biuf":
        raise InputError("rows-kind", f"rows are of type {X.dtype}", where, "give real numbers")
    if X.dtype.kind == "b":
        X = X.astype(np.uint8)
    if X.ndim == 3 and X.dtype == np.uint8:
        X = X[:, None]
    elif X.ndim == 4 and X.shape[3] in (1, 3) and X.shape[1] not in (1, 3):
        X = np.ascontiguousarray(X.transpose(0, 3, 1, 2))
    if X.ndim not in (2, 4) or 0 in X.shape[1:]:
        what = f"rows have shape {X.shape}"
        raise InputError("rows-shape", what, where, "give (N, D) features or (N, C, H, W) images")
    if not X.dtype.isnative:
        X = X.astype(X.dtype.newbyteorder("="))
    refuse_not_finite(X, where)
    return X


def refuse_not_finite(X: np.ndarray, where: str, block: int = 8192, largest: int = 2**28) -> None:
    """Refuse NaN and ±Inf, naming row and column; arrays beyond `largest` bytes are left to the fit."""
    if X.dtype.kind != "f" or X.nbytes > largest:
        return
    read = row_reader(X)
    for start in range(0, X.shape[0], block):
        part = read(start, min(start + block, X.shape[0]))
        rows = part.reshape(len(part), -1)
        bad = ~np.isfinite(rows)
        if bad.any():
            row, column = (int(place[0]) for place in np.nonzero(bad))
            what = f"the value {rows[row, column]} is not a number"
            mend = "replace or remove such rows"
            raise InputError("rows-not-finite", what, f"{where}, row {start + row}, column {column}", mend)
