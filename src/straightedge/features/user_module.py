"""`module:package.module:attribute`: any torch module of the user's as an extractor.

The attribute is a `torch.nn.Module`, or a class or function that returns one when it is called without
arguments. It gets (n, channels, height, width) float32 images in 0–1, in evaluation mode and without gradients,
does its own normalisation, and returns (n, F).

Naming a module runs its code. A user who writes ``module:…`` asks for that; a file from somewhere else does not. So
nothing is imported whose name was read from a run, be it finished or interrupted, unless the user has written that
name too, on this command line or in the environment variable ``STRAIGHTEDGE_TRUST``.
"""

import os
import shlex
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from straightedge.errors import InputError, StraightedgeError
from straightedge.features.base import tensor_of
from straightedge.features.frozen import FrozenNetwork, load_weights, read_weights
from straightedge.workers import is_out_of_memory

_LIBRARIES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
TRUST = "STRAIGHTEDGE_TRUST"
_trusted: set[str] = set()


class UserModule(FrozenNetwork):
    """A torch module found by its import path.

    Args:
        target: ``package.module:attribute``.
        weights: A safetensors file loaded into the module; None leaves it as it comes.
        device: Where the module runs; not part of the configuration.
        save_weights: Whether a run keeps a copy of the weights.
        seed: Set by `prepare`; torch's seed while the module is made.
        image_shape: Set by `prepare`.
        weights_sha256: Set by `prepare`; checked when a run is restored.

    Raises:
        InputError: ``module-import``, ``module-kind``, ``module-untrusted``.
    """

    name: ClassVar[str] = "module"

    def __init__(
        self,
        target: str,
        weights: str | None = None,
        device: str = "cpu",
        save_weights: bool = True,
        seed: int = 0,
        image_shape: tuple[int, ...] | list[int] | None = None,
        weights_sha256: str | None = None,
    ) -> None:
        super().__init__(weights, device, seed, image_shape, weights_sha256, save_weights)
        self._target = str(target)

    @staticmethod
    def parse(argument: str) -> dict[str, Any]:
        """Return the target of ``module:package.module:attribute``."""
        module, colon, attribute = argument.partition(":")
        if not (module and colon and attribute):
            what = f"{argument!r} names no attribute"
            raise InputError("module-import", what, mend="module:package.module:attribute")
        return {"target": argument}

    def trust(self) -> None:
        """Take the user's word for the code of the target."""
        _trusted.add(self._target)

    def config(self) -> dict[str, Any]:
        """Return every setting."""
        return self._settings() | {"target": self._target}

    def _make(self, *, with_weights: bool) -> nn.Module:
        _check_trust(self._target)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            network = find_module(self._target)
        if with_weights and self._weights is not None:
            load_weights(network, read_weights(self._weights), self._weights)
        return network

    def _forward(self, images: np.ndarray) -> Tensor:
        assert self._network is not None
        pixels = tensor_of(images).to(self._device, torch.float32) / 255
        with _mistakes_named(self._target):
            return self._network(pixels)  # type: ignore[no-any-return]


def find_module(target: str) -> nn.Module:
    """Import ``package.module:attribute`` (the current folder is looked in first) and return the torch module."""
    path, _, attribute = target.partition(":")
    with _current_folder_importable():
        try:
            found = getattr(import_module(path), attribute)
        except (ImportError, AttributeError) as error:
            raise InputError("module-import", f"cannot import it: {error}", target) from error
        with _mistakes_named(target):
            made = found() if not isinstance(found, nn.Module) and callable(found) else found
    if not isinstance(made, nn.Module):
        mend = "name a torch.nn.Module, or a class or function that returns one"
        raise InputError("module-kind", f"this is a {type(made).__name__}, not a torch module", target, mend)
    return made


@contextmanager
def _mistakes_named(target: str) -> Iterator[None]:
    """Report what goes wrong in the user's code as the user's, with the file and line it was raised for.

    The line is the last one of the traceback that is neither ours nor a library's: a shape that does not fit is
    raised inside torch, for a line of the module.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, StraightedgeError) or is_out_of_memory(error):
            raise
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if not _is_library(frame.filename)]
        where = f"{target} ({own[-1].filename}, line {own[-1].lineno})" if own else target
        what = f"the module's own code failed: {type(error).__name__}: {error}"
        mend = (
            "it is called without arguments to make a torch.nn.Module, which is given (n, channels, height, width) "
            "float32 images in 0–1 and returns (n, F)"
        )
        raise InputError("module-failed", what, where, mend) from error


def _is_library(filename: str) -> bool:
    ours = str(Path(__file__).resolve().parents[1])
    return filename.startswith((ours, "<")) or any(part in filename for part in _LIBRARIES)


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _check_trust(target: str) -> None:
    if target in _trusted or target in os.environ.get(TRUST, "").split(","):
        return
    what = f"this run's features come from the Python code {target}, which would be imported and run"
    mend = f"if you trust the run and that code: {TRUST}={shlex.quote(target)} straightedge …"
    raise InputError("module-untrusted", what, mend=mend)
