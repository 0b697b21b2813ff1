"""What every extractor does, and the registry that finds one by its spec.

A spec is one string, the same on the command line, in Python and in a run's configuration::

    name[:argument][,option=value...]     patches   patches:small   patches:n_centroids=800,stride=2
                                          timm:vit_small_patch14_dinov2,weights=FILE,pool=mean
                                          module:mypackage.nets:encoder

A new extractor is one module with a class that keeps the protocol, and one line in `EXTRACTORS`.
"""

import inspect
from collections.abc import Sequence
from importlib import import_module
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from straightedge.errors import InputError, did_you_mean


@runtime_checkable
class Extractor(Protocol):
    """Images in, one row of features each out; frozen once it is fitted.

    The features of an image depend on that image, on the extractor's settings and on its state, and on
    nothing else: not on the other images of the block, not on the block's size. So the rows of a test split
    can be made when it is opened, one by one, and are those that were made before, or elsewhere.
    """

    name: ClassVar[str]
    """The name in `EXTRACTORS`."""
    version: ClassVar[int]
    """Raised when the same settings and images give other features; a cache of another version is not read."""
    learns: ClassVar[bool]
    """Whether `fit` looks at the training images."""

    @property
    def n_features(self) -> int:
        """Features per image; known after `fit`."""
        ...

    def prepare(self, images: Any, seed: int = 0) -> None:
        """Take note of the images' shape and of the seed; learn nothing. `fit` begins with it."""
        ...

    def fit(self, images: Any, seed: int = 0) -> None:
        """Learn from training images; nothing of other splits may be among them.

        Args:
            images: (N, channels, height, width) uint8, 0–255: array, memory map or `RowSource`.
            seed: Fixes every random choice.
        """
        ...

    def transform(self, images: np.ndarray) -> np.ndarray:
        """Return (n, n_features) float32 of (n, channels, height, width) uint8 images."""
        ...

    def config(self) -> dict[str, Any]:
        """Return name, version, image_shape and every setting as JSON values: what `restore_extractor` takes."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return what was learned, or what cannot be had again from `config` alone; {} if nothing."""
        ...

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take the place of learning, after `prepare` or with `image_shape` in the settings."""
        ...


EXTRACTORS: dict[str, str] = {
    "raw": "straightedge.features.raw:RawPixels",
    "hog": "straightedge.features.hog:HogColour",
    "patches": "straightedge.features.patches:Patches",
    "timm": "straightedge.features.timm_backbone:TimmBackbone",
    "module": "straightedge.features.user_module:UserModule",
    "tfidf": "straightedge.features.text.tfidf:TfIdf",
    "hashing": "straightedge.features.text.hashing:Hashing",
}
"""Name to ``module:class``, imported when it is asked for (some need extras)."""


def build_extractor(spec: str, *, trusted: bool = True, **options: Any) -> Extractor:
    """Return the extractor that a spec describes, not fitted yet.

    Args:
        spec: ``name[:argument][,option=value...]``, see the module's text.
        trusted: Whether the user wrote the spec; False where it was read from a file, whose word is not enough
            to import the code that it names.
        **options: Settings by name; they win over those in the spec.

    Raises:
        InputError: ``extractor-unknown``, ``extractor-option``, and the codes of the extractor.
        MissingExtraError: the extractor's package is not installed.
    """
    name, argument, written = parse_spec(spec)
    make = _class(name)
    settings = {**written, **{key: value for key, value in options.items() if value is not None}}
    parse = getattr(make, "parse", None)
    if parse is not None:
        settings = {**parse(argument), **settings}
    elif argument:
        raise InputError("extractor-option", f"{name} takes no argument, found {argument!r}", spec)
    extractor = _construct(make, name, settings, spec)
    if trusted and hasattr(extractor, "trust"):
        extractor.trust()
    return extractor


def takes_device(spec: str) -> bool:
    """Return whether the extractor of a spec has a setting for the device (errors as `parse_spec`)."""
    return "device" in inspect.signature(_class(parse_spec(spec)[0])).parameters


def restore_extractor(config: dict[str, Any], state: dict[str, Tensor] | None = None) -> Extractor:
    """Return the fitted extractor that gave `config` and `state` (those of a saved run).

    Raises:
        InputError: ``extractor-version`` when the features would differ from those of the run.
    """
    settings = dict(config)
    name, version = str(settings.pop("name", "")), settings.pop("version", None)
    make = _class(name)
    if version != make.version:
        what = f"the run's features are of {name} version {version}, this installation has {make.version}"
        mend = "fit again, or use the release of straightedge that the run was made with"
        raise InputError("extractor-version", what, mend=mend)
    extractor = _construct(make, name, settings, f"configuration of {name}")
    extractor.load_state(state or {})
    return extractor


def parse_spec(spec: str) -> tuple[str, str, dict[str, Any]]:
    """Cut a spec into name, argument and options; values are numbers where they look like numbers.

    Raises:
        InputError: ``extractor-unknown`` or ``extractor-option``.
    """
    head, _, rest = spec.strip().partition(":")
    name, _, more = head.partition(",")
    parts = [part.strip() for part in (rest or more).split(",") if part.strip()]
    if rest and more:
        raise InputError("extractor-option", "options come after the argument", spec, "name:argument,key=value")
    if name not in EXTRACTORS:
        raise _unknown(name)
    argument = parts.pop(0) if parts and "=" not in parts[0] else ""
    options: dict[str, Any] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals or not value:
            raise InputError("extractor-option", f"{part!r} is no option", spec, "write options as key=value")
        options[key.strip().replace("-", "_")] = _value(value.strip())
    return name, argument, options


def _value(text: str) -> Any:
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _class(name: str) -> Any:
    if name not in EXTRACTORS:
        raise _unknown(name)
    module, _, attribute = EXTRACTORS[name].partition(":")
    return getattr(import_module(module), attribute)


def _unknown(name: str) -> InputError:
    mend = f"{did_you_mean(name, EXTRACTORS)}extractors: {', '.join(EXTRACTORS)}"
    return InputError("extractor-unknown", f"there is no extractor {name!r}", mend=mend)


def bad_setting(name: str, value: Any, mend: str, where: str | None = None) -> InputError:
    """Return the error for a setting of an extractor that is out of range."""
    return InputError("extractor-option", f"{name} is {value!r}", where, mend)


def _construct(make: Any, name: str, settings: dict[str, Any], where: str) -> Extractor:
    known = [key for key in inspect.signature(make).parameters if key != "self"]
    for key in settings:
        if key not in known:
            what = f"{name} has no option {key!r}"
            raise InputError("extractor-option", what, where, f"its options: {', '.join(known) or 'none'}")
    extractor: Extractor = make(**settings)
    return extractor


def check_images(images: Any) -> tuple[int, int, int]:
    """Return (channels, height, width) of images, or refuse what are none.

    Raises:
        InputError: ``features-need-images``.
    """
    shape = tuple(int(size) for size in images.shape)
    if len(shape) != 4 or np.dtype(images.dtype) != np.uint8:
        raise InputError(
            "features-need-images",
            f"features are made of uint8 images (N, channels, height, width); "
            f"these rows are {images.dtype} of shape {shape}",
            mend="give a source of images, or use these rows as they are: leave --features or --extractor out",
        )
    return shape[1], shape[2], shape[3]


class Unlearned:
    """Base of extractors that learn nothing."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    learns: ClassVar[bool] = False

    def prepare(self, images: Any, seed: int = 0) -> None:
        """See `Extractor.prepare`."""
        raise NotImplementedError

    def fit(self, images: Any, seed: int = 0) -> None:
        """Prepare: nothing is learned."""
        self.prepare(images, seed)

    def state(self) -> dict[str, Tensor]:
        """Return nothing: there is none."""
        return {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Need nothing."""


class ImageExtractor(Unlearned):
    """Base of extractors of images that learn nothing: what is left to say are settings and `transform`."""

    def __init__(self, settings: dict[str, Any], image_shape: Sequence[int] | None) -> None:
        self._settings = settings
        self._shape = tuple(image_shape) if image_shape else None

    def prepare(self, images: Any, seed: int = 0) -> None:
        """Take note of the images' shape."""
        self._shape = check_images(images)

    def config(self) -> dict[str, Any]:
        """Return every setting, and the images' shape once it is known."""
        shape = list(self._shape) if self._shape else None
        return {"name": self.name, "version": self.version, **self._settings, "image_shape": shape}


def check_block(images: np.ndarray, expected: tuple[int, ...] | None) -> None:
    """Check that images to transform have the shape the extractor was fitted on.

    Raises:
        InputError: ``extractor-unfitted``, ``features-need-images`` or ``features-shape``.
    """
    if expected is None:
        raise InputError("extractor-unfitted", "the extractor has seen no training images yet", mend="call fit")
    shape = check_images(images)
    if shape != expected:
        what = f"images have shape {shape}, the extractor was fitted on {expected}"
        raise InputError("features-shape", what, mend="bring the images to that size (--size)")


def read_images(images: Any, start: int, stop: int) -> np.ndarray:
    """Return images ``start:stop`` as one contiguous array, wherever they live."""
    block = images.read(start, stop) if hasattr(images, "read") else images[start:stop]
    if isinstance(block, Tensor):
        block = block.detach().cpu().numpy()
    return np.ascontiguousarray(block)


def tensor_of(images: np.ndarray) -> Tensor:
    """Return a tensor of images; a read-only block is copied, since torch has no read-only tensors."""
    import torch

    return torch.from_numpy(np.require(images, requirements=["C", "W"]))


def check_state(state: dict[str, Tensor], shapes: dict[str, tuple[int, ...]], name: str) -> None:
    """Check that a saved state holds the tensors that are expected.

    Raises:
        InputError: ``extractor-state`` with the first tensor that is missing or has another shape.
    """
    for key, shape in shapes.items():
        found = tuple(state[key].shape) if key in state else None
        if found != shape:
            what = f"the saved {name} extractor has {key} of shape {found}, expected {shape}"
            mend = "the run's file is not the one that was saved; fit again"
            raise InputError("extractor-state", what, mend=mend)
