"""The picture of the code is true: what it names exists, every room is in it, in the order that imports keep."""

import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "straightedge"
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
EXTENDING = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
PATH = re.compile(r"`((?:\w+/)*\w+(?:/|\.py))`")


def table_of(heading: str) -> list[list[str]]:
    """What the first column of the table under a heading names, row by row."""
    lines = ARCHITECTURE.split(f"{heading}\n", 1)[1].splitlines()
    rows = [line for line in lines if line.startswith(("|", "#"))]
    end = next(place for place, line in enumerate(rows) if line.startswith("#"))
    return [PATH.findall(line.split("|")[1]) for line in rows[2:end]]


ROOMS = table_of("## The rooms")


def layer_of_rooms() -> dict[str, int]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(c for c in contracts["contracts"] if c["type"] == "layers")["layers"]
    return {room.strip(): depth for depth, layer in enumerate(layers) for room in re.split("[:|]", layer)}


@pytest.mark.parametrize("path", sorted(set(PATH.findall(ARCHITECTURE))))
def test_what_the_picture_names_exists(path: str) -> None:
    """A name without folders may be that of a file of a room which the sentence is about."""
    inside = "/" in path.rstrip("/")
    assert (ROOT / path).exists() or (SOURCE / path).exists() or any(SOURCE.glob(f"**/{path}")), path
    assert not inside or (ROOT / path).exists() or any(SOURCE.glob(path)) or any(SOURCE.glob(f"*/{path}"))


def test_every_room_is_in_the_picture_once() -> None:
    named = [path.rstrip("/").removesuffix(".py") for row in ROOMS for path in row]
    there = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert sorted(named) == sorted(there - {"__init__", "__main__"})
    assert all((SOURCE / path).exists() for row in ROOMS for path in row)


def test_rooms_stand_in_the_order_that_imports_keep() -> None:
    depths = layer_of_rooms()
    rows = [[depths[path.rstrip("/").removesuffix(".py")] for path in row] for row in ROOMS]
    assert all(max(above) <= min(below) for above, below in pairwise(rows))


@pytest.mark.parametrize("axis", ["design", "loss", "penalty", "solver", "format", "extractor"])
def test_each_axis_has_an_example_that_runs(axis: str) -> None:
    """The blocks themselves are run by test_docs.py."""
    article = "An" if axis == "extractor" else "A"
    section = EXTENDING.split(f"## {article} {axis}\n", 1)[1].split("\n## ", 1)[0]
    examples = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert any(re.search(r"^(class|def) ", code, re.MULTILINE) for code in examples)
