"""The two records of a `LinearModel`: what was solved and how well, and what its rows are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from straightedge.nested import Held

if TYPE_CHECKING:
    from torch import Tensor


def class_values(names: Sequence[str]) -> np.ndarray:
    """Return class names (C,) as labels: int64 where every name is a plain whole number, else text."""
    try:
        numbers = [int(name) for name in names]
        whole = all(str(number) == name for number, name in zip(numbers, names, strict=True))
        return np.array(numbers if whole else names, dtype=np.int64 if whole else None)
    except (ValueError, OverflowError):
        return np.array(names)


@dataclass(frozen=True)
class Proof:
    """What was minimised, and how near the optimum the weights are.

    Attributes:
        loss: Name of the loss (``softmax``, ``svm``, ...).
        reg: Regularisation strength of the objective.
        bias_mode: ``penalized`` or ``free``.
        objective: P(W) at the end of the fit.
        dual: Best dual value: no W has an objective below it.
        gap: Relative duality gap, (objective − dual) / objective.
        status: Why the fit ended.
        multilabel: Whether a row may have several classes or none: C two-class problems, whose objectives add
            up. Each score is then one against no such class, and names it from 0 on.
        versions: Versions of the software that fitted it.
    """

    loss: str = "softmax"
    reg: float = 0.0
    bias_mode: str = "penalized"
    objective: float = math.nan
    dual: float = math.nan
    gap: float = math.nan
    status: str = ""
    multilabel: bool = False
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class InputFormat:
    """What the rows are that a model takes, and how they become features.

    Attributes:
        input_shape: Shape of one raw sample, such as (3, 32, 32) or (D,); with an extractor, of one image.
        input_dtype: ``uint8`` (pixels 0 to 255) or ``float32``.
        columns: What a table's columns became, as plain data, or None where rows are no table's.
        features: The extractor's description, or None when rows go to the classifier as they are.
        extractor_state: What the extractor learned, by name.
    """

    input_shape: tuple[int, ...] = ()
    input_dtype: str = "float32"
    columns: dict[str, Any] | None = None
    features: dict[str, Any] | None = None
    extractor_state: dict[str, Tensor] | None = None


RECORDS: dict[str, type] = {"proof": Proof, "input": InputFormat}


class RecordedFacts:
    """Every fact of the two records, as an attribute of the model itself."""

    loss = Held[str]("proof")
    reg = Held[float]("proof")
    bias_mode = Held[str]("proof")
    objective = Held[float]("proof")
    dual = Held[float]("proof")
    gap = Held[float]("proof")
    status = Held[str]("proof")
    multilabel = Held[bool]("proof")
    versions = Held[dict[str, str]]("proof")
    input_shape = Held[tuple[int, ...]]("input")
    input_dtype = Held[str]("input")
    columns = Held[dict[str, Any] | None]("input")
    features = Held[dict[str, Any] | None]("input")
    extractor_state = Held["dict[str, Tensor] | None"]("input")
