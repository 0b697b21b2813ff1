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

    Rows that are gathered and read are mapped for the first configuration. `remapped` turns their moments into
    those of another.

    Args:
        rows: X, N rows of D features.
        maps: K maps, of each configuration.
        more: See `DenseDesign`.
    """

    def __init__(self, rows: Rows, maps: Sequence[AffineMap], **more: Any) -> None:
        super().__init__(rows, maps[0], **more)
        self.maps = tuple(maps)
        self.reference = self.maps[0]
        used = self.reference.scale != 0
        self._alike = all(torch.equal(own.scale != 0, used) for own in self.maps)
        self._columns: tuple[Tensor, Tensor] | None = None  # shifts and scales (M, D), for passes that follow

    @property
    def one_map(self) -> bool:
        """See `Design.one_map`."""
        return all(own is self.maps[0] for own in self.maps)

    @property
    def maps_alike(self) -> bool:
        """See `Design.maps_alike`."""
        return self._alike

    @property
    def unselected(self) -> OwnMaps:
        """See `Design.unselected`."""
        part = copy.copy(self)
        part.maps = (self.reference,)
        part._see_first()
        return part

    def remapped(self, moment: Tensor, config: int) -> Tensor:
        """See `Design.remapped`: x̂ of one map is affine in x̂ of another."""
        (c0, s0), (c, s) = self._on_device(self.reference), self._on_device(self.maps[config])
        last = torch.ones(1, dtype=torch.float64, device=self.device)
        ratio = torch.cat([torch.where(s0 != 0, s / s0, 0.0), last]).to(moment)
        offset = torch.cat([(c0 - c) * s, last - 1]).to(moment)
        turned = moment * ratio[:, None] * ratio
        mean = turned[:, -1].clone()
        turned += mean[:, None] * offset + offset[:, None] * mean + offset[:, None] * offset
        return turned

    def map_numbers(self, n_configs: int) -> Tensor:
        """See `Design.map_numbers`: configurations of the same map."""
        seen: dict[int, int] = {}
        return torch.tensor([seen.setdefault(id(own), len(seen)) for own in self.maps])

    def select(self, configs: Tensor) -> OwnMaps:
        """See `Design.select`."""
        part = copy.copy(self)
        part.maps = tuple(self.maps[k] for k in configs.tolist())
        if part.maps:
            part._see_first()
        return part

    def _see_first(self) -> None:
        """Map what is gathered and read for the first configuration."""
        self.affine, self._columns = self.maps[0], None
        self._map = self._on_device(self.affine)

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
        if self._columns is None or len(self._columns[0]) != len(W):
            count = len(W) // len(self.maps)
            pairs = [self._on_device(own) for own in self.maps for _ in range(count)]
            shifts, scales = (torch.stack(part) for part in zip(*pairs, strict=True))
            self._columns = shifts, scales
        return self._columns
