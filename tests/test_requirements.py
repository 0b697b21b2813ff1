"""The lowest versions that `make test-lowest` installs are the bounds of pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1]
LEFT_OUT = {"timm", "mlflow", "tensorboard", "wandb"}
"""Extras that are not installed there; requirements/lowest.txt says why."""


def bounds() -> dict[str, str]:
    """The lower bound of each requirement, those of extras included."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    named = [re.match(r"([\w-]+)>=([\w.]+)", line) for line in project["dependencies"] + extras]
    return {found[1]: found[2] for found in named if found}


def test_the_lowest_pins_are_the_bounds() -> None:
    pins = dict(re.findall(r"^([\w-]+)==([\w.]+)", (PROJECT / "requirements/lowest.txt").read_text(), re.MULTILINE))
    asked = {name: bound for name, bound in bounds().items() if name not in LEFT_OUT}
    assert len(asked) > 20 and asked.keys() <= pins.keys()
    assert {name: _short(pins[name]) for name in asked} == {name: _short(bound) for name, bound in asked.items()}


def _short(version: str) -> str:
    return re.sub(r"(\.0)+$", "", version)
