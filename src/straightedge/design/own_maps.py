"""Dense rows behind a map for each configuration: folds that are standardised by their own rows share a pass.

The map is folded into W before the products, so configurations of different maps are columns of the same product
with the rows as they lie.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from straightedge.design.dense import DenseDesign
from straightedge.preprocess import AffineMap
from straightedge.rows import Rows


class OwnMaps(DenseDesign):
    """Rows whose map depends on the configuration.

    Rows that are gathered are mapped for the first configuration. For a design of one map that is the map; for
    several it is good enough for a preconditioner, which decides the pace and not the answer.

    Args:
        rows: X, N rows of D features.
        maps: K maps, of each configuration.
        more: See `DenseDesign`.
    """

    def __init__(self, rows: Rows, maps: Sequence[AffineMap], **more: Any) -> None:
        super().__init__(rows, maps[0], **more)
        self.maps = tuple(maps)

    @property
    def one_map(self) -> bool:
        """See `Design.one_map`."""
        return all(own is self.maps[0] for own in self.maps)

    def select(self, configs: Tensor) -> OwnMaps:
        """See `Design.select`."""
        part = copy.copy(self)
        part.maps = tuple(self.maps[k] for k in configs.tolist())
        if part.maps:
            part.affine = part.maps[0]
            part._map = part._on_device(part.affine)
        return part

    def fold(self, W: Tensor) -> tuple[Tensor, Tensor]:
        """See `Design.fold`: the classes of each configuration by its own map."""
        shift, scale = self._of_columns(W)
        weight = W[:, :-1] * scale
        return weight, W[:, -1] - (weight * shift).sum(dim=1)

    def unfold(self, raw: Tensor) -> Tensor:
        """See `Design.unfold`."""
        shift, scale = self._of_columns(raw)
        return torch.cat([scale * (raw[:, :-1] - shift * raw[:, -1:]), raw[:, -1:]], dim=1)

    def _of_columns(self, W: Tensor) -> tuple[Tensor, Tensor]:
        """Return shift and scale of each of the M columns of W (M, …): the classes of each configuration."""
        if self.one_map:
            shift, scale = self._map
            return shift[None], scale[None]
        count = len(W) // len(self.maps)
        pairs = [self._on_device(own) for own in self.maps]
        shifts, scales = (torch.stack(part) for part in zip(*pairs, strict=True))
        return shifts.repeat_interleave(count, dim=0), scales.repeat_interleave(count, dim=0)
