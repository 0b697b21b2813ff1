"""The way of one thing through the package while it runs: which files are handed it, in order.

A station is a stay in one file: a call there that is handed the thing, and those that follow without leaving. A
climb is a move to a file of a higher layer of the import contract. Calls that are handed something that holds the
thing do not count, nor do lambdas and comprehensions.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import straightedge

PACKAGE = str(Path(straightedge.__file__).parent) + "/"
PROJECT = Path(__file__).parents[2] / "pyproject.toml"


@dataclass(frozen=True)
class Way:
    """What was handed the thing: the file and the function of each call, in order."""

    calls: list[tuple[str, str]]

    @property
    def stations(self) -> list[str]:
        """The files, one for each stay."""
        files = [file for file, _ in self.calls]
        return [file for k, file in enumerate(files) if k == 0 or file != files[k - 1]]

    @property
    def climbs(self) -> int:
        """How often the way goes up to a higher layer."""
        floors = _floors()
        heights = [floors[file.split("/")[0].removesuffix(".py")] for file in self.stations]
        return sum(high > low for low, high in pairwise(heights))

    def __str__(self) -> str:
        return "\n".join(f"{file} {name}" for file, name in self.calls)


def _floors() -> dict[str, int]:
    """Return the height of each room among the layers of imports."""
    contracts = tomllib.loads(PROJECT.read_text())["tool"]["importlinter"]["contracts"]
    layers = reversed(contracts[0]["layers"])
    return {room.strip(): k for k, layer in enumerate(layers) for room in layer.replace("|", ":").split(":")}


def way_of(is_it: Callable[[Any], bool], work: Callable[[], Any], end: str | None = None) -> Way:
    """Return the way of what ``is_it`` knows while work is done, or until a file named ``end`` is entered."""
    calls: list[tuple[str, str]] = []

    def see(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(PACKAGE) or code.co_name.startswith("<"):
            return
        file = code.co_filename.removeprefix(PACKAGE)
        if end is not None and file == end:
            sys.setprofile(None)
            return
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if any(is_it(frame.f_locals.get(name)) for name in names):
            calls.append((file, code.co_qualname))

    sys.setprofile(see)
    try:
        work()
    finally:
        sys.setprofile(None)
    return Way(calls)
