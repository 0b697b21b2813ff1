"""`patches`: features learned from the training images alone, without labels and without pretrained weights.

Every 6 × 6 patch is contrast-normalised, ZCA-whitened and compared to K centroids (triangle encoding); the
answers are summed over 3 × 3 windows that fade into one another: 9 K features. By default an image's features
are those of the image plus those of its mirror image: left and right mean the same, at twice the work and with
no feature more.
"""

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from straightedge.cores import available_cores
from straightedge.errors import InputError
from straightedge.features.base import bad_setting, check_block, check_images, check_state, tensor_of
from straightedge.features.dictionary import Dictionary, learn_dictionary
from straightedge.features.triangle import Encoder, encode, make_encoder
from straightedge.workers import BlockPool, block_spans

PRESETS: dict[str, dict[str, Any]] = {
    "small": {"n_centroids": 400, "pool": 2, "taper": 0.0, "mirror": False},
    "default": {},
}
"""Settings by name, as in ``patches:small``."""


class Patches:
    """Whitened patches, k-means, triangle encoding, sums over regions.

    Args:
        n_centroids: K; features per image are pool² · K.
        patch: Side of a patch in pixels.
        stride: Pixels between patches.
        pool: Regions per side of the pooling grid.
        taper: How far a region reaches into its neighbours (see `triangle.window_weights`); 0 for not at all.
        n_patches: Training patches that the dictionary is learned from.
        epsilon: Added to the eigenvalues of the patch covariance before whitening.
        passes: Passes of k-means over these patches.
        mirror: Whether features of the mirror image are added to those of the image.
        seed: Set by `fit`.
        image_shape: Set by `fit`: (channels, height, width).
        device: Where features are computed; not part of the configuration.

    Raises:
        InputError: ``extractor-option`` for a setting out of range.

    References:
        Coates, Lee and Ng (2011), "An Analysis of Single-Layer Networks in Unsupervised Feature Learning".
    """

    name: ClassVar[str] = "patches"
    version: ClassVar[int] = 2
    learns: ClassVar[bool] = True

    def __init__(
        self,
        n_centroids: int = 1200,
        patch: int = 6,
        stride: int = 1,
        pool: int = 3,
        taper: float = 0.6,
        n_patches: int = 200_000,
        epsilon: float = 0.3,
        passes: int = 10,
        mirror: bool = True,
        seed: int = 0,
        image_shape: tuple[int, ...] | list[int] | None = None,
        device: str = "cpu",
    ) -> None:
        whole = {
            "n_centroids": n_centroids, "patch": patch, "stride": stride,
            "pool": pool, "n_patches": n_patches, "passes": passes,
        }  # fmt: skip
        for key, value in whole.items():
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise bad_setting(key, value, "a whole number from 1 is needed")
        if not isinstance(epsilon, int | float) or not epsilon > 0 or epsilon == float("inf"):
            raise bad_setting("epsilon", epsilon, "a number above 0 is needed")
        if not isinstance(taper, int | float) or not (taper == 0 or 0.1 <= taper < float("inf")):
            raise bad_setting("taper", taper, "0 or a number from 0.1 is needed")
        if not isinstance(mirror, bool):
            raise bad_setting("mirror", mirror, "true or false")
        self._settings: dict[str, Any] = {
            **whole, "taper": float(taper), "epsilon": float(epsilon), "mirror": mirror,
        }  # fmt: skip
        self._seed = seed
        self._shape = tuple(image_shape) if image_shape else None
        self._device = torch.device(device)
        self._dictionary: Dictionary | None = None
        self._encoder: Encoder | None = None
        self._pool: BlockPool | None = None

    @staticmethod
    def parse(argument: str) -> dict[str, Any]:
        """Return the settings of a preset such as ``small``."""
        if argument and argument not in PRESETS:
            mend = f"presets: {', '.join(PRESETS)}; or patches:n_centroids=800"
            raise InputError("extractor-option", f"patches has no preset {argument!r}", mend=mend)
        return dict(PRESETS[argument]) if argument else {}

    @property
    def n_features(self) -> int:
        """pool² · K."""
        return int(self._settings["pool"]) ** 2 * int(self._settings["n_centroids"])

    def prepare(self, images: Any, seed: int = 0) -> None:
        """Take note of the images' shape and of the seed."""
        self._seed, self._shape = seed, check_images(images)
        self._check_shape()

    def fit(self, images: Any, seed: int = 0) -> None:
        """Learn whitening and centroids from training images (see `Extractor.fit`)."""
        self.prepare(images, seed)
        names = ("n_centroids", "patch", "n_patches", "epsilon", "passes")
        self._prepare(learn_dictionary(images, **{key: self._settings[key] for key in names}, seed=seed))

    def transform(self, images: np.ndarray) -> np.ndarray:
        """Return (n, pool² · K) float32 features of (n, channels, height, width) uint8 images."""
        check_block(images, self._shape if self._encoder else None)
        assert self._encoder is not None
        encoder = self._encoder
        pixels = tensor_of(images)
        if self._device.type != "cpu":
            return np.asarray(self._encode(pixels, encoder).cpu())
        features = np.empty((len(images), self.n_features), np.float32)

        def work(spans: Any) -> None:
            for start, stop in spans:
                features[start:stop] = self._encode(pixels[start:stop], encoder).numpy()

        self._pool = self._pool or BlockPool(available_cores())
        self._pool.run(block_spans(len(images), max(1, -(-len(images) // (4 * self._pool.workers)))), work)
        return features

    def config(self) -> dict[str, Any]:
        """Return every setting, and the images' shape once it is known."""
        shape = list(self._shape) if self._shape else None
        return {
            "name": self.name, "version": self.version, **self._settings,
            "seed": self._seed, "image_shape": shape,
        }  # fmt: skip

    def state(self) -> dict[str, Tensor]:
        """Return mean, whitening and centroids, float32."""
        if self._dictionary is None:
            return {}
        return {key: torch.from_numpy(value) for key, value in vars(self._dictionary).items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Become the fitted extractor of a saved run."""
        if self._shape is None:
            raise InputError("extractor-state", "the saved patches extractor has no image shape")
        width = self._shape[0] * self._settings["patch"] ** 2
        shapes = {
            "mean": (width,), "whitening": (width, width), "centroids": (self._settings["n_centroids"], width),
        }  # fmt: skip
        check_state(state, shapes, self.name)
        self._prepare(Dictionary(**{key: np.asarray(state[key].cpu().float()) for key in shapes}))

    def _encode(self, pixels: Tensor, encoder: Encoder) -> Tensor:
        features = encode(pixels, encoder)
        return features + encode(pixels.flip(-1), encoder) if self._settings["mirror"] else features

    def _prepare(self, dictionary: Dictionary) -> None:
        assert self._shape is not None
        layout = {key: self._settings[key] for key in ("patch", "stride", "pool", "taper")}
        size = (self._shape[1], self._shape[2])
        self._dictionary = dictionary
        self._encoder = make_encoder(dictionary, **layout, size=size, device=self._device)

    def _check_shape(self) -> None:
        """Refuse images with fewer patch positions than regions."""
        assert self._shape is not None
        patch, stride, pool = (self._settings[key] for key in ("patch", "stride", "pool"))
        least = patch + (pool - 1) * stride
        if min(self._shape[1:]) < least:
            raise InputError(
                "patches-small-images",
                f"images of {self._shape[1]}×{self._shape[2]} pixels are smaller than {least}×{least}, "
                f"which patches of {patch} pixels pooled {pool}×{pool} need",
                mend="use smaller patches (patches:patch=3) or larger images (--size)",
            )
