"""`hog`: histograms of oriented gradients beside a colour histogram, as in the image-features exercise of CS231n.

The gradients' part is scikit-image's; the colour part counts saturated pixels by hue. Images are worked in
chunks by as many processes as there are cores, since scikit-image takes them one by one.
"""

from typing import Any, ClassVar

import numpy as np

from straightedge.cores import available_cores
from straightedge.errors import InputError
from straightedge.features.base import ImageExtractor, bad_setting, check_block, check_images
from straightedge.features.hog_rows import hog_colour, skimage_hog

_PARALLEL_FROM = 512  # fewer images are done before the processes have started
_CHUNK = 128


class HogColour(ImageExtractor):
    """HOG of the colour image and a histogram of hue weighted by saturation.

    Args:
        orientations: Bins of gradient direction.
        cell: Side of a cell in pixels.
        block: Cells per side of a block that is normalised together.
        hues: Bins of the colour histogram; 0 leaves it out. Grey images have a histogram of brightness.
        image_shape: Set by `fit`.

    Raises:
        InputError: ``extractor-option`` for a setting out of range.
        MissingExtraError: scikit-image is not installed.

    References:
        Dalal and Triggs (2005), "Histograms of Oriented Gradients for Human Detection", CVPR.
    """

    name: ClassVar[str] = "hog"

    def __init__(
        self,
        orientations: int = 9,
        cell: int = 8,
        block: int = 2,
        hues: int = 10,
        image_shape: tuple[int, ...] | list[int] | None = None,
    ) -> None:
        settings = {"orientations": orientations, "cell": cell, "block": block, "hues": hues}
        super().__init__(settings, image_shape)
        for key, value in self._settings.items():
            if not isinstance(value, int) or isinstance(value, bool) or value < (key != "hues"):
                raise bad_setting(key, value, "a whole number is needed")
        skimage_hog()

    @property
    def n_features(self) -> int:
        """Orientations × cells per block × blocks, and the hues."""
        if self._shape is None:
            return 0
        cell, block = self._settings["cell"], self._settings["block"]
        blocks = [size // cell - block + 1 for size in self._shape[1:]]
        return int(np.prod(blocks) * block**2 * self._settings["orientations"]) + int(self._settings["hues"])

    def prepare(self, images: Any, seed: int = 0) -> None:
        """Take note of the images' shape."""
        height, width = check_images(images)[1:]
        least = self._settings["cell"] * self._settings["block"]
        if min(height, width) < least:
            what = f"images of {height}×{width} pixels are smaller than a block of {least} pixels"
            mend = "use smaller cells (hog:cell=4,block=1) or larger images (--size)"
            raise InputError("hog-small-images", what, mend=mend)
        super().prepare(images, seed)

    def transform(self, images: np.ndarray) -> np.ndarray:
        """Return (n, n_features) float32."""
        check_block(images, self._shape)
        chunks = [images[start : start + _CHUNK] for start in range(0, len(images), _CHUNK)]
        if len(images) < _PARALLEL_FROM or available_cores() == 1:
            parts = [hog_colour(chunk, **self._settings) for chunk in chunks]
        else:  # loky's processes stay for the next block, and need no guard in the user's main module
            from joblib import Parallel, delayed

            jobs = (delayed(hog_colour)(chunk, **self._settings) for chunk in chunks)
            parts = Parallel(n_jobs=available_cores(), batch_size=1)(jobs)
        return np.concatenate(parts) if parts else np.empty((0, self.n_features), np.float32)
