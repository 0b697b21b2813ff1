"""The numbers of a `LinearModel` as NumPy's arrays, which predict with no other library, and as torch's tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from straightedge.errors import InputError
from straightedge.kinds import as_array
from straightedge.later import later

if TYPE_CHECKING:
    import torch

    from straightedge.preprocess import AffineMap
else:
    torch = later("torch")


@dataclass(frozen=True)
class MapArrays:
    """The map that weights were fitted behind, as `straightedge.preprocess.AffineMap` has it in tensors.

    Attributes:
        shift: (D,).
        scale: (D,).
        kind: Name of the recipe.
    """

    shift: np.ndarray
    scale: np.ndarray
    kind: str


@dataclass(frozen=True)
class ModelArrays:
    """Weights on raw rows, and the map behind them.

    Attributes:
        weight: (D, C) float32, the map folded in.
        bias: (C,) float32.
        affine: The map, or None where none is kept.
    """

    weight: np.ndarray
    bias: np.ndarray
    affine: MapArrays | None = None

    @classmethod
    def of(cls, weight: Any, bias: Any, affine: AffineMap | MapArrays | None = None) -> ModelArrays:
        """Return arrays of tensors or arrays (D, C), (C,), sharing memory where it can."""
        weight, bias = (as_array(part, np.float32) for part in (weight, bias))
        if affine is not None:
            affine = MapArrays(as_array(affine.shift), as_array(affine.scale), affine.kind)
        return cls(weight, bias, affine)


class Seen:
    """An attribute of a model that stands in its arrays, as torch has it: made when it is asked for.

    A tensor lies over the memory of its array.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            raise AttributeError(self.name)
        return _as_torch(getattr(instance.arrays, self.name))


class KeptArrays:
    """The arrays of a model, and what torch sees of them."""

    arrays: ModelArrays
    if not TYPE_CHECKING:  # a model declares them itself: they are fields of it
        weight, bias, affine = Seen(), Seen(), Seen()


def _as_torch(kept: Any) -> Any:
    """Return an array as a tensor, a map as one of tensors."""
    if kept is None:
        return None
    if isinstance(kept, np.ndarray):
        return torch.from_numpy(kept)
    from straightedge.preprocess import AffineMap

    return AffineMap(torch.from_numpy(kept.shift), torch.from_numpy(kept.scale), kept.kind)


def check_model(model: Any) -> None:
    """Refuse a `LinearModel` whose parts do not fit together."""
    shape, C = tuple(model.arrays.weight.shape), len(model.classes)
    if model.arrays.weight.ndim != 2 or tuple(model.arrays.bias.shape) != (C,) or shape[1] != C:
        what = f"weight {shape}, bias {tuple(model.arrays.bias.shape)} and {C} classes do not fit together"
        raise InputError("model-shape", what)
    affine = model.arrays.affine
    if affine is not None and not affine.shift.shape == affine.scale.shape == (shape[0],):
        raise InputError("model-shape", f"the affine map has {affine.shift.size} features, the weights {shape[0]}")
    if model.features is None and math.prod(model.input_shape) != shape[0]:
        raise InputError("model-shape", f"samples of shape {model.input_shape} do not give {shape[0]} features")
    bad = sum(int((~np.isfinite(part)).sum()) for part in (model.arrays.weight, model.arrays.bias))
    if bad:
        mend = "train again; if the features are huge, scale them first"
        raise InputError("model-nan", f"{bad} weights are NaN or infinite", mend=mend)
    if model.threshold is not None and (C != 2 or not math.isfinite(model.threshold)):
        raise InputError("model-threshold", f"a threshold of {model.threshold} for {C} classes")
    if model.temperature is not None and not 0 < model.temperature < math.inf:
        raise InputError("model-nan", f"the temperature must be positive and finite, not {model.temperature}")
