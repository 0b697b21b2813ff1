"""A device that is none: tensors that claim another device and are checked as CUDA's are, on a machine without one.

Every operator sees its tensors here before torch does. Tensors of two devices in one operator are an error, but for
what CUDA allows: copies, scalars, indices on the host. What forces a GPU to be waited for is counted. The device is
called "meta", whose tensors torch believes in everywhere; factories are caught while `pretend_device` is entered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

NAME = "meta"
COPIES = {"copy_", "_to_copy"}
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}
WAITS = {"_local_scalar_dense", "nonzero", "equal", "_unique2"}
counted: Counter[str] = Counter()


class MixedDevicesError(RuntimeError):
    """An operator was given tensors of both devices."""


class DeviceTensor(torch.Tensor):
    """A tensor on the pretended device; its numbers lie on the host."""

    host: torch.Tensor

    @staticmethod
    def __new__(cls, host: torch.Tensor) -> DeviceTensor:
        return torch.Tensor._make_wrapper_subclass(
            cls, host.size(), strides=host.stride(), storage_offset=host.storage_offset(), dtype=host.dtype,
            device=NAME,
        )  # fmt: skip

    def __init__(self, host: torch.Tensor) -> None:
        self.host = host

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})

    def new_tensor(self, data: Any, dtype: torch.dtype | None = None) -> torch.Tensor:
        return torch.tensor(data, dtype=dtype or self.dtype).to(NAME)

    def tolist(self) -> Any:
        counted["waits"] += 1
        return self.host.tolist()

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert a tensor of a device to numpy")

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert a tensor of a device to numpy")


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _run(func: Any, args: Any, kwargs: Any) -> Any:
    name = func._schema.name.removeprefix("aten::")
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    owned = {id(t.host): t for t in tensors if isinstance(t, DeviceTensor)}
    hosted = {id(t): t for t in tensors if not isinstance(t, DeviceTensor)}
    _check(func, name, args, tensors)
    wanted = kwargs.get("device")
    lands = bool(owned) if wanted is None else torch.device(wanted).type == NAME
    counted["waits"] += name == "_to_copy" and lands != bool(owned)
    plain_args, plain_kwargs = tree_map(_host_of, (args, kwargs))
    if wanted is not None:
        plain_kwargs["device"] = torch.device("cpu")
    found = func(*plain_args, **plain_kwargs)

    def dressed(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or id(value) in hosted:
            return value
        known = owned.get(id(value))
        return known if known is not None else DeviceTensor(value) if lands else value

    return tree_map(dressed, found)


def _check(func: Any, name: str, args: Any, tensors: list[torch.Tensor]) -> None:
    here = [t for t in tensors if isinstance(t, DeviceTensor)]
    there = [t for t in tensors if not isinstance(t, DeviceTensor) and t.dim() > 0]
    counted["operators"] += bool(here)
    counted["waits"] += bool(here) and (name in WAITS or (name == "copy_" and bool(there)))
    if here and there and name not in COPIES:
        values = args[2] if name in INDEXING and len(args) > 2 else args[0]
        both = (args[0], values) if name in INDEXING else ()
        if not both or not all(isinstance(t, DeviceTensor) for t in both):
            raise MixedDevicesError(f"{func}: shapes on the host {[tuple(t.shape) for t in there]}")


def _host_of(value: Any) -> Any:
    return value.host if isinstance(value, DeviceTensor) else value


@contextmanager
def pretend_device() -> Iterator[Counter[str]]:
    """Make ``device="meta"`` a device that computes, and count what is asked of it."""
    counted.clear()

    def on_device(plain: Any) -> Any:
        def make(*words: Any, device: Any = None, **named: Any) -> torch.Tensor:
            made = plain(*words, **named)
            return made if device is None else made.to(device)

        return make

    with (
        patch.object(torch, "tensor", on_device(torch.tensor)),
        patch.object(torch, "as_tensor", on_device(torch.as_tensor)),
        _Mode(),
    ):
        yield counted
