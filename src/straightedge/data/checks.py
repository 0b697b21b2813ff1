"""What can be wrong between rows and splits though each row alone is fine: repeated rows, other ranges."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from straightedge.data.base import Split
from straightedge.errors import InputError, warn

LARGEST_HASHED = 2**30
"""Bytes of rows beyond which repeated rows are not looked for: the search would read the data once more."""


def repeated_rows(splits: Mapping[str, Split]) -> list[str]:
    """Look for the same row in train and test and for the same row under two labels.

    Args:
        splits: Splits with int64 labels.

    Returns:
        Remarks for the user, one a finding.
    """
    if not all(_can_hash(split.X) for split in splits.values()):
        return []
    keys = {name: row_hashes(split.X) for name, split in splits.items()}
    return [*_between_splits(keys), *_between_classes(keys, splits)]


def repeat_warning(remarks: Sequence[str]) -> None:
    """Warn for each remark that is about rows of train found again in a split that judges it."""
    for remark in remarks:
        if " also in train" in remark:
            warn("rows-in-train-and-test", remark)


def row_hashes(X: np.ndarray, block: int = 4096) -> np.ndarray:
    """Return one 16-byte BLAKE2b digest a row, as (N, 2) uint64."""
    digests = bytearray()
    for start in range(0, X.shape[0], block):
        rows = np.ascontiguousarray(X[start : start + block]).reshape(len(X[start : start + block]), -1)
        for row in rows.view(np.uint8).reshape(len(rows), -1):
            digests += hashlib.blake2b(row.data, digest_size=16).digest()
    return np.frombuffer(bytes(digests), dtype=np.uint64).reshape(-1, 2)


def _can_hash(X: Any) -> bool:
    return isinstance(X, np.ndarray) and X.dtype.kind in "biuf" and 0 < X.nbytes <= LARGEST_HASHED


def _joined(keys: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(keys).view("V16").reshape(-1)


def _between_splits(keys: Mapping[str, np.ndarray]) -> list[str]:
    train = {bytes(key) for key in _joined(keys["train"])}
    remarks = []
    for name in [name for name in keys if name != "train"]:
        count = sum(bytes(key) in train for key in _joined(keys[name]))
        if count:
            remarks.append(f"{count} of {len(keys[name])} rows of {name} are also in train")
    return remarks


def _between_classes(keys: Mapping[str, np.ndarray], splits: Mapping[str, Split]) -> list[str]:
    """Count distinct rows that carry more than one label, over all splits."""
    rows = np.concatenate(list(keys.values()))
    labels = np.concatenate([splits[name].y for name in keys]).astype(np.uint64)
    with_label = np.unique(np.column_stack([rows, labels]), axis=0)
    _, times = np.unique(with_label[:, :2], axis=0, return_counts=True)
    count = int((times > 1).sum())
    return [f"{count} rows appear under more than one class"] if count else []


def warn_on_ranges(splits: Mapping[str, Split], sample: int = 2000) -> None:
    """Warn when train looks like 0–255 and another split like 0–1, or the other way round.

    Args:
        splits: Splits by name.
        sample: Rows looked at, spread over each split.
    """
    tops = {name: _top(split.X, sample) for name, split in splits.items()}
    train = tops.get("train")
    for name, top in tops.items():
        if name == "train" or top is None or train is None:
            continue
        low, high = sorted((top, train))
        if 0 < low <= 1 and high > 1 and 64 <= high <= 255 and low * 32 < high:
            warn(
                "ranges-differ",
                f"values of train reach {train:g} but those of {name} reach {top:g}: "
                "is one of them scaled by 255?",
            )


def _top(X: Any, sample: int) -> float | None:
    """Return the largest value of some rows if none is negative, else None."""
    if not isinstance(X, np.ndarray) or X.dtype.kind not in "uif" or X.size == 0:
        return None
    rows = X[:: max(1, X.shape[0] // sample)]
    top, bottom = float(np.max(rows)), float(np.min(rows))
    return top if bottom >= 0 and np.isfinite(top) else None


def checked_rows(X: Any, where: str) -> Any:
    """Return rows as (N, D) features or (N, C, H, W) images, or say why they are neither.

    Grey uint8 images (N, H, W) get their channel; (N, H, W, 1 or 3) becomes (N, 1 or 3, H, W).

    Args:
        X: Array or memory map as read from a file.
        where: File and key for messages.

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
        raise InputError(
            "rows-shape", f"rows have shape {X.shape}", where, "give (N, D) features or (N, C, H, W) images"
        )
    if not X.dtype.isnative:
        X = X.astype(X.dtype.newbyteorder("="))
    refuse_not_finite(X, where)
    return X


def refuse_not_finite(X: np.ndarray, where: str, block: int = 8192, largest: int = 2**30) -> None:
    """Refuse NaN and ±Inf, naming row and column; arrays beyond `largest` bytes are left to the fit."""
    if X.dtype.kind != "f" or X.nbytes > largest:
        return
    for start in range(0, X.shape[0], block):
        rows = X[start : start + block].reshape(len(X[start : start + block]), -1)
        bad = ~np.isfinite(rows)
        if bad.any():
            row, column = (int(place[0]) for place in np.nonzero(bad))
            raise InputError(
                "rows-not-finite",
                f"the value {rows[row, column]} is not a number",
                f"{where}, row {start + row}, column {column}",
                "replace or remove such rows",
            )
