"""What every frozen torch network has in common: where its weights come from, their digest, the way through it."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from straightedge.errors import InputError
from straightedge.features.base import Unlearned, check_block, check_images
from straightedge.tensorheader import read_header

BATCH = 32


class FrozenNetwork(Unlearned):
    """Base of extractors that send images through a torch network in evaluation mode, without gradients.

    Args:
        weights: Where the weights come from.
        device: Where the network runs; not part of the configuration.
        seed: Set by `prepare`.
        image_shape: Set by `prepare`.
        weights_sha256: Digest of the weights of a saved run; others are refused.
        save_weights: Whether `state` holds the weights, so that a run needs nothing beside it; False makes small
            runs that need the same weights again when they predict.
    """

    def __init__(
        self,
        weights: str | None,
        device: str,
        seed: int,
        image_shape: tuple[int, ...] | list[int] | None,
        weights_sha256: str | None,
        save_weights: bool,
    ) -> None:
        self._weights = weights
        self._device = torch.device(device)
        self._seed = seed
        self._shape = tuple(image_shape) if image_shape else None
        self._sha256 = weights_sha256
        self._save_weights = bool(save_weights)
        self._network: nn.Module | None = None
        self._n_features = 0

    @property
    def n_features(self) -> int:
        """Width of the network's answer; known after `prepare`."""
        return self._n_features

    def prepare(self, images: Any, seed: int = 0) -> None:
        """Take note of the images' shape and make the network."""
        self._shape, self._seed, self._sha256 = check_images(images), seed, None
        self._take(self._make(with_weights=True))

    def transform(self, images: np.ndarray) -> np.ndarray:
        """Return (n, n_features) float32 of (n, channels, height, width) uint8 images."""
        check_block(images, self._shape if self._network is not None else None)
        parts = [self._batch(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
        return np.concatenate(parts) if parts else np.empty((0, self._n_features), np.float32)

    def state(self) -> dict[str, Tensor]:
        """Return the network's weights, or {} where they are not to be saved."""
        if self._network is None or not self._save_weights:
            return {}
        return {key: value.detach().cpu() for key, value in self._network.state_dict().items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take saved weights, or get them again from where they came from.

        Raises:
            InputError: ``weights-changed`` when they are not those of the saved run.
        """
        if self._shape is None:
            raise InputError("extractor-state", f"the saved {self.name} extractor has no image shape")
        network = self._make(with_weights=not self._save_weights)
        if self._save_weights:
            load_weights(network, state, f"the saved {self.name} extractor")
        self._take(network)

    def _settings(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "version": self.version,
            "weights": self._weights,
            "seed": self._seed,
            "image_shape": list(self._shape) if self._shape else None,
            "weights_sha256": self._sha256,
            "save_weights": self._save_weights,
        }

    def _make(self, *, with_weights: bool) -> nn.Module:
        """Return the network on the CPU, with its weights or about to be given them."""
        raise NotImplementedError

    def _forward(self, images: np.ndarray) -> Tensor:
        """Return (n, F) on any device."""
        raise NotImplementedError

    def _take(self, network: nn.Module) -> None:
        """Freeze the network, check its digest, and send one black image through to learn its width."""
        assert self._shape is not None
        digest = weights_digest(network)
        if self._sha256 is not None and digest != self._sha256:
            what = "the network's weights are not those that the run was made with"
            mend = "give the file that was used, or fit again"
            raise InputError("weights-changed", what, where=self._weights, mend=mend)
        self._sha256 = digest
        self._network = network.eval().requires_grad_(False).to(self._device)
        self._n_features = self._batch(np.zeros((1, *self._shape), np.uint8)).shape[1]

    def _batch(self, images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            rows = self._forward(images)
        if not isinstance(rows, Tensor):
            raise InputError(
                "network-output",
                f"the network gave a {type(rows).__name__}, not a tensor",
                getattr(self, "_target", None),
                "features are one tensor (n, F): give the part of the answer that is meant",
            )
        if rows.ndim != 2 or rows.shape[0] != len(images):
            what = f"the network gave {tuple(rows.shape)} for {len(images)} images"
            mend = "features are one row an image, (n, F): pool or flatten at the network's end"
            raise InputError("network-output", what, mend=mend)
        return rows.to("cpu", torch.float32).numpy()


def weights_digest(network: nn.Module) -> str:
    """Return a SHA-256 over names, types, shapes and bytes of a network's weights."""
    digest = hashlib.sha256()
    for key, value in sorted(network.state_dict().items()):
        flat = value.detach().cpu().contiguous().reshape(-1)
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
    return digest.hexdigest()


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read a local safetensors file of weights; nothing is ever unpickled.

    Raises:
        InputError: ``weights-missing``, and the codes of `read_header`.
    """
    from safetensors.torch import load_file

    where = Path(path)
    if not where.is_file():
        raise InputError("weights-missing", "there is no such file of weights", str(path))
    with where.open("rb") as file:
        read_header(file, where)
    weights: dict[str, Tensor] = load_file(where)
    return weights


def load_weights(network: nn.Module, weights: dict[str, Tensor], where: str, spare: tuple[str, ...] = ()) -> None:
    """Give a network its weights; every one it has must be there, with its shape.

    Args:
        network: Takes the weights.
        weights: By name.
        where: Where they come from, for errors.
        spare: Beginnings of names that the network may lack, such as a classifier's that is not used.
    """
    own = network.state_dict()
    missing = [key for key in own if key not in weights]
    wrong = [key for key in own if key in weights and weights[key].shape != own[key].shape]
    extra = [key for key in weights if key not in own and not key.startswith(spare or ("\0",))]
    for keys, what in ((missing, "lack"), (wrong, "have another shape for"), (extra, "have, beyond the network,")):
        if keys:
            what = f"the weights {what} {keys[0]!r}" + (f" and {len(keys) - 1} more" if len(keys) > 1 else "")
            raise InputError("weights-mismatch", what, where, "give the weights of exactly this network")
    network.load_state_dict({key: weights[key] for key in own})
