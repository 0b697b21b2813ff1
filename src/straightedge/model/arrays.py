"""The numbers of a `LinearModel` as NumPy's arrays, which predict with no other library, and as torch's tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

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
