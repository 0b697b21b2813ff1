"""`raw`: the pixels themselves, so that every image source has a baseline under the same door."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from straightedge.features.base import check_block, check_images


class RawPixels:
    """Pixels in the order channel, row, column, as float32 of 0–255: what `fit` sees without features."""

    name: ClassVar[str] = "raw"
    version: ClassVar[int] = 1
    learns: ClassVar[bool] = False

    def __init__(self, image_shape: tuple[int, ...] | list[int] | None = None) -> None:
        self._shape = tuple(image_shape) if image_shape else None

    @property
    def n_features(self) -> int:
        """Pixels times channels."""
        return int(np.prod(self._shape)) if self._shape else 0

    def prepare(self, images: Any, seed: int = 0) -> None:
        """Take note of the images' shape."""
        self._shape = check_images(images)

    def fit(self, images: Any, seed: int = 0) -> None:
        """Take note of the images' shape; nothing is learned."""
        self.prepare(images, seed)

    def transform(self, images: np.ndarray) -> np.ndarray:
        """Return (n, channels · height · width) float32 in 0–255."""
        check_block(images, self._shape)
        return images.reshape(len(images), -1).astype(np.float32)

    def config(self) -> dict[str, Any]:
        """Return the image shape."""
        return {
            "name": self.name,
            "version": self.version,
            "image_shape": list(self._shape) if self._shape else None,
        }

    def state(self) -> dict[str, Tensor]:
        """Return nothing: there is none."""
        return {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Need nothing."""
