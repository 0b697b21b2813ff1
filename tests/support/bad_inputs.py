"""What the rows of test_bad_inputs.py share: the real command run here, images and arrays to feed it."""

from __future__ import annotations

import io
import json
import re
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from straightedge.cli.app import main
from straightedge.runs import RunFolder

LIMIT = 10.0  # seconds in which every command must end

rng = np.random.default_rng(0)
y = np.arange(60) % 3
X = (rng.standard_normal((60, 4)) + 2 * np.eye(3, 4)[y]).astype(np.float32)


CHOICES = {"--reg", "--regs", "--path", "--folds", "--solver", "--search", "--protocol"}
"""Options that say which reg is fitted; without them one value is, which is all that these tests need."""


@dataclass
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """What --json printed: strict JSON, so NaN is an error."""

        def refuse(word: str) -> float:
            raise AssertionError(f"{word} in the result")

        found: dict[str, Any] = json.loads(self.out, parse_constant=refuse)
        return found


class Commands:
    """Runs `straightedge` in this process, in a folder of its own, and holds it to the rules of every command."""

    def __init__(self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self._capsys, self.monkeypatch = tmp_path, capsys, monkeypatch
        monkeypatch.chdir(tmp_path)

    def run(self, *arguments: object) -> Ended:
        """Run a command; it ends in time, without a traceback, with 0, 1 or 2."""
        self.monkeypatch.setattr(sys, "argv", ["straightedge", *map(str, arguments)])
        self._capsys.readouterr()
        began, used, status = time.perf_counter(), time.process_time(), 0
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            try:
                main()
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 1 if end.code else 0
        # its own seconds, of the wall or of the CPU: other processes are no fault of the command
        seconds = min(time.perf_counter() - began, time.process_time() - used)
        said = self._capsys.readouterr()
        assert seconds < LIMIT, f"{arguments} took {seconds:.1f} s"
        assert status in (0, 1, 2), status
        for text in (said.out, said.err):
            assert "Traceback" not in text, text
            assert "[internal]" not in text, text
        return Ended(status, said.out, said.err)

    def refused(self, code: str, *words: str, by: tuple[object, ...], status: int = 2) -> Ended:
        """Run a command that must end with a code, say these words, and leave no output behind."""
        before = {path for path in self.path.rglob("*") if path.name != "cache"}
        ended = self.run(*by)
        assert ended.status == status, (ended.status, ended.err)
        assert f"[{code}]" in ended.err, ended.err
        for word in words:
            assert word in ended.err, (word, ended.err)
        assert {path for path in self.path.rglob("*") if path.name != "cache"} == before
        return ended

    def refused_fit(self, code: str, *words: str, source: object, options: tuple[object, ...] = ()) -> None:
        """Fit something that must be refused."""
        self.refused(code, *words, by=("fit", source, "--out", self.path / "run", *options))

    def fitted(self, source: object, *options: object, out: str = "run") -> tuple[dict[str, Any], str]:
        """Fit something that must work; return what --json printed, and what was said beside it."""
        run = self.path / out
        one = () if CHOICES & set(map(str, options)) else ("--reg", "1e-3")
        ended = self.run("fit", source, "--out", run, "--no-suspects", "--overwrite", "--json", *one, *options)
        assert ended.status == 0, ended.err
        return ended.json, ended.err

    def model(self, out: str = "run") -> Any:
        return RunFolder.open(self.path / out).load_model()

    def npz(self, name: str = "data.npz", **arrays: Any) -> Path:
        """Write X and y, or what is given instead."""
        path = self.path / name
        np.savez(path, **({"X": X, "y": y} | arrays))
        return path

    def images(self, name: str = "images", **odd: bytes | Callable[[Path], None]) -> Path:
        """Write two classes of three images, and odd files: cat__NAME (a dot is written as _DOT_) -> bytes."""
        folder = self.path / name
        for number in range(6):
            place = folder / ("cat" if number % 2 else "dog") / f"{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(png(number))
        for place_name, content in odd.items():
            place = folder / place_name.replace("__", "/").replace("_DOT_", ".")
            if callable(content):
                content(place)
            else:
                place.write_bytes(content)
        return folder


def picture(seed: int, size: tuple[int, int] = (6, 5)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str = "PNG", **settings: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **settings)
    return stream.getvalue()


def png(seed: int, size: tuple[int, int] = (6, 5)) -> bytes:
    return encoded(picture(seed, size))


def code_of(text: str) -> str:
    """Return the code in square brackets that an error's first line ends with."""
    found = re.search(r"\[([a-z0-9-]+)\]", text)
    assert found, text
    return found[1]
