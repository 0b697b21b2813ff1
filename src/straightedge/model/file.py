"""What a model's file holds: tensors by name and a flat table of facts, as every version has written them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from straightedge.model.arrays import MapArrays
from straightedge.tensorfile import Stored

if TYPE_CHECKING:
    from torch import Tensor

STATE_PREFIX = "extractor."  # prefix of the tensors that an extractor has learned
NUMBERS = ("reg", "objective", "dual", "gap")
WORDS = ("loss", "status", "bias_mode", "input_dtype", "features")
SINCE_THE_FIRST_VERSION = (*WORDS, *NUMBERS, "classes", "input_shape", "temperature", "versions")
ADDED_LATER = ("columns", "threshold", "multilabel")  # facts that files of earlier versions do not have


def tensors_of(model: Any) -> dict[str, Tensor | np.ndarray]:
    """Return the numbers of a `LinearModel` by their names in a file."""
    arrays = model.arrays
    tensors = {"weight": arrays.weight, "bias": arrays.bias}
    if arrays.affine is not None:
        tensors |= {"affine.shift": arrays.affine.shift, "affine.scale": arrays.affine.scale}
    return tensors | {STATE_PREFIX + name: tensor for name, tensor in (model.extractor_state or {}).items()}


def facts_of(model: Any) -> dict[str, Any]:
    """Return the table of facts of a `LinearModel`."""
    facts = {name: getattr(model, name) for name in (*SINCE_THE_FIRST_VERSION, *ADDED_LATER)}
    return facts | {"affine_kind": model.arrays.affine.kind if model.arrays.affine else None}


def arguments_of(stored: Mapping[str, Stored], facts: dict[str, Any]) -> dict[str, Any]:
    """Turn what a file holds into the arguments of `LinearModel`.

    Raises:
        KeyError, TypeError, ValueError: For a table in which something is missing or of another kind.
    """
    found = {name: facts[name] for name in WORDS} | {"columns": facts.get("columns")}
    found |= {name: math.nan if facts[name] is None else float(facts[name]) for name in NUMBERS}
    found |= {"classes": tuple(str(name) for name in facts["classes"]), "versions": dict(facts["versions"])}
    found |= {"input_shape": tuple(int(size) for size in facts["input_shape"])}
    found |= {"temperature": _number(facts["temperature"]), "threshold": _number(facts.get("threshold"))}
    found |= {"multilabel": bool(facts.get("multilabel", False))}
    found |= {"weight": stored["weight"].array(), "bias": stored["bias"].array()}
    if facts["affine_kind"] is not None:
        shift, scale = stored["affine.shift"].array(), stored["affine.scale"].array()
        found |= {"affine": MapArrays(shift, scale, str(facts["affine_kind"]))}
    learned = {name[len(STATE_PREFIX) :]: one for name, one in stored.items() if name.startswith(STATE_PREFIX)}
    return found | {"extractor_state": {name: one.tensor() for name, one in learned.items()} or None}


def _number(fact: Any) -> float | None:
    return None if fact is None else float(fact)
