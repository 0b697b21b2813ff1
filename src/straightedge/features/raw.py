"""`raw`: the pixels themselves, so that every image source has a baseline under the same door."""

from typing import ClassVar

import numpy as np

from straightedge.features.base import ImageExtractor, check_block


class RawPixels(ImageExtractor):
    """Pixels in the order channel, row, column, as float32 of 0–255: what `fit` sees without features."""

    name: ClassVar[str] = "raw"

    def __init__(self, image_shape: tuple[int, ...] | list[int] | None = None) -> None:
        super().__init__({}, image_shape)

    @property
    def n_features(self) -> int:
        """Pixels times channels."""
        return int(np.prod(self._shape)) if self._shape else 0

    def transform(self, images: np.ndarray) -> np.ndarray:
        """Return (n, channels · height · width) float32 in 0–255."""
        check_block(images, self._shape)
        return images.reshape(len(images), -1).astype(np.float32)
