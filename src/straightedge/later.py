"""A library that is imported when something of it is first used.

A file whose facts are asked for more often than its work is done, such as the losses' names and titles, says::

    if TYPE_CHECKING:
        import torch
        from torch import Tensor
    else:
        torch = later("torch")

and costs nothing until a function of it calls torch.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any


class Later(ModuleType):
    """A stand-in for a module, which takes each name over from it when it is first asked for."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(import_module(self.__name__), name)
        setattr(self, name, value)  # asked for once: from here on it costs what a module's own names cost
        return value


def later(name: str) -> ModuleType:
    """Return what stands for a module until a name of it is used."""
    return Later(name)
