"""Checkpoints: the state of a fit in one file, and the fingerprints that say what it belongs to."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from straightedge import atomic
from straightedge.errors import InputError
from straightedge.tensorfile import read_tensors, write_tensors

if TYPE_CHECKING:
    from torch import Tensor

CHECKPOINT_FILE = "checkpoint.safetensors"
_VERSION = 1
_SHOWN = 5


def fingerprint(value: Any) -> str:
    """Return the SHA-256 hex digest of a value's JSON, keys in order: equal values, equal fingerprints."""
    plain = json.loads(atomic.to_json(value))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def write_checkpoint(
    folder: Path, tensors: dict[str, Tensor], meta: dict[str, Any], fingerprints: dict[str, Any]
) -> None:
    """Write the state of a fit; tensors, JSON and fingerprints are one file, so they cannot be torn apart."""
    whole = {"meta": meta, "fingerprints": fingerprints}
    write_tensors(folder / CHECKPOINT_FILE, tensors, kind="checkpoint", version=_VERSION, meta=whole)


def read_checkpoint(folder: Path, fingerprints: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Read the state back, if there is one and it belongs to the same data, settings, classes and code.

    Args:
        folder: Where the checkpoint is.
        fingerprints: What the run is now, by name; values are JSON.

    Returns:
        The tensors and the meta object of `write_checkpoint`, or None if there is no checkpoint.

    Raises:
        InputError: ``resume-differs`` with what differs; the codes of `read_tensors` for a broken file.
    """
    path = folder / CHECKPOINT_FILE
    if not path.exists():
        return None
    tensors, whole = read_tensors(path, kind="checkpoint", version=_VERSION)
    found = differences(whole.get("fingerprints", {}), json.loads(atomic.to_json(fingerprints)))
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        what = "the run cannot go on, it was started with something else: " + "; ".join(found[:_SHOWN]) + more
        mend = "give the data and settings it was started with, or start again with --overwrite"
        raise InputError("resume-differs", what, where=str(path), mend=mend)
    return tensors, dict(whole.get("meta", {}))


def differences(before: Any, now: Any, name: str = "") -> list[str]:
    """Return what differs between two JSON values, a line each, with its place.

    Args:
        before: What the checkpoint was written with.
        now: What is there now.
        name: Place of both inside the whole.

    Returns:
        Lines such as ``config.reg: 0.01, now 0.1``; empty when they are equal.
    """
    if isinstance(before, dict) and isinstance(now, dict):
        keys = sorted(set(before) | set(now))
        parts = (differences(before.get(key), now.get(key), f"{name}.{key}" if name else key) for key in keys)
        return [line for part in parts for line in part]
    return [] if before == now else [f"{name}: {_short(before)}, now {_short(now)}"]


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:16]}…"
