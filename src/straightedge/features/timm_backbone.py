"""`timm:NAME`: frozen features of a model of the timm library, with the model's own preprocessing."""

import difflib
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from straightedge.cores import available_cores
from straightedge.errors import InputError, MachineError, MissingExtraError
from straightedge.features.base import bad_setting
from straightedge.features.frozen import FrozenNetwork, load_weights, read_weights

POOLS = ("model", "cls", "mean")


class TimmBackbone(FrozenNetwork):
    """A timm model without its classifier.

    Args:
        model: A name of ``timm.list_models()``, a pretrained tag included.
        weights: A local safetensors file; ``pretrained``, which downloads them from the Hugging Face hub; or
            ``random``, for tests and as a baseline. There is no default: nothing is downloaded that was not
            asked for, and no features come from random weights unnoticed.
        pool: ``cls`` takes the class token, ``mean`` the mean of patch tokens or of the map, ``model`` does
            what the model itself does before its classifier.
        device: Where the model runs; not part of the configuration.
        save_weights: Whether a run keeps a copy of the weights.
        seed: Set by `prepare`; of random weights.
        image_shape: Set by `prepare`.
        weights_sha256: Set by `prepare`; checked when a run is restored.

    Raises:
        MissingExtraError: timm is not installed.
        MachineError: ``timm-broken`` when it is installed and cannot be imported.
        InputError: ``timm-model``, ``timm-weights``, ``extractor-option``.
    """

    name: ClassVar[str] = "timm"

    def __init__(
        self,
        model: str,
        weights: str | None = None,
        pool: str = "model",
        device: str = "cpu",
        save_weights: bool = True,
        seed: int = 0,
        image_shape: tuple[int, ...] | list[int] | None = None,
        weights_sha256: str | None = None,
    ) -> None:
        super().__init__(weights, device, seed, image_shape, weights_sha256, save_weights)
        self._model, self._pool = str(model), pool
        _check_model(import_timm(), self._model)
        if pool not in POOLS:
            raise bad_setting("pool", pool, f"one of {', '.join(POOLS)}")
        if weights is None:
            mend = (
                "weights=FILE.safetensors takes a local file, weights=pretrained downloads the model's own, "
                "weights=random is for tests"
            )
            raise InputError("timm-weights", f"timm:{model} needs weights", mend=mend)
        self._preprocess: Any = None

    @staticmethod
    def parse(argument: str) -> dict[str, Any]:
        """Return the model's name from ``timm:NAME``."""
        if not argument:
            raise InputError("timm-model", "no model was named", mend="such as timm:vit_small_patch14_dinov2")
        return {"model": argument}

    def config(self) -> dict[str, Any]:
        """Return every setting."""
        return self._settings() | {"model": self._model, "pool": self._pool}

    def _make(self, *, with_weights: bool) -> nn.Module:
        timm = import_timm()
        download = with_weights and self._weights == "pretrained"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            network: nn.Module = timm.create_model(self._model, pretrained=download, num_classes=0)
        if with_weights and self._weights not in {"pretrained", "random"}:
            classifier = network.pretrained_cfg.get("classifier") or ()  # type: ignore[union-attr, operator]
            spare = (classifier,) if isinstance(classifier, str) else tuple(classifier)
            assert self._weights is not None
            load_weights(network, read_weights(self._weights), self._weights, tuple(f"{key}." for key in spare))
        self._preprocess = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
        return network

    def _forward(self, images: np.ndarray) -> Tensor:
        network: Any = self._network
        pixels = self._prepared(images).to(self._device)
        if self._pool == "model":
            return network(pixels)  # type: ignore[no-any-return]
        return pooled(network.forward_features(pixels), network, self._pool)

    def _prepared(self, images: np.ndarray) -> Tensor:
        """Resize, crop and normalise as the model was trained, image by image on all cores."""
        from PIL import Image

        if images.shape[1] == 1:
            images = np.repeat(images, 3, axis=1)

        def one(image: np.ndarray) -> Tensor:
            return self._preprocess(Image.fromarray(image.transpose(1, 2, 0)))  # type: ignore[no-any-return]

        with ThreadPoolExecutor(available_cores()) as threads:
            return torch.stack(list(threads.map(one, np.ascontiguousarray(images))))


def pooled(features: Tensor, network: Any, pool: str) -> Tensor:
    """Reduce (n, tokens, F), (n, F, h, w) or (n, h, w, F) to (n, F).

    Raises:
        InputError: ``timm-pool`` for ``cls`` of a model without a class token.
    """
    prefix = int(getattr(network, "num_prefix_tokens", 0) or 0)
    if pool == "cls":
        if features.ndim != 3 or prefix == 0:
            raise InputError("timm-pool", "this model has no class token", mend="use pool=mean or pool=model")
        return features[:, 0]
    if features.ndim == 3:
        return features[:, prefix:].mean(dim=1)
    if features.ndim == 4:
        last = str(getattr(network, "output_fmt", "NCHW")) == "NHWC"
        return features.mean(dim=(1, 2) if last else (2, 3))
    return features


def import_timm() -> Any:
    """Import timm, or say what to install."""
    try:
        import timm
        import timm.data
    except ImportError as error:
        missing = (error.name or "timm").partition(".")[0]
        raise MissingExtraError(missing, "backbones", "the extractor timm") from error
    except RuntimeError as error:  # a torchvision built for another torch ends here
        what = f"timm is installed but cannot be imported: {error}"
        mend = "install the torchvision that belongs to the installed torch"
        raise MachineError("timm-broken", what, mend=mend) from error
    return timm


def _check_model(timm: Any, name: str) -> None:
    """Refuse names timm does not know; names of hub repositories too, which would be looked up over the network."""
    if timm.is_model(name):
        return
    known = timm.list_models()
    close = difflib.get_close_matches(name.partition(".")[0], known, n=3)
    hint = f"did you mean {', '.join(close)}? " if close else ""
    mend = f"{hint}timm.list_models() lists {len(known)}"
    raise InputError("timm-model", f"timm has no model {name!r}", mend=mend)
